"""Which pages of other origins may ask, and read the answers (Fetch standard, section 3.2)."""

from collections.abc import Iterable
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from apex_actors.gateway.http.errors import error_response
from apex_actors.gateway.origins import AllowedOrigins
from apex_actors.protocol.codes import ErrorCode

ALLOWED_METHODS: Final = "GET, HEAD, POST, DELETE"
ALLOWED_HEADERS: Final = "Authorization, Content-Disposition, Content-Encoding, Content-Type"
EXPOSED_HEADERS: Final = "Content-Disposition, Retry-After"

#: How long a browser may remember the answer to a preflight.
MAX_AGE_S: Final = 600

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Cors:
    """Answers preflights and names the origins that may read: those allowed, and the server's own.

    An origin is compared as a whole, to the letter. Cookies are not used, so credentials are never
    allowed. What changes something is refused to other origins altogether.
    """

    def __init__(self, app: ASGIApp, *, allowed_origins: Iterable[str]) -> None:
        self._app = app
        self._origins = AllowedOrigins(allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        headers = Headers(scope=scope)
        origins = headers.getlist("origin")
        app = self._app
        allowed = self._origins.allows(origins, headers.getlist("host"))
        if origins:
            preflight = scope["method"] == "OPTIONS" and "access-control-request-method" in headers
            if not allowed and (preflight or scope["method"] not in _SAFE):
                app = error_response(
                    403,
                    ErrorCode.ORIGIN_NOT_ALLOWED,
                    "Pages of this origin may not do this: add it to allowed_origins.",
                )
            elif preflight:
                app = _preflight_answer()

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                # Also where no origin was given: a cache must not hand that answer to another.
                answer.add_vary_header("Origin")
                if allowed:
                    answer["Access-Control-Allow-Origin"] = origins[0]
                    answer["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
            await send(message)

        await app(scope, receive, with_headers)


def _preflight_answer() -> Response:
    return Response(
        status_code=204,
        headers={
            "Access-Control-Allow-Methods": ALLOWED_METHODS,
            "Access-Control-Allow-Headers": ALLOWED_HEADERS,
            "Access-Control-Max-Age": str(MAX_AGE_S),
        },
    )

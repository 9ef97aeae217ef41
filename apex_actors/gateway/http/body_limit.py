"""How much a request may bring: by path, whoever reads it."""

from collections.abc import Mapping
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from apex_actors.gateway.http.errors import ApiError, error_response

#: Enough for every request but uploads.
MAX_BODY_BYTES: Final = 256 * 1024


class BodyLimit:
    """Refuses a body that says it is too long, and stops keeping one that turns out to be.

    The connection stays open: the server throws away what still comes. Were it closed, the client
    would often lose the answer with it, and never know why.

    :param limits: limit in bytes by path; MAX_BODY_BYTES for all others.
    """

    def __init__(self, app: ASGIApp, *, limits: Mapping[str, int]) -> None:
        self._app = app
        self._limits = dict(limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        limit = self._limits.get(scope["path"], MAX_BODY_BYTES)
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isdecimal() or int(announced) > limit:
            error = too_large(limit)
            response = error_response(error.status_code, error.code, error.detail, error.headers)
            await response(scope, receive, send)
            return
        received_bytes = 0

        async def counted() -> Message:
            nonlocal received_bytes
            message = await receive()
            if message["type"] == "http.request":
                received_bytes += len(message.get("body", b""))
                if received_bytes > limit:
                    raise too_large(limit)
            return message

        await self._app(scope, counted, send)


def too_large(limit_bytes: int) -> ApiError:
    """The answer to a body over the limit."""
    return ApiError(413, f"The body may have at most {limit_bytes:,} bytes.")

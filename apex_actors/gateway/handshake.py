"""Who may open a WebSocket: decided from the request alone, before the upgrade completes."""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs, urlsplit

from websockets.datastructures import Headers, MultipleValuesError
from websockets.http11 import Request

from apex_actors.gateway.tokens import InvalidTokenError, TokenAuthority, VerifiedToken
from apex_actors.protocol.codes import ErrorCode

PATH: Final = "/ws"

#: Offered with a token; the first of a pair is what the server selects.
SUBPROTOCOLS: Final = ("apex.v1", "jwt-auth")

TOKEN_PREFIX: Final = "jwt."  # noqa: S105 - the marker in front of a token, none itself

_UNAUTHORIZED: Final = "A valid token is needed: as Authorization: Bearer, or as a subprotocol."


class Refused(Exception):  # noqa: N818 - the handshake's outcome, not a fault of ours
    """The plain HTTP answer of a refused handshake."""

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        message: str,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(f"{status.value} {code}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers

    def body(self) -> bytes:
        """The JSON body."""
        return json.dumps({"error": {"code": self.code, "message": self.message}}).encode()


@dataclass(frozen=True, slots=True)
class Resume:
    """Where the client's copy of the log ends."""

    after: int
    epoch: str


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who is let in, and with what."""

    token: VerifiedToken
    subprotocol: str | None
    resume: Resume | None = field(default=None)


class Doorkeeper:
    """Checks path, origin, token and resume position of a handshake."""

    def __init__(self, *, authority: TokenAuthority, allowed_origins: Sequence[str]) -> None:
        self._authority = authority
        self._allowed_origins = frozenset(allowed_origins)
        self.draining = False

    def admit(self, request: Request) -> Admitted:
        """Let the request in, or raise Refused."""
        url = urlsplit(request.path)
        if url.path != PATH:
            raise Refused(HTTPStatus.NOT_FOUND, "not_found", f"WebSockets are served at {PATH}.")
        query = parse_qs(url.query, keep_blank_values=True)
        if "token" in query or "access_token" in query or "jwt" in query:
            raise _unauthorized()
        if self.draining:
            raise Refused(
                HTTPStatus.SERVICE_UNAVAILABLE,
                ErrorCode.DRAINING,
                "The server restarts: connect again in a moment.",
                (("Retry-After", "1"),),
            )
        self._check_origin(request.headers)
        encoded, subprotocol = _token(request.headers)
        try:
            token = self._authority.verify(encoded)
        except InvalidTokenError:
            raise _unauthorized() from None
        return Admitted(token, subprotocol, _resume(query))

    def _check_origin(self, headers: Headers) -> None:
        origins = headers.get_all("Origin")
        if not origins:
            return
        # The page that this server serves itself: same host and port as the request was sent to.
        own = {
            f"{scheme}://{host}" for host in headers.get_all("Host") for scheme in ("http", "https")
        }
        if len(origins) != 1 or origins[0] not in self._allowed_origins | own:
            raise Refused(
                HTTPStatus.FORBIDDEN,
                ErrorCode.ORIGIN_NOT_ALLOWED,
                "Pages of this origin may not connect: add it to allowed_origins.",
            )


def _unauthorized() -> Refused:
    return Refused(
        HTTPStatus.UNAUTHORIZED,
        ErrorCode.UNAUTHORIZED,
        _UNAUTHORIZED,
        (("WWW-Authenticate", "Bearer"),),
    )


def _token(headers: Headers) -> tuple[str, str | None]:
    """The one token of the request, and the subprotocol to select."""
    offered = [
        name.strip()
        for line in headers.get_all("Sec-WebSocket-Protocol")
        for name in line.split(",")
    ]
    subprotocol = next((name for name in SUBPROTOCOLS if name in offered), None)
    found = {_decode(name) for name in offered if name.startswith(TOKEN_PREFIX)}
    if found and subprotocol is None:
        # A browser closes the connection when no subprotocol is selected: better a clear refusal.
        raise _unauthorized()
    try:
        authorization = headers.get("Authorization")
    except MultipleValuesError:
        raise _unauthorized() from None
    if authorization is not None:
        scheme, _, credentials = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise _unauthorized()
        found.add(credentials.strip())
    if len(found) != 1:
        raise _unauthorized()
    return found.pop(), subprotocol


def _decode(subprotocol: str) -> str:
    encoded = subprotocol.removeprefix(TOKEN_PREFIX)
    try:
        padded = encoded + "=" * (-len(encoded) % 4)
        return base64.b64decode(padded.encode(), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, UnicodeError, ValueError):
        raise _unauthorized() from None


def _resume(query: dict[str, list[str]]) -> Resume | None:
    after, epoch = query.get("after"), query.get("epoch")
    if after is None and epoch is None:
        return None
    if (
        after is None
        or epoch is None
        or len(after) != 1
        or len(epoch) != 1
        or not after[0].isascii()
        or not after[0].isdigit()
        or len(after[0]) > len(str(2**63))
    ):
        raise Refused(
            HTTPStatus.BAD_REQUEST,
            ErrorCode.INVALID_MESSAGE,
            "after and epoch go together: a number, and the epoch of the welcome it came from.",
        )
    return Resume(int(after[0]), epoch[0])

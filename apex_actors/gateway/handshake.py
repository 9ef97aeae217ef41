"""Who may open a WebSocket: decided from the request alone, before the upgrade completes."""

import base64
import binascii
import json
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs

from websockets.datastructures import Headers, MultipleValuesError
from websockets.http11 import Request

from apex_actors.gateway.auth import (
    InvalidTokenError,
    Revocations,
    TokenVerifier,
    UnknownKeyError,
    VerifiedToken,
)
from apex_actors.gateway.limits import Limits, TooManyConnectionsError
from apex_actors.gateway.metrics import GatewayMetrics
from apex_actors.gateway.origins import AllowedOrigins
from apex_actors.protocol.codes import ErrorCode

PATH: Final = "/ws"

#: Offered with a token; the first of a pair is what the server selects.
SUBPROTOCOLS: Final = ("apex.v1", "jwt-auth")

TOKEN_PREFIX: Final = "jwt."  # noqa: S105 - the marker in front of a token, none itself

#: Where a token must never be: query strings end up in logs and histories.
TOKEN_PARAMETERS: Final = frozenset({"token", "access_token", "jwt"})

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
    resume: Resume | None = None
    address: str = ""


class KeysWanted(Exception):  # noqa: N818 - the handshake's outcome, not a fault of ours
    """The token names a key that is not known yet: a look for new ones may bring it."""

    def __init__(self, doorkeeper: "Doorkeeper", address: str) -> None:
        super().__init__("the token's key is not known")
        self._doorkeeper = doorkeeper
        self._address = address

    async def admit_with_new_keys(self, request: Request) -> Admitted:
        """Wait for the look, and decide; raises Refused."""
        return await self._doorkeeper.admit_with_new_keys(request, self._address)


class Doorkeeper:
    """Checks path, address, origin, token, resume position and caps of a handshake."""

    def __init__(
        self,
        *,
        verifier: TokenVerifier,
        revocations: Revocations,
        limits: Limits,
        metrics: GatewayMetrics,
        allowed_origins: Iterable[str],
    ) -> None:
        self._verifier = verifier
        self._revocations = revocations
        self._limits = limits
        self._metrics = metrics
        self._origins = AllowedOrigins(allowed_origins)
        self.draining = False

    def admit(self, request: Request, address: str) -> Admitted:
        """Let the request in, or raise Refused; KeysWanted where the answer needs new keys."""
        path, _, query = request.path.partition("?")
        if path != PATH:
            raise Refused(HTTPStatus.NOT_FOUND, "not_found", f"WebSockets are served at {PATH}.")
        if self.draining:
            raise Refused(
                HTTPStatus.SERVICE_UNAVAILABLE,
                ErrorCode.DRAINING,
                "The server restarts: connect again in a moment.",
                (("Retry-After", "1"),),
            )
        wait_ms = self._limits.handshake(address)
        if wait_ms:
            self._metrics.rate_limited("handshakes")
            raise Refused(
                HTTPStatus.TOO_MANY_REQUESTS,
                ErrorCode.RATE_LIMITED,
                "Too many handshakes from your address: wait before the next one.",
                (_retry_after(wait_ms),),
            )
        self._check_origin(request.headers)
        try:
            return self._check(request, query, address)
        except UnknownKeyError:
            raise KeysWanted(self, address) from None

    async def admit_with_new_keys(self, request: Request, address: str) -> Admitted:
        """As ``admit`` goes on, after a look for new keys."""
        await self._verifier.refresh_keys()
        try:
            return self._check(request, request.path.partition("?")[2], address)
        except UnknownKeyError:
            raise _unauthorized() from None

    def enter(self, admitted: Admitted) -> None:
        """Count the connection, which ``leave`` undoes; raises Refused over a cap."""
        try:
            self._limits.connect(admitted.token.identity.key)
        except TooManyConnectionsError as full:
            status = (
                HTTPStatus.TOO_MANY_REQUESTS if full.of_user else HTTPStatus.SERVICE_UNAVAILABLE
            )
            raise Refused(
                status,
                ErrorCode.TOO_MANY_CONNECTIONS,
                "You have too many connections: close one."
                if full.of_user
                else "The server has too many connections: try again in a moment.",
                (_retry_after(full.retry_after_ms),),
            ) from None

    def leave(self, admitted: Admitted) -> None:
        """The connection is gone."""
        self._limits.disconnect(admitted.token.identity.key)

    def refused(self, refused: Refused) -> None:
        """Count a handshake that ended so."""
        self._metrics.handshake_refused(refused.code)

    def _check(self, request: Request, query_string: str, address: str) -> Admitted:
        query = parse_qs(query_string, keep_blank_values=True)
        if not TOKEN_PARAMETERS.isdisjoint(query):
            raise _unauthorized()
        encoded, subprotocol = _token(request.headers)
        try:
            token = self._verifier.verify(encoded)
            self._revocations.check(token)
        except UnknownKeyError:
            raise
        except InvalidTokenError:
            raise _unauthorized() from None
        return Admitted(token, subprotocol, _resume(query), address)

    def _check_origin(self, headers: Headers) -> None:
        origins = headers.get_all("Origin")
        if not origins:
            return
        if self._origins.allows(origins, headers.get_all("Host")):
            return
        raise Refused(
            HTTPStatus.FORBIDDEN,
            ErrorCode.ORIGIN_NOT_ALLOWED,
            "Pages of this origin may not connect: add it to allowed_origins.",
        )


def _retry_after(wait_ms: int) -> tuple[str, str]:
    return ("Retry-After", str(-(-wait_ms // 1000)))


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

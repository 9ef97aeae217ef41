"""Bearer tokens: checked at the door, and made in development mode."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import jwt

from apex_actors.gateway.settings import MIN_SECRET_BYTES, AuthSettings
from apex_actors.protocol.identity import Identity, Role

ALGORITHM: Final = "HS256"

#: Larger tokens are refused before anything of them is decoded.
MAX_TOKEN_BYTES: Final = 8192

MAX_ID_CHARS: Final = 128


class InvalidTokenError(Exception):
    """The token is no good; why is for the log alone, the client gets one generic answer."""


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """Who the token speaks for, and until when."""

    identity: Identity
    expires_at: datetime


class TokenAuthority:
    """Checks tokens, and issues them where the server is its own issuer.

    :param secret: the shared HS256 key, at least MIN_SECRET_BYTES long.
    """

    def __init__(
        self,
        *,
        secret: str,
        settings: AuthSettings,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if len(secret.encode()) < MIN_SECRET_BYTES:
            raise ValueError(f"the token secret must have at least {MIN_SECRET_BYTES} bytes")
        self._secret = secret
        self._settings = settings
        self._now = now

    def verify(self, token: str) -> VerifiedToken:
        """Who ``token`` speaks for; raises InvalidTokenError."""
        if len(token) > MAX_TOKEN_BYTES:
            raise InvalidTokenError("too long")
        settings = self._settings
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                audience=settings.audience,
                issuer=settings.issuer,
                leeway=settings.leeway_s,
                options={"require": ["exp", "sub"]},
            )
        except (jwt.PyJWTError, ValueError, OverflowError) as error:
            raise InvalidTokenError(type(error).__name__) from error
        return self._verified(claims)

    def issue(
        self, *, sub: str, org: str | None = None, roles: Iterable[Role] = (), lifetime_s: int
    ) -> tuple[str, datetime]:
        """Make a token for ``sub``; returns it with the moment it expires.

        Raises ValueError for a lifetime over the cap or ids that would not be accepted.
        """
        if not 0 < lifetime_s <= self._settings.max_lifetime_s:
            raise ValueError(f"lifetime_s must be 1 to {self._settings.max_lifetime_s}")
        if not _is_id(sub) or not (org is None or _is_id(org)):
            raise ValueError(f"sub and org must have 1 to {MAX_ID_CHARS} characters")
        issued_at = self._now()
        expires_at = issued_at + timedelta(seconds=lifetime_s)
        claims: dict[str, Any] = {
            "iss": self._settings.issuer,
            "aud": self._settings.audience,
            "sub": sub,
            "iat": int(issued_at.timestamp()),
            "exp": int(expires_at.timestamp()),
        }
        if org is not None:
            claims["org"] = org
        if roles:
            claims["roles"] = [role.value for role in roles]
        return jwt.encode(claims, self._secret, algorithm=ALGORITHM), expires_at

    def _verified(self, claims: dict[str, Any]) -> VerifiedToken:
        sub, org = claims["sub"], claims.get("org", claims["sub"])
        if not _is_id(sub) or not _is_id(org):
            raise InvalidTokenError("sub or org is not an id")
        now = self._now().timestamp()
        lifetime_s = claims["exp"] - claims.get("iat", now)
        if (
            lifetime_s > self._settings.max_lifetime_s
            or claims["exp"] - now > self._settings.max_lifetime_s + self._settings.leeway_s
        ):
            raise InvalidTokenError("lives too long")
        roles = claims.get("roles", [])
        if not isinstance(roles, list):
            raise InvalidTokenError("roles is not a list")
        known = frozenset(role for role in Role if role.value in roles)
        return VerifiedToken(
            Identity(org=org, sub=sub, roles=known),
            datetime.fromtimestamp(claims["exp"], tz=UTC),
        )


def _is_id(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_ID_CHARS and value.isprintable()

"""What a token claims, checked: who, until when, since when, and for whom it was made."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from apex_actors.gateway.auth.errors import InvalidTokenError
from apex_actors.gateway.settings import AuthSettings
from apex_actors.protocol.identity import Identity, Role

MAX_ID_CHARS: Final = 128

#: The last second that a datetime can name; whatever is later is absurd.
MAX_TIME_S: Final = 253_402_300_799

_ROLES: Final = {role.value: role for role in Role}

#: Stands for a claim that is absent, which null is not.
_ABSENT: Final = object()

_NO_ROLES: Final[frozenset[Role]] = frozenset()


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """Who the token speaks for, and until when; what it can be revoked by."""

    identity: Identity
    expires_at: datetime
    issued_at: datetime | None = None
    """None where the token does not say it: then it counts as older than any revocation."""
    token_id: str | None = None
    """The claim jti."""


def is_id(value: object) -> bool:
    """Whether ``value`` can name a user, an organisation or a token.

    A string of 1 to MAX_ID_CHARS printable characters: no control character, NUL, surrogate, or
    mark that changes the direction of writing.
    """
    return isinstance(value, str) and 0 < len(value) <= MAX_ID_CHARS and value.isprintable()


class ClaimRules:
    """Checks the claims of tokens whose signature is good."""

    def __init__(self, settings: AuthSettings) -> None:
        self._issuer = settings.issuer
        self._audience = settings.audience
        self._max_lifetime_s = settings.max_lifetime_s
        self._leeway_s = settings.leeway_s

    def check(self, claims: dict[str, Any], now_s: float) -> VerifiedToken:
        """What ``claims`` say at ``now_s``, in seconds of Unix time; raises InvalidTokenError."""
        if claims.get("iss") != self._issuer:
            raise InvalidTokenError("another issuer")
        self._check_audience(claims.get("aud"))
        expires_s, issued_s = self._lifetime(claims, now_s)
        sub = claims.get("sub")
        org = claims.get("org", sub)
        if not isinstance(sub, str) or not is_id(sub) or not isinstance(org, str) or not is_id(org):
            raise InvalidTokenError("sub or org is not an id")
        token_id = claims.get("jti", _ABSENT)
        if token_id is _ABSENT:
            token_id = None
        elif not is_id(token_id):
            raise InvalidTokenError("jti is not an id")
        roles = _roles(claims["roles"]) if "roles" in claims else _NO_ROLES
        return VerifiedToken(
            Identity(org, sub, roles),
            datetime.fromtimestamp(expires_s, UTC),
            None if issued_s is None else datetime.fromtimestamp(issued_s, UTC),
            token_id,
        )

    def _check_audience(self, audience: Any) -> None:
        if audience == self._audience:
            return
        if (
            not isinstance(audience, list)
            or self._audience not in audience
            or not all(isinstance(one, str) for one in audience)
        ):
            raise InvalidTokenError("another audience")

    def _lifetime(self, claims: dict[str, Any], now_s: float) -> tuple[float, float | None]:
        """When it ends and when it was issued; nothing but finite numbers gets this far."""
        expires_s = _time(claims.get("exp"))
        if expires_s <= now_s - self._leeway_s:
            raise InvalidTokenError("expired")
        if "nbf" in claims and _time(claims["nbf"]) > now_s + self._leeway_s:
            raise InvalidTokenError("not valid yet")
        if "iat" not in claims:
            if expires_s - now_s > self._max_lifetime_s:
                raise InvalidTokenError("lives too long")
            return expires_s, None
        issued_s = _time(claims["iat"])
        if issued_s > now_s + self._leeway_s:
            raise InvalidTokenError("issued in the future")
        if expires_s - issued_s > self._max_lifetime_s:
            raise InvalidTokenError("lives too long")
        return expires_s, issued_s


def _time(value: Any) -> float:
    # A bool is an int, and NaN fails each comparison: neither is a time.
    if (type(value) is not int and type(value) is not float) or not 0 <= value <= MAX_TIME_S:
        raise InvalidTokenError("a time is not a number of seconds")
    return value


def _roles(claimed: Any) -> frozenset[Role]:
    if not isinstance(claimed, list) or not all(isinstance(one, str) for one in claimed):
        raise InvalidTokenError("roles is not a list of strings")
    return frozenset(_ROLES[one] for one in claimed if one in _ROLES)

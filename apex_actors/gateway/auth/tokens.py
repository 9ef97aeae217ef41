"""Bearer tokens: checked at the door, and made in development mode."""

import secrets
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import jwt

from apex_actors.gateway.auth.claims import MAX_ID_CHARS, ClaimRules, VerifiedToken, is_id
from apex_actors.gateway.auth.compact import take_apart
from apex_actors.gateway.auth.errors import InvalidTokenError, UnknownKeyError
from apex_actors.gateway.auth.keys import Keys, SharedSecret
from apex_actors.gateway.auth.strict_json import parse_object
from apex_actors.gateway.settings import AuthSettings
from apex_actors.protocol.identity import Role

#: Entropy of the ids (jti) of issued tokens.
TOKEN_ID_BYTES: Final = 16


def _now() -> datetime:
    return datetime.now(UTC)


class TokenVerifier:
    """Checks tokens of one algorithm, issuer and audience.

    The outer form, the header and the claims are checked here, strictly and without a second
    parser; the signature by PyJWT's algorithms, or HMAC of the standard library. A token's own
    word never decides how it is checked.

    :param keys: where the keys are; its algorithm must be that of the settings.
    """

    def __init__(
        self, *, keys: Keys, settings: AuthSettings, now: Callable[[], datetime] = _now
    ) -> None:
        if keys.algorithm is not settings.algorithm:
            raise ValueError(
                f"keys of {keys.algorithm} do not check tokens of {settings.algorithm}"
            )
        self._keys = keys
        self._settings = settings
        self._algorithm = settings.algorithm.value
        self._rules = ClaimRules(settings)
        self._now = now

    def verify(self, token: str) -> VerifiedToken:
        """Who ``token`` speaks for; no I/O.

        Raises InvalidTokenError; of it UnknownKeyError where ``refresh_keys`` may help.
        """
        parts = take_apart(token, algorithm=self._algorithm)
        if not self._keys.find(parts.key_id)(parts.signed, parts.signature):
            raise InvalidTokenError("the signature is wrong")
        try:
            claims = parse_object(parts.payload)
        except ValueError:
            raise InvalidTokenError("the claims are not a plain JSON object") from None
        return self._rules.check(claims, self._now().timestamp())

    async def refresh_keys(self) -> bool:
        """Look for new keys; True when they were read anew.

        At once False in the cool-down after an earlier look, and with a shared secret. Takes
        ``jwks_timeout_s`` at most; who calls meanwhile waits for the same look.
        """
        return await self._keys.refresh()

    async def authenticate(self, token: str) -> VerifiedToken:
        """As ``verify``, and where its key is not known, once more after a look for new keys."""
        try:
            return self.verify(token)
        except UnknownKeyError:
            if not await self.refresh_keys():
                raise
        return self.verify(token)


class TokenAuthority(TokenVerifier):
    """Checks tokens on a shared secret, and issues them where the server is its own issuer.

    :param secret: the HS256 key, at least 32 bytes; never the public half of a key pair.
    """

    def __init__(
        self, *, secret: str, settings: AuthSettings, now: Callable[[], datetime] = _now
    ) -> None:
        keys = SharedSecret(secret)
        super().__init__(keys=keys, settings=settings, now=now)
        self._secret = keys.secret

    def issue(
        self, *, sub: str, org: str | None = None, roles: Iterable[Role] = (), lifetime_s: int
    ) -> tuple[str, datetime]:
        """Make a token for ``sub``; returns it with the moment it expires.

        Raises ValueError for a lifetime over the cap or ids that would not be accepted.
        """
        if not 0 < lifetime_s <= self._settings.max_lifetime_s:
            raise ValueError(f"lifetime_s must be 1 to {self._settings.max_lifetime_s}")
        if not is_id(sub) or not (org is None or is_id(org)):
            raise ValueError(f"sub and org must have 1 to {MAX_ID_CHARS} printable characters")
        issued_at = self._now().replace(microsecond=0)
        expires_at = issued_at + timedelta(seconds=lifetime_s)
        claims: dict[str, Any] = {
            "iss": self._settings.issuer,
            "aud": self._settings.audience,
            "sub": sub,
            "iat": int(issued_at.timestamp()),
            "exp": int(expires_at.timestamp()),
            "jti": secrets.token_urlsafe(TOKEN_ID_BYTES),
        }
        if org is not None:
            claims["org"] = org
        claimed_roles = [role.value for role in roles]
        if claimed_roles:
            claims["roles"] = claimed_roles
        return jwt.encode(claims, self._secret, algorithm=self._algorithm), expires_at

"""Keys that signatures are checked with: one shared secret, or a set of published ones."""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.exceptions import PyJWTError

from apex_actors.gateway.auth.errors import (
    InvalidTokenError,
    KeysUnavailableError,
    UnknownKeyError,
)
from apex_actors.gateway.auth.strict_json import parse_object
from apex_actors.gateway.key_rules import secret_bytes
from apex_actors.gateway.settings import Algorithm

#: Shorter RSA keys are refused (RFC 7518, section 3.3); longer ones would only cost time.
RSA_KEY_BITS: Final = range(2048, 8192 + 1)

Check = Callable[[bytes, bytes], bool]
"""Whether the second is a signature of the first; in constant time where the key is a secret."""


class Keys(Protocol):
    """Where a verifier finds its keys. Looking one up does no I/O."""

    @property
    def algorithm(self) -> Algorithm:
        """What all of them are for."""
        ...

    def find(self, key_id: str | None) -> Check:
        """The check of the key that a token names; None: the token names none.

        Raises UnknownKeyError where a look for new keys is allowed now, else InvalidTokenError.
        """
        ...

    async def refresh(self) -> bool:
        """Look for new keys because one was not known; True when they were read anew."""
        ...


class SharedSecret:
    """The one key of HS256; a token may name it as it likes."""

    algorithm: Final = Algorithm.HS256

    def __init__(self, secret: str) -> None:
        try:
            self._secret = secret_bytes(secret)
        except ValueError as error:
            raise ValueError(f"the token secret {error}") from None

    @property
    def secret(self) -> bytes:
        """The key itself, for who issues tokens."""
        return self._secret

    def find(self, key_id: str | None) -> Check:  # noqa: ARG002 - there is only one
        return self._check

    async def refresh(self) -> bool:
        return False

    def _check(self, signed: bytes, signature: bytes) -> bool:
        return hmac.compare_digest(hmac.digest(self._secret, signed, "sha256"), signature)


@dataclass(frozen=True, slots=True)
class KeySet:
    """The usable keys of a published set at one moment."""

    by_id: Mapping[str, Check]
    only: Check | None
    """The one key, where there is exactly one: tokens that name none are checked with it."""

    def get(self, key_id: str | None) -> Check | None:
        """The check of that key, or of the only one for None; None where there is none."""
        return self.only if key_id is None else self.by_id.get(key_id)


NO_KEYS: Final = KeySet(MappingProxyType({}), None)


def parse_key_set(data: bytes, algorithm: Algorithm) -> KeySet:
    """The keys of a JWK set (RFC 7517) that are for signatures of ``algorithm``; others are left out.

    Raises KeysUnavailableError where it is no JWK set or has no usable key: an empty set is a
    mistake more often than the wish that nobody gets in.
    """
    try:
        keys = parse_object(data).get("keys")
    except ValueError as error:
        raise KeysUnavailableError(f"this is no JWK set: {error}") from None
    if not isinstance(keys, list):
        raise KeysUnavailableError('this is no JWK set: it has no list "keys"')
    checks: list[Check] = []
    by_id: dict[str, Check] = {}
    for jwk in keys:
        check = _check_of(jwk, algorithm)
        if check is not None:
            checks.append(check)
            if "kid" in jwk:
                # Of two keys with one id the first counts, always the same one.
                by_id.setdefault(jwk["kid"], check)
    if not checks:
        raise KeysUnavailableError(
            f"none of the {len(keys)} keys is a public one for signatures of {algorithm}"
        )
    return KeySet(MappingProxyType(by_id), checks[0] if len(checks) == 1 else None)


def unknown_key(*, may_look: bool) -> InvalidTokenError:
    """The error for a key that is not known."""
    return (UnknownKeyError if may_look else InvalidTokenError)("the key is not known")


#: What a JWK must say besides its numbers, by algorithm.
_KIND: Final[Mapping[Algorithm, Mapping[str, str]]] = {
    Algorithm.RS256: {"kty": "RSA"},
    Algorithm.ES256: {"kty": "EC", "crv": "P-256"},
    Algorithm.EDDSA: {"kty": "OKP", "crv": "Ed25519"},
}

_IMPLEMENTATIONS: Final[Mapping[Algorithm, Any]] = {
    Algorithm.RS256: RSAAlgorithm(RSAAlgorithm.SHA256),
    Algorithm.ES256: ECAlgorithm(ECAlgorithm.SHA256, SECP256R1),
    Algorithm.EDDSA: OKPAlgorithm(),
}


def _check_of(jwk: Any, algorithm: Algorithm) -> Check | None:
    if not isinstance(jwk, dict) or not _fits(jwk, algorithm):
        return None
    implementation = _IMPLEMENTATIONS[algorithm]
    try:
        key: Any = implementation.from_jwk(jwk)
    except (PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, KeyError):
        return None
    if isinstance(key, RSAPublicKey) and key.key_size not in RSA_KEY_BITS:
        return None

    def check(signed: bytes, signature: bytes) -> bool:
        return bool(implementation.verify(signed, key, signature))

    return check


def _fits(jwk: dict[str, Any], algorithm: Algorithm) -> bool:
    kind = _KIND.get(algorithm)
    operations = jwk.get("key_ops", ["verify"])
    return (
        kind is not None
        and all(jwk.get(name) == value for name, value in kind.items())
        and jwk.get("alg", algorithm) == algorithm
        and jwk.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and isinstance(jwk.get("kid", ""), str)
        # Published with its private half, anybody may have signed with it.
        and "d" not in jwk
    )

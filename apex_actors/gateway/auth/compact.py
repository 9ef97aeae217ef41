"""The outer form of a token: three canonical base64url segments, and a header without surprises."""

import re
from base64 import urlsafe_b64decode
from functools import lru_cache
from typing import Any, Final, NamedTuple

from apex_actors.gateway.auth.errors import InvalidTokenError
from apex_actors.gateway.auth.strict_json import parse_object

#: Larger tokens are refused before anything of them is decoded.
MAX_TOKEN_BYTES: Final = 8192

MAX_KEY_ID_CHARS: Final = 256

_SEGMENTS: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")

#: By the length of a segment modulo 4: what its last character may be, so that no bit is lost and
#: each token has one spelling only (RFC 4648, section 3.5); and what it lacks to be padded.
_LAST: Final[tuple[frozenset[str] | None, ...]] = (
    None,
    frozenset(),
    frozenset("AQgw"),
    frozenset("AEIMQUYcgkosw048"),
)
_PADDING: Final = ("", "===", "==", "=")

#: Keys, or places of keys, that the token brings along itself; ways to read it otherwise.
_REFUSED_PARAMETERS: Final = frozenset({"b64", "crit", "jku", "jwk", "x5c", "x5u"})

_TYPES: Final = frozenset({"jwt", "at+jwt"})


class CompactToken(NamedTuple):
    """A token taken apart; nothing of it is verified yet."""

    key_id: str | None
    signed: bytes
    """What the signature is of: header and payload as they came."""
    payload: bytes
    signature: bytes


def take_apart(token: str, *, algorithm: str) -> CompactToken:
    """Split ``token``, whose header must name ``algorithm``; raises InvalidTokenError."""
    if len(token) > MAX_TOKEN_BYTES:
        raise InvalidTokenError("too long")
    segments = _SEGMENTS.fullmatch(token)
    if segments is None:
        raise InvalidTokenError("not three segments of base64url")
    header, payload, signature = segments.groups()
    return CompactToken(
        key_id=_key_id(header, algorithm),
        signed=token[: segments.end(2)].encode("ascii"),
        payload=_decode(payload),
        signature=_decode(signature),
    )


def _decode(segment: str) -> bytes:
    over = len(segment) % 4
    last = _LAST[over]
    if last is not None and segment[-1] not in last:
        raise InvalidTokenError("not canonical base64url")
    return urlsafe_b64decode(segment + _PADDING[over])


# An issuer's headers are all alike, and what one says depends on nothing else; what is refused is
# not remembered.
@lru_cache(maxsize=16)
def _key_id(segment: str, algorithm: str) -> str | None:
    try:
        header = parse_object(_decode(segment))
    except ValueError:
        raise InvalidTokenError("the header is not a plain JSON object") from None
    if header.get("alg") != algorithm:
        raise InvalidTokenError("another algorithm")
    if not _REFUSED_PARAMETERS.isdisjoint(header):
        raise InvalidTokenError("the header carries a parameter that is not taken")
    if "typ" in header and not _is_type(header["typ"]):
        raise InvalidTokenError("another type")
    key_id: Any = header.get("kid", "")
    if not isinstance(key_id, str) or len(key_id) > MAX_KEY_ID_CHARS:
        raise InvalidTokenError("the key id is not a short string")
    return key_id if "kid" in header else None


def _is_type(value: Any) -> bool:
    return isinstance(value, str) and value.lower() in _TYPES

"""Which secrets and which addresses of keys are taken at all: decided when they are configured."""

import hashlib
import ipaddress
from typing import Final
from urllib.parse import urlsplit

from jwt.algorithms import HMACAlgorithm
from jwt.exceptions import InvalidKeyError

#: HS256 keys shorter than the digest weaken the signature (RFC 7518, section 3.2).
MIN_SECRET_BYTES: Final = 32


def secret_bytes(secret: str) -> bytes:
    """The key of HS256; raises ValueError for one that is too short, or public.

    A public key or certificate (PEM, SSH, DER, JWK) as the shared secret would let everybody sign.
    """
    encoded = secret.encode()
    if len(encoded) < MIN_SECRET_BYTES:
        raise ValueError(f"must have at least {MIN_SECRET_BYTES} bytes")
    try:
        return HMACAlgorithm(hashlib.sha256).prepare_key(encoded)
    except InvalidKeyError:
        raise ValueError(
            "is a key pair's or a certificate, and so no secret: use random bytes, "
            "or algorithm RS256, ES256 or EdDSA with jwks_file or jwks_url"
        ) from None


def checked_url(url: str) -> str:
    """``url``, from which keys may be fetched; raises ValueError for another.

    HTTPS; plain HTTP only from this machine, where nobody stands in between.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("is no URL") from None
    if not host or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("is no URL of a server")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not carry a user or a password: published keys are public")
    if parts.fragment:
        raise ValueError("must not have a fragment")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise ValueError("must begin with https:// (http:// only for this machine)")
    return url


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine, by its address or as ``localhost``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

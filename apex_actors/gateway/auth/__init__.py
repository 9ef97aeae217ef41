"""Who may come in: tokens, the keys they are checked with, what revokes them, and signed links.

``verify`` and ``check`` decide from memory and never wait; two actors keep that memory fresh, from
the issuer's published keys and from the table of revocations. Must not know sockets or HTTP.
"""

from apex_actors.gateway.auth.claims import VerifiedToken
from apex_actors.gateway.auth.errors import (
    InvalidTokenError,
    KeysUnavailableError,
    UnknownKeyError,
)
from apex_actors.gateway.auth.key_watch import KeyWatch, watch_interval_s
from apex_actors.gateway.auth.keys import Keys, SharedSecret
from apex_actors.gateway.auth.links import LinkSigner
from apex_actors.gateway.auth.published_keys import PublishedKeys
from apex_actors.gateway.auth.revocation import RevocationList, Revocations
from apex_actors.gateway.auth.revocation_watch import LookThrough, RevocationWatch
from apex_actors.gateway.auth.tokens import TokenAuthority, TokenVerifier

__all__ = [
    "InvalidTokenError",
    "KeyWatch",
    "Keys",
    "KeysUnavailableError",
    "LinkSigner",
    "LookThrough",
    "PublishedKeys",
    "RevocationList",
    "RevocationWatch",
    "Revocations",
    "SharedSecret",
    "TokenAuthority",
    "TokenVerifier",
    "UnknownKeyError",
    "VerifiedToken",
    "watch_interval_s",
]

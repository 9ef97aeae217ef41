"""Errors of this package.

InvalidTokenError       the token is no good
└── UnknownKeyError     it names a key that is not known, and looking for new keys is allowed now

KeysUnavailableError    published keys could not be had: those known so far stay in use
"""


class InvalidTokenError(Exception):
    """The token is no good; why is for the log alone, the client gets one generic answer."""


class UnknownKeyError(InvalidTokenError):
    """The token's key is not known: call ``refresh_keys`` and verify once more."""


class KeysUnavailableError(Exception):
    """Published keys could not be read: check jwks_file or jwks_url; the known ones stay in use."""

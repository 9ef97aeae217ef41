"""Errors of the client.

ClientError
├── HandshakeRefusedError  the server does not let us in
├── ConnectionLostError    the connection is gone, and what waited for it with it
├── RequestFailedError     the server answered a request with an error
└── InvalidReplyError      the server answered with what the protocol does not know
"""

from collections.abc import Mapping
from typing import Any, Final

from apex_actors.protocol import ErrorCode

DEFAULT_RETRY_S: Final = 1.0
"""Wait before asking again what the server could not take and named no time for."""

_NOT_NOW: Final = frozenset(
    {
        ErrorCode.DRAINING,
        ErrorCode.QUEUE_FULL,
        ErrorCode.RATE_LIMITED,
        ErrorCode.SERVICE_DEGRADED,
    }
)


class ClientError(Exception):
    """Base of what the client raises."""


class HandshakeRefusedError(ClientError):
    """The server refused the connection before the upgrade."""

    def __init__(
        self, status: int, code: str, message: str, *, retry_after_s: float | None = None
    ) -> None:
        super().__init__(f"{message} (HTTP {status}, {code})")
        self.status = status
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s

    @property
    def is_temporary(self) -> bool:
        """Whether the same handshake may succeed later: too many connections, or draining."""
        return self.status == 429 or self.status >= 500  # noqa: PLR2004 - HTTP's own numbers


class ConnectionLostError(ClientError):
    """The connection is gone; what was not acknowledged may or may not have arrived."""


class RequestFailedError(ClientError):
    """The server answered with an `error`; `code` is one of the protocol's error codes."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retry_after_ms: int | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message
        self.retry_after_ms = retry_after_ms
        self.details = details

    @property
    def is_temporary(self) -> bool:
        """Whether the same request may be served later."""
        return self.code in _NOT_NOW

    @property
    def retry_after_s(self) -> float:
        """How long to wait before asking again."""
        return DEFAULT_RETRY_S if self.retry_after_ms is None else self.retry_after_ms / 1000


class InvalidReplyError(ClientError):
    """The reply is not one that the protocol knows: is the server much newer than this client?"""

"""The one exception of this floor: what a client sent cannot be served."""

from collections.abc import Mapping
from typing import Any

from apex_actors.protocol.codes import ErrorCode
from apex_actors.protocol.notices import ErrorNotice
from apex_actors.protocol.replies import PLAIN, ReplyTo


class ProtocolViolation(Exception):  # noqa: N818 - the protocol's own term, not a fault of ours
    """A message is answered with an `error` notice; the connection lives on.

    Raised by `parse_frame`, and by handlers for what only they can know (`thread_not_found`, …).
    `message` and `details` reach the client: a field and a reason, never a value or a secret.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        request_id: str | None = None,
        details: Mapping[str, Any] | None = None,
        retry_after_ms: int | None = None,
        reply_to: ReplyTo = PLAIN,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.details = details
        self.retry_after_ms = retry_after_ms
        self.reply_to = reply_to._replace(request_id=request_id) if request_id else reply_to

    @property
    def request_id(self) -> str | None:
        """The request this answers, where it could be read."""
        return self.reply_to.request_id

    def notice(self) -> ErrorNotice:
        """The `error` notice for the client; `encode_reply` puts it in its clothes."""
        return ErrorNotice(
            code=self.code,
            message=self.message,
            retry_after_ms=self.retry_after_ms,
            details=None if self.details is None else dict(self.details),
        )

"""Errors of the gateway that are no fault of ours.

ConnectionEnded   a message after which its connection must not live on
"""

from apex_actors.protocol.codes import CloseCode


class ConnectionEnded(Exception):  # noqa: N818 - an outcome of a message, not a fault
    """Raised by a handler: close the connection with this code."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(f"{code.value} {reason}")
        self.code = code
        self.reason = reason

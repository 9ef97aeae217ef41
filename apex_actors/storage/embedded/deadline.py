"""A point in time until which something must have happened."""

import threading
import time

from apex_actors.storage.embedded.errors import EmbeddedServerError

_POLL_S = 0.01
"""Pause between two looks: a server starts in about 50 ms, and a look costs well below 1 ms."""


class Deadline:
    """Time left for one operation, shared by all of its steps.

    An operation that must be given up early (a stop arrives while a start is still waiting) has
    its ``cancelled`` event set; the next pause then raises.
    """

    def __init__(self, timeout_s: float, *, cancelled: threading.Event | None = None) -> None:
        self._timeout_s = timeout_s
        self._end_s = time.monotonic() + timeout_s
        self._cancelled = cancelled if cancelled is not None else threading.Event()

    @property
    def remaining_s(self) -> float:
        return max(0.0, self._end_s - time.monotonic())

    def check(self) -> None:
        """Raise EmbeddedServerError when the operation was cancelled."""
        if self._cancelled.is_set():
            raise EmbeddedServerError("Starting was given up because a stop was asked for.")

    def pause(self, problem: str) -> None:
        """Wait a moment before looking again.

        Raises EmbeddedServerError when the operation was cancelled, or the time is over: then
        the message is ``problem`` and the time that was waited.
        """
        self._cancelled.wait(min(_POLL_S, self.remaining_s))
        self.check()
        if self.remaining_s <= 0:
            raise EmbeddedServerError(f"{problem} (waited {self._timeout_s:g} s)")

"""A reply that comes later than the end of its handler."""

import threading
from typing import Any

from apex_actors.actors.future import resolve_from_any_thread

# Two threads may answer at the same moment; held for a few instructions.
_lock = threading.Lock()


class DeferredReply:
    """Called once with the reply, or with an exception that the asker is to get; from any thread.

    Later calls have no effect. When the instance ends first, the asker is told ActorDeadError.
    """

    __slots__ = ("_answered", "_replies", "_reply_to")

    def __init__(self, reply_to: Any, replies: "dict[DeferredReply, None]") -> None:
        self._reply_to = reply_to
        self._replies = replies
        self._answered = False
        replies[self] = None

    def __call__(self, reply: Any) -> None:
        """Give the reply."""
        with _lock:
            if self._answered:
                return
            self._answered = True
        self._replies.pop(self, None)
        reply_to, self._reply_to = self._reply_to, None
        if isinstance(reply, BaseException):
            resolve_from_any_thread(reply_to, None, reply)
        else:
            resolve_from_any_thread(reply_to, reply)

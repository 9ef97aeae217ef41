"""The queue in front of an actor, and the rule that one message is handled at a time."""

from collections import deque
from collections.abc import Callable
from typing import Any

from pykka import ActorDeadError
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from apex_actors.actors.dispatcher import LoopDispatcher


class Mailbox:
    """Unbounded, first in first out, fed from any thread, emptied by turns on the loop.

    ``process`` handles one envelope and says whether the actor is still busy with it (an
    ``async`` handler that awaits something); then nothing else is handled until ``resume``.
    """

    __slots__ = ("_busy", "_closed", "_dispatcher", "_process", "_queue", "_scheduled")

    def __init__(self, dispatcher: LoopDispatcher) -> None:
        self._dispatcher = dispatcher
        self._queue: deque[Envelope[Any]] = deque()
        self._process: Callable[[Envelope[Any]], bool] | None = None
        self._scheduled = False
        # Busy until the actor has started: what comes earlier waits.
        self._busy = True
        self._closed = False

    def __len__(self) -> int:
        return len(self._queue)

    def open(self, process: Callable[[Envelope[Any]], bool]) -> None:
        """Begin to hand envelopes to ``process``."""
        self._process = process
        self.resume()

    def put(self, envelope: Envelope[Any], /) -> None:
        """Queue ``envelope``; one put into a closed mailbox is answered at once."""
        self._queue.append(envelope)
        # Appended first and looked at second, both here and in close(): whatever the order of
        # the two threads, one of them sees the other's envelope, and nobody asks in vain.
        if self._closed:
            self._reject_all()
        elif not self._scheduled and not self._busy:
            self._schedule()

    def get(self) -> Envelope[Any]:
        """Take the oldest envelope (part of Pykka's inbox interface)."""
        return self._queue.popleft()

    def empty(self) -> bool:
        """Whether nothing waits (part of Pykka's inbox interface)."""
        return not self._queue

    def resume(self) -> None:
        """The handler in flight has ended: go on with the next envelope."""
        self._busy = False
        if self._queue and not self._scheduled:
            self._schedule()

    def close(self) -> None:
        """Refuse all that waits and all that comes: askers get ActorDeadError."""
        self._closed = True
        self._process = None
        self._reject_all()

    def take_turn(self, throughput: int, /) -> None:
        """Handle up to ``throughput`` envelopes; called by the dispatcher on the loop's thread."""
        # Lowered before the queue is looked at: a put that comes later schedules anew.
        self._scheduled = False
        queue = self._queue
        for _ in range(throughput):
            process = self._process
            if self._busy or process is None or not queue:
                return
            # Raised first: a handler that ends within the call lowers it itself, by resume().
            self._busy = True
            if process(queue.popleft()):
                return
            self._busy = False
        if queue and not self._scheduled:
            self._schedule()

    def _schedule(self) -> None:
        self._scheduled = True
        self._dispatcher.schedule(self)

    def _reject_all(self) -> None:
        while self._queue:
            try:
                envelope = self._queue.popleft()
            except IndexError:  # another thread rejected it first
                return
            if envelope.reply_to is None:
                continue
            if isinstance(envelope.message, _ActorStop):
                envelope.reply_to.set(None)
            else:
                dead = ActorDeadError("the actor stopped before handling the message")
                envelope.reply_to.set_exception((ActorDeadError, dead, None))

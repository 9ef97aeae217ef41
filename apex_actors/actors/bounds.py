"""Bounded mailboxes: how much room there is, and what becomes of a message too many."""

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from apex_actors.actors.envelope import Envelope
from apex_actors.actors.errors import MailboxFullError
from apex_actors.actors.future import Future
from apex_actors.actors.messages import UNCOUNTED


class Overflow(Enum):
    """What a bounded mailbox does with a message too many."""

    FAIL = "fail"
    """``tell`` raises MailboxFullError, and so does the future of an ``ask``."""

    DROP_NEW = "drop new"
    """The new message becomes a dead letter."""

    DROP_OLD = "drop old"
    """The message that waits longest becomes a dead letter."""

    BACK_PRESSURE = "back-pressure"
    """The sender waits for room: ``await ref.tell_async(...)``; ``tell`` blocks its thread."""


@dataclass(frozen=True, slots=True)
class Bound:
    """At most ``capacity`` messages wait in the normal lane.

    What the runtime itself sends (Terminated, ChildFailed, timers, stop) and the control lane are
    not counted, never refused and never dropped.
    """

    capacity: int
    overflow: Overflow = Overflow.FAIL

    def __post_init__(self) -> None:
        if self.capacity < 1:
            raise ValueError("a mailbox has room for at least one message")


class BoundedLane:
    """What a bounded mailbox has in the place of a deque: every operation looks and acts at once.

    Whoever takes an envelope makes room, and wakes the sender that has waited longest for it.
    """

    __slots__ = ("_bound", "_counted", "_envelopes", "_lock", "_waiting")

    def __init__(self, bound: Bound) -> None:
        self._bound = bound
        self._lock = threading.Lock()
        self._envelopes: deque[Envelope] = deque()
        self._counted = 0
        self._waiting: deque[Future[None]] = deque()

    def __len__(self) -> int:
        return len(self._envelopes)

    def __getitem__(self, index: int) -> Envelope:
        return self._envelopes[index]

    @property
    def waiting(self) -> int:
        """Senders that wait for room."""
        return len(self._waiting)

    def append(self, envelope: Envelope) -> None:
        """Put whatever the bound says."""
        with self._lock:
            self._envelopes.append(envelope)
            self._counted += _counts(envelope)

    def extendleft(self, envelopes: Iterable[Envelope]) -> None:
        """Put in front, whatever the bound says; the last one of ``envelopes`` is then first."""
        with self._lock:
            for envelope in envelopes:
                self._envelopes.appendleft(envelope)
                self._counted += _counts(envelope)

    def popleft(self) -> Envelope:
        """Take the first envelope; raises IndexError when there is none."""
        with self._lock:
            envelope = self._envelopes.popleft()
            self._counted -= _counts(envelope)
            woken = self._next_waiting()
        if woken is not None:
            woken.try_resolve()
        return envelope

    def offer(self, envelope: Envelope) -> tuple[Future[None] | None, Envelope | None]:
        """Put if there is room, or as the policy says.

        Returns a future where the sender has to wait until it is set, and then try again; and the
        envelope that was dropped, if any. Raises MailboxFullError where the policy is FAIL.
        """
        with self._lock:
            if self._counted < self._bound.capacity:
                self._envelopes.append(envelope)
                self._counted += 1
                return None, None
            match self._bound.overflow:
                case Overflow.FAIL:
                    raise MailboxFullError(f"there are {self._bound.capacity} messages already")
                case Overflow.DROP_NEW:
                    return None, envelope
                case Overflow.DROP_OLD:
                    oldest = next(i for i, one in enumerate(self._envelopes) if _counts(one))
                    dropped = self._envelopes[oldest]
                    del self._envelopes[oldest]
                    self._envelopes.append(envelope)
                    return None, dropped
                case Overflow.BACK_PRESSURE:
                    room: Future[None] = Future()
                    self._waiting.append(room)
                    return room, None

    def give_up(self, room: Future[None]) -> None:
        """A sender waits no longer; room that it had been given goes to the next one."""
        with self._lock:
            if room in self._waiting:
                self._waiting.remove(room)
                return
            woken = self._next_waiting()
        if woken is not None:
            woken.try_resolve()

    def wake_all(self) -> None:
        """The mailbox is closed: nobody is to wait for room in it."""
        with self._lock:
            waiting = list(self._waiting)
            self._waiting.clear()
        for room in waiting:
            room.try_resolve()

    def _next_waiting(self) -> Future[None] | None:
        if self._waiting and self._counted < self._bound.capacity:
            return self._waiting.popleft()
        return None


def _counts(envelope: Envelope) -> bool:
    return type(envelope[0]) not in UNCOUNTED

"""The queue in front of an actor: its lanes, and the rule that nothing put into it is forgotten."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from pykka import ActorDeadError
from pykka._envelope import Envelope as PykkaEnvelope

from apex_actors.actors.blocking import refuse_on_a_loop
from apex_actors.actors.bounds import Bound, BoundedLane
from apex_actors.actors.dead_letters import DeadLetterReason
from apex_actors.actors.envelope import Envelope
from apex_actors.actors.errors import MailboxFullError, NoEventLoopError
from apex_actors.actors.future import Future

if TYPE_CHECKING:
    from apex_actors.actors.cell import Cell


@dataclass(frozen=True, slots=True)
class MailboxStatistics:
    """A snapshot of one mailbox."""

    depth: int
    """Messages that wait, in both lanes."""

    oldest_age_s: float
    """How long the next one has waited, in seconds; 0 where none waits."""

    processed: int
    """Messages handled since the actor started, also by earlier instances of it."""

    dropped: int
    """Messages that became dead letters: by overflow, expiry or the end of the actor."""

    capacity: int | None
    """Room in the normal lane; None where it is unbounded."""

    waiting_senders: int
    """Who waits for room, where the policy is BACK_PRESSURE."""


Queue: TypeAlias = deque[Envelope] | BoundedLane

# Lanes other than the normal one come into being with their first message.
_lanes_lock = threading.Lock()


class Mailbox:
    """First in first out within a lane, fed from any thread, emptied by turns of the dispatcher.

    ``idle`` is the flag that keeps a mailbox from being scheduled for every message: who finds it
    up lowers it and schedules the cell. It is down while the cell waits for a turn, has one, or
    takes no messages. ``plain`` says that ``tell`` needs no more than to append: no bound, no
    hooks, not closed.
    """

    __slots__ = (
        "bound",
        "cell",
        "closed",
        "control",
        "dispatcher",
        "dropped",
        "idle",
        "plain",
        "processed",
        "queue",
        "system",
    )

    def __init__(self, cell: "Cell", bound: Bound | None, *, observed: bool) -> None:
        self.cell = cell
        self.dispatcher = cell.dispatcher
        self.bound = bound
        self.queue: Queue = deque() if bound is None else BoundedLane(bound)
        self.control: deque[Envelope] | None = None
        self.system: deque[tuple[Callable[..., None], tuple[Any, ...]]] | None = None
        self.idle = False
        self.closed = False
        self.plain = bound is None and not observed
        self.processed = 0
        self.dropped = 0

    def __len__(self) -> int:
        control = self.control
        return len(self.queue) + (len(control) if control else 0)

    def statistics(self) -> MailboxStatistics:
        """A snapshot; exact where it is taken on the actor's own thread."""
        oldest: float | None = None
        lanes: tuple[Queue | None, ...] = (self.control, self.queue)
        for lane in lanes:
            if lane:
                try:
                    sent_at = lane[0][3]
                except IndexError:  # handled meanwhile by another thread
                    continue
                oldest = sent_at if oldest is None else min(oldest, sent_at)
        return MailboxStatistics(
            depth=len(self),
            oldest_age_s=0.0 if oldest is None else max(self.dispatcher.clock() - oldest, 0.0),
            processed=self.processed,
            dropped=self.dropped,
            capacity=None if self.bound is None else self.bound.capacity,
            waiting_senders=self.queue.waiting if isinstance(self.queue, BoundedLane) else 0,
        )

    # Putting.

    def push(self, envelope: Envelope) -> None:
        """Queue in the normal lane whatever the bound says."""
        # Appended first and looked at second, both here and in close(): whatever the order of two
        # threads, one of them sees the other's envelope, and nobody asks in vain.
        self.queue.append(envelope)
        if self.idle:
            self.wake()

    def push_control(self, envelope: Envelope) -> None:
        """Queue in the control lane, which goes first."""
        if self.control is None:
            with _lanes_lock:
                if self.control is None:
                    self.control = deque()
        self.control.append(envelope)
        if self.idle:
            self.wake()

    def offer(self, envelope: Envelope) -> Future[None] | None:
        """Queue in the normal lane as the bound allows.

        None: queued, or dropped as the policy says. A future: there is no room, and there may be
        some when the future is set. Raises MailboxFullError where the policy is FAIL, and
        ActorDeadError where the mailbox is closed.
        """
        queue = self.queue
        if isinstance(queue, deque):
            self.push(envelope)
            return None
        if self.closed:
            raise ActorDeadError(f"{self.cell.ref} not found")
        room, dropped = queue.offer(envelope)
        if dropped is not None:
            full = MailboxFullError(f"the mailbox of {self.cell.ref} is full: dropped a message")
            self.cell.drop(dropped, DeadLetterReason.OVERFLOW, full)
        if self.closed:
            queue.wake_all()  # closed meanwhile: see close()
        if self.idle:
            self.wake()
        return room

    def offer_blocking(self, envelope: Envelope, timeout_s: float | None = None) -> None:
        """As ``offer``, and where there is no room wait for it on this thread.

        Raises ``pykka.Timeout`` when there was none within ``timeout_s`` seconds.
        """
        give_up_at = None if timeout_s is None else time.monotonic() + timeout_s
        while (room := self.offer(envelope)) is not None:
            try:
                refuse_on_a_loop("tell() to a full mailbox")
                room.get(timeout=None if give_up_at is None else give_up_at - time.monotonic())
            except BaseException:
                self._give_up(room)
                raise

    async def offer_async(self, envelope: Envelope, room: Future[None] | None = None) -> None:
        """As ``offer``, and where there is no room await it; ``room``: of an offer made before."""
        room = room or self.offer(envelope)
        while room is not None:
            try:
                await room
            except BaseException:
                self._give_up(room)
                raise
            room = self.offer(envelope)

    def _give_up(self, room: Future[None]) -> None:
        if isinstance(self.queue, BoundedLane):
            self.queue.give_up(room)

    def post(self, operation: Callable[..., None], *args: Any) -> None:
        """Have the runtime do ``operation`` in the cell's next turn, before any message."""
        if self.system is None:
            with _lanes_lock:
                if self.system is None:
                    self.system = deque()
        self.system.append((operation, args))
        try:
            self.dispatcher.schedule(self.cell)
        except NoEventLoopError:
            # There will be no turn any more: the cell is as good as dead, and answers as such.
            self.cell.abandon()
            self.cell.do_system()

    def wake(self) -> None:
        """Schedule the cell: there is something to do, and it was idle."""
        if self.closed:
            self.reject_all()
            return
        self.idle = False
        try:
            self.dispatcher.schedule(self.cell)
        except NoEventLoopError:
            self.cell.abandon()

    # Taking.

    def has_work(self) -> bool:
        """Whether a turn now would do anything."""
        return bool(self.system) or (not self.cell.blocked and bool(self.queue or self.control))

    def settle(self) -> bool:
        """The cell takes messages again or has handled all: True when some wait, else idle."""
        self.idle = True
        # Looked at after the flag went up: a message put before it has scheduled nothing.
        if (self.queue or self.control) and self.idle:
            self.idle = False
            return True
        return False

    def close(self) -> None:
        """Refuse all that waits and all that comes."""
        self.closed = True
        self.plain = False
        # Up for ever: whoever was about to put looks in again, and finds it closed.
        self.idle = True
        self.reject_all()
        if isinstance(self.queue, BoundedLane):
            self.queue.wake_all()

    def reject_all(self) -> None:
        """Give every waiting envelope back to the cell as undeliverable."""
        lanes: tuple[Queue | None, ...] = (self.control, self.queue)
        for lane in lanes:
            while lane:
                try:
                    envelope = lane.popleft()
                except IndexError:  # another thread rejected it first
                    break
                self.cell.reject(envelope)

    # Pykka's inbox interface.

    def put(self, envelope: PykkaEnvelope[Any], /) -> None:
        """Queue one of Pykka's envelopes."""
        self.offer_blocking((envelope.message, envelope.reply_to, None, self.dispatcher.clock()))

    def get(self) -> PykkaEnvelope[Any]:
        """Take the oldest message."""
        message, reply_to, _, _ = self.queue.popleft()
        return PykkaEnvelope(message, reply_to)

    def empty(self) -> bool:
        """Whether nothing waits."""
        return not len(self)

"""Messages that an actor sends itself later, known by a key, gone with the actor."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from apex_actors.actors.hooks import causing
from apex_actors.actors.messages import ReceiveTimeout, TimerFired

if TYPE_CHECKING:
    from apex_actors.actors.cell import Cell
    from apex_actors.actors.dispatcher import Handle


class Timer:
    """One timer; ``cancel`` may be called once too often, and also when it has fired."""

    __slots__ = ("_handle", "_timers", "cause", "generation", "interval_s", "key", "message")

    def __init__(
        self, timers: "Timers", key: Any, generation: int, message: Any, interval_s: float | None
    ) -> None:
        self._timers = timers
        self._handle: Handle | None = None
        #: The message in whose handler it was set, where the system has hooks.
        self.cause = causing.get()
        self.key = key
        self.generation = generation
        self.message = message
        self.interval_s = interval_s

    def arm(self, delay_s: float) -> None:
        """Fire after ``delay_s`` seconds."""
        self._handle = self._timers.call_later(delay_s, self._fire)

    def cancel(self) -> None:
        """Never fire; a message that it has put already is not handled any more."""
        if self._handle is not None:
            self._handle.cancel()
        self._timers.forget(self)

    def disarm(self) -> None:
        """Cancel without telling the timers, which know."""
        if self._handle is not None:
            self._handle.cancel()

    def _fire(self) -> None:
        self._timers.fired(self)


class Timers:
    """The timers of one instance of an actor.

    A key names one timer: setting it anew replaces the old one, and once replaced or cancelled no
    message of the old one is handled, even where it lay in the mailbox already.
    """

    __slots__ = ("_cell", "_timers")

    def __init__(self, cell: "Cell") -> None:
        self._cell = cell
        self._timers: dict[Any, Timer] = {}

    def __len__(self) -> int:
        return len(self._timers)

    def __contains__(self, key: object) -> bool:
        return key in self._timers

    def once(self, key: Any, delay_s: float, message: Any) -> Timer:
        """Tell this actor ``message`` after ``delay_s`` seconds."""
        return self._set(key, message, delay_s, None)

    def every(
        self, key: Any, interval_s: float, message: Any, *, first_s: float | None = None
    ) -> Timer:
        """Tell this actor ``message`` after each ``interval_s`` seconds, the first after ``first_s``.

        The next interval begins when the message is handled: a busy actor is not flooded.
        """
        if interval_s <= 0:
            raise ValueError("a periodic timer needs an interval of more than nothing")
        return self._set(key, message, interval_s if first_s is None else first_s, interval_s)

    def cancel(self, key: Any) -> None:
        """Cancel the timer of that key, if there is one."""
        timer = self._timers.get(key)
        if timer is not None:
            timer.cancel()

    def cancel_all(self) -> None:
        """Cancel all; the instance is going."""
        for timer in self._timers.values():
            timer.disarm()
        self._timers.clear()

    def _set(self, key: Any, message: Any, delay_s: float, interval_s: float | None) -> Timer:
        self.cancel(key)
        # Counted by the cell: what an earlier instance's timer has put is not taken for this one's.
        self._cell.timer_generation += 1
        timer = Timer(self, key, self._cell.timer_generation, message, interval_s)
        self._timers[key] = timer
        timer.arm(delay_s)
        return timer

    # For timers and the cell.

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> "Handle":
        """On the dispatcher's clock."""
        return self._cell.dispatcher.call_later(delay_s, callback)

    def fired(self, timer: Timer) -> None:
        """Put the timer's message into the mailbox; it is looked at again when its turn comes."""
        if not self._cell.mailbox.closed:
            self._cell.notify(TimerFired(timer.key, timer.generation, timer.message), timer.cause)

    def forget(self, timer: Timer) -> None:
        """The timer is cancelled."""
        if self._timers.get(timer.key) is timer:
            del self._timers[timer.key]

    def is_due(self, fired: TimerFired) -> bool:
        """Whether a message that fired is still wanted; sets the next one of a periodic timer."""
        timer = self._timers.get(fired.key)
        if timer is None or timer.generation != fired.generation:
            return False
        if timer.interval_s is None:
            del self._timers[fired.key]
        else:
            timer.arm(timer.interval_s)
        return True


class IdleTimer:
    """Tells an actor ReceiveTimeout when it has handled nothing for a while.

    A message costs it one look at the clock and no timer: it looks when the time may be up.
    """

    __slots__ = ("_active_at", "_after_s", "_cell", "_handle")

    def __init__(self, cell: "Cell", after_s: float) -> None:
        self._cell = cell
        self._after_s = after_s
        self._active_at = cell.dispatcher.clock()
        self._handle: Handle | None = cell.dispatcher.call_later(after_s, self._look)

    def touch(self) -> None:
        """The actor has just handled something."""
        self._active_at = self._cell.dispatcher.clock()

    def cancel(self) -> None:
        """Tell nothing any more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _look(self) -> None:
        cell, clock = self._cell, self._cell.dispatcher.clock
        if self._handle is None or cell.mailbox.closed:
            return
        if cell.blocked or len(cell.mailbox):
            self._active_at = clock()  # at work
        now = clock()
        left_s = self._active_at + self._after_s - now
        if left_s <= 0:
            self._active_at = now
            cell.notify(ReceiveTimeout())
            left_s = self._after_s
        self._handle = cell.dispatcher.call_later(left_s, self._look)

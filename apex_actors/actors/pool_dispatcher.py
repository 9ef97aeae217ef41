"""Turns of blocking actors on a bounded pool of threads."""

import contextvars
import logging
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from apex_actors.actors.blocking import tell_of_blocking
from apex_actors.actors.plain_dispatcher import PlainDispatcher

if TYPE_CHECKING:
    from apex_actors.actors.cell import Cell
    from apex_actors.actors.system import ActorSystem

logger = logging.getLogger("apex_actors.actors")

#: A thread without work ends after this time, in seconds.
IDLE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """A snapshot of a pool: how many threads there are, and what they do."""

    threads: int
    idle: int
    blocked: int
    ready: int
    """Cells that wait for a thread."""


class PoolDispatcher(PlainDispatcher):
    """At most ``size`` threads at work; one more for each that is known to wait.

    Threads come when there is work for them and go after IDLE_S without any. A handler that waits
    in ``Future.get``, ``ask`` or ``with blocking():`` is not counted while it does, so actors that
    wait for each other cannot use the pool up.
    """

    def __init__(self, system: "ActorSystem", size: int) -> None:
        if size < 1:
            raise ValueError("a pool has at least one thread")
        super().__init__(system)
        self._size = size
        self._changed = threading.Condition()
        self._ready: deque[Cell] = deque()
        self._threads = 0
        self._idle = 0
        self._blocked = 0
        self._made = 0

    def statistics(self) -> PoolStatistics:
        """A snapshot."""
        with self._changed:
            return PoolStatistics(self._threads, self._idle, self._blocked, len(self._ready))

    def schedule(self, cell: "Cell", /) -> None:
        """Give ``cell`` a turn soon."""
        if cell.turn_lock is None:
            with self._changed:
                if cell.turn_lock is None:
                    cell.turn_lock = threading.Lock()
        with self._changed:
            if cell.queued:
                return
            cell.queued = True
            self._ready.append(cell)
            self._see_to_threads()

    def _see_to_threads(self) -> None:
        """Wake or start one where there is work and may be one more at it; the lock is held."""
        if len(self._ready) <= self._idle:
            self._changed.notify()
        elif self._threads - self._blocked < self._size:
            self._threads += 1
            self._made += 1
            threading.Thread(target=self._work, name=f"apex-pool-{self._made}", daemon=True).start()

    def _work(self) -> None:
        tell_of_blocking(self._began_to_wait, self._ended_to_wait)
        self._system.adopt_thread()
        while (cell := self._next()) is not None:
            lock = cell.turn_lock
            assert lock is not None  # noqa: S101 - made before it was scheduled
            # Scheduled once too often, it may have its turn on another thread: that thread looks
            # for what it may have missed, below.
            if not lock.acquire(blocking=False):
                continue
            more = False
            try:
                # A copy each time: what a handler sets in it is not seen by another actor.
                more = contextvars.copy_context().run(cell.take_turn, self.clock())
            except BaseException:
                logger.exception("A turn of %s broke", cell)
            finally:
                lock.release()
                if more or cell.mailbox.has_work():
                    self.schedule(cell)
            del cell

    def _next(self) -> "Cell | None":
        """The cell whose turn it is; None when this thread is one too many."""
        with self._changed:
            while True:
                if self._threads - self._blocked > self._size:
                    self._threads -= 1
                    return None
                if self._ready:
                    cell = self._ready.popleft()
                    cell.queued = False
                    return cell
                self._idle += 1
                try:
                    notified = self._changed.wait(IDLE_S)
                finally:
                    self._idle -= 1
                if not notified and not self._ready:
                    self._threads -= 1
                    return None

    def _began_to_wait(self) -> None:
        with self._changed:
            self._blocked += 1
            if self._ready:
                self._see_to_threads()

    def _ended_to_wait(self) -> None:
        with self._changed:
            self._blocked -= 1

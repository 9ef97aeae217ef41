"""A thread of its own for one actor, as Pykka has it."""

import itertools
import logging
import queue
import threading
from typing import TYPE_CHECKING

from apex_actors.actors.plain_dispatcher import PlainDispatcher

if TYPE_CHECKING:
    from apex_actors.actors.cell import Cell
    from apex_actors.actors.system import ActorSystem

logger = logging.getLogger("apex_actors.actors")

_numbers = itertools.count()


class ThreadDispatcher(PlainDispatcher):
    """Turns of one cell, all on one thread, which begins with the first and ends with the actor."""

    def __init__(self, system: "ActorSystem", name: str, *, daemon: bool) -> None:
        super().__init__(system)
        self._ready: queue.SimpleQueue[Cell | None] = queue.SimpleQueue()
        self._lock = threading.RLock()  # a turn taken under it may ask for another one
        self._name = name
        self._daemon = daemon
        self._thread: threading.Thread | None = None
        self._ended = False

    def schedule(self, cell: "Cell", /) -> None:
        """Give ``cell`` a turn soon."""
        with self._lock:
            if not self._ended:
                if self._thread is None:
                    name = f"{self._name}-{next(_numbers)}"
                    self._thread = threading.Thread(
                        target=self._work, name=name, daemon=self._daemon
                    )
                    self._thread.start()
                self._ready.put(cell)
                return
            # The actor is dead and its thread gone: what is still asked of its cell (a watcher,
            # say) is answered here.
            cell.take_turn(self.clock())

    def released(self, _cell: "Cell", /) -> None:
        """End the thread behind what it has to do."""
        self._ready.put(None)

    def _work(self) -> None:
        self._system.adopt_thread()
        while (cell := self._ready.get()) is not None:
            try:
                if cell.take_turn(self.clock()):
                    self._ready.put(cell)
            except BaseException:
                logger.exception("A turn of %s broke", cell)
        with self._lock:
            self._ended = True
            while not self._ready.empty():
                late = self._ready.get()
                if late is not None:
                    late.take_turn(self.clock())

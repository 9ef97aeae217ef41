"""An actor system of which a test can see whether it is at work."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from apex_actors.actors import ActorSystem, Hooks, LoopDispatcher, Supervision
from apex_actors.actors.cell import Cell
from apex_actors.actors.phase import Phase
from apex_actors.actors.pool_dispatcher import PoolStatistics
from apex_actors.actors.thread_dispatcher import ThreadDispatcher

#: How long a pool's threads that wait for somebody may take to go on, in real seconds: they may
#: have their answer already, or wait for one that comes with virtual time.
WAKING_S: Final = 0.25

#: Phases in which an actor of a thread is at work though it takes no message.
_AT_WORK: Final = frozenset({Phase.SPAWNED, Phase.STARTING, Phase.STOPPING})


class KitSystem(ActorSystem):
    """An ActorSystem that says whether its pool or a thread has something to do."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        dispatcher: Callable[[asyncio.AbstractEventLoop], LoopDispatcher],
        supervision: Supervision,
        hooks: Hooks | None,
        pool_size: int,
    ) -> None:
        super().__init__(
            loop=loop,
            dispatcher=dispatcher,
            supervision=supervision,
            hooks=hooks,
            pool_size=pool_size,
        )
        self._waits: tuple[float, PoolStatistics] | None = None
        self._waits_since = 0.0

    def is_at_work(self) -> bool:
        """Whether the pool or a thread has something to do, as far as can be seen from outside."""
        return self._pool_is_at_work() or any(_thread_is_at_work(ref.cell) for ref in self.alive())

    def _pool_is_at_work(self) -> bool:
        pool = self.pool_dispatcher.statistics()
        if pool.ready or pool.threads > pool.idle + pool.blocked:
            return True
        if not pool.blocked:
            return False
        waits = (self.loop_dispatcher.clock(), pool)
        if waits != self._waits:
            self._waits, self._waits_since = waits, time.monotonic()
        return time.monotonic() - self._waits_since < WAKING_S


def _thread_is_at_work(cell: Cell) -> bool:
    if not isinstance(cell.dispatcher, ThreadDispatcher):
        return False
    mailbox = cell.mailbox
    handling = not cell.blocked and not mailbox.idle
    return bool(mailbox.system) or handling or cell.phase in _AT_WORK

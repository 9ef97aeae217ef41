"""What gives actors their turns: the interface, and the two bounds of a turn."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, Protocol

from apex_actors.actors.errors import AsyncHandlerError

if TYPE_CHECKING:
    from apex_actors.actors.cell import Cell
    from apex_actors.actors.understudy import Outcome

#: Messages that one actor handles before the next one has its turn.
THROUGHPUT: Final = 64

#: How long one actor may go on within a turn, in seconds: the handler under way is its last one.
TURN_S: Final = 0.001


class Handle(Protocol):
    """A call that is due later."""

    def cancel(self) -> object: ...


class Dispatcher(ABC):
    """Gives cells their turns, one at a time for each cell.

    ``schedule`` may be called from any thread and once too often without harm. A cell's turn
    returns whether it has more to do.
    """

    #: Seconds that only ever grow; ages, time limits and timers of the actors count on it.
    clock: Callable[[], float] = staticmethod(time.monotonic)

    #: The clock at the beginning of the turn under way, or 0.0 between turns: what is sent within a
    #: turn is stamped with it, which saves a call for each message.
    now: float = 0.0

    #: Where ``now`` is not 0.0, appending a cell here is as good as ``schedule``, and costs no call;
    #: None where only ``schedule`` will do. Look at ``now`` again behind it: when it is 0.0 by then,
    #: the drain may have missed the cell.
    direct: "deque[Cell] | None" = None

    throughput: int = THROUGHPUT

    @abstractmethod
    def schedule(self, cell: "Cell", /) -> None:
        """Give ``cell`` a turn soon."""

    @abstractmethod
    def run(self, coroutine: Coroutine[Any, Any, Any], outcome: "Outcome") -> Any:
        """Run what an async handler returned; the task that it waits in, or None when it ended."""

    @abstractmethod
    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Handle:
        """Call ``callback`` after ``delay_s`` seconds of the clock, from any thread."""

    def released(self, cell: "Cell", /) -> None:  # noqa: B027 - most have nothing to do
        """``cell`` is dead; it gets no turn that matters any more."""

    def local_future(self) -> "asyncio.Future[Any] | None":
        """A future for a reply that is asked for and given on one event loop; None elsewhere."""
        return None

    def runs(self, _loop: asyncio.AbstractEventLoop) -> bool:
        """Whether the turns are taken on that event loop."""
        return False

    def start_task(self, coroutine: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run ``coroutine`` beside the turns; only where these are on a loop."""
        coroutine.close()
        raise AsyncHandlerError("only actors of a loop can await: use LoopActor")

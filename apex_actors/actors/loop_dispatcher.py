"""Turns of actors on one asyncio event loop."""

import asyncio
import contextvars
import weakref
from collections import deque
from collections.abc import Callable, Coroutine
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final

from apex_actors.actors.dispatcher import Dispatcher, Handle
from apex_actors.actors.errors import NoEventLoopError
from apex_actors.actors.understudy import Outcome, Understudy

if TYPE_CHECKING:
    from apex_actors.actors.cell import Cell

#: How long actors may run before the loop looks at its sockets and timers again, in seconds.
DRAIN_S: Final = 0.005

#: The same as a count of turns, for clocks that stand still.
DRAIN_TURNS: Final = 4096


class LoopDispatcher(Dispatcher):
    """Gives ready cells their turns on one event loop, fairly and in order of readiness.

    A cell handles at most THROUGHPUT messages and TURN_S a turn, and all of them together at
    most DRAIN_S before the loop's other work goes on, so that a busy actor delays nobody beyond
    these bounds. Each drain runs in a fresh copy of the context in which the dispatcher was made.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, *, clock: Callable[[], float] | None = None
    ) -> None:
        # Weak, because the dispatcher is the value of a map whose key is the loop.
        self._loop = weakref.ref(loop)
        self._context = contextvars.copy_context()
        #: The thread of the latest drain. asyncio's own way to ask which loop runs here makes a system
        #: call each time.
        here = asyncio._get_running_loop() is loop  # noqa: SLF001 - no exception made
        self._thread_id = get_ident() if here else 0
        self._understudy: Understudy | None = None
        self._ready: deque[Cell] = deque()
        self.direct = self._ready
        self._armed = False
        #: No actor is alive; whoever starts one lowers it.
        self.at_rest = True
        if clock is not None:
            self.clock = clock

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop; raises NoEventLoopError when it is gone."""
        loop = self._loop()
        if loop is None or loop.is_closed():
            raise NoEventLoopError("the event loop of this actor is closed")
        return loop

    @property
    def is_closed(self) -> bool:
        """Whether the loop is gone."""
        loop = self._loop()
        return loop is None or loop.is_closed()

    def runs_here(self) -> bool:
        """Whether the calling code runs on this dispatcher's loop."""
        return asyncio._get_running_loop() is self._loop()  # noqa: SLF001 - no exception made

    def schedule(self, cell: "Cell", /) -> None:
        """Give ``cell`` a turn soon."""
        if not cell.queued:
            cell.queued = True
            self._ready.append(cell)
        # Two threads may both see the flag down and arm twice: the second drain finds an empty
        # queue. It is lowered before the queue is looked at for the last time.
        if not self._armed:
            self._arm()
        elif not self.now and self.is_closed:
            # It was closed before the drain could run: nobody will look at what is ready.
            raise NoEventLoopError("the event loop of this actor is closed")

    def run(
        self, coroutine: Coroutine[Any, Any, Any], outcome: Outcome
    ) -> asyncio.Task[Any] | None:
        """Run ``coroutine`` up to its first wait, and the rest as a task."""
        understudy = self._understudy
        if understudy is None or understudy.is_taken:
            understudy = Understudy(self.loop, self._context)
        # Taken out meanwhile: a handler may have turns taken within its own (a test kit does).
        self._understudy = None
        if not understudy.begin(coroutine, outcome):
            return understudy.task
        if understudy.is_soiled or self._understudy is not None or self.at_rest:
            understudy.retire()
        else:
            self._understudy = understudy
        return None

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Handle:
        """Call ``callback`` on the loop after ``delay_s`` seconds."""
        if self.runs_here():
            return self.loop.call_later(delay_s, callback, context=self._context.copy())
        return _ThreadsafeHandle(self, delay_s, callback)

    def local_future(self) -> "asyncio.Future[Any] | None":
        """A future of this loop, where the caller runs on it: cheaper than one for all threads."""
        if get_ident() == self._thread_id:
            loop = self._loop()
            if loop is not None and loop.is_running():
                return loop.create_future()
        return None

    def runs(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether ``loop`` is this dispatcher's."""
        return loop is self._loop()

    def start_task(self, coroutine: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run ``coroutine`` as a task of the loop, in a copy of the dispatcher's context."""
        return self.loop.create_task(coroutine, context=self._context.copy())

    def rest(self, is_over: Callable[[], bool]) -> None:
        """No actor is alive: keep nothing on the loop that a look at its tasks would find.

        ``is_over``: whether one has been started since.
        """
        if self.is_closed:
            self._understudy = None
            self._ready.clear()
            return
        if is_over():
            return
        if not self.runs_here():
            self.loop.call_soon_threadsafe(self.rest, is_over)
            return
        self.at_rest = True
        understudy, self._understudy = self._understudy, None
        if understudy is not None and not understudy.is_taken:
            understudy.retire()

    def _arm(self) -> None:
        loop = self.loop
        context = self._context.copy()
        self._armed = True
        try:
            if get_ident() == self._thread_id and loop.is_running():
                loop.call_soon(self._drain, context=context)
            else:
                loop.call_soon_threadsafe(self._drain, context=context)
        except RuntimeError as error:  # it was closed at this very moment
            self._armed = False
            raise NoEventLoopError("the event loop of this actor is closed") from error

    def _drain(self) -> None:
        self._thread_id = get_ident()
        ready = self._ready
        take = ready.popleft
        context, copy_context = self._context, contextvars.copy_context
        clock = self.clock
        self.now = now = clock()
        until = now + DRAIN_S
        try:
            for _ in range(DRAIN_TURNS):
                if not ready:
                    return
                cell = take()
                # Lowered before it looks at what there is to do: whoever finds it up is seen to.
                cell.queued = False
                if cell.take_turn(now) and not cell.queued:
                    cell.queued = True
                    ready.append(cell)
                self.now = now = clock()
                # A handler that left a context variable set must not set it for the others.
                if now > until or copy_context() != context:
                    return
        finally:
            self.now = 0.0
            self._armed = False
            # Time is up, or a turn broke, or another thread came: those that are ready have theirs.
            if ready and not self._armed:
                self._arm()


class _ThreadsafeHandle:
    """A timer set from a thread that is not the loop's."""

    def __init__(
        self, dispatcher: LoopDispatcher, delay_s: float, callback: Callable[[], None]
    ) -> None:
        self._callback: Callable[[], None] | None = callback
        loop = dispatcher.loop
        loop.call_soon_threadsafe(lambda: loop.call_later(delay_s, self._fire))

    def cancel(self) -> None:
        # What it would have called is let go now, not when it would have been due.
        self._callback = None

    def _fire(self) -> None:
        if self._callback is not None:
            self._callback()

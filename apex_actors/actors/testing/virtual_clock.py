"""An event loop whose time passes only when there is nothing else to do, and the face of its clock."""

import asyncio
import heapq
import math
import selectors
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import Context
from typing import Any, Final, TypeAlias

from apex_actors.actors.testing.labels import task_label
from apex_actors.actors.testing.threads import rests_in_a_pool, rests_in_an_executor

#: How long to wait for real for sockets, where some are open, before time jumps, in seconds: bytes
#: between two sockets of one process are on their way for some microseconds.
IO_GRACE_S: Final = 0.01

#: How long to wait for real, where nothing is due but other threads are alive, before that is taken
#: for a deadlock, in seconds.
PATIENCE_S: Final = 5.0

#: How often to ask work that gives no sign when it has ended, in seconds.
_POLL_S: Final = 0.002

#: Timers that are due within this time are due now, in seconds, as on a real loop.
_RESOLUTION_S: Final = 1e-9

_Events: TypeAlias = list[tuple[selectors.SelectorKey, int]]


class DeadlockError(Exception):
    """Nothing is due, nothing is at work, and yet somebody waits: that would be for ever.

    The message names each task and the line in which it waits.
    """


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time: where it would wait for a timer, it jumps to it.

    ``time()`` begins at ``start_s`` and stands still while anything runs. Timers due at the same
    moment fire in the order in which they were set. Work on other threads is waited for in real
    time: what ``run_in_executor`` and ``asyncio.to_thread`` began, what ``watch_work`` knows of, and
    all that happens within ``real_time``; until that has ended, a timer fires when its delay has
    passed for real. Where sockets are open, they have ``io_grace_s`` real seconds before each jump.

    Where nothing is due at all, no socket is open and no signal awaited, it raises DeadlockError out
    of ``run_until_complete``: at once where no other thread has anything to do, else after
    ``patience_s`` real seconds. With ``auto_advance`` off, time passes in ``VirtualClock.advance`` alone.
    """

    # asyncio's own; there is no public way to its timers.
    _scheduled: list[asyncio.TimerHandle]
    _clock_resolution: float
    _default_executor: object
    _signal_handlers: Mapping[int, object]

    def __init__(
        self,
        *,
        start_s: float = 0.0,
        auto_advance: bool = True,
        io_grace_s: float = IO_GRACE_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.auto_advance = auto_advance
        self._now = start_s
        self._io_grace_s = io_grace_s
        self._patience_s = patience_s
        self._timers_made = 0
        self._goals: list[_Goal] = []
        self._goals_made = 0
        self._executing: set[asyncio.Future[Any]] = set()
        self._works: list[Callable[[], bool]] = []
        self._real_time = 0
        super().__init__(_VirtualSelector(self._select))
        self._set_time(start_s)

    # What asyncio asks of a loop.

    def time(self) -> float:
        """The virtual time in seconds."""
        return self._now

    def call_at(  # type: ignore[override]  # typeshed's has a TypeVarTuple
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call ``callback`` at ``when``; of two at the same time, that which was set first."""
        if self.is_closed():
            raise RuntimeError("Event loop is closed")
        self._timers_made += 1
        timer = _Timer(when, callback, args, self, context)
        timer.number = self._timers_made
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True  # noqa: SLF001 - as BaseEventLoop.call_at does
        return timer

    def run_in_executor(  # type: ignore[override]  # typeshed's has a TypeVarTuple
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Run ``func`` on a thread; time does not jump until its result is here."""
        future = super().run_in_executor(executor, func, *args)
        self._executing.add(future)
        future.add_done_callback(self._executing.discard)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncio's
        """End the threads of ``to_thread``; in real time, as they do."""
        with self.real_time():
            if timeout is None:
                await super().shutdown_default_executor()
            else:
                await super().shutdown_default_executor(timeout)  # type: ignore[call-arg]  # 3.12

    # What tests ask of it.

    def watch_work(self, is_at_work: Callable[[], bool]) -> Callable[[], None]:
        """Do not jump while ``is_at_work()``; returns how to end that.

        For work on threads that do not tell the loop when they have done. Called often, and on the
        loop's thread.
        """
        self._works.append(is_at_work)
        return lambda: self._works.remove(is_at_work)

    @contextmanager
    def real_time(self) -> Iterator[None]:
        """No jump within: a timer fires when its delay has passed for real, as it would in life."""
        self._real_time += 1
        try:
            yield
        finally:
            self._real_time -= 1

    def advance(self, seconds: float) -> asyncio.Future[None]:
        """Done when ``seconds`` have passed, and all is done that was due in them."""
        if seconds < 0:
            raise ValueError("time goes forwards only")
        self._goals_made += 1
        goal = _Goal(self._now + seconds, self._goals_made, self.create_future())
        heapq.heappush(self._goals, goal)
        return goal.reached

    # Waiting.

    def _select(self, real: selectors.BaseSelector, timeout_s: float | None) -> _Events:
        """In the place of the real ``select``: wait for files, or let time pass."""
        if timeout_s == 0:
            return real.select(0)
        while self._goals and self._goals[0].reached.done():
            heapq.heappop(self._goals)  # whoever waited for it was cancelled
        timer = None if timeout_s is None else self._scheduled[0].when()
        due = self._next_jump(timer)
        delay_s = None if due is None else due - self._now
        if delay_s is not None and due != timer:
            # For a goal work is waited for, whatever the time; but not for ever, since the work may
            # wait for the test itself.
            delay_s = max(delay_s, self._patience_s)
        events = self._wait_for_work(real, delay_s)
        if not events and self._has_files(real):
            grace_s = self._io_grace_s
            events = real.select(grace_s if due is None else min(grace_s, due - self._now))
        if not events and due is None:
            events = self._wait_for_ever(real)
        elif not events:
            self._jump_to(due)
        return events

    def _next_jump(self, timer: float | None) -> float | None:
        """The moment to which time may jump; None: it may not."""
        goal = self._goals[0].when if self._goals else None
        if timer is not None and (self.auto_advance or (goal is not None and timer <= goal)):
            return timer if goal is None else min(timer, goal)
        return goal

    def _jump_to(self, due: float | None) -> None:
        assert due is not None  # noqa: S101 - told apart by the caller
        self._set_time(max(self._now, due))
        # What is due at the same moment has gone before: a goal is reached with nothing left to do.
        if self._goals and self._goals[0].when <= due:
            timer = self._scheduled[0].when() if self._scheduled else None
            if timer is None or timer > due:
                heapq.heappop(self._goals).reached.set_result(None)

    def _set_time(self, now: float) -> None:
        self._now = now
        # A timer is due before now + resolution; that sum must be more than now, also in a year.
        self._clock_resolution = max(math.ulp(now), _RESOLUTION_S)

    def _wait_for_work(self, real: selectors.BaseSelector, delay_s: float | None) -> _Events:
        """Poll once; while there is work elsewhere wait for real, ``delay_s`` seconds at most."""
        until = None if delay_s is None else time.monotonic() + delay_s
        while True:
            # Asked first and polled second: what ended in between has left its sign by then.
            silent = any(is_at_work() for is_at_work in self._works)
            working = silent or bool(self._executing) or self._real_time > 0
            events = real.select(0)
            if events or not working:
                return events
            left_s = None if until is None else until - time.monotonic()
            if left_s is not None and left_s <= 0:
                return events
            if silent:
                left_s = _POLL_S if left_s is None else min(left_s, _POLL_S)
            events = real.select(left_s)
            if events:
                return events

    def _has_files(self, real: selectors.BaseSelector) -> bool:
        """Whether anything but the loop's own wake-up pipe is waited for."""
        return len(real.get_map()) > 1

    def _wait_for_ever(self, real: selectors.BaseSelector) -> _Events:
        """Nothing is due: wait for what may come from outside, if anything may."""
        if self._has_files(real) or self._signal_handlers:
            return real.select(None)
        # Looked at first and polled second: a thread that has ended has woken the loop before.
        alone = not self._other_threads()
        events = real.select(0 if alone else self._patience_s)
        if not events:
            raise DeadlockError(self._deadlock())
        return events

    def _other_threads(self) -> list[threading.Thread]:
        """Threads that might call in: those that have anything to do, as far as we can tell."""
        # Of our own executor we know what it was given; somebody else's may be about to wake.
        own: set[threading.Thread] = getattr(self._default_executor, "_threads", set())
        return [
            thread
            for thread in threading.enumerate()
            if thread is not threading.current_thread()
            and not (thread in own and rests_in_an_executor(thread))
            and not rests_in_a_pool(thread)
        ]

    def _deadlock(self) -> str:
        waiting = sorted(task_label(task) for task in asyncio.all_tasks(self))
        timers = [timer for timer in self._scheduled if not timer.cancelled()]
        lines = ["nothing is due any more, and these wait for ever:", *waiting]
        if timers:
            lines.append(f"{len(timers)} timers are due later, but auto_advance is off")
        return "\n  ".join(lines)


class VirtualClock:
    """The clock of a VirtualTimeLoop, for tests; without ``loop`` that of the running one."""

    def __init__(self, loop: VirtualTimeLoop | None = None) -> None:
        if loop is None:
            running = asyncio.get_running_loop()
            if not isinstance(running, VirtualTimeLoop):
                raise TypeError(
                    "the running loop is on real time: use testing.run(), or a VirtualTimeLoop"
                )
            loop = running
        self._loop = loop

    def now(self) -> float:
        """The virtual time in seconds, from 0.0 on where the loop was given nothing else."""
        return self._loop.time()

    async def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass: all that falls due on the way runs, in order and to its end.

        Returns when there is nothing left to do at that moment; work on threads is waited for in
        real time, but not for longer than the loop has patience. Raises ValueError below zero.
        """
        await self._loop.advance(seconds)

    async def settle(self) -> None:
        """Let all run that can run now, without any time passing; threads are not waited for."""
        await self._loop.advance(0)

    @property
    def auto_advance(self) -> bool:
        """Whether time jumps by itself to the next timer once there is nothing else to do."""
        return self._loop.auto_advance

    @auto_advance.setter
    def auto_advance(self, value: bool) -> None:
        self._loop.auto_advance = value

    @contextmanager
    def real_time(self) -> Iterator[None]:
        """No jump within, for what other processes and threads must have time to do."""
        with self._loop.real_time():
            yield


class _Timer(asyncio.TimerHandle):
    """A timer that goes behind those set before it for the same moment."""

    number = 0
    _when: float
    _scheduled: bool

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, _Timer):
            return NotImplemented
        return (self._when, self.number) < (other._when, other.number)


class _Goal:
    """A moment up to which somebody lets time pass."""

    __slots__ = ("number", "reached", "when")

    def __init__(self, when: float, number: int, reached: asyncio.Future[None]) -> None:
        self.when = when
        self.number = number
        self.reached = reached

    def __lt__(self, other: "_Goal") -> bool:
        return (self.when, self.number) < (other.when, other.number)


class _VirtualSelector(selectors.BaseSelector):
    """A real selector whose waiting is done by somebody else."""

    def __init__(self, wait: Callable[[selectors.BaseSelector, float | None], _Events]) -> None:
        self._real = selectors.DefaultSelector()
        self._wait = wait

    def select(self, timeout: float | None = None) -> _Events:
        return self._wait(self._real, timeout)

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.get_key(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()

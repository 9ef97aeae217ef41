"""What a test has left behind: actors, tasks, timers and threads, by name."""

import asyncio
import threading
import time
from collections.abc import Iterable
from typing import Any, Final

from apex_actors.actors import ActorSystem
from apex_actors.actors.cell import Cell
from apex_actors.actors.testing.labels import actor_label, callback_label, task_label
from apex_actors.actors.testing.threads import rests_in_an_executor

#: How long threads may take for their end once their work is done, in real seconds.
JOIN_S: Final = 2.0

#: How often to look whether they have, in real seconds.
_LOOK_S: Final = 0.01

#: How often the event loop may go round until tasks that were cancelled have ended.
_ROUNDS: Final = 50


class LeakCheck:
    """Remembers what there is when it is made, and says later what has come and not gone.

    Looked for are living actors of ``system``; tasks of the running loop other than the current one;
    timers of actors on it; threads, but not those that the loop keeps for ``to_thread`` and pools for
    their actors. Of loops that are not asyncio's own (uvloop) timers are not known. With
    ``everything`` tasks and timers count that were there when it was made.
    """

    def __init__(self, system: ActorSystem, *, everything: bool = False) -> None:
        self._system = system
        self._loop = asyncio.get_running_loop()
        self._tasks = set() if everything else asyncio.all_tasks(self._loop)
        # Kept, so that no other timer can have the identity of one of them.
        self._timers = [] if everything else _timers(self._loop)
        self._threads = set(threading.enumerate())

    def left(self) -> list[str]:
        """What is left now, one line each."""
        actors = [f"actor {actor_label(ref)}" for ref in self._system.alive()]
        tasks = sorted(f"task {task_label(task)}" for task in self._new_tasks())
        now = self._loop.time()
        timers = [
            f"timer {_timer_label(timer)}, due in {timer.when() - now:g} s"
            for timer in _timers(self._loop)
            if not any(timer is earlier for earlier in self._timers)
        ]
        threads = sorted(f"thread {thread.name}" for thread in self._new_threads())
        return [*actors, *tasks, *timers, *threads]

    async def assert_nothing_left(self) -> None:
        """Raise AssertionError with all that is left, once what is ending has had time to."""
        await self._let_threads_end()
        for _ in range(_ROUNDS):
            if not self.left():
                return
            await asyncio.sleep(0)
        left = "\n  ".join(self.left())
        raise AssertionError(f"left behind:\n  {left}")

    def _new_tasks(self) -> Iterable["asyncio.Task[Any]"]:
        return asyncio.all_tasks(self._loop) - self._tasks - {asyncio.current_task(self._loop)}

    def _new_threads(self) -> list[threading.Thread]:
        known = self._threads
        return [
            thread
            for thread in threading.enumerate()
            if thread not in known and not self._is_kept_for_more(thread)
        ]

    def _is_kept_for_more(self, thread: threading.Thread) -> bool:
        # What a pool's thread is at is an actor, which is told as such.
        if thread.name.startswith("apex-pool-"):
            return True
        if isinstance(self._loop, asyncio.BaseEventLoop):
            return thread.name.startswith("asyncio_")
        return rests_in_an_executor(thread)  # uvloop's have no name to know them by

    async def _let_threads_end(self) -> None:
        deadline = time.monotonic() + JOIN_S
        # Living actors have living threads.
        while not self._system.alive() and time.monotonic() < deadline:
            threads = self._new_threads()
            if not threads:
                return
            # Blocking the loop for a moment costs nobody anything here, and on virtual time a sleep
            # would be over at once.
            threads[0].join(_LOOK_S)
            await asyncio.sleep(0)


async def assert_nothing_left(system: ActorSystem) -> None:
    """Raise AssertionError when an actor of ``system`` lives, a task is pending or a timer set.

    The current task does not count. Threads are known to a LeakCheck only, which has seen which
    were there before.
    """
    await LeakCheck(system, everything=True).assert_nothing_left()


def _timers(loop: asyncio.AbstractEventLoop) -> list[asyncio.TimerHandle]:
    """The timers of actors that are set on ``loop``, soonest first."""
    scheduled: list[asyncio.TimerHandle] = getattr(loop, "_scheduled", [])
    ours = [timer for timer in scheduled if not timer.cancelled() and _is_ours(_callback_of(timer))]
    return sorted(ours, key=asyncio.TimerHandle.when)


def _callback_of(timer: asyncio.TimerHandle) -> Any:
    return timer._callback  # type: ignore[attr-defined]  # noqa: SLF001 - no public way


def _is_ours(callback: Any) -> bool:
    module = getattr(callback, "__module__", None) or ""
    return module.startswith("apex_actors.actors.") and ".testing." not in module


def _timer_label(timer: asyncio.TimerHandle) -> str:
    callback = _callback_of(timer)
    cell = _cell_of(callback)
    whose = "" if cell is None else f" of {actor_label(cell.ref)}"
    return f"{callback_label(callback)}{whose}"


def _cell_of(callback: Any) -> Cell | None:
    """The cell that a callback is bound to, or that it closes over."""
    owner = getattr(callback, "__self__", None)
    owner = getattr(owner, "_timers", owner)  # a Timer is of the Timers of an actor
    known = [variable.cell_contents for variable in getattr(callback, "__closure__", None) or ()]
    known.append(getattr(owner, "_cell", None))
    return next((one for one in known if isinstance(one, Cell)), None)

"""One world of actors: its loop and threads, its names, its dead letters, its end."""

import asyncio
import itertools
import logging
import os
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar, Final, Self, TypeVar

import pykka

from apex_actors.actors import lifecycle, supervisor
from apex_actors.actors.background_loop import BackgroundLoop
from apex_actors.actors.blocking import refuse_on_a_loop
from apex_actors.actors.cell import Cell
from apex_actors.actors.dead_letters import DeadLetters
from apex_actors.actors.errors import NameTakenError, NoEventLoopError, StopTimeoutError
from apex_actors.actors.future import Countdown
from apex_actors.actors.hooks import Hooks
from apex_actors.actors.loop_dispatcher import LoopDispatcher
from apex_actors.actors.options import DEFAULTS, Options
from apex_actors.actors.pool_dispatcher import PoolDispatcher
from apex_actors.actors.receptionist import Receptionist
from apex_actors.actors.ref import ActorRef
from apex_actors.actors.registry import ActorRegistry
from apex_actors.actors.supervision import STOPPING, Supervision
from apex_actors.actors.thread_dispatcher import ThreadDispatcher

logger = logging.getLogger("apex_actors.actors")

A = TypeVar("A", bound="Any")

#: Threads of a pool where nobody says how many: handlers that block need more than there are cores.
POOL_SIZE: Final = min(32, (os.cpu_count() or 1) + 4)

#: Names of actors that a StopTimeoutError tells.
_NAMED: Final = 5


class _ThisThread(threading.local):
    system: "ActorSystem | None" = None


_this_thread = _ThisThread()


class ActorSystem:
    """Where actors live: an event loop, a pool of threads, names, a receptionist, dead letters.

    ``ActorSystem.current()`` is what ``Actor.start`` uses: the system of the running event loop, made
    when it is first asked for; on the threads of a pool the system of the pool; elsewhere one for
    the whole process, with a loop in a thread of its own. ``loop=None`` makes such a loop too.

    ``supervision`` is for actors without a parent, ``hooks`` see messages and lives, ``pool_size``
    bounds the pool, ``dispatcher`` makes another LoopDispatcher (a test kit does).
    """

    registry: ClassVar[type[ActorRegistry]] = ActorRegistry

    # One a loop, found by the loop: an attribute of the loop in all but name. And one for threads
    # without any, as Pykka's actors know no system either.
    _of_loop: ClassVar["weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, ActorSystem]"] = (
        weakref.WeakKeyDictionary()
    )
    _of_process: ClassVar["ActorSystem | None"] = None
    _of_loop_lock: ClassVar[threading.Lock] = threading.Lock()
    _of_process_lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        supervision: Supervision = STOPPING,
        hooks: Hooks | None = None,
        pool_size: int = POOL_SIZE,
        dispatcher: Callable[[asyncio.AbstractEventLoop], LoopDispatcher] = LoopDispatcher,
    ) -> None:
        self.supervision = supervision
        self.hooks = hooks
        self.message_ids = itertools.count(1)
        self.dead_letters = DeadLetters()
        self.receptionist = Receptionist()
        self._background: BackgroundLoop | None = None
        if loop is None:
            self._background = BackgroundLoop(self.adopt_thread)
            self.loop_dispatcher = self._background.call(
                lambda running: dispatcher(self._own(running))
            )
        else:
            self.loop_dispatcher = dispatcher(loop)
        self.pool_dispatcher = PoolDispatcher(self, pool_size)
        self._alive: dict[ActorRef[Any], None] = {}
        self._names: dict[str, ActorRef[Any]] = {}
        self._names_lock = threading.Lock()

    @classmethod
    def current(cls) -> "ActorSystem":
        """The system of the calling code: of its loop, of its pool, or of the process."""
        loop = asyncio._get_running_loop()  # noqa: SLF001 - no exception made where there is none
        if loop is not None:
            system = cls._of_loop.get(loop)
            return system if system is not None else cls(loop=loop).install(loop)
        system = _this_thread.system
        if system is not None:
            return system
        with cls._of_process_lock:
            if cls._of_process is None:
                cls._of_process = cls()
            return cls._of_process

    def _own(self, loop: asyncio.AbstractEventLoop) -> asyncio.AbstractEventLoop:
        """Be the system of ``loop``."""
        self.install(loop)
        return loop

    def install(self, loop: asyncio.AbstractEventLoop) -> Self:
        """Be the system of ``loop``, for all that is started on it from now on."""
        with self._of_loop_lock:
            self._of_loop[loop] = self
        return self

    def adopt_thread(self) -> None:
        """Be the system of the calling thread."""
        _this_thread.system = self

    # Starting and finding.

    def start(self, actor_class: type[A], *args: Any, **kwargs: Any) -> ActorRef[A]:
        """Start an actor of this system; the arguments go to its constructor."""
        return self.spawn(actor_class, args, kwargs, DEFAULTS)

    def start_with(
        self, options: Options, actor_class: type[A], *args: Any, **kwargs: Any
    ) -> ActorRef[A]:
        """As ``start``, with Options."""
        return self.spawn(actor_class, args, kwargs, options)

    def spawn(
        self,
        actor_class: type[A],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: Options,
        *,
        parent: Cell | None = None,
    ) -> ActorRef[A]:
        """Start an actor, as the child of ``parent`` if there is one."""
        if parent is not None and parent.is_ending:
            raise pykka.ActorDeadError(f"{parent.ref} is ending and starts no child any more")
        if options.mailbox is None and actor_class.mailbox_bound is not None:
            options = replace(options, mailbox=actor_class.mailbox_bound)
        cell = Cell(self, actor_class, args, kwargs, options=options, parent=parent)
        ref = cell.ref
        if options.name is not None:
            self._take_name(options.name, ref)
        try:
            cell.make_instance()
        except BaseException:
            for child in list(cell.children or ()):  # started by the constructor before it raised
                child.kill()
            self._free_name(options.name, ref)
            raise
        if parent is not None:
            supervisor.adopt(parent, ref)
        self._alive[ref] = None
        self.loop_dispatcher.at_rest = False
        self.registry.register(ref)
        self.receptionist.entered(ref)
        lifecycle.spawn(cell)
        return ref

    def alive(self) -> list[ActorRef[Any]]:
        """The actors of this system that have not quite ended, in the order of their start."""
        return list(self._alive)

    def named(self, name: str) -> ActorRef[Any] | None:
        """The living actor of that name, or None."""
        ref = self._names.get(name)
        return ref if ref is not None and ref.is_alive() else None

    def forget(self, cell: Cell) -> None:
        """An actor has ended; told by its cell."""
        ref = cell.ref
        self._alive.pop(ref, None)
        self._free_name(cell.options.name, ref)
        self.receptionist.left(ref)
        if not self._alive:
            self.loop_dispatcher.rest(lambda: bool(self._alive))

    def _take_name(self, name: str, ref: ActorRef[Any]) -> None:
        with self._names_lock:
            if name in self._names:
                raise NameTakenError(f"an actor named {name!r} is alive: {self._names[name]}")
            self._names[name] = ref

    def _free_name(self, name: str | None, ref: ActorRef[Any]) -> None:
        if name is not None:
            with self._names_lock:
                if self._names.get(name) is ref:
                    del self._names[name]

    # Ending.

    async def stop_all(self, timeout_s: float | None = None, *, kill: bool = False) -> None:
        """Stop all actors of this system, all at once, parents behind their children.

        Each handles first what it had been sent, or nothing more with ``kill``. Raises
        StopTimeoutError when some are still alive after ``timeout_s`` seconds.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                # Once more for those that were started meanwhile, by an on_stop say.
                while roots := [ref for ref in self.alive() if ref.is_root]:
                    ended = Countdown(len(roots))
                    for ref in reversed(roots):
                        ref.end(ended, kill=kill)
                    await ended
        left = self.alive()
        if left:
            named = ", ".join(str(ref) for ref in left[:_NAMED])
            more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
            raise StopTimeoutError(f"{len(left)} actors did not stop in time: {named}{more}")

    def close(self, timeout_s: float | None = None) -> None:
        """Stop all actors, and the loop that this system keeps in a thread; not from a loop.

        Raises StopTimeoutError as ``stop_all``; the loop is stopped all the same.
        """
        background = self._background
        if background is None:
            raise NoEventLoopError("this system lives on a loop of yours: await stop_all() there")
        refuse_on_a_loop("close()")
        if background.is_stopped:
            return
        try:
            background.run(self.stop_all(timeout_s))
        finally:
            background.stop()
            with self._of_process_lock:
                if ActorSystem._of_process is self:
                    ActorSystem._of_process = None

    # For the actor types.

    def new_thread_dispatcher(self, name: str, *, daemon: bool) -> ThreadDispatcher:
        """A thread for one actor."""
        return ThreadDispatcher(self, name, daemon=daemon)

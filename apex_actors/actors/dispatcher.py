"""Turns of actors on one asyncio event loop."""

import asyncio
import threading
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from apex_actors.actors.errors import NoEventLoopError

if TYPE_CHECKING:
    from apex_actors.actors.actor import LoopActorRef

#: How long actors may run before the loop looks at its sockets and timers again, in seconds.
TURN_BUDGET_S = 0.005

#: Messages that one actor handles before the next one has its turn.
THROUGHPUT = 64


class Schedulable(Protocol):
    """What a dispatcher runs: a mailbox with something to do."""

    def take_turn(self, throughput: int, /) -> None: ...


class LoopDispatcher:
    """Gives ready mailboxes their turns on one event loop, fairly and in order of readiness.

    A mailbox handles at most THROUGHPUT messages a turn, and all of them together at most
    TURN_BUDGET_S before the loop's other work goes on, so that a busy actor delays nobody beyond
    these two bounds. ``schedule`` may be called from any thread.
    """

    # One a loop, found by the loop: an attribute of the loop in all but name.
    _of_loop: ClassVar["weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LoopDispatcher]"] = (
        weakref.WeakKeyDictionary()
    )
    _of_loop_lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # Weak, because the dispatcher is the value of a map whose key is the loop.
        self._loop = weakref.ref(loop)
        self._thread_id = threading.get_ident()
        self._ready: deque[Schedulable] = deque()
        self._armed = False
        self._alive: dict[str, LoopActorRef[Any]] = {}

    @classmethod
    def current(cls) -> "LoopDispatcher":
        """The dispatcher of the event loop that runs in this thread.

        Raises NoEventLoopError where none runs.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise NoEventLoopError(
                "no event loop runs in this thread: start the actor from a coroutine"
            ) from None
        with cls._of_loop_lock:
            dispatcher = cls._of_loop.get(loop)
            if dispatcher is None:
                dispatcher = cls._of_loop[loop] = cls(loop)
            return dispatcher

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop; raises NoEventLoopError when it is gone."""
        loop = self._loop()
        if loop is None or loop.is_closed():
            raise NoEventLoopError("the event loop of this actor is closed")
        return loop

    def alive(self) -> "list[LoopActorRef[Any]]":
        """The actors that are alive on this loop, in the order in which they were started."""
        return list(self._alive.values())

    def register(self, ref: "LoopActorRef[Any]") -> None:
        """Count ``ref`` among the living."""
        self._alive[ref.actor_urn] = ref

    def unregister(self, ref: "LoopActorRef[Any]") -> None:
        """Forget ``ref``; idempotent."""
        self._alive.pop(ref.actor_urn, None)

    def schedule(self, mailbox: Schedulable) -> None:
        """Give ``mailbox`` a turn soon; once too often does no harm."""
        self._ready.append(mailbox)
        # Two threads may both see the flag down and arm twice: the second drain finds an empty
        # queue. The flag is lowered before the queue is drained, so no mailbox is left behind.
        if not self._armed:
            self._armed = True
            self._arm()

    def _arm(self) -> None:
        if threading.get_ident() == self._thread_id:
            self.loop.call_soon(self._drain)
        else:
            self.loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        self._armed = False
        ready = self._ready
        deadline = time.monotonic() + TURN_BUDGET_S
        try:
            while ready and time.monotonic() < deadline:
                ready.popleft().take_turn(THROUGHPUT)
        finally:
            # Time is up, or a turn broke: those that are ready still have theirs.
            if ready and not self._armed:
                self._armed = True
                self._arm()

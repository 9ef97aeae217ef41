"""The actor types: Pykka's interface, on a loop, on a pool, or on a thread of its own."""

import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar

import pykka

from apex_actors.actors import death_watch, lifecycle
from apex_actors.actors.bounds import Bound
from apex_actors.actors.cell import Cell
from apex_actors.actors.deferred_reply import DeferredReply
from apex_actors.actors.dispatcher import Dispatcher
from apex_actors.actors.future import Future
from apex_actors.actors.mailbox import Mailbox
from apex_actors.actors.messages import Stop
from apex_actors.actors.options import DEFAULTS, Options
from apex_actors.actors.ref import ActorRef
from apex_actors.actors.supervision import STOPPING, Supervision
from apex_actors.actors.system import ActorSystem
from apex_actors.actors.timers import Timer, Timers

logger = logging.getLogger("apex_actors.actors")

A = TypeVar("A", bound="Actor")
T = TypeVar("T")


class Actor(pykka.Actor):
    """What all actor types share; subclass LoopActor, PoolActor or ThreadActor.

    ``on_start``, ``on_receive``, ``on_stop`` and ``on_failure`` are Pykka's; actors of a loop may
    have them ``async``. A handler that raises for an ``ask`` gives the exception to the asker, and
    the actor lives on. One that raises for a ``tell`` fails the actor: its parent's ``supervision``
    decides whether it goes on, is restarted, ends, or takes its parent along.
    """

    supervision: ClassVar[Supervision] = STOPPING
    """How this actor treats its children that fail."""

    mailbox_bound: ClassVar[Bound | None] = None
    """The bound of this class's mailboxes, where Options names none."""

    fails_on_ask: ClassVar[bool] = False
    """Whether a handler that raises for an ``ask`` fails the actor too, besides telling the asker."""

    stops_all_on_base_exception: ClassVar[bool] = False
    """Pykka's way with a BaseException that is no Exception: stop every actor there is."""

    ref_class: ClassVar[type[ActorRef[Any]]] = ActorRef
    _cell: Cell

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        # A started actor has its cell by now; one made by hand gets one to be looked at.
        if "_cell" not in self.__dict__:
            system = ActorSystem.current()
            self._cell = Cell(system, type(self), _args, _kwargs, options=DEFAULTS)
            self._cell.actor = self

    @classmethod
    def dispatcher_of(cls, system: ActorSystem) -> Dispatcher:
        """What gives an actor of this type its turns."""
        raise NotImplementedError("subclass LoopActor, PoolActor or ThreadActor")

    # Starting.

    @classmethod
    def start(cls, *args: Any, **kwargs: Any) -> ActorRef[Self]:
        """Create an actor and start it; the arguments go to ``__init__``.

        ``on_start`` runs in the actor's first turn. ``ref.started()`` tells how it went.
        """
        return ActorSystem.current().start(cls, *args, **kwargs)

    @classmethod
    def start_with(cls, options: Options, *args: Any, **kwargs: Any) -> ActorRef[Self]:
        """As ``start``, with Options: a name, a bounded mailbox, a supervision of its own."""
        return ActorSystem.current().start_with(options, cls, *args, **kwargs)

    @classmethod
    async def start_async(cls, *args: Any, **kwargs: Any) -> ActorRef[Self]:
        """As ``start``, and waits for ``on_start``; raises ActorStartError when that failed."""
        ref = cls.start(*args, **kwargs)
        await ref.started()
        return ref

    def start_child(self, actor_class: type[A], *args: Any, **kwargs: Any) -> ActorRef[A]:
        """Start an actor that this one supervises, and that stops before this one does."""
        return self.start_child_with(DEFAULTS, actor_class, *args, **kwargs)

    def start_child_with(
        self, options: Options, actor_class: type[A], *args: Any, **kwargs: Any
    ) -> ActorRef[A]:
        """As ``start_child``, with Options."""
        return self._cell.system.spawn(actor_class, args, kwargs, options, parent=self._cell)

    # Hooks, of which those of a loop's actors may be ``async``.

    def on_start(self) -> Coroutine[Any, Any, None] | None:  # type: ignore[override]
        """Run before the first message, also after a restart; what it raises is a failure."""
        return None

    def on_stop(self) -> Coroutine[Any, Any, None] | None:  # type: ignore[override]
        """Run after the last message, when the children have stopped; not after a failure."""
        return None

    def on_failure(  # type: ignore[override]
        self,
        exception_type: type[BaseException] | None,  # noqa: ARG002 - Pykka's signature
        exception_value: BaseException | None,  # noqa: ARG002
        traceback: TracebackType | None,  # noqa: ARG002
    ) -> Coroutine[Any, Any, None] | None:
        """Run instead of ``on_stop`` when this instance failed and ends or is replaced."""
        return None

    def on_receive(self, message: Any) -> Any:
        """Handle a message; what it returns is the reply, also where it is ``async``."""
        logger.warning("Unexpected message received by %s: %s", self, type(message).__qualname__)

    # What it is.

    def __str__(self) -> str:
        return str(self._cell.ref)

    @property
    def ref(self) -> ActorRef[Self]:
        """The reference to this actor, to be given to others."""
        return self._cell.ref

    @property
    def actor_ref(self) -> ActorRef[Self]:
        """Pykka's name of ``ref``."""
        return self._cell.ref

    @property
    def actor_urn(self) -> str:  # type: ignore[override]
        """The unique name of this actor."""
        return self._cell.ref.actor_urn

    @property
    def actor_inbox(self) -> Mailbox:  # type: ignore[override]
        """The mailbox of this actor."""
        return self._cell.mailbox

    @property
    def actor_stopped(self) -> threading.Event:  # type: ignore[override]
        """Set when this actor takes no more messages."""
        return lifecycle.stop_event(self._cell)

    @property
    def system(self) -> ActorSystem:
        """The system in which this actor lives."""
        return self._cell.system

    @property
    def parent(self) -> ActorRef[Any] | None:
        """Who started this actor as its child."""
        parent = self._cell.parent
        return None if parent is None else parent.ref

    @property
    def children(self) -> list[ActorRef[Any]]:
        """The living children, in the order of their start."""
        return list(self._cell.children or ())

    def stop(self) -> None:
        """Stop behind all messages that wait now."""
        self._cell.mailbox.push((Stop(), None, None, self._cell.dispatcher.clock()))

    # Watching, timers, and the message at hand; only from within the actor's own handlers.

    def watch(self, ref: ActorRef[Any]) -> None:
        """Be told Terminated once when ``ref`` ends, or soon if it has ended already."""
        if not isinstance(ref, ActorRef):
            raise TypeError(f"{ref} is no actor of this runtime: it tells nobody of its end")
        death_watch.watch(self._cell, ref)

    def unwatch(self, ref: ActorRef[Any]) -> None:
        """Handle no Terminated of ``ref`` any more."""
        death_watch.unwatch(self._cell, ref)

    @property
    def timers(self) -> Timers:
        """Messages to itself later, known by keys; cancelled with the instance."""
        timers = self._cell.timers
        if timers is None:
            timers = self._cell.timers = Timers(self._cell)
        return timers

    def tell_later(self, delay_s: float, message: Any) -> Timer:
        """Tell this actor ``message`` after ``delay_s`` seconds; cancelled with the instance."""
        return self.timers.once(object(), delay_s, message)

    def set_receive_timeout(self, after_s: float | None) -> None:
        """Be told ReceiveTimeout each time nothing was handled for ``after_s`` seconds; None: never."""
        self._cell.set_receive_timeout(after_s)

    def stash(self) -> None:
        """Put the message at hand off until ``unstash_all``; whoever asked waits on."""
        self._cell.stash_current()

    def unstash_all(self) -> None:
        """Handle what was put off next, in its order, before what waits in the mailbox."""
        self._cell.unstash()

    def defer_reply(self) -> DeferredReply:
        """Reply to the message at hand later: returns what to call with the reply, from any thread.

        Called with an exception, the asker gets it raised. For a ``tell`` the reply goes nowhere.
        """
        return self._cell.defer_reply()

    def forward(self, ref: ActorRef[Any], *messages: Any) -> None:
        """Hand the message at hand on, or ``messages`` in its place; who asked gets that reply.

        Several messages: the last one answers. Raises ActorDeadError when ``ref`` is dead, and the
        asker then gets that.
        """
        for message in messages[:-1]:
            ref.tell(message)
        at_hand, _, headers, _ = self._cell.current
        message = messages[-1] if messages else at_hand
        if not ref.is_alive():
            ref.tell(message)  # raises
        left_s: float | None = None
        if headers is not None and headers.deadline is not None:
            left_s = max(headers.deadline - self._cell.dispatcher.clock(), 0.0)
        reply_to = self._cell.take_reply()
        if reply_to is None:
            ref.tell(message, expires_in_s=left_s)
        else:
            ref.ask_for(message, reply_to, left_s)

    def pipe_to_self(
        self,
        awaitable: Awaitable[T] | pykka.Future[T],
        *,
        done: Callable[[T], Any] = lambda result: result,
        failed: Callable[[BaseException], Any] = lambda error: error,
    ) -> None:
        """Tell this actor ``done(result)``, or ``failed(error)``, once ``awaitable`` has ended.

        The actor goes on meanwhile. What still runs when the instance ends is cancelled, and nothing
        is told. Actors of pools and threads may pipe futures of actors only.
        """
        self._cell.pipe(awaitable, done, failed)

    # What Pykka asks of an actor type.

    @staticmethod
    def _create_actor_inbox() -> Mailbox:
        raise NotImplementedError("the cell makes the mailbox")

    @staticmethod
    def _create_future() -> Future[Any]:
        return Future()

    def _start_actor_loop(self) -> None:
        lifecycle.spawn(self._cell)


class LoopActor(Actor):
    """An actor whose turns run on an asyncio event loop, one handler at a time, also across ``await``.

    Started in a coroutine it lives on that loop, elsewhere on one that the runtime keeps in a
    thread of its own. A handler must not block; one that computes for long delays its neighbours.
    """

    @classmethod
    def dispatcher_of(cls, system: ActorSystem) -> Dispatcher:
        return system.loop_dispatcher


class PoolActor(Actor):
    """An actor whose plain handlers run on a bounded pool of threads: they may block.

    ``ask`` and ``Future.get`` within a handler let the pool run another thread meanwhile, and so
    does ``with blocking():`` round other waits.
    """

    @classmethod
    def dispatcher_of(cls, system: ActorSystem) -> Dispatcher:
        return system.pool_dispatcher


class ThreadActor(Actor):
    """An actor with a thread of its own, as all of Pykka's have; for what must stay on one thread."""

    use_daemon_thread: ClassVar[bool] = False
    """Whether the program may end while the actor is alive, without its ``on_stop``."""

    @classmethod
    def dispatcher_of(cls, system: ActorSystem) -> Dispatcher:
        return system.new_thread_dispatcher(cls.__name__, daemon=cls.use_daemon_thread)

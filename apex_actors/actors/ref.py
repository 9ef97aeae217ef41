"""The reference to an actor: all that others ever hold of it."""

import asyncio
import threading
import time
import uuid
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar, cast, overload

import pykka

from apex_actors.actors import lifecycle
from apex_actors.actors.blocking import refuse_on_a_loop
from apex_actors.actors.envelope import Envelope, Headers, Lane
from apex_actors.actors.errors import NoEventLoopError
from apex_actors.actors.future import Future, resolve, resolve_from_any_thread
from apex_actors.actors.hooks import causing, quietly
from apex_actors.actors.mailbox import Mailbox, MailboxStatistics
from apex_actors.actors.messages import Stop

if TYPE_CHECKING:
    from apex_actors.actors.actor import Actor
    from apex_actors.actors.cell import Cell

A = TypeVar("A", bound="Actor")
M_contra = TypeVar("M_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")

_urn_lock = threading.Lock()


class Ask(Generic[R_co]):
    """Base of messages with a reply of a known type: ``class GetTotal(Ask[int])``.

    ``ask``, ``ask_async`` and their checker then know what comes back.
    """

    __slots__ = ()


class TypedRef(Protocol[M_contra]):
    """What may be told messages of type ``M``: annotate an ``ActorRef`` with it to have them checked.

    ``totals: TypedRef[Add | GetTotal] = Totals.start()``
    """

    def tell(self, message: M_contra, /) -> None: ...

    def is_alive(self) -> bool: ...


class ActorRef(pykka.ActorRef[A], Generic[A]):
    """A reference to an actor; it may be passed around freely, also between threads.

    It stays the same over restarts, and says of a dead actor that it is dead.
    """

    def __init__(self, cell: "Cell") -> None:
        #: The runtime's side of the actor; for the runtime alone.
        self.cell = cell
        self._mailbox: Mailbox = cell.mailbox
        self._urn: str | None = None

    def __str__(self) -> str:
        name = self.cell.options.name
        named = "" if name is None else f" {name!r}"
        return f"{self.actor_class.__name__}{named} ({self.actor_urn})"

    # What Pykka's refs have as attributes.

    @property
    def actor_class(self) -> type[A]:  # type: ignore[override]
        """The class of the actor."""
        return cast("type[A]", self.cell.actor_class)

    @property
    def actor_urn(self) -> str:  # type: ignore[override]
        """Its unique name ``urn:uuid:…``, made when it is first asked for."""
        if self._urn is None:
            with _urn_lock:
                if self._urn is None:
                    self._urn = uuid.uuid4().urn
                    self.cell.system.registry.note_urn(self._urn, self)
        return self._urn

    @property
    def actor_inbox(self) -> Mailbox:  # type: ignore[override]
        """Its mailbox."""
        return self._mailbox

    @property
    def actor_stopped(self) -> threading.Event:  # type: ignore[override]
        """Set when the actor takes no more messages."""
        return lifecycle.stop_event(self.cell)

    def _actor_weakref(self) -> Any:  # type: ignore[override]  # called, as the weak reference is
        """The instance, for Pykka's proxies; None when there is none."""
        return self.cell.actor

    @property
    def name(self) -> str | None:
        """The name given by Options, or None."""
        return self.cell.options.name

    @property
    def is_root(self) -> bool:
        """Whether it was started by no other actor as a child."""
        return self.cell.parent is None

    def is_alive(self) -> bool:
        """Whether it may still be told something."""
        return not self._mailbox.closed

    def statistics(self) -> MailboxStatistics:
        """A snapshot of its mailbox."""
        return self._mailbox.statistics()

    # Sending.

    def tell(
        self, message: Any, *, lane: Lane | None = None, expires_in_s: float | None = None
    ) -> None:
        """Send ``message`` and wait for nothing, from any thread.

        ``lane``: Lane.CONTROL goes before all of Lane.NORMAL, which is the default.
        ``expires_in_s``: where its turn comes later than that, it becomes a dead letter instead.
        Raises ActorDeadError, and what a bounded mailbox says to a message too many.
        """
        mailbox = self._mailbox
        if mailbox.plain and lane is None and expires_in_s is None:
            dispatcher = mailbox.dispatcher
            mailbox.queue.append((message, None, None, dispatcher.now or dispatcher.clock()))
            # Mailbox.wake, written out: this is the path that most messages take.
            if mailbox.idle:
                if mailbox.closed:
                    mailbox.reject_all()
                    return
                mailbox.idle = False
                direct = dispatcher.direct
                if dispatcher.now and direct is not None:
                    cell = mailbox.cell
                    if not cell.queued:
                        cell.queued = True
                        direct.append(cell)
                    if dispatcher.now:
                        return
                    cell.queued = False  # the drain may have missed it: schedule it anew
                try:
                    dispatcher.schedule(mailbox.cell)
                except NoEventLoopError:
                    mailbox.cell.abandon()
            return
        if mailbox.closed:
            raise self._dead()
        envelope = self.envelope(message, None, expires_in_s)
        if lane is Lane.CONTROL:
            mailbox.push_control(envelope)
        else:
            mailbox.offer_blocking(envelope)

    def try_tell(self, message: Any) -> bool:
        """As ``tell``; False, and nothing raised, where the actor is dead. For telling many."""
        try:
            self.tell(message)
        except pykka.ActorDeadError:
            return False
        return True

    async def tell_async(self, message: Any, *, expires_in_s: float | None = None) -> None:
        """As ``tell``, and awaits room in a mailbox whose policy is BACK_PRESSURE."""
        if self._mailbox.closed:
            raise self._dead()
        await self._mailbox.offer_async(self.envelope(message, None, expires_in_s))

    @overload  # type: ignore[override]  # Pykka's, and more exact for messages of type Ask
    def ask(
        self, message: Ask[R], *, block: Literal[False], timeout: float | None = None
    ) -> "pykka.Future[R]": ...

    @overload
    def ask(
        self, message: Ask[R], *, block: Literal[True] = True, timeout: float | None = None
    ) -> R: ...

    @overload
    def ask(
        self, message: Any, *, block: Literal[False], timeout: float | None = None
    ) -> "pykka.Future[Any]": ...

    @overload
    def ask(
        self, message: Any, *, block: Literal[True] = True, timeout: float | None = None
    ) -> Any: ...

    @overload
    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any: ...

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
        """Send ``message``; the reply, or with ``block=False`` a Future of it.

        A blocking ask raises ``pykka.Timeout`` after ``timeout`` seconds, and on a thread that runs
        an event loop BlockingCallError, before anything is sent.
        """
        if block:
            refuse_on_a_loop("ask()")
        future: Future[Any] = Future()
        began = time.monotonic()
        self._ask(message, future, timeout_s=timeout if block else None)
        if not block:
            return future
        if timeout is not None:
            timeout = max(timeout - (time.monotonic() - began), 0.0)
        return future.get(timeout=timeout)

    @overload
    def ask_async(
        self, message: Ask[R], *, timeout: float | None = None, expires_in_s: float | None = None
    ) -> Awaitable[R]: ...

    @overload
    def ask_async(
        self, message: Any, *, timeout: float | None = None, expires_in_s: float | None = None
    ) -> Awaitable[Any]: ...

    def ask_async(
        self,
        message: Any,
        *,
        timeout: float | None = None,
        expires_in_s: float | None = None,
    ) -> Awaitable[Any]:
        """Send ``message`` now; to be awaited for the reply, without blocking the loop.

        Raises what the handler raised, ``pykka.ActorDeadError`` when the actor is dead, and
        TimeoutError after ``timeout`` seconds.
        """
        mailbox = self._mailbox
        dispatcher = mailbox.dispatcher
        reply_to: Any = dispatcher.local_future() or Future()
        if mailbox.plain and expires_in_s is None:
            mailbox.queue.append((message, reply_to, None, dispatcher.now or dispatcher.clock()))
            if mailbox.idle:
                mailbox.wake()
        elif mailbox.closed:
            resolve(reply_to, None, self._dead())
        else:
            envelope = self.envelope(message, reply_to, expires_in_s)
            try:
                room = mailbox.offer(envelope)
            except Exception as error:  # noqa: BLE001 - the asker gets it, as Pykka has it
                resolve(reply_to, None, error)
            else:
                if room is not None:
                    reply_to = self._ask_with_room(envelope, room)
        return reply_to if timeout is None else _within(reply_to, timeout)

    def ask_for(self, message: Any, reply_to: Any, expires_in_s: float | None = None) -> None:
        """Send ``message``; the reply goes to ``reply_to``, the future of an earlier ask."""
        dispatcher = self._mailbox.dispatcher
        if isinstance(reply_to, asyncio.Future) and not dispatcher.runs(reply_to.get_loop()):
            bridge: Future[Any] = Future()
            asker = reply_to
            bridge.add_done_callback(lambda: resolve_from_any_thread(asker, *bridge.outcome()))
            reply_to = bridge
        self._ask(message, reply_to, expires_in_s)

    async def _ask_with_room(self, envelope: Envelope, room: Future[None]) -> Any:
        await self._mailbox.offer_async(envelope, room)
        return await cast("Awaitable[Any]", envelope[1])

    def _ask(
        self,
        message: Any,
        reply_to: Any,
        expires_in_s: float | None = None,
        timeout_s: float | None = None,
    ) -> None:
        """Send ``message``; that it cannot be sent is the reply."""
        if self._mailbox.closed:
            resolve(reply_to, None, self._dead())
            return
        try:
            envelope = self.envelope(message, reply_to, expires_in_s)
            self._mailbox.offer_blocking(envelope, timeout_s)
        except Exception as error:  # noqa: BLE001 - the asker gets it, as Pykka has it
            resolve(reply_to, None, error)

    def envelope(self, message: Any, reply_to: Any, expires_in_s: float | None) -> Envelope:
        """The message with all that goes with it; for the runtime alone."""
        dispatcher, system = self._mailbox.dispatcher, self.cell.system
        # The time of the turn would do for ages, but not for limits: a turn may be long.
        now = dispatcher.clock()
        if expires_in_s is None and system.hooks is None:
            return (message, reply_to, None, now)
        headers = Headers(deadline=None if expires_in_s is None else now + expires_in_s)
        if system.hooks is not None:
            cause = causing.get()
            headers.message_id = next(system.message_ids)
            headers.cause_id = None if cause is None else cause.message_id
            headers.trace = quietly(system.hooks.sent, self, message, headers)
        return (message, reply_to, headers, now)

    def _dead(self) -> pykka.ActorDeadError:
        return pykka.ActorDeadError(f"{self} not found")

    # Stopping.

    @overload
    def stop(self, *, block: Literal[True] = True, timeout: float | None = None) -> bool: ...

    @overload
    def stop(self, *, block: Literal[False], timeout: float | None = None) -> Future[bool]: ...

    @overload
    def stop(self, *, block: bool = True, timeout: float | None = None) -> bool | Future[bool]: ...

    def stop(self, *, block: bool = True, timeout: float | None = None) -> bool | Future[bool]:
        """Have the actor stop behind all that was sent before; a stop is an ordinary message.

        True when it has stopped or was stopping, False when it was dead already. With
        ``block=False`` a future of that, which may be awaited.
        """
        if block:
            refuse_on_a_loop("stop()")
        result: Future[bool] = Future()
        if not self._mailbox.closed:
            asked: Future[None] = Future()
            asked.add_done_callback(lambda: result.try_resolve(value=True))
            self._mailbox.push((Stop(), asked, None, self._mailbox.dispatcher.clock()))
        elif self.cell.is_dead:
            result.try_resolve(value=False)
        else:
            stopped = self.stopped()
            stopped.add_done_callback(lambda: result.try_resolve(value=True))
        return result.get(timeout=timeout) if block else result

    async def stop_async(self, timeout_s: float | None = None) -> bool:
        """As ``stop``, awaited; raises TimeoutError when the actor has not ended in that time."""
        async with asyncio.timeout(timeout_s):
            return await self.stop(block=False)

    def end(self, asker: Future[None], *, kill: bool) -> None:
        """Stop or kill the actor; ``asker`` is told when it has ended, or at once if it had."""
        if kill:
            self.kill()
            self._mailbox.post(lifecycle.note_stop_asker, self.cell, asker)
        else:
            self._mailbox.push((Stop(), asker, None, self._mailbox.dispatcher.clock()))

    def kill(self) -> None:
        """Stop the actor before anything else it has to do.

        An ``async`` handler under way is cancelled, a plain one runs to its end; what waits is not
        handled; ``on_stop`` runs. Idempotent, from any thread.
        """
        self._mailbox.post(lifecycle.kill, self.cell)

    def suspend(self) -> None:
        """Give the actor no message until ``resume``; a handler under way goes on to its end.

        A stop is a message and waits too; ``kill`` does not.
        """
        self._mailbox.post(lifecycle.suspend, self.cell)

    def resume(self) -> None:
        """End a ``suspend``; nothing where there was none."""
        self._mailbox.post(lifecycle.end_suspension, self.cell)

    def cancel(self) -> None:
        """Cancel the ``async`` handler under way, if any; the actor lives on.

        Who asked gets AskerGoneError. Goes before all that waits.
        """
        self._mailbox.post(lifecycle.cancel, self.cell)

    def started(self) -> Future[None]:
        """Awaited or got: returns when ``on_start`` has ended, raises ActorStartError if it failed."""
        return lifecycle.started(self.cell)

    def stopped(self) -> Future[None]:
        """Awaited or got: returns when the actor and its children are no more."""
        return lifecycle.stopped(self.cell)


async def _within(reply: Awaitable[Any], timeout_s: float) -> Any:
    async with asyncio.timeout(timeout_s):
        return await reply

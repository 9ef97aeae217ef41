"""The actor whose turns run on an event loop, and the reference to it."""

import asyncio
import logging
import sys
from collections.abc import Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast

import pykka
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from apex_actors.actors.dispatcher import LoopDispatcher
from apex_actors.actors.future import LoopFuture
from apex_actors.actors.mailbox import Mailbox

logger = logging.getLogger("apex_actors.actors")

A = TypeVar("A", bound="LoopActor")

_HAS_EAGER_TASKS = sys.version_info >= (3, 12)


@dataclass(frozen=True, slots=True)
class ChildFailed:
    """Told to a parent when a child died of an exception."""

    child: "LoopActorRef[Any]"
    error: BaseException


class LoopActorRef(pykka.ActorRef[A], Generic[A]):
    """A reference to an actor of the loop: Pykka's, and what an event loop needs beyond it."""

    def __init__(self, actor: A) -> None:
        super().__init__(actor)
        self._stopped = actor.stopped

    async def ask_async(self, message: Any, *, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - Pykka's word
        """Send ``message`` and await the reply without blocking the loop.

        Raises what the handler raised, ``pykka.ActorDeadError`` when the actor is dead, and
        TimeoutError after ``timeout`` seconds.
        """
        future = self.ask(message, block=False)
        if timeout is None:
            return await future
        async with asyncio.timeout(timeout):
            return await future

    def stop(self, *, block: bool = True, timeout: float | None = None) -> Any:
        """As Pykka's ``stop``; with ``block=False`` the future may be awaited on the loop."""
        asked = cast("LoopFuture[None]", self.ask(_ActorStop(), block=False))
        stopped: LoopFuture[bool] = LoopFuture()
        asked.add_done_callback(lambda: stopped.set(not asked.failed()))
        return stopped.get(timeout=timeout) if block else stopped

    def kill(self) -> None:
        """Stop the actor now: cancel the handler in flight, drop what waits, run ``on_stop``.

        Must be called on the loop's thread; idempotent.
        """
        actor = self._actor_weakref()
        if actor is not None:
            actor._actor_kill()

    async def stopped(self) -> None:
        """Wait until the actor and its children have stopped."""
        await self._stopped.wait()


class LoopActor(pykka.Actor):
    """An actor whose handlers run on an asyncio event loop, one at a time, also across ``await``.

    ``on_start``, ``on_receive``, ``on_stop`` and ``on_failure`` may be plain or ``async``. A
    handler that raises for a ``tell`` ends the actor, its children with it, and its parent is
    told ChildFailed; for an ``ask`` the asker gets the exception and the actor lives on.
    """

    def __init__(self) -> None:
        self._actor_dispatcher = LoopDispatcher.current()
        self.stopped = asyncio.Event()
        self._actor_children: dict[str, LoopActorRef[Any]] = {}
        self._actor_parent: LoopActor | None = None
        self._actor_task: asyncio.Task[None] | None = None
        self._actor_timers: set[asyncio.TimerHandle] = set()
        self._actor_ending = False
        super().__init__()
        self.actor_inbox: Mailbox = Mailbox(self._actor_dispatcher)
        self._actor_ref = LoopActorRef(self)

    @classmethod
    def start(cls, *args: Any, **kwargs: Any) -> LoopActorRef[Self]:
        """Create an actor on the running event loop and start it; arguments go to ``__init__``."""
        return cls._actor_start(None, *args, **kwargs)

    @classmethod
    def _actor_start(
        cls, parent: "LoopActor | None", *args: Any, **kwargs: Any
    ) -> LoopActorRef[Self]:
        actor = cls(*args, **kwargs)
        ref = actor.ref
        actor._actor_parent = parent
        if parent is not None:
            parent._actor_children[ref.actor_urn] = ref
        actor._actor_dispatcher.register(ref)
        actor._start_actor_loop()
        return ref

    # The hooks of Pykka, which here may be ``async``.

    def on_start(self) -> Coroutine[Any, Any, None] | None:  # type: ignore[override]
        """Run before the first message; what it raises ends the actor."""
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
        """Run instead of ``on_stop`` when a handler or ``on_start`` raised."""
        return None

    @property
    def ref(self) -> LoopActorRef[Self]:
        """The reference to this actor, to be given to others."""
        return cast("LoopActorRef[Self]", self._actor_ref)

    def start_child(self, actor_class: type[A], *args: Any, **kwargs: Any) -> LoopActorRef[A]:
        """Start an actor that stops before this one does, and whose failure this one is told."""
        return actor_class._actor_start(self, *args, **kwargs)

    def tell_later(self, delay_s: float, message: Any) -> asyncio.TimerHandle:
        """Tell this actor ``message`` after ``delay_s`` seconds; cancelled with the actor."""

        def fire() -> None:
            self._actor_timers.discard(handle)
            self.actor_inbox.put(Envelope(message))

        handle = self._actor_dispatcher.loop.call_later(delay_s, fire)
        self._actor_timers.add(handle)
        return handle

    def cancel_timer(self, handle: asyncio.TimerHandle) -> None:
        """Cancel a timer of this actor; one that has fired already stays fired."""
        handle.cancel()
        self._actor_timers.discard(handle)

    # What Pykka asks of an actor type.

    @staticmethod
    def _create_actor_inbox() -> Mailbox:
        return Mailbox(LoopDispatcher.current())

    @staticmethod
    def _create_future() -> LoopFuture[Any]:
        return LoopFuture()

    def _start_actor_loop(self) -> None:
        self._actor_run(self._actor_begin())

    # The life of the actor, always on the loop's thread.

    async def _actor_begin(self) -> None:
        try:
            await _maybe_await(self.on_start())
        except asyncio.CancelledError as cancelled:
            if self._actor_ending:
                raise
            await self._actor_fail(_inner_cancellation(cancelled))
            return
        except Exception as error:  # noqa: BLE001 - whatever a start raises ends the actor
            await self._actor_fail(error)
            return
        if not self._actor_ending:
            self.actor_inbox.open(self._actor_process)

    def _actor_process(self, envelope: Envelope[Any]) -> bool:
        """Handle one envelope; True while an ``async`` handler is still at it."""
        if isinstance(envelope.message, _ActorStop):
            self._actor_run(self._actor_end(envelope))
            return True
        try:
            result = self._handle_receive(envelope.message)
        except Exception as error:  # noqa: BLE001 - the border between an actor and its askers
            return self._actor_answer_error(envelope, error)
        if asyncio.iscoroutine(result):
            self._actor_run(self._actor_finish(envelope, result))
            return True
        if envelope.reply_to is not None:
            _reply(envelope, result)
        return False

    async def _actor_finish(
        self, envelope: Envelope[Any], handler: Coroutine[Any, Any, Any]
    ) -> None:
        try:
            result = await handler
        except asyncio.CancelledError as cancelled:
            if self._actor_ending:
                _reply_error(
                    envelope,
                    pykka.ActorDeadError(f"{self.actor_ref} was stopped at the message"),
                )
                raise
            if self._actor_answer_error(envelope, _inner_cancellation(cancelled)):
                return
        except Exception as error:  # noqa: BLE001 - as in _actor_process
            if self._actor_answer_error(envelope, error):
                return
        else:
            if envelope.reply_to is not None:
                _reply(envelope, result)
        if not self._actor_ending:
            self.actor_inbox.resume()

    def _actor_answer_error(self, envelope: Envelope[Any], error: Exception) -> bool:
        """Give ``error`` to the asker, or end the actor; True in the second case."""
        if envelope.reply_to is not None:
            _reply_error(envelope, error)
            return False
        self._actor_run(self._actor_fail(error))
        return True

    async def _actor_fail(self, error: Exception) -> None:
        logger.error("%s died of an exception", self, exc_info=error)
        try:
            await _maybe_await(self.on_failure(type(error), error, error.__traceback__))
        except asyncio.CancelledError:
            if self._actor_ending:
                raise
            logger.exception("on_failure of %s awaited what was cancelled", self)
        except Exception:
            logger.exception("on_failure of %s raised", self)
        await self._actor_end(None, run_on_stop=False)
        parent = self._actor_parent
        if parent is not None and not parent._actor_ending:
            parent.actor_inbox.put(Envelope(ChildFailed(self.ref, error)))

    def _actor_kill(self) -> None:
        if self._actor_ending:
            return
        task, self._actor_task = self._actor_task, None
        self.actor_inbox.close()
        self._actor_run(self._actor_end(None, after=task))

    async def _actor_end(
        self,
        envelope: Envelope[Any] | None,
        *,
        run_on_stop: bool = True,
        after: asyncio.Task[None] | None = None,
    ) -> None:
        """Stop the children, then this actor; nobody who waits for either is forgotten."""
        if self._actor_ending:
            if envelope is not None and envelope.reply_to is not None:
                envelope.reply_to.set(None)
            return
        self._actor_ending = True
        if after is not None:
            after.cancel()
            await asyncio.wait([after])
        for timer in self._actor_timers:
            timer.cancel()
        self._actor_timers.clear()
        await self._actor_stop_children()
        if run_on_stop:
            try:
                await _maybe_await(self.on_stop())
            except (Exception, asyncio.CancelledError):
                # Nobody cancels the end of an actor: it was something that on_stop awaited.
                logger.exception("on_stop of %s raised", self)
        self._actor_dispatcher.unregister(self.ref)
        if self._actor_parent is not None:
            self._actor_parent._actor_children.pop(self.actor_urn, None)
        self.actor_stopped.set()
        self.actor_inbox.close()
        self.stopped.set()
        if envelope is not None and envelope.reply_to is not None:
            envelope.reply_to.set(None)

    async def _actor_stop_children(self) -> None:
        children = list(self._actor_children.values())
        for child in children:
            child.kill()
        for child in children:
            await child.stopped()

    def _actor_run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        loop = self._actor_dispatcher.loop
        if _HAS_EAGER_TASKS:
            # Runs to the first real wait at once: an async handler that never waits costs no turn.
            task = asyncio.Task(coroutine, loop=loop, eager_start=True)  # type: ignore[call-arg, unused-ignore]
        else:
            task = loop.create_task(coroutine)
        if not task.done():
            self._actor_task = task


async def _maybe_await(result: Coroutine[Any, Any, None] | None) -> None:
    if result is not None:
        await result


def _inner_cancellation(cancelled: asyncio.CancelledError) -> RuntimeError:
    """Not the hook itself was cancelled but something that it awaited: an error like others."""
    error = RuntimeError("what the actor awaited was cancelled")
    error.__cause__ = cancelled
    return error


def _reply(envelope: Envelope[Any], result: Any) -> None:
    reply_to = envelope.reply_to
    if reply_to is not None and not _has_given_up(reply_to):
        reply_to.set(result)


def _reply_error(envelope: Envelope[Any], error: Exception) -> None:
    reply_to = envelope.reply_to
    if reply_to is not None and not _has_given_up(reply_to):
        reply_to.set_exception((type(error), error, error.__traceback__))


def _has_given_up(reply_to: pykka.Future[Any]) -> bool:
    """An asker who gave up and set its own future must not take the actor with it."""
    return isinstance(reply_to, LoopFuture) and reply_to.done()

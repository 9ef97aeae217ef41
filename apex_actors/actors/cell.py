"""One actor as the runtime sees it: what stays while its instances come and go, and its turns."""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from types import CoroutineType
from typing import TYPE_CHECKING, Any

import pykka

from apex_actors.actors import death_watch, lifecycle, supervisor
from apex_actors.actors.dead_letters import DeadLetter, DeadLetterReason
from apex_actors.actors.deferred_reply import DeferredReply
from apex_actors.actors.dispatcher import TURN_S, Dispatcher, Handle
from apex_actors.actors.envelope import NO_ENVELOPE, Envelope, Headers
from apex_actors.actors.errors import (
    AskerGoneError,
    AsyncHandlerError,
    MessageExpiredError,
    StashFullError,
)
from apex_actors.actors.future import Future, resolve, resolve_from_any_thread
from apex_actors.actors.hooks import causing, quietly
from apex_actors.actors.mailbox import Mailbox
from apex_actors.actors.messages import (
    NOTIFICATIONS,
    SPECIAL,
    DeathNotice,
    Stop,
    StopReason,
    TimerFired,
)
from apex_actors.actors.options import Options
from apex_actors.actors.phase import Phase
from apex_actors.actors.supervision import RestartLog
from apex_actors.actors.timers import IdleTimer, Timers
from apex_actors.actors.understudy import Outcome, inner_cancellation, without_frame

if TYPE_CHECKING:
    from apex_actors.actors.actor import Actor
    from apex_actors.actors.ref import ActorRef
    from apex_actors.actors.system import ActorSystem

logger = logging.getLogger("apex_actors.actors")


class Cell:
    """Ref, mailbox and family of one actor, and the instance that is in its place now.

    Everything here but ``reject``, ``drop`` and what only reads happens in turns, one at a time,
    on the dispatcher's thread: other cells and other threads ``post`` to the mailbox what they want
    done. What is done in which phase of life stands in ``lifecycle``, what parents decide in
    ``supervisor``, who is told of an end in ``death_watch``.

    ``blocked`` is down only while the actor may be given a message: it runs, is not suspended,
    and no handler is under way. ``task`` is the task of a handler or hook that waits;
    ``after_task`` is what goes on when it has ended because it was interrupted,
    ``after_children`` when the last child has. ``queued`` is up while the cell stands in the
    queue of its dispatcher, where it stands once: twice would be two turns for one of the
    others'.
    """

    __slots__ = (
        "__weakref__",
        "actor",
        "actor_class",
        "after_children",
        "after_task",
        "args",
        "blocked",
        "cancelling",
        "children",
        "current",
        "deferred",
        "dispatcher",
        "error",
        "generation",
        "has_started",
        "idle_timer",
        "kwargs",
        "last_hook_called",
        "mailbox",
        "observation",
        "options",
        "parent",
        "phase",
        "pipes",
        "queued",
        "reason",
        "ref",
        "restart_log",
        "restart_timer",
        "start_outcome",
        "stash",
        "stop_askers",
        "stop_event",
        "suspended",
        "system",
        "task",
        "timer_generation",
        "timers",
        "turn_lock",
        "watchers",
        "watching",
    )

    def __init__(
        self,
        system: "ActorSystem",
        actor_class: type["Actor"],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        options: Options,
        parent: "Cell | None" = None,
    ) -> None:
        self.system = system
        self.actor_class = actor_class
        self.args = args
        self.kwargs = kwargs or None
        self.parent = parent
        self.options = options
        self.dispatcher: Dispatcher = actor_class.dispatcher_of(system)
        self.phase = Phase.NEW
        self.blocked = True
        self.queued = False
        self.current = NO_ENVELOPE
        self.mailbox = Mailbox(self, options.mailbox, observed=system.hooks is not None)
        self.ref: ActorRef[Any] = actor_class.ref_class(self)
        self.reason = StopReason.KILLED
        self.actor: Actor | None = None
        self.task: asyncio.Task[Any] | None = None
        self.after_task: Callable[[], None] | None = None
        self.after_children: Callable[[], None] | None = None
        self.cancelling = False
        self.generation = 0
        self.suspended = False
        self.has_started = False
        self.last_hook_called = False
        self.error: BaseException | None = None
        # What most actors never need is None until they do: 100,000 of them are to be small.
        self.children: dict[ActorRef[Any], None] | None = None
        # Dicts without values are sets in the order of insertion: the same run tells the same story.
        self.watchers: dict[Cell, None] | None = None
        self.watching: dict[ActorRef[Any], None] | None = None
        self.timers: Timers | None = None
        self.timer_generation = 0
        self.restart_timer: Handle | None = None
        self.deferred: dict[DeferredReply, None] | None = None
        self.idle_timer: IdleTimer | None = None
        self.pipes: dict[asyncio.Task[None], None] | None = None
        self.stash: deque[Envelope] | None = None
        self.stop_askers: list[Any] | None = None
        self.turn_lock: threading.Lock | None = None
        self.restart_log: RestartLog | None = None
        self.start_outcome: Future[None] | str | None = None
        self.stop_event: threading.Event | None = None
        self.observation: Any = None

    def __str__(self) -> str:
        return str(self.ref)

    @property
    def is_dead(self) -> bool:
        """Whether it has ended, with all of its children."""
        return self.phase is Phase.DEAD

    @property
    def is_ending(self) -> bool:
        """Whether this instance is going or has gone, whatever comes after it."""
        return self.phase in {Phase.RESTARTING, Phase.STOPPING, Phase.DEAD}

    def make_instance(self) -> "Actor":
        """A new instance of the actor, bound to this cell."""
        self.generation += 1
        kind, args, kwargs = self.actor_class, self.args, self.kwargs or {}
        actor = kind.__new__(kind, *args, **kwargs)
        actor._cell = self  # noqa: SLF001 - actor and cell are two halves
        self.actor = actor
        actor.__init__(*args, **kwargs)  # type: ignore[misc]  # made in two steps
        return actor

    # Turns.

    def take_turn(self, now: float) -> bool:  # noqa: C901, PLR0912, PLR0915 - the hot path, in one piece
        """Handle what waits, within the bounds of a turn; True when more could be done at once."""
        mailbox = self.mailbox
        if mailbox.system:
            self.do_system()
        if self.blocked:
            if self.phase is not Phase.SPAWNED:
                if mailbox.closed:
                    # Whoever found it idle while it was being closed has lowered the flag.
                    mailbox.idle = True
                    mailbox.reject_all()
                return False
            lifecycle.begin(self)
            if self.blocked:
                return False
        queue = mailbox.queue
        actor = self.actor
        left = -1
        while True:
            if mailbox.control:
                envelope = mailbox.control.popleft()
            elif queue:
                envelope = queue.popleft()
            else:
                self.current = NO_ENVELOPE
                if self.idle_timer is not None:
                    self.idle_timer.touch()
                # Mailbox.settle, written out for speed.
                mailbox.idle = True
                if (queue or mailbox.control) and mailbox.idle:
                    mailbox.idle = False
                    return True
                return False
            self.current = envelope
            message, reply_to, headers, _ = envelope
            try:
                if headers is None and type(message) not in SPECIAL:
                    result = actor.on_receive(message)  # type: ignore[union-attr]  # it runs
                else:
                    result = self._receive_special(envelope)
            except BaseException as error:  # noqa: BLE001 - the border between actors
                self._handler_ended(None, without_frame(error))
                # The error's frames lead back to this one: what it still knew of the asker, who
                # now has the error, would tie both into a cycle.
                del envelope, message, reply_to, headers
                actor = self.actor  # a new instance, where it was restarted at once
            else:
                if type(result) is CoroutineType:
                    self.blocked = True
                    self.run(result, self._async_handler_ended)
                    actor = self.actor
                elif self.observation is not None:
                    self._handler_ended(result, None)
                elif reply_to is not None and self.current is envelope:
                    # Else the reply was taken, to be given later. Written out: most asks come here.
                    if type(reply_to) is asyncio.Future:
                        if not reply_to.done():
                            reply_to.set_result(result)
                    else:
                        resolve(reply_to, result)
            mailbox.processed += 1
            if mailbox.system:
                self.do_system()
                actor = self.actor
            if self.blocked:
                return False
            if not queue and not mailbox.control:
                continue
            if left < 0:
                left = self.dispatcher.throughput
            left -= 1
            if left <= 0 or self.dispatcher.clock() - now > TURN_S:
                return True

    def abandon(self) -> None:
        """The loop is closed: there will be no turn any more."""
        lifecycle.abandon(self)

    def do_system(self) -> None:
        """Do what the runtime has posted."""
        operations = self.mailbox.system
        while operations:
            operation, args = operations.popleft()
            operation(*args)

    def fail(self, error: BaseException) -> None:
        """Take no more messages until the supervisor has decided what ``error`` means."""
        supervisor.fail(self, error)

    def unblock(self) -> None:
        """Take messages again."""
        self.blocked = self.suspended
        self.go_on()

    def go_on(self) -> None:
        """Have a turn if there is something to do, outside of a turn or at the end of one."""
        if self.idle_timer is not None:
            self.idle_timer.touch()
        if not self.blocked and self.mailbox.settle():
            self.dispatcher.schedule(self)

    def run(self, coroutine: Coroutine[Any, Any, Any], outcome: Outcome) -> None:
        """Run what a handler or hook returned; ``task`` is set while it waits."""
        task = self.dispatcher.run(coroutine, outcome)
        if task is not None:
            self.task = task

    def _receive_special(self, envelope: Envelope) -> Any:
        """Handle a message that the runtime has a say in."""
        message, _, headers, sent_at = envelope
        if headers is None:
            return self._receive_known(message)
        deadline = headers.deadline
        if deadline is not None and self.dispatcher.clock() > deadline:
            self.current = NO_ENVELOPE
            self.mailbox.processed -= 1  # which this turn adds in a moment
            error = MessageExpiredError(f"the message to {self.ref} waited too long")
            self.drop(envelope, DeadLetterReason.EXPIRED, error)
            return None
        hooks = self.system.hooks
        if hooks is None:
            return self._receive_known(message)
        waited_s = self.dispatcher.clock() - sent_at
        shown = message.message if type(message) is TimerFired else message
        seen = quietly(hooks.received, self.ref, shown, headers, waited_s)
        self.observation = (hooks, seen)
        token = causing.set(headers)
        try:
            result = self._receive_known(message)
        finally:
            causing.reset(token)
        return result if type(result) is not CoroutineType else _caused(result, headers)

    def _receive_known(self, message: Any) -> Any:  # noqa: PLR0911 - a table
        actor = self.actor
        assert actor is not None  # noqa: S101 - it runs
        kind = type(message)
        if kind not in SPECIAL:
            return actor.on_receive(message)
        if kind is Stop:
            lifecycle.note_stop_asker(self, self.take_reply())
            lifecycle.begin_stop(self, StopReason.STOPPED)
            return None
        if kind is DeathNotice:
            if not death_watch.is_due(self, message):
                return None
            return self._receive_known(self._unwrap(message.terminated))
        if kind is TimerFired:
            if self.timers is None or not self.timers.is_due(message):
                return None
            return self._receive_known(self._unwrap(message.message))
        return actor._handle_receive(message)  # noqa: SLF001 - Pykka's, for proxies

    def _unwrap(self, message: Any) -> Any:
        """Have ``message`` at hand in the place of the runtime's wrapping, to be stashed, say."""
        _, reply_to, headers, sent_at = self.current
        self.current = (message, reply_to, headers, sent_at)
        return message

    def _async_handler_ended(self, result: Any, error: BaseException | None) -> None:
        within_turn = self.task is None
        self.task = None
        if self.after_task is not None:
            # It was interrupted by what goes before all: the end, or a restart.
            after, self.after_task = self.after_task, None
            self._answer_dead("was stopped or restarted at the message")
            self._observe(error)
            after()
            return
        self.blocked = self.suspended
        self._handler_ended(result, error)
        if not within_turn:
            self.go_on()

    def _handler_ended(self, result: Any, error: BaseException | None) -> None:
        """Reply, or decide what an exception means."""
        if self.observation is not None:
            self._observe(error)
        cancelling, self.cancelling = self.cancelling, False
        reply_to = self.current[1]
        if error is None:
            if reply_to is not None:
                resolve(reply_to, result)
            return
        if isinstance(error, asyncio.CancelledError):
            self._handler_cancelled(error, wanted=cancelling)
        elif not isinstance(error, Exception):
            self._answer_dead("died of an exception at the message", error)
            self.fail(error)
        elif reply_to is not None:
            logger.info("Exception returned from %s to caller:", self.ref, exc_info=error)
            resolve(reply_to, None, error)
            if self.actor_class.fails_on_ask:
                self.fail(error)
        else:
            self.fail(error)
        self.current = NO_ENVELOPE

    def _handler_cancelled(self, error: asyncio.CancelledError, *, wanted: bool) -> None:
        reply_to = self.current[1]
        if wanted:
            if reply_to is not None:
                gone = AskerGoneError(f"{self.ref} was told to cancel the message")
                resolve(reply_to, None, gone)
            return
        if _is_being_cancelled():
            # Whoever ends all tasks of the loop ends the actor with them; that is no failure.
            self._answer_dead("was stopped at the message")
            lifecycle.begin_stop(self, StopReason.KILLED)
            return
        wrapped = inner_cancellation(error)
        if reply_to is not None:
            logger.info("Exception returned from %s to caller:", self.ref, exc_info=wrapped)
            resolve(reply_to, None, wrapped)
        else:
            self.fail(wrapped)

    def _observe(self, error: BaseException | None) -> None:
        if self.observation is not None:
            (hooks, seen), self.observation = self.observation, None
            quietly(hooks.handled, self.ref, seen, error)

    def _answer_dead(self, why: str, cause: BaseException | None = None) -> None:
        reply_to = self.current[1]
        if reply_to is not None:
            dead = pykka.ActorDeadError(f"{self.ref} {why}")
            dead.__cause__ = cause
            resolve(reply_to, None, dead)

    # What the actor asks of its cell.

    def notify(self, message: Any, cause: Headers | None = None) -> None:
        """Put a message of the runtime's own, which no bound refuses; ``cause``: as for hooks."""
        if self.system.hooks is None:
            self.mailbox.push((message, None, None, self.dispatcher.clock()))
            return
        token = causing.set(cause)
        try:
            self.mailbox.push(self.ref.envelope(message, None, None))
        finally:
            causing.reset(token)

    def take_reply(self) -> Any:
        """Who waits for the reply to the current message, which is then not sent by its end."""
        message, reply_to, headers, sent_at = self.current
        self.current = (message, None, headers, sent_at)
        return reply_to

    def stash_current(self) -> None:
        """Put the message at hand off; who asked waits on."""
        if self.current is NO_ENVELOPE:
            raise RuntimeError("there is no message at hand to stash")
        if self.stash is None:
            self.stash = deque()
        if len(self.stash) >= self.options.stash_capacity:
            raise StashFullError(
                f"the stash of {self.ref} holds {len(self.stash)} messages already"
            )
        self.stash.append(self.current)
        self.current = NO_ENVELOPE

    def defer_reply(self) -> DeferredReply:
        """Who waits for the reply to the current message, to be answered later or at the end."""
        if self.deferred is None:
            self.deferred = {}
        return DeferredReply(self.take_reply(), self.deferred)

    def unstash(self) -> None:
        """Put what was stashed in front of what waits, in its order."""
        stash, self.stash = self.stash, None
        if stash:
            self.mailbox.queue.extendleft(reversed(stash))

    def set_receive_timeout(self, after_s: float | None) -> None:
        """Tell the actor ReceiveTimeout when nothing was handled for that long."""
        if self.idle_timer is not None:
            self.idle_timer.cancel()
            self.idle_timer = None
        if after_s is not None:
            self.idle_timer = IdleTimer(self, after_s)

    def pipe(
        self,
        source: Any,
        done: Callable[[Any], Any],
        failed: Callable[[BaseException], Any],
    ) -> None:
        """Tell the actor what became of ``source``, as long as this instance is there."""
        actor, cause = self.actor, causing.get()

        def tell(result: Any, error: BaseException | None) -> None:
            if self.actor is not actor or self.mailbox.closed:
                return
            if error is None:
                try:
                    self.notify(done(result), cause)
                    return
                except Exception as raised:  # noqa: BLE001 - the actor hears of it
                    error = raised
            try:
                self.notify(failed(error), cause)
            except Exception:
                logger.exception("%s cannot be told what became of what it piped", self.ref)

        if isinstance(source, Future) and not source.is_derived:
            source.add_done_callback(lambda: tell(*source.outcome()))
            return
        try:
            task: asyncio.Task[None] = self.dispatcher.start_task(_piped(source, tell))
        except AsyncHandlerError:
            if isinstance(source, CoroutineType):
                source.close()  # nobody will await it
            raise
        if self.pipes is None:
            self.pipes = {}
        self.pipes[task] = None
        task.add_done_callback(self._pipe_ended)

    def _pipe_ended(self, task: asyncio.Task[None]) -> None:
        if self.pipes is not None:
            self.pipes.pop(task, None)

    # Messages that nobody will handle; from any thread.

    def reject(self, envelope: Envelope) -> None:
        """``envelope`` lay in the mailbox when the actor ended."""
        message, reply_to, _, _ = envelope
        kind = type(message)
        if kind is Stop:
            if reply_to is not None:
                # Not noted here: this may be another thread than that on which the actor ends.
                self.mailbox.post(lifecycle.note_stop_asker, self, reply_to)
        elif kind not in NOTIFICATIONS:
            dead = pykka.ActorDeadError(f"{self.ref} stopped before handling the message")
            self.drop(envelope, DeadLetterReason.STOPPED, dead)

    def drop(self, envelope: Envelope, reason: DeadLetterReason, error: Exception) -> None:
        """Make a dead letter of ``envelope``; who asked is told ``error``."""
        self.mailbox.dropped += 1
        message, reply_to, _, _ = envelope
        resolve_from_any_thread(reply_to, None, error)
        self.system.dead_letters.publish(DeadLetter(message, self.ref, reason))


def _is_being_cancelled() -> bool:
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs here
        return False
    return task is not None and task.cancelling() > 0


async def _piped(source: Any, tell: Outcome) -> None:
    try:
        if isinstance(source, pykka.Future) and not isinstance(source, Future):
            # Pykka's own futures block whoever awaits them.
            result = await asyncio.to_thread(source.get)
        else:
            result = await source
    except asyncio.CancelledError as error:
        if _is_being_cancelled():
            raise
        tell(None, error)
    except Exception as error:  # noqa: BLE001 - told to the actor
        tell(None, error)
    else:
        tell(result, None)


async def _caused(handler: Coroutine[Any, Any, Any], headers: Any) -> Any:
    """Run a handler so that what it sends names the message that it handles as its cause."""
    token = causing.set(headers)
    try:
        return await handler
    finally:
        causing.reset(token)

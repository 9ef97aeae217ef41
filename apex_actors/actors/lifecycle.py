"""The life of an actor from its first turn to its end: starts, restarts, stops.

All of it happens in turns of the cell, or in the task of its handler; what may be called from
other threads says so.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from types import CoroutineType
from typing import TYPE_CHECKING, Any

import pykka

from apex_actors.actors import death_watch
from apex_actors.actors.envelope import NO_ENVELOPE
from apex_actors.actors.errors import ActorStartError, NoEventLoopError
from apex_actors.actors.future import Future, resolve
from apex_actors.actors.hooks import quietly
from apex_actors.actors.messages import ChildFailed, StopReason
from apex_actors.actors.phase import Phase
from apex_actors.actors.understudy import inner_cancellation, without_frame

if TYPE_CHECKING:
    from apex_actors.actors.cell import Cell

logger = logging.getLogger("apex_actors.actors")

Then = Callable[[Any, BaseException | None], None]

# Two threads may ask for Pykka's flag of one actor at the same time.
_stop_event_lock = threading.Lock()


# Starting.


def spawn(cell: "Cell") -> None:
    """Begin with ``on_start`` in the first turn; from any thread."""
    cell.phase = Phase.SPAWNED
    cell.dispatcher.schedule(cell)


def begin(cell: "Cell") -> None:
    """Run ``on_start``, then take messages."""
    assert cell.actor is not None  # noqa: S101 - made before
    cell.phase = Phase.STARTING

    def ended(_result: Any, error: BaseException | None) -> None:
        if error is not None:
            cell.fail(error)
            return
        cell.phase = Phase.RUNNING
        cell.has_started = True
        if isinstance(cell.start_outcome, Future):
            cell.start_outcome.try_resolve()
            cell.start_outcome = None
        if cell.system.hooks is not None:
            quietly(cell.system.hooks.started, cell.ref)
        cell.unblock()

    call(cell, cell.actor.on_start, (), ended)


def started(cell: "Cell") -> Future[None]:
    """A future set when ``on_start`` has ended, to ActorStartError if it failed; from any thread."""
    future: Future[None] = Future()
    cell.mailbox.post(_answer_started, cell, future)
    return future


def _answer_started(cell: "Cell", future: Future[None]) -> None:
    outcome = cell.start_outcome
    if cell.has_started:
        future.try_resolve()
    elif isinstance(outcome, str):
        future.try_resolve(None, ActorStartError(outcome))
    elif cell.phase is Phase.DEAD:
        future.try_resolve(None, ActorStartError(f"{cell.ref} was stopped before it started"))
    elif outcome is None:
        cell.start_outcome = future
    else:
        outcome.add_done_callback(lambda: future.try_resolve(*outcome.outcome()))


def _note_failed_start(cell: "Cell", error: BaseException) -> None:
    # The text and not the error: its traceback holds the actor, and this outlives it.
    said = f"{cell.ref} did not start: {type(error).__name__}: {error}"
    if isinstance(cell.start_outcome, Future):
        failure = ActorStartError(said)
        failure.__cause__ = error
        cell.start_outcome.try_resolve(None, failure)
    cell.start_outcome = said


# Hooks.


def call(cell: "Cell", hook: Callable[..., Any], args: tuple[Any, ...], then: Then) -> None:
    """Run a hook, plain or ``async``, and go on with ``then``."""
    try:
        result = hook(*args)
    except BaseException as error:  # noqa: BLE001 - the border between actor and runtime
        then(None, without_frame(error))
        return
    if type(result) is not CoroutineType:
        then(result, None)
        return

    def ended(result: Any, error: BaseException | None) -> None:
        cell.task = None
        if cell.after_task is not None:
            after, cell.after_task = cell.after_task, None
            after()
        elif isinstance(error, asyncio.CancelledError):
            then(None, inner_cancellation(error))
        else:
            then(result, error)

    cell.run(result, ended)


def _call_last_hook(cell: "Cell", then: Then) -> None:
    """``on_failure`` where there was one, else ``on_stop``; once for an instance."""
    actor, error = cell.actor, cell.error
    if actor is None or cell.last_hook_called:
        then(None, None)  # killed while it was being restarted
        return
    cell.last_hook_called = True

    def ended(_result: Any, hook_error: BaseException | None) -> None:
        if hook_error is not None:
            logger.error("Unhandled exception in %s:", cell.ref, exc_info=hook_error)
        then(None, hook_error)

    if error is not None:
        call(cell, actor.on_failure, (type(error), error, error.__traceback__), ended)
    else:
        call(cell, actor.on_stop, (), ended)


def interrupt(cell: "Cell", after: Callable[[], None]) -> None:
    """End the handler or hook under way, then do ``after``."""
    cell.blocked = True
    if cell.task is None:
        after()
    else:
        cell.after_task = after
        cell.task.cancel()


def cancel(cell: "Cell") -> None:
    """Cancel the handler under way and live on."""
    running = cell.phase is Phase.RUNNING and cell.after_task is None
    if running and cell.task is not None:
        cell.cancelling = True
        cell.task.cancel()


def suspend(cell: "Cell") -> None:
    """Give the actor no message until ``end_suspension``; a handler under way goes on to its end."""
    cell.suspended = True
    cell.blocked = True


def end_suspension(cell: "Cell") -> None:
    """Give the actor messages again."""
    cell.suspended = False
    if cell.phase is Phase.RUNNING and cell.task is None:
        cell.unblock()


# Restarting.


def resume(cell: "Cell", generation: int) -> None:
    """Go on with the next message, in the state that there is."""
    if cell.phase is Phase.FAILED and cell.generation == generation:
        cell.phase = Phase.RUNNING
        cell.error = None
        cell.unblock()


def restart(cell: "Cell", error: BaseException | None, delay_s: float, generation: int) -> None:
    """Put a new instance in the place of this one, which failed with ``error`` if any.

    ``generation``: of the instance that is meant; where it has gone already, nothing is done.
    """
    if cell.is_ending or cell.generation != generation:
        return
    # A sibling that is restarted along with another one may have failed by itself meanwhile.
    cell.error = error or cell.error
    cell.phase = Phase.RESTARTING

    def old_one_has_gone(_result: Any, _error: BaseException | None) -> None:
        cell.error = None
        _drop_instance(cell)
        if delay_s <= 0:
            _come_back(cell)
            return
        try:
            cell.restart_timer = cell.dispatcher.call_later(
                delay_s, lambda: cell.mailbox.post(_come_back, cell)
            )
        except NoEventLoopError:
            begin_stop(cell, StopReason.FAILED)  # nothing will ever wake it

    _cancel_what_is_pending(cell)
    interrupt(cell, lambda: _stop_children(cell, lambda: _call_last_hook(cell, old_one_has_gone)))


def _come_back(cell: "Cell") -> None:
    if cell.phase is not Phase.RESTARTING:
        return  # killed meanwhile
    try:
        cell.make_instance()
    except BaseException as error:  # noqa: BLE001 - a constructor is the user's code
        cell.actor = None  # only half of it is there
        cell.phase = Phase.STARTING
        cell.fail(without_frame(error))
    else:
        begin(cell)


def _cancel_what_is_pending(cell: "Cell") -> None:
    """End what would tell this instance something later."""
    if cell.timers is not None:
        cell.timers.cancel_all()
    if cell.idle_timer is not None:
        cell.idle_timer.cancel()
        cell.idle_timer = None
    if cell.restart_timer is not None:
        cell.restart_timer.cancel()
        cell.restart_timer = None
    if cell.pipes is not None:
        for task in cell.pipes:
            task.cancel()
        cell.pipes = None


def _drop_instance(cell: "Cell") -> None:
    _cancel_what_is_pending(cell)  # what its last hook may have begun
    cell.timers = None
    for reply in list(cell.deferred or ()):
        reply(pykka.ActorDeadError(f"{cell.ref} ended before it answered"))
    cell.deferred = None
    cell.unstash()
    cell.actor = None
    cell.current = NO_ENVELOPE
    cell.last_hook_called = False


# Stopping.


def kill(cell: "Cell") -> None:
    """Stop at once: cancel what is under way, handle nothing more."""
    if cell.phase is Phase.FAILED and cell.error is not None:
        stop_failed(cell, cell.error, cell.generation)
    else:
        begin_stop(cell, StopReason.KILLED)


def stop_failed(cell: "Cell", error: BaseException, generation: int) -> None:
    """Stop because of ``error``, which no restart mends."""
    if cell.phase not in {Phase.STOPPING, Phase.DEAD} and cell.generation == generation:
        cell.error = error
        begin_stop(cell, StopReason.FAILED)


def begin_stop(cell: "Cell", reason: StopReason) -> None:
    """Take no more messages, stop the children, run the last hook, end."""
    if cell.phase in {Phase.STOPPING, Phase.DEAD}:
        return
    cell.phase = Phase.STOPPING
    cell.reason = reason
    cell.system.registry.unregister(cell.ref)
    _cancel_what_is_pending(cell)
    cell.mailbox.close()
    with _stop_event_lock:
        if cell.stop_event is not None:
            cell.stop_event.set()
    if not cell.has_started and cell.error is not None:
        _note_failed_start(cell, cell.error)
    interrupt(
        cell,
        lambda: _stop_children(cell, lambda: _call_last_hook(cell, lambda *_: _end(cell))),
    )


def _stop_children(cell: "Cell", then: Callable[[], None]) -> None:
    if not cell.children:
        then()
        return
    cell.after_children = then
    for ref in list(cell.children):
        ref.kill()


def child_ended(cell: "Cell", child: "Cell", error: BaseException | None) -> None:
    """A child is dead, perhaps of ``error``; posted by it."""
    if cell.children is not None:
        cell.children.pop(child.ref, None)
    if cell.after_children is not None:
        if not cell.children:
            after, cell.after_children = cell.after_children, None
            after()
    elif error is not None and not cell.is_ending:
        cell.notify(ChildFailed(child.ref, error))


def abandon(cell: "Cell") -> None:
    """The cell's event loop is closed: it is dead, though no hook of it can say so.

    From any thread; that of the loop runs no turn any more.
    """
    if cell.is_dead:
        return
    cell.phase = Phase.DEAD
    cell.reason = StopReason.KILLED
    cell.blocked = True
    cell.actor = None
    cell.system.registry.unregister(cell.ref)
    cell.mailbox.close()
    for ref in list(cell.children or ()):
        ref.kill()
    cell.system.forget(cell)
    death_watch.tell_watchers(cell)
    cell.do_system()


def _end(cell: "Cell") -> None:
    error = cell.error
    _drop_instance(cell)
    cell.mailbox.reject_all()  # what was stashed
    cell.error = cell.restart_log = None
    if isinstance(cell.start_outcome, Future):
        stopped = ActorStartError(f"{cell.ref} was stopped before it started")
        cell.start_outcome.try_resolve(None, stopped)
        cell.start_outcome = None
    cell.args, cell.kwargs = (), None
    cell.system.forget(cell)
    if logger.isEnabledFor(logging.DEBUG):
        logger.debug("Stopped %s", cell.ref)
    if cell.system.hooks is not None:
        quietly(cell.system.hooks.stopped, cell.ref, cell.reason)
    # Behind all that belongs to the end, and before anybody is told of it: who asks from another
    # thread now waits for his turn, and who is told finds it done.
    cell.phase = Phase.DEAD
    death_watch.tell_watchers(cell)
    parent, cell.parent = cell.parent, None
    if parent is not None:
        parent.mailbox.post(child_ended, parent, cell, error)
    askers, cell.stop_askers = cell.stop_askers, None
    for asker in askers or ():
        resolve(asker, None)
    cell.dispatcher.released(cell)


def stopped(cell: "Cell") -> Future[None]:
    """A future set when the actor and its children are no more; from any thread."""
    future: Future[None] = Future()
    cell.mailbox.post(note_stop_asker, cell, future)
    return future


def note_stop_asker(cell: "Cell", asker: Any) -> None:
    """Tell ``asker`` None when the actor has ended; posted where it comes from another thread."""
    if asker is None:
        return
    if cell.is_dead:
        resolve(asker, None)
        return
    if cell.stop_askers is None:
        cell.stop_askers = []
    cell.stop_askers.append(asker)


def stop_event(cell: "Cell") -> threading.Event:
    """Pykka's flag, made when somebody wants it; from any thread."""
    with _stop_event_lock:
        if cell.stop_event is None:
            cell.stop_event = threading.Event()
        if cell.mailbox.closed:
            cell.stop_event.set()
        return cell.stop_event

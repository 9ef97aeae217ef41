"""What a parent does about a child that failed."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from apex_actors.actors import lifecycle
from apex_actors.actors.errors import ChildEscalatedError
from apex_actors.actors.hooks import quietly
from apex_actors.actors.messages import StopReason
from apex_actors.actors.phase import Phase
from apex_actors.actors.supervision import Directive, RestartLog, Scope, Supervision

if TYPE_CHECKING:
    from apex_actors.actors.cell import Cell
    from apex_actors.actors.ref import ActorRef

logger = logging.getLogger("apex_actors.actors")


def fail(cell: "Cell", error: BaseException) -> None:
    """``cell`` failed: it takes no more messages until its supervisor has decided."""
    if cell.phase in {Phase.STOPPING, Phase.DEAD}:
        return
    cell.blocked = True
    if not isinstance(error, Exception) and cell.actor_class.stops_all_on_base_exception:
        logger.debug("%r in %s. Stopping all actors.", error, cell.ref)
        # First all others: who is told of this end may start new ones, which are not meant.
        cell.system.registry.stop_all(block=False)
        lifecycle.begin_stop(cell, StopReason.FAILED)
        return
    logger.error("Unhandled exception in %s:", cell.ref, exc_info=error)
    had_started = cell.phase is not Phase.STARTING
    cell.phase = Phase.FAILED
    cell.error = error
    parent = cell.parent
    if parent is None:
        _supervise_root(cell, error, had_started=had_started)
    else:
        failure = _Failure(cell, error, cell.generation, had_started)
        parent.mailbox.post(_child_failed, parent, failure)


def adopt(cell: "Cell", child: "ActorRef[Any]") -> None:
    """``child`` has been started by this actor, in one of its turns."""
    if cell.children is None:
        cell.children = {}
    cell.children[child] = None


@dataclass(frozen=True, slots=True)
class _Failure:
    """One instance of a child failed; by the time of the decision another may be in its place."""

    child: "Cell"
    error: BaseException
    generation: int
    had_started: bool


def _supervise_root(cell: "Cell", error: BaseException, *, had_started: bool) -> None:
    """The actor has no parent: the system's supervision decides."""
    policy = cell.options.supervision or cell.system.supervision
    directive, delay_s = _decide(policy, cell, error, had_started=had_started)
    if directive is Directive.RESUME:
        lifecycle.resume(cell, cell.generation)
    elif directive is Directive.RESTART:
        lifecycle.restart(cell, error, delay_s, cell.generation)
    else:
        lifecycle.stop_failed(cell, error, cell.generation)


def _child_failed(cell: "Cell", failure: _Failure) -> None:
    """Decide for a failed child; posted by it."""
    child, error = failure.child, failure.error
    if cell.is_ending or cell.actor is None:
        return  # the child ends with the others
    if child.generation != failure.generation or child.is_ending:
        return  # it has been restarted along with another one
    policy = child.options.supervision or cell.actor.supervision
    directive, delay_s = _decide(policy, child, error, had_started=failure.had_started)
    if directive is Directive.RESUME:
        child.mailbox.post(lifecycle.resume, child, child.generation)
    elif directive is Directive.ESCALATE:
        child.mailbox.post(lifecycle.stop_failed, child, error, child.generation)
        escalated = ChildEscalatedError(f"{child.ref} failed, and its supervision escalates")
        escalated.__cause__ = error
        lifecycle.interrupt(cell, lambda: fail(cell, escalated))
    else:
        for one in _reached(cell, child, policy.scope):
            _direct(one, directive, error if one is child else None, delay_s)


def _direct(
    cell: "Cell", directive: Directive, error: BaseException | None, delay_s: float
) -> None:
    """Have a child, failed with ``error`` or well, restarted or stopped."""
    if directive is Directive.RESTART:
        cell.mailbox.post(lifecycle.restart, cell, error, delay_s, cell.generation)
    elif error is not None:
        cell.mailbox.post(lifecycle.stop_failed, cell, error, cell.generation)
    else:
        cell.ref.kill()


def _reached(cell: "Cell", child: "Cell", scope: Scope) -> list["Cell"]:
    """The children that a directive for ``child`` reaches, in the order of their start."""
    siblings = [ref.cell for ref in cell.children or ()]
    if scope is Scope.ONE_FOR_ONE or child not in siblings:
        return [child]
    if scope is Scope.ONE_FOR_ALL:
        return siblings
    return siblings[siblings.index(child) :]


def _decide(
    policy: Supervision, cell: "Cell", error: BaseException, *, had_started: bool
) -> tuple[Directive, float]:
    """What is to become of a failed cell, and the pause before its restart in seconds."""
    delay_s: float | None = 0.0
    try:
        directive = policy.decide(error)
        if directive is Directive.RESUME and not had_started:
            directive = Directive.STOP  # there is no state to go on with
        if directive is Directive.RESTART:
            if cell.restart_log is None:
                cell.restart_log = RestartLog()
            delay_s = cell.restart_log.allow(policy, cell.dispatcher.clock())
            if delay_s is None:
                logger.error("%s was restarted too often and is stopped", cell.ref)
                directive = Directive.STOP
    except Exception:
        logger.exception("The supervision of %s raised", cell.ref)
        directive = Directive.STOP
    if directive is not Directive.STOP:
        after = f" after {delay_s:.2f} s" if delay_s else ""
        logger.warning("%s failed; supervision: %s%s", cell.ref, directive.value, after)
    if cell.system.hooks is not None:
        quietly(cell.system.hooks.failed, cell.ref, error, directive)
    return directive, delay_s or 0.0

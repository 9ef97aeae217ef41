"""Where metrics and traces come in: one object that sees what happens to messages and actors."""

import logging
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from apex_actors.actors.envelope import Headers

if TYPE_CHECKING:
    from apex_actors.actors.messages import StopReason
    from apex_actors.actors.ref import ActorRef
    from apex_actors.actors.supervision import Directive

logger = logging.getLogger("apex_actors.actors")

#: The headers of the message being handled here, where the system has hooks.
causing: ContextVar[Headers | None] = ContextVar("causing", default=None)


class Hooks:
    """Override what you want to see, and give an instance to an ActorSystem.

    Methods are called on the thread where the thing happens; they must be quick. What they raise is
    logged and has no other effect. A system without hooks pays nothing for them.
    """

    def started(self, ref: "ActorRef[Any]") -> None:
        """``on_start`` has ended; also after a restart."""

    def stopped(self, ref: "ActorRef[Any]", reason: "StopReason") -> None:
        """The actor is no more."""

    def failed(self, ref: "ActorRef[Any]", error: BaseException, directive: "Directive") -> None:
        """The actor failed, and this was decided."""

    def sent(self, ref: "ActorRef[Any]", message: Any, headers: Headers) -> Any:
        """``message`` is being sent to ``ref``; what this returns travels as ``headers.trace``.

        ``headers.message_id`` and ``headers.cause_id`` say which message this one is, and which one
        was being handled by its sender.
        """

    def received(
        self, ref: "ActorRef[Any]", message: Any, headers: Headers, waited_s: float
    ) -> Any:
        """Its turn has come after ``waited_s`` seconds; what this returns is given to ``handled``."""

    def handled(self, ref: "ActorRef[Any]", seen: Any, error: BaseException | None) -> None:
        """The handler has ended, perhaps with ``error``; ``seen`` is what ``received`` returned."""


def quietly(hook: Callable[..., Any], *args: Any) -> Any:
    """Call a method of the hooks; who watches must not break what is watched."""
    try:
        return hook(*args)
    except Exception:
        logger.exception("A hook raised")
        return None

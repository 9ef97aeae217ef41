"""What dispatchers share whose actors run on threads: plain handlers, and the system's clock."""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from apex_actors.actors.dispatcher import Dispatcher, Handle
from apex_actors.actors.errors import AsyncHandlerError

if TYPE_CHECKING:
    from apex_actors.actors.system import ActorSystem
    from apex_actors.actors.understudy import Outcome


class PlainDispatcher(Dispatcher):
    """Base of dispatchers without an event loop: time and timers are those of the system's loop."""

    def __init__(self, system: "ActorSystem") -> None:
        self._system = system
        self.clock = system.loop_dispatcher.clock

    def run(self, coroutine: Coroutine[Any, Any, Any], outcome: "Outcome") -> None:
        """Refuse it: handlers on threads are plain."""
        coroutine.close()
        outcome(None, AsyncHandlerError("handlers and hooks of this actor type are plain"))

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Handle:
        """Call ``callback`` on the system's loop after ``delay_s`` seconds."""
        return self._system.loop_dispatcher.call_later(delay_s, callback)

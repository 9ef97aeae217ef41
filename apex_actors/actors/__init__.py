"""Actors on an event loop: Pykka's interface, scheduled by a dispatcher.

Usable alone: this package knows Pykka and the standard library, and nothing of chat, databases
or sockets.
"""

from pykka import ActorDeadError, Timeout

from apex_actors.actors.actor import ChildFailed, LoopActor, LoopActorRef
from apex_actors.actors.dispatcher import LoopDispatcher
from apex_actors.actors.errors import ActorError, BlockingCallError, NoEventLoopError
from apex_actors.actors.future import LoopFuture

__all__ = [
    "ActorDeadError",
    "ActorError",
    "BlockingCallError",
    "ChildFailed",
    "LoopActor",
    "LoopActorRef",
    "LoopDispatcher",
    "LoopFuture",
    "NoEventLoopError",
    "Timeout",
]

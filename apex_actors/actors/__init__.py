"""Actors on an event loop: Pykka's interface, an event loop's speed, OTP's manners.

Usable alone: this package knows Pykka and the standard library, and nothing of chat, databases
or sockets. What it promises, and what not, is in docs/explanation/actor-runtime.md; a kit for
tests of actors is in ``apex_actors.actors.testing``.
"""

from pykka import ActorDeadError, Timeout, get_all, traversable

from apex_actors.actors.actor import Actor, LoopActor, PoolActor, ThreadActor
from apex_actors.actors.blocking import blocking
from apex_actors.actors.bounds import Bound, Overflow
from apex_actors.actors.dead_letters import DeadLetter, DeadLetterReason, DeadLetters
from apex_actors.actors.deferred_reply import DeferredReply
from apex_actors.actors.envelope import Headers, Lane
from apex_actors.actors.errors import (
    ActorError,
    ActorStartError,
    AskerGoneError,
    AsyncHandlerError,
    BlockingCallError,
    ChildEscalatedError,
    MailboxFullError,
    MessageExpiredError,
    NameTakenError,
    NoEventLoopError,
    NoRouteeError,
    StashFullError,
    StopTimeoutError,
)
from apex_actors.actors.future import Future
from apex_actors.actors.hooks import Hooks
from apex_actors.actors.loop_dispatcher import LoopDispatcher
from apex_actors.actors.mailbox import MailboxStatistics
from apex_actors.actors.messages import ChildFailed, Listing, ReceiveTimeout, StopReason, Terminated
from apex_actors.actors.options import Options
from apex_actors.actors.receptionist import Receptionist
from apex_actors.actors.ref import ActorRef, Ask, TypedRef
from apex_actors.actors.registry import ActorRegistry
from apex_actors.actors.routers import (
    Broadcast,
    ConsistentHash,
    RoundRobin,
    Router,
    Routing,
)
from apex_actors.actors.shutdown import Shutdown, ShutdownPhase, ShutdownReport, StepReport
from apex_actors.actors.supervision import Backoff, Directive, Scope, Supervision
from apex_actors.actors.system import ActorSystem
from apex_actors.actors.timers import Timer, Timers

__all__ = [
    "Actor",
    "ActorDeadError",
    "ActorError",
    "ActorRef",
    "ActorRegistry",
    "ActorStartError",
    "ActorSystem",
    "Ask",
    "AskerGoneError",
    "AsyncHandlerError",
    "Backoff",
    "BlockingCallError",
    "Bound",
    "Broadcast",
    "ChildEscalatedError",
    "ChildFailed",
    "ConsistentHash",
    "DeadLetter",
    "DeadLetterReason",
    "DeadLetters",
    "DeferredReply",
    "Directive",
    "Future",
    "Headers",
    "Hooks",
    "Lane",
    "Listing",
    "LoopActor",
    "LoopDispatcher",
    "MailboxFullError",
    "MailboxStatistics",
    "MessageExpiredError",
    "NameTakenError",
    "NoEventLoopError",
    "NoRouteeError",
    "Options",
    "Overflow",
    "PoolActor",
    "ReceiveTimeout",
    "Receptionist",
    "RoundRobin",
    "Router",
    "Routing",
    "Scope",
    "Shutdown",
    "ShutdownPhase",
    "ShutdownReport",
    "StashFullError",
    "StepReport",
    "StopReason",
    "StopTimeoutError",
    "Supervision",
    "Terminated",
    "ThreadActor",
    "Timeout",
    "Timer",
    "Timers",
    "TypedRef",
    "blocking",
    "get_all",
    "traversable",
]

"""Messages that the runtime itself sends to actors."""

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from pykka.messages import ProxyCall, ProxyGetAttr, ProxySetAttr, _ActorStop

if TYPE_CHECKING:
    from apex_actors.actors.ref import ActorRef

#: Pykka's message for ``stop``: an ordinary one, handled behind all that was sent before it.
Stop = _ActorStop


class StopReason(Enum):
    """Why an actor is no more."""

    STOPPED = "stopped"
    """It was asked to, by ``stop``, and had handled all that came before."""

    KILLED = "killed"
    """``kill``: at once, by whoever had its ref, or because its parent stopped."""

    FAILED = "failed"
    """An exception, and its supervision did not bring it back."""


@dataclass(frozen=True, slots=True)
class Terminated:
    """Told once to each watcher: the actor is no more, and will not come back."""

    ref: "ActorRef[Any]"
    reason: StopReason


@dataclass(frozen=True, slots=True)
class ChildFailed:
    """Told to a parent when a child ended by a failure (not when it was restarted)."""

    child: "ActorRef[Any]"
    error: BaseException


@dataclass(frozen=True, slots=True)
class ReceiveTimeout:
    """Told to an actor that has handled nothing for as long as it said by ``set_receive_timeout``."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Told to subscribers of a receptionist's key: who offers it now, in order of registration."""

    key: str
    refs: "tuple[ActorRef[Any], ...]"


# The runtime's own, which no actor gets to see.


@dataclass(frozen=True, slots=True)
class DeathNotice:
    """A Terminated on its way to a watcher; dropped when that has stopped watching since."""

    terminated: Terminated


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A keyed timer's message on its way; dropped when the timer was set anew or cancelled since."""

    key: Any
    generation: int
    message: Any


#: Types that the runtime handles itself, or looks at before the actor does.
SPECIAL = frozenset({Stop, ProxyCall, ProxyGetAttr, ProxySetAttr, DeathNotice, TimerFired})

#: What the runtime tells an actor about itself and others: no dead letter when it comes too late.
NOTIFICATIONS = frozenset(
    {ChildFailed, DeathNotice, Listing, ReceiveTimeout, Terminated, TimerFired}
)

#: What no bound of a mailbox counts, refuses or drops.
UNCOUNTED = NOTIFICATIONS | {Stop}

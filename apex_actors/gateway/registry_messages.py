"""What connections and their registry tell each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from apex_actors.actors import ActorRef
from apex_actors.protocol.events import Event
from apex_actors.protocol.identity import Identity
from apex_actors.protocol.notices import Notice
from apex_actors.storage.event_log import KnownPositions

# From a connection.


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection is there, whether or not its user's log can be read: it takes heartbeats.

    ``token_due_s``: how soon the registry is to tell it TokenDue.
    """

    connection_id: str
    identity: Identity
    ref: ActorRef[Any]
    token_due_s: float


@dataclass(frozen=True, slots=True)
class Connected:
    """The connection wants its user's events from now on; it has read the log up to ``seq``."""

    connection_id: str
    user_id: int
    seq: int
    ref: ActorRef[Any]


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection is gone."""

    connection_id: str


@dataclass(frozen=True, slots=True)
class Behind:
    """A connection could not read its log: it is told LogAdvanced when the log can be read."""

    connection_id: str
    ref: ActorRef[Any]


@dataclass(frozen=True, slots=True)
class CheckAgain:
    """A silent connection is to be told HeartbeatDue once more, after ``after_s`` seconds."""

    connection_id: str
    after_s: float


@dataclass(frozen=True, slots=True)
class TokenRenewed:
    """The connection has another token: TokenDue after ``due_s`` seconds, and not before."""

    connection_id: str
    due_s: float


@dataclass(frozen=True, slots=True)
class SessionChanged:
    """What the next connection of the user is to begin with; ``thread_id`` None: where it was."""

    user_id: int
    thread_id: UUID | None
    acknowledged_seq: int
    soon: bool = False
    """The next connection may come at once and should know."""


# To connections.


@dataclass(frozen=True, slots=True)
class EventsCommitted:
    """Events of one user, in order; told on to each of the user's connections."""

    user_id: int
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class LogAdvanced:
    """The user's log may have grown elsewhere: to be read from the cursor on.

    ``user_id`` is None for a connection that does not know its user's number yet.
    """

    user_id: int | None


@dataclass(frozen=True, slots=True)
class HeartbeatDue:
    """Send this ping, or end the connection when it was silent; ``ping`` None: only look."""

    ping: bytes | None


@dataclass(frozen=True, slots=True)
class TokenDue:
    """The token expires soon, or has expired."""


@dataclass(frozen=True, slots=True)
class TokensRevoked:
    """Some tokens are no longer good: is yours?"""


@dataclass(frozen=True, slots=True)
class Describe:
    """Ask a connection for its ConnectionInfo."""


@dataclass(frozen=True, slots=True)
class Restarting:
    """Say so to the client, and close after ``close_after_s`` seconds."""

    close_after_s: float
    reconnect_after_ms: int


@dataclass(frozen=True, slots=True)
class CloseForCap:
    """The user has too many connections over all nodes: this one has to go."""


# From the node.


@dataclass(frozen=True, slots=True)
class Broadcast:
    """A notice for every connection."""

    notice: Notice


@dataclass(frozen=True, slots=True)
class ComponentsChanged:
    """Parts of the server that are ``down`` now, and those that have ``recovered`` just now."""

    down: tuple[str, ...]
    recovered: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CloseAll:
    """The node stops: tell every connection, and close them within ``spread_s`` seconds."""

    spread_s: float


@dataclass(frozen=True, slots=True)
class CloseExcess:
    """Close ``count`` connections of the user, the newest first."""

    user_key: str
    count: int


@dataclass(frozen=True, slots=True)
class GetStatistics:
    """Ask for RegistryStatistics."""


@dataclass(frozen=True, slots=True)
class RegistryStatistics:
    """How many connections and users are live on this node."""

    connections: int
    users: int


@dataclass(frozen=True, slots=True)
class ListConnections:
    """Ask for the refs of connections, the oldest first: of an organisation, of a user, or all."""

    org: str | None = None
    sub: str | None = None


# Between the registry and its children.


@dataclass(frozen=True, slots=True)
class Look:
    """See which logs have grown beyond what is known of them."""

    known: KnownPositions


@dataclass(frozen=True, slots=True)
class Seen:
    """Where those logs end that have grown; None: the log could not be read."""

    positions: Mapping[int, int] | None

"""The live connections of a node: who is there, who gets which events, who is silent."""

import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from apex_actors.actors import ActorDeadError, ActorRef, LoopActor
from apex_actors.protocol.events import Event
from apex_actors.protocol.notices import Notice
from apex_actors.storage.errors import StorageError
from apex_actors.storage.event_log import EventLog

logger = logging.getLogger(__name__)

#: Turns of the heartbeat wheel in one interval: the connections are spread over them.
WHEEL_SLOTS: Final = 30

#: Clients of a node that restarts come back between these moments, in milliseconds.
RECONNECT_AFTER_MS: Final = (200, 2000)


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection is there and wants its user's events from now on."""

    connection_id: str
    user_id: int
    ref: ActorRef[Any]


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection is there, whether or not its user's log can be read: it takes heartbeats."""

    connection_id: str
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
class Broadcast:
    """A notice for every connection."""

    notice: Notice


@dataclass(frozen=True, slots=True)
class CloseAll:
    """The node stops: tell every connection, and close them within ``spread_s`` seconds."""

    spread_s: float


@dataclass(frozen=True, slots=True)
class Restarting:
    """Told to a connection: say so to the client, and close after ``close_after_s`` seconds."""

    close_after_s: float
    reconnect_after_ms: int


@dataclass(frozen=True, slots=True)
class HeartbeatDue:
    """Told to a connection once an interval: send a ping, or end it when it was silent."""


@dataclass(frozen=True, slots=True)
class GetStatistics:
    """Ask for RegistryStatistics."""


@dataclass(frozen=True, slots=True)
class RegistryStatistics:
    """How many connections and users are live on this node."""

    connections: int
    users: int


@dataclass(frozen=True, slots=True)
class _Turn:
    slot: int


@dataclass(frozen=True, slots=True)
class _PollLog:
    pass


@dataclass(frozen=True, slots=True)
class _Look:
    user_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Seen:
    """Where the users' logs end; None: the log could not be read."""

    positions: Mapping[int, int] | None


@dataclass(slots=True)
class _User:
    connections: dict[str, ActorRef[Any]] = field(default_factory=dict)
    seq: int = 0


class LogLookout(LoopActor):
    """Asks the database where logs end, beside the registry: an answer may take its time.

    Receives _Look, tells the registry _Seen, once for each.
    """

    def __init__(self, *, log: EventLog, registry: ActorRef[Any]) -> None:
        super().__init__()
        self._log = log
        self._registry = registry

    def on_receive(self, message: object) -> object:
        if isinstance(message, _Look):
            return self._look(message.user_ids)
        return super().on_receive(message)

    async def _look(self, user_ids: tuple[int, ...]) -> None:
        positions: Mapping[int, int] | None = None
        try:
            positions = await self._log.positions(user_ids)
        except StorageError:
            logger.debug("the log cannot be read; the server's health tells of it")
        except Exception:
            # Without an answer the registry would never ask again.
            logger.exception("the log cannot be read")
        self._registry.tell(_Seen(positions))


class ConnectionRegistry(LoopActor):
    """Tracks the live connections of a node and what they are to be told.

    Receives Opened, Connected, Behind, Disconnected from connections; EventsCommitted and LogAdvanced
    from whoever heard of a commit; Broadcast and CloseAll; GetStatistics. Tells connections EventsCommitted,
    LogAdvanced, HeartbeatDue and Restarting. One timer drives all heartbeats, one query a second covers
    wake-ups that were lost. When it dies the node stops: no connection may be left without
    heartbeats.
    """

    def __init__(
        self, *, log: EventLog, heartbeat_interval_s: float, poll_interval_s: float
    ) -> None:
        super().__init__()
        self._slot_s = heartbeat_interval_s / WHEEL_SLOTS
        self._poll_interval_s = poll_interval_s
        self._connections: dict[str, ActorRef[Any]] = {}
        self._users: dict[int, _User] = {}
        self._user_of: dict[str, int] = {}
        self._behind: dict[str, ActorRef[Any]] = {}
        self._lookout = self.start_child(LogLookout, log=log, registry=self.ref)
        self._wheel: list[dict[str, ActorRef[Any]]] = [{} for _ in range(WHEEL_SLOTS)]
        self._slot = 0

    def on_start(self) -> None:
        self.tell_later(self._slot_s, _Turn(0))
        self.tell_later(self._poll_interval_s, _PollLog())

    def on_receive(self, message: object) -> object:
        match message:
            case EventsCommitted(user_id, events):
                self._deliver(message, user_id, events)
            case LogAdvanced(int(user_id)):
                self._tell_user(user_id, message)
            case Opened() | Connected() | Behind() | Disconnected():
                self._track(message)
            case Broadcast(notice):
                for ref in self._connections.values():
                    _tell(ref, notice)
            case CloseAll(spread_s):
                self._close_all(spread_s)
            case GetStatistics():
                return RegistryStatistics(len(self._connections), len(self._users))
            case _Turn(slot):
                self._turn(slot)
            case _PollLog():
                self._poll()
            case _Seen(positions):
                self._seen(positions)
            case _:
                return super().on_receive(message)
        return None

    def _track(self, message: Opened | Connected | Behind | Disconnected) -> None:
        match message:
            case Opened(connection_id, ref):
                self._open(connection_id, ref)
            case Connected(connection_id, user_id, ref):
                self._users.setdefault(user_id, _User()).connections[connection_id] = ref
                self._user_of[connection_id] = user_id
            case Behind(connection_id, ref):
                self._behind[connection_id] = ref
            case Disconnected(connection_id):
                self._close(connection_id)

    def _open(self, connection_id: str, ref: ActorRef[Any]) -> None:
        self._connections[connection_id] = ref
        # The slot just behind the hand: the first ping after a whole interval, and those who
        # came in one moment are pinged in one moment only if they came in one slot's time.
        self._wheel[self._slot][connection_id] = ref

    def _close(self, connection_id: str) -> None:
        self._connections.pop(connection_id, None)
        self._behind.pop(connection_id, None)
        for slot in self._wheel:
            if slot.pop(connection_id, None) is not None:
                break
        user_id = self._user_of.pop(connection_id, None)
        if user_id is not None:
            user = self._users[user_id]
            user.connections.pop(connection_id, None)
            if not user.connections:
                del self._users[user_id]

    def _deliver(self, message: EventsCommitted, user_id: int, events: Sequence[Event]) -> None:
        user = self._users.get(user_id)
        if user is not None and events:
            user.seq = max(user.seq, events[-1].seq)
            self._tell_user(user_id, message)

    def _tell_user(self, user_id: int, message: object) -> None:
        user = self._users.get(user_id)
        if user is not None:
            for ref in user.connections.values():
                _tell(ref, message)

    def _close_all(self, spread_s: float) -> None:
        # Jitter for both: neither the closes nor the reconnects come all at once.
        for ref in self._connections.values():
            _tell(
                ref,
                Restarting(
                    close_after_s=random.uniform(0, spread_s),  # noqa: S311 - no secret
                    reconnect_after_ms=random.randint(*RECONNECT_AFTER_MS),  # noqa: S311
                ),
            )

    def _turn(self, slot: int) -> None:
        self._slot = (slot + 1) % WHEEL_SLOTS
        self.tell_later(self._slot_s, _Turn(self._slot))
        due = HeartbeatDue()
        for ref in self._wheel[self._slot].values():
            _tell(ref, due)

    def _poll(self) -> None:
        if self._users or self._behind:
            self._lookout.tell(_Look(tuple(self._users)))
        else:
            self.tell_later(self._poll_interval_s, _PollLog())

    def _seen(self, positions: Mapping[int, int] | None) -> None:
        self.tell_later(self._poll_interval_s, _PollLog())
        if positions is None:
            return
        for user_id, seq in positions.items():
            user = self._users.get(user_id)
            if user is not None and seq > user.seq:
                user.seq = seq
                self._tell_user(user_id, LogAdvanced(user_id))
        behind, self._behind = self._behind, {}
        for connection_id, ref in behind.items():
            _tell(ref, LogAdvanced(self._user_of.get(connection_id)))


def _tell(ref: ActorRef[Any], message: object) -> None:
    try:
        ref.tell(message)
    except ActorDeadError:
        # It is on its way out: its Disconnected is in our mailbox already.
        logger.debug("a connection that is gone was told %s", type(message).__name__)

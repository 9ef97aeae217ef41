"""The live connections of a node: who is there, who gets which events, who is silent."""

import asyncio
import logging
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from apex_actors.actors import ActorDeadError, ActorRef, LoopActor
from apex_actors.gateway.lookout import LogLookout
from apex_actors.gateway.registry_messages import (
    Behind,
    Broadcast,
    CheckAgain,
    CloseAll,
    CloseExcess,
    CloseForCap,
    ComponentsChanged,
    Connected,
    Disconnected,
    EventsCommitted,
    GetStatistics,
    HeartbeatDue,
    ListConnections,
    LogAdvanced,
    Look,
    Opened,
    RegistryStatistics,
    Restarting,
    Seen,
    TokenDue,
    TokenRenewed,
    TokensRevoked,
)
from apex_actors.gateway.wheel import Agenda, Wheel
from apex_actors.protocol.events import Event
from apex_actors.protocol.identity import Identity
from apex_actors.protocol.notices import PingNotice, ServiceDegraded, ServiceRecovered
from apex_actors.storage.event_log import EventLog, KnownPositions

logger = logging.getLogger(__name__)

#: Turns of the heartbeat wheel in one interval: the connections are spread over them.
WHEEL_SLOTS: Final = 30

#: A turn of the wheel takes at most so long, in seconds: tokens end by it too.
LONGEST_SLOT_S: Final = 1.0

#: Clients of a node that restarts come back between these moments, in milliseconds.
RECONNECT_AFTER_MS: Final = (200, 2000)


#: What a client is told of a part that is away.
_EFFECTS: Final = {
    "database": "Messages cannot be taken until the database is back; nothing that was is lost.",
    "cache": "All works, some of it a little later.",
    "schema": "The database has not been prepared for this server yet.",
    "worker": "Messages are taken and wait until a worker is back.",
    "agents": "Messages are taken; agents could not be made, and runs may fail until they can.",
}


@dataclass(frozen=True, slots=True)
class _Turn:
    pass


@dataclass(frozen=True, slots=True)
class _PollLog:
    pass


@dataclass(slots=True)
class _Connection:
    ref: ActorRef[Any]
    identity: Identity
    user_id: int | None = None


@dataclass(slots=True)
class _User:
    connections: dict[str, ActorRef[Any]] = field(default_factory=dict)
    seq: int = 0


class ConnectionRegistry(LoopActor):
    """Tracks the live connections of a node and what they are to be told.

    Receives Opened, Connected, Behind, CheckAgain, TokenRenewed, Disconnected from connections;
    EventsCommitted and LogAdvanced from whoever heard of a commit; Broadcast, ComponentsChanged,
    TokensRevoked, CloseExcess, CloseAll; GetStatistics, ListConnections. Tells connections EventsCommitted,
    LogAdvanced, HeartbeatDue, TokenDue, TokensRevoked, CloseForCap and Restarting. One timer drives
    all heartbeats and the ends of all tokens, one query a second covers wake-ups that were lost.
    When it dies the node stops: no connection may be left without heartbeats.
    """

    def __init__(
        self, *, log: EventLog, heartbeat_interval_s: float, poll_interval_s: float
    ) -> None:
        super().__init__()
        slots = max(WHEEL_SLOTS, round(heartbeat_interval_s / LONGEST_SLOT_S))
        self._slot_s = heartbeat_interval_s / slots
        self._poll_interval_s = poll_interval_s
        self._connections: dict[str, _Connection] = {}
        self._users: dict[int, _User] = {}
        self._known: KnownPositions | None = None
        """Of ``_users``; None where that has changed since the last look."""
        self._behind: dict[str, ActorRef[Any]] = {}
        self._degraded: ServiceDegraded | None = None
        self._heartbeats: Wheel[ActorRef[Any]] = Wheel(slots)
        self._suspects: Agenda[ActorRef[Any]] = Agenda()
        self._tokens: Agenda[ActorRef[Any]] = Agenda()
        self._loop = asyncio.get_running_loop()
        self._lookout = self.start_child(LogLookout, log=log, registry=self.ref)

    def on_start(self) -> None:
        self.timers.every("turn", self._slot_s, _Turn())
        self.tell_later(self._poll_interval_s, _PollLog())

    def on_receive(self, message: object) -> object:
        match message:
            case EventsCommitted(user_id, events):
                self._deliver(message, user_id, events)
            case LogAdvanced(int(user_id)):
                self._tell_user(user_id, message)
            case Opened():
                self._open(message)
            case Connected():
                self._connect(message)
            case Disconnected(connection_id):
                self._close(connection_id)
            case Behind(connection_id, ref):
                self._behind[connection_id] = ref
            case CheckAgain(connection_id, after_s):
                self._plan(self._suspects, connection_id, after_s)
            case TokenRenewed(connection_id, due_s):
                self._plan(self._tokens, connection_id, due_s)
            case _Turn():
                self._turn()
            case _PollLog():
                self._poll()
            case Seen(positions):
                self._seen(positions)
            case _:
                return self._serve_node(message)
        return None

    def _serve_node(self, message: object) -> object:
        match message:
            case Broadcast(notice):
                self._tell_all(notice)
            case ComponentsChanged(down, recovered):
                self._tell_components(down, recovered)
            case TokensRevoked():
                self._tell_all(message)
            case CloseExcess(user_key, count):
                self._close_excess(user_key, count)
            case CloseAll(spread_s):
                self._close_all(spread_s)
            case GetStatistics():
                return RegistryStatistics(len(self._connections), len(self._users))
            case ListConnections():
                return self._list(message)
            case _:
                return super().on_receive(message)
        return None

    # Coming and going.

    def _open(self, opened: Opened) -> None:
        connection_id, ref = opened.connection_id, opened.ref
        self._connections[connection_id] = _Connection(ref, opened.identity)
        self._heartbeats.add(connection_id, ref)
        self._plan(self._tokens, connection_id, opened.token_due_s)
        if self._degraded is not None:
            _tell(ref, self._degraded)

    def _connect(self, connected: Connected) -> None:
        connection = self._connections.get(connected.connection_id)
        if connection is None:  # gone already
            return
        connection.user_id = connected.user_id
        user = self._users.get(connected.user_id)
        if user is None:
            # What was committed since the connection has read the log is found by the next look.
            user = self._users[connected.user_id] = _User(seq=connected.seq)
            self._known = None
        elif user.seq > connected.seq:
            _tell(connected.ref, LogAdvanced(connected.user_id))
        user.connections[connected.connection_id] = connected.ref

    def _close(self, connection_id: str) -> None:
        connection = self._connections.pop(connection_id, None)
        if connection is None:
            return
        self._behind.pop(connection_id, None)
        self._heartbeats.discard(connection_id)
        self._suspects.discard(connection_id)
        self._tokens.discard(connection_id)
        user = self._users.get(connection.user_id) if connection.user_id is not None else None
        if user is not None and connection.user_id is not None:
            user.connections.pop(connection_id, None)
            if not user.connections:
                del self._users[connection.user_id]
                self._known = None

    # What is told to connections.

    def _deliver(self, message: EventsCommitted, user_id: int, events: Sequence[Event]) -> None:
        user = self._users.get(user_id)
        if user is not None and events:
            user.seq = max(user.seq, events[-1].seq)
            self._known = None
            self._tell_user(user_id, message)

    def _tell_user(self, user_id: int, message: object) -> None:
        user = self._users.get(user_id)
        if user is not None:
            _tell_each(user.connections.values(), message)

    def _tell_all(self, message: object) -> None:
        _tell_each((connection.ref for connection in self._connections.values()), message)

    def _tell_components(self, down: tuple[str, ...], recovered: tuple[str, ...]) -> None:
        if recovered:
            self._tell_all(ServiceRecovered(components=recovered))
        self._degraded = None
        if down:
            message = " ".join(_EFFECTS.get(component, "") for component in down).strip()
            self._degraded = ServiceDegraded(components=down, message=message)
            self._tell_all(self._degraded)

    def _close_excess(self, user_key: str, count: int) -> None:
        own = [
            connection.ref
            for connection in self._connections.values()
            if connection.identity.key == user_key
        ]
        for ref in own[max(0, len(own) - count) :]:
            _tell(ref, CloseForCap())

    def _close_all(self, spread_s: float) -> None:
        # Jitter for both: neither the closes nor the reconnects come all at once.
        for connection in self._connections.values():
            _tell(
                connection.ref,
                Restarting(
                    close_after_s=random.uniform(0, spread_s),  # noqa: S311 - no secret
                    reconnect_after_ms=random.randint(*RECONNECT_AFTER_MS),  # noqa: S311
                ),
            )

    def _list(self, asked: ListConnections) -> tuple[ActorRef[Any], ...]:
        return tuple(
            connection.ref
            for connection in self._connections.values()
            if asked.sub in {None, connection.identity.sub}
            and asked.org in {None, connection.identity.org}
        )

    # Time.

    def _plan(self, agenda: Agenda[ActorRef[Any]], connection_id: str, after_s: float) -> None:
        connection = self._connections.get(connection_id)
        if connection is not None:
            agenda.put(connection_id, self._loop.time() + after_s, connection.ref)

    def _turn(self) -> None:
        now = self._loop.time()
        members = self._heartbeats.turn()
        if members:
            due = HeartbeatDue(PingNotice.now().encode())
            for ref in members:
                _tell(ref, due)
        for ref in self._suspects.due(now):
            _tell(ref, HeartbeatDue(None))
        for ref in self._tokens.due(now):
            _tell(ref, TokenDue())

    def _poll(self) -> None:
        if self._users or self._behind:
            if self._known is None:
                known = {user_id: user.seq for user_id, user in self._users.items()}
                self._known = KnownPositions.of(known)
            self._lookout.tell(Look(self._known))
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
                self._known = None
                self._tell_user(user_id, LogAdvanced(user_id))
        behind, self._behind = self._behind, {}
        for connection_id, ref in behind.items():
            connection = self._connections.get(connection_id)
            _tell(ref, LogAdvanced(connection.user_id if connection else None))


def _tell_each(refs: Iterable[ActorRef[Any]], message: object) -> None:
    for ref in refs:
        try:
            ref.tell(message)
        except ActorDeadError:
            # It is on its way out: its Disconnected is in our mailbox already.
            logger.debug("a connection that is gone was told %s", type(message).__name__)


def _tell(ref: ActorRef[Any], message: object) -> None:
    _tell_each((ref,), message)

"""The registry: each connection hears its user's events, its heartbeats and the end, and no other."""

import asyncio
import json
import logging
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from apex_actors.actors import ActorSystem, LoopActor
from apex_actors.gateway.registry import RECONNECT_AFTER_MS, ConnectionRegistry
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
    Opened,
    RegistryStatistics,
    Restarting,
    TokenDue,
    TokenRenewed,
    TokensRevoked,
)
from apex_actors.protocol import Event
from apex_actors.protocol.identity import Identity
from apex_actors.protocol.notices import PingNotice, ServiceDegraded, ServiceRecovered
from apex_actors.protocol.payloads import AgentThinking
from apex_actors.storage.errors import StorageUnavailableError


class Connection(LoopActor):
    def __init__(self, told):
        super().__init__()
        self.told = told

    def on_receive(self, message):
        self.told.append(message)


@dataclass
class Log:
    """Says where logs end, when the test lets it."""

    ends: dict = field(default_factory=dict)
    looks: int = 0
    failures: list = field(default_factory=list)
    answering: asyncio.Event = field(default_factory=asyncio.Event)
    epochs_forgotten: int = 0

    def forget_epoch(self):
        self.epochs_forgotten += 1

    async def positions(self, known):
        self.looks += 1
        await self.answering.wait()
        if self.failures:
            raise self.failures.pop(0)
        user_ids = json.loads(f"[{known.user_ids[1:-1]}]")
        return {user_id: self.ends[user_id] for user_id in user_ids if user_id in self.ends}


@dataclass
class Scene:
    log: Log
    refs: list = field(default_factory=list)
    registry: object = None

    def start(self, *, heartbeat_interval_s=60.0, poll_interval_s=60.0):
        self.registry = ConnectionRegistry.start(
            log=self.log,
            heartbeat_interval_s=heartbeat_interval_s,
            poll_interval_s=poll_interval_s,
        )
        return self.registry

    def open(self, connection_id, user_id=None, *, seq=0, token_due_s=3600.0):
        """A connection, and what it is told."""
        told = []
        ref = Connection.start(told)
        self.refs.append(ref)
        identity = Identity(org="acme", sub=f"user-{user_id}")
        self.registry.tell(Opened(connection_id, identity, ref, token_due_s))
        if user_id is not None:
            self.registry.tell(Connected(connection_id, user_id, seq, ref))
        return ref, told

    async def statistics(self):
        return await self.registry.ask_async(GetStatistics(), timeout=5)

    async def settle(self):
        await self.statistics()
        for ref in self.refs:
            if ref.is_alive():
                await ref.ask_async("settled")


@pytest.fixture
async def scene():
    log = Log()
    log.answering.set()
    scene = Scene(log)
    yield scene
    for ref in [scene.registry, *scene.refs]:
        ref.kill()
        await ref.stopped()
    assert ActorSystem.current().alive() == []


def event(seq):
    return Event.of(
        AgentThinking(reasoning="Hm.", progress=0),
        seq=seq,
        event_id=uuid4(),
        ts=datetime(2026, 11, 22, tzinfo=UTC),
    )


def of_type(told, kind):
    return [message for message in told if isinstance(message, kind)]


async def test_promise_8_events_go_to_each_connection_of_their_user_and_to_no_other(scene):
    scene.start()
    (_, one), (_, two), (_, other) = (
        scene.open("a", 1),
        scene.open("b", 1),
        scene.open("c", 2),
    )
    committed = EventsCommitted(1, (event(1),))
    scene.registry.tell(committed)
    scene.registry.tell(LogAdvanced(1))
    await scene.settle()
    for told in (one, two):
        assert told[:-1] == [committed, LogAdvanced(1)]
    assert other == ["settled"]


async def test_who_is_gone_is_told_nothing_and_counted_no_more(scene):
    scene.start()
    _, told = scene.open("a", 1)
    scene.open("b", 1)
    scene.open("c")
    assert await scene.statistics() == RegistryStatistics(connections=3, users=1)
    for connection_id in ("a", "b", "b", "never there"):
        scene.registry.tell(Disconnected(connection_id))
    scene.registry.tell(EventsCommitted(1, (event(1),)))
    assert await scene.statistics() == RegistryStatistics(connections=1, users=0)
    await scene.settle()
    assert of_type(told, EventsCommitted) == []


async def test_a_connection_that_died_in_silence_harms_nobody(scene):
    scene.start()
    dead, _ = scene.open("a", 1)
    _, told = scene.open("b", 1)
    await scene.settle()
    dead.kill()
    await dead.stopped()
    committed = EventsCommitted(1, (event(1),))
    scene.registry.tell(committed)
    scene.registry.tell(Broadcast(PingNotice(server_time=datetime(2026, 11, 22, tzinfo=UTC))))
    scene.registry.tell(CloseAll(spread_s=0))
    await scene.settle()
    assert committed in told


# The poll.


async def test_the_poll_finds_what_a_lost_wake_up_missed_and_says_it_once(scene, eventually):
    scene.start(poll_interval_s=0.01)
    _, told = scene.open("a", 1)
    _, other = scene.open("b", 2)
    scene.log.ends = {1: 3, 2: 0}
    await eventually(lambda: of_type(told, LogAdvanced))
    looks = scene.log.looks
    await eventually(lambda: scene.log.looks > looks + 3)
    assert of_type(told, LogAdvanced) == [LogAdvanced(1)]
    assert of_type(other, LogAdvanced) == []
    scene.log.ends = {1: 4, 2: 0}
    await eventually(lambda: len(of_type(told, LogAdvanced)) == 2)


async def test_what_was_pushed_is_not_polled_for(scene, eventually):
    scene.start(poll_interval_s=0.01)
    _, told = scene.open("a", 1)
    scene.registry.tell(EventsCommitted(1, (event(1), event(2))))
    scene.log.ends = {1: 2}
    await scene.settle()
    looks = scene.log.looks
    await eventually(lambda: scene.log.looks > looks + 3)
    assert of_type(told, LogAdvanced) == []


async def test_without_users_nobody_asks_the_database(scene, eventually):
    scene.start(poll_interval_s=0.005, heartbeat_interval_s=0.3)
    _, told = scene.open("a")
    await eventually(lambda: of_type(told, HeartbeatDue))
    assert scene.log.looks == 0


@pytest.mark.parametrize("error", [StorageUnavailableError("away"), ValueError("odd")])
async def test_a_poll_that_fails_is_done_again(scene, eventually, caplog, error):
    caplog.set_level(logging.CRITICAL)
    scene.log.failures = [error, error]
    scene.log.ends = {1: 1}
    scene.start(poll_interval_s=0.01)
    _, told = scene.open("a", 1)
    await eventually(lambda: of_type(told, LogAdvanced))
    assert scene.log.looks >= 3
    # What comes back may be another database.
    assert scene.log.epochs_forgotten == 2 * isinstance(error, StorageUnavailableError)


async def test_a_database_that_does_not_answer_delays_neither_heartbeats_nor_events(
    scene, eventually
):
    scene.log.answering.clear()
    scene.start(poll_interval_s=0.01, heartbeat_interval_s=0.3)
    _, told = scene.open("a", 1)
    await eventually(lambda: scene.log.looks)
    committed = EventsCommitted(1, (event(1),))
    scene.registry.tell(committed)
    await eventually(lambda: committed in told and of_type(told, HeartbeatDue), timeout_s=2)
    assert scene.log.looks == 1, "a second question before the first is answered"


async def test_those_that_could_not_read_the_log_are_told_when_it_is_back_and_once(
    scene, eventually
):
    scene.log.failures = [StorageUnavailableError("away")]
    scene.start(poll_interval_s=0.01)
    degraded_ref, degraded = scene.open("a")
    behind_ref, behind = scene.open("b", 2)
    gone_ref, gone = scene.open("c")
    for connection_id, ref in (("a", degraded_ref), ("b", behind_ref), ("c", gone_ref)):
        scene.registry.tell(Behind(connection_id, ref))
    scene.registry.tell(Disconnected("c"))
    await eventually(lambda: of_type(degraded, LogAdvanced) and of_type(behind, LogAdvanced))
    looks = scene.log.looks
    assert looks >= 2
    await eventually(lambda: scene.log.looks > looks + 2)
    assert of_type(degraded, LogAdvanced) == [LogAdvanced(None)]
    assert of_type(behind, LogAdvanced) == [LogAdvanced(2)]
    assert of_type(gone, LogAdvanced) == []


# Heartbeats and broadcasts.


async def test_the_heartbeat_wheel_reaches_each_connection_once_an_interval(scene, eventually):
    interval_s = 0.6
    scene.start(heartbeat_interval_s=interval_s)
    started = time.monotonic()
    tolds = []
    for number in range(12):
        tolds.append(scene.open(str(number), number % 3)[1])
        await asyncio.sleep(interval_s / 24)  # they come one after another
    await eventually(lambda: all(len(of_type(told, HeartbeatDue)) >= 2 for told in tolds))
    turns = (time.monotonic() - started) / interval_s
    for told in tolds:
        assert 2 <= len(of_type(told, HeartbeatDue)) <= turns + 1


async def test_a_notice_reaches_every_connection_with_and_without_a_log(scene):
    scene.start()
    tolds = [scene.open("a", 1)[1], scene.open("b")[1]]
    notice = ServiceRecovered(components=("cache",))
    scene.registry.tell(Broadcast(notice))
    await scene.settle()
    assert [told[0] for told in tolds] == [notice, notice]


async def test_at_the_end_each_connection_closes_and_comes_back_at_its_own_moment(scene):
    scene.start()
    tolds = [scene.open(str(number), number)[1] for number in range(40)]
    scene.registry.tell(CloseAll(spread_s=2.0))
    await scene.settle()
    orders = [message for told in tolds for message in of_type(told, Restarting)]
    assert len(orders) == 40
    assert all(0 <= order.close_after_s <= 2 for order in orders)
    low, high = RECONNECT_AFTER_MS
    assert all(low <= order.reconnect_after_ms <= high for order in orders)
    assert len({order.reconnect_after_ms for order in orders}) > 20
    assert len({order.close_after_s for order in orders}) > 20


# Joining late, tokens, suspects, components, caps.


async def test_who_has_read_less_than_the_node_knows_of_is_told_to_read_on(scene):
    scene.start()
    scene.open("a", 1)
    scene.registry.tell(EventsCommitted(1, (event(1), event(2))))
    _, late = scene.open("b", 1, seq=1)
    _, up_to_date = scene.open("c", 1, seq=2)
    await scene.settle()
    assert of_type(late, LogAdvanced) == [LogAdvanced(1)]
    assert of_type(up_to_date, LogAdvanced) == []


async def test_what_was_committed_while_the_first_connection_came_is_found_by_the_next_look(
    scene, eventually
):
    scene.log.ends = {1: 6}
    scene.start(poll_interval_s=0.01)
    _, told = scene.open("a", 1, seq=5)
    await eventually(lambda: of_type(told, LogAdvanced))


async def test_a_connection_that_has_gone_is_not_tracked_by_what_it_said_before(scene):
    scene.start()
    ref, _ = scene.open("a")
    scene.registry.tell(Disconnected("a"))
    scene.registry.tell(Connected("a", 1, 0, ref))
    assert await scene.statistics() == RegistryStatistics(connections=0, users=0)


async def test_connections_are_told_when_their_tokens_are_due_and_not_before_a_renewal(
    scene, eventually
):
    scene.start(heartbeat_interval_s=0.3)
    _, soon = scene.open("a", token_due_s=0.0)
    _, renewed = scene.open("b", token_due_s=0.0)
    scene.registry.tell(TokenRenewed("b", 3600.0))
    scene.registry.tell(TokenRenewed("gone", 0.0))
    await eventually(lambda: of_type(soon, TokenDue))
    await eventually(lambda: of_type(renewed, HeartbeatDue))
    assert of_type(soon, TokenDue) == [TokenDue()]
    assert of_type(renewed, TokenDue) == []


async def test_a_suspect_is_looked_at_once_more_and_only_where_it_is_still_there(scene, eventually):
    scene.start(heartbeat_interval_s=0.6)
    _, suspect = scene.open("a")
    _, gone = scene.open("b")
    for connection_id in ("a", "b"):
        scene.registry.tell(CheckAgain(connection_id, 0.01))
    scene.registry.tell(Disconnected("b"))
    await eventually(lambda: HeartbeatDue(None) in suspect)
    assert suspect.count(HeartbeatDue(None)) == 1
    assert HeartbeatDue(None) not in gone


async def test_revocations_reach_every_connection(scene):
    scene.start()
    tolds = [scene.open("a", 1)[1], scene.open("b")[1]]
    scene.registry.tell(TokensRevoked())
    await scene.settle()
    assert [told[0] for told in tolds] == [TokensRevoked()] * 2


async def test_clients_are_told_what_is_away_those_that_come_later_too_and_what_is_back(scene):
    scene.start()
    _, early = scene.open("a")
    scene.registry.tell(ComponentsChanged(down=("cache", "database")))
    _, late = scene.open("b")
    scene.registry.tell(ComponentsChanged(down=("cache",), recovered=("database",)))
    scene.registry.tell(ComponentsChanged(down=(), recovered=("cache",)))
    _, latest = scene.open("c")
    await scene.settle()
    told = [(message.type, message.components) for message in early[:-1]]
    assert told == [
        ("service_degraded", ("cache", "database")),
        ("service_recovered", ("database",)),
        ("service_degraded", ("cache",)),
        ("service_recovered", ("cache",)),
    ]
    assert [message.components for message in of_type(late, ServiceDegraded)] == [
        ("cache", "database"),
        ("cache",),
    ]
    assert latest == ["settled"]


async def test_the_newest_connections_of_a_user_over_its_cap_are_closed(scene):
    scene.start()
    told_of = {name: scene.open(name, 1)[1] for name in "abc"} | {"x": scene.open("x", 2)[1]}
    scene.registry.tell(CloseExcess("4:acme:user-1", 2))
    await scene.settle()
    closed = [name for name, told in told_of.items() if CloseForCap() in told]
    assert closed == ["b", "c"]


async def test_connections_are_listed_all_of_them_or_those_of_a_user(scene):
    scene.start()
    refs = [scene.open(str(number), number % 2)[0] for number in range(6)]

    async def listed(**options):
        return list(await scene.registry.ask_async(ListConnections(**options), timeout=5))

    assert await listed() == refs
    assert await listed(sub="user-1") == refs[1::2]
    assert await listed(org="acme", sub="user-0") == refs[::2]
    assert await listed(org="other") == []

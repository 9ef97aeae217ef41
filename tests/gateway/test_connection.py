"""The connection's actor: a welcome first, then every event once and in order, whatever happens."""

import asyncio
import json
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from websockets.asyncio.client import connect

from apex_actors.actors import ActorSystem, LoopActor
from apex_actors.gateway.auth import InvalidTokenError, VerifiedToken
from apex_actors.gateway.connection import ConnectionActor, ConnectionServices
from apex_actors.gateway.errors import ConnectionEnded
from apex_actors.gateway.event_stream import REPLAY_CHUNK_BYTES
from apex_actors.gateway.greeter import Greeter
from apex_actors.gateway.handshake import Admitted, Resume
from apex_actors.gateway.metrics import GatewayMetrics
from apex_actors.gateway.registry_messages import (
    Behind,
    CheckAgain,
    Connected,
    Describe,
    Disconnected,
    EventsCommitted,
    HeartbeatDue,
    LogAdvanced,
    Opened,
    Restarting,
    SessionChanged,
    TokenDue,
    TokenRenewed,
    TokensRevoked,
)
from apex_actors.gateway.router import MessageRouter
from apex_actors.gateway.settings import GatewaySettings
from apex_actors.gateway.socket_messages import FrameReceived, SocketLost, SocketMessages
from apex_actors.protocol import Event, is_event
from apex_actors.protocol.codes import CloseCode, ErrorCode
from apex_actors.protocol.identity import Identity
from apex_actors.protocol.messages import Heartbeat, Ping, RefreshToken
from apex_actors.protocol.notices import HeartbeatAck, TokenRefreshed
from apex_actors.protocol.payloads import AgentThinking
from apex_actors.protocol.violation import ProtocolViolation
from apex_actors.server.node import Node
from apex_actors.storage import event_log
from apex_actors.storage.errors import StorageUnavailableError
from apex_actors.storage.event_log import Draft, EventLog, LogPosition

USER = 7
AWAY = StorageUnavailableError("PostgreSQL is away or too busy; try again")


def event(seq, size=1):
    return Event.of(
        AgentThinking(reasoning="x" * size, progress=0),
        seq=seq,
        event_id=uuid4(),
        ts=datetime(2026, 11, 22, tzinfo=UTC),
    )


@dataclass
class MemoryLog:
    """A log that can be away, and knows how often it was read."""

    events: list = field(default_factory=list)
    trimmed_seq: int = 0
    failures: int = 0
    reads: int = 0
    thread_id: object = None

    def grow(self, count=1):
        new = [event(len(self.events) + 1 + number) for number in range(count)]
        self.events += new
        return new

    def _answer(self):
        if self.failures:
            self.failures -= 1
            raise AWAY

    async def open_many(self, identities):
        await asyncio.sleep(0)
        self._answer()
        position = LogPosition(
            USER,
            len(self.events),
            self.trimmed_seq,
            "epoch",
            thread_id=self.thread_id,
            acknowledged_seq=0,
        )
        return [position for _ in identities]

    async def read(self, _user_id, *, after, limit):
        await asyncio.sleep(0)
        self.reads += 1
        self._answer()
        return self.events[after : after + limit]


@dataclass
class FakeSocket:
    id: str = field(default_factory=lambda: uuid4().hex)
    frames: list = field(default_factory=list)
    closed: list = field(default_factory=list)
    outbound_bytes: int = 0
    drains: int = 0
    unhandled: int = 0

    @property
    def is_open(self):
        return not self.closed

    async def drained(self):
        self.drains += 1
        await asyncio.sleep(0)

    def handled(self):
        self.unhandled -= 1

    def send(self, frame):
        if not self.closed:
            self.frames.append(json.loads(frame))

    def close(self, code, _reason=""):
        self.closed.append(int(code))

    def types(self):
        return [frame["type"] for frame in self.frames]

    def seqs(self):
        return [frame["seq"] for frame in self.frames if is_event(frame)]


@dataclass
class FreeLimits:
    """Lets everything through until the test says how long to wait."""

    wait_ms: int = 0
    taken: list = field(default_factory=list)
    left: list = field(default_factory=list)
    released: int = 0

    def user(self, _key):
        return self

    def take(self, size_bytes):
        self.taken.append(size_bytes)
        return self.wait_ms

    def release(self):
        self.released += 1

    def disconnect(self, key):
        self.left.append(key)


@dataclass
class Revoked:
    """Knows whose token is revoked."""

    subs: set = field(default_factory=set)

    def check(self, token):
        if token.identity.sub in self.subs:
            raise InvalidTokenError("revoked")


class Registry(LoopActor):
    def __init__(self, told):
        super().__init__()
        self.told = told

    def on_receive(self, message):
        self.told.append(message)


def broken_handler(_message, _session):
    raise LookupError("a bug, and text of a user")


async def broken_async_handler(_message, _session):
    raise LookupError("a bug, and text of a user")


@dataclass
class Scene:
    """One connection and all that stands around it."""

    settings: GatewaySettings = field(default_factory=GatewaySettings)
    log: MemoryLog = field(default_factory=MemoryLog)
    socket: FakeSocket = field(default_factory=FakeSocket)
    limits: FreeLimits = field(default_factory=FreeLimits)
    revoked: Revoked = field(default_factory=Revoked)
    lifetime: timedelta = timedelta(hours=1)
    told: list = field(default_factory=list)
    handlers: dict = field(default_factory=dict)
    refs: list = field(default_factory=list)

    @property
    def connection_id(self):
        return self.socket.frames[0]["connection_id"]

    def connect(self, resume=None):
        registry = Registry.start(self.told)
        greeter = Greeter.start(log=self.log, timeout_s=5.0, early_s=0)
        answer = HeartbeatAck(server_time=datetime(2026, 11, 22, tzinfo=UTC))
        handlers = {Heartbeat: lambda *_: answer, **self.handlers}
        services = ConnectionServices(
            log=self.log,
            greeter=greeter,
            registry=registry,
            sessions=registry,
            router=MessageRouter(handlers),
            limits=self.limits,
            revocations=self.revoked,
            metrics=GatewayMetrics(),
            settings=self.settings,
            node="n1",
        )
        token = VerifiedToken(Identity(org="acme", sub="ann"), datetime.now(UTC) + self.lifetime)
        ref = ConnectionActor.start(
            socket=self.socket, admitted=Admitted(token, None, resume), services=services
        )
        self.refs += [ref, registry, greeter]
        return ref

    async def settle(self, ref):
        """Wait until ``ref`` has handled what it was told."""
        await ref.ask_async(text_frame('{"type":"heartbeat"}'), timeout=5)

    async def end(self):
        for ref in self.refs:
            ref.kill()
            await ref.stopped()
        assert ActorSystem.current().alive() == []


@pytest.fixture
async def scene():
    scene = Scene()
    yield scene
    await scene.end()


def text_frame(text):
    return FrameReceived(text, len(text.encode()))


def messages_of(told, kind):
    return [message for message in told if isinstance(message, kind)]


async def test_the_welcome_comes_first_and_frames_wait_for_it(scene):
    scene.log.grow(3)
    ref = scene.connect()
    await scene.settle(ref)
    assert scene.socket.types() == ["connection_ready", "ping", "heartbeat_ack"]
    welcome = scene.socket.frames[0]
    assert (welcome["mode"], welcome["seq"], welcome["recovered"]) == ("full", 3, None)
    assert (welcome["org"], welcome["user_id"], welcome["epoch"]) == ("acme", "ann", "epoch")
    assert [type(message) for message in scene.told] == [Opened, Connected]


@pytest.mark.parametrize(
    ("resume", "replay_limit", "recovered", "seqs"),
    [
        (Resume(4, "epoch"), 5, True, [5, 6, 7, 8, 9]),
        (Resume(9, "epoch"), 5, True, []),
        (Resume(4, "another epoch"), 5, False, []),
        (Resume(10, "epoch"), 5, False, []),
        (Resume(1, "epoch"), 100, False, []),
        (Resume(3, "epoch"), 5, False, []),
    ],
    ids=["replay", "nothing missed", "other epoch", "beyond the end", "trimmed", "too many"],
)
async def test_promise_4_a_resumed_client_gets_what_it_missed_or_is_told_to_read_afresh(
    scene, resume, replay_limit, recovered, seqs
):
    scene.settings = GatewaySettings(replay_limit=replay_limit, replay_page=2)
    scene.log.grow(9)
    scene.log.trimmed_seq = 2
    ref = scene.connect(resume)
    await scene.settle(ref)
    welcome = scene.socket.frames[0]
    assert welcome["recovered"] is recovered
    assert welcome["seq"] == (resume.after if recovered else 9)
    assert scene.socket.seqs() == seqs


async def test_events_that_follow_the_cursor_are_sent_without_reading_the_log(scene):
    ref = scene.connect()
    await scene.settle(ref)
    reads = scene.log.reads
    ref.tell(EventsCommitted(USER, tuple(scene.log.grow(2))))
    ref.tell(EventsCommitted(USER, tuple(scene.log.events)))  # the same again
    ref.tell(EventsCommitted(USER, tuple(scene.log.grow(1))))
    await scene.settle(ref)
    assert scene.socket.seqs() == [1, 2, 3]
    assert scene.log.reads == reads


async def test_promise_4_a_gap_is_filled_from_the_log(scene):
    ref = scene.connect()
    await scene.settle(ref)
    elsewhere, here = scene.log.grow(2), scene.log.grow(1)
    ref.tell(EventsCommitted(USER, tuple(here)))
    ref.tell(EventsCommitted(USER, tuple(elsewhere)))
    await scene.settle(ref)
    assert scene.socket.seqs() == [1, 2, 3]


async def test_a_wake_up_from_another_node_is_read_from_the_log(scene):
    ref = scene.connect()
    await scene.settle(ref)
    scene.log.grow(3)
    ref.tell(LogAdvanced(USER))
    await scene.settle(ref)
    assert scene.socket.seqs() == [1, 2, 3]


async def test_a_log_that_cannot_be_read_is_reported_behind_and_read_when_it_is_back(scene):
    ref = scene.connect()
    await scene.settle(ref)
    scene.log.grow(2)
    scene.log.failures = 1
    ref.tell(LogAdvanced(USER))
    await scene.settle(ref)
    # Without this nobody would tell it again: the registry has told it of these events.
    assert messages_of(scene.told, Behind) == [Behind(scene.connection_id, ref)]
    ref.tell(LogAdvanced(USER))
    await scene.settle(ref)
    assert scene.socket.seqs() == [1, 2]


# What may happen to a log and a connection that follows it: commits here or elsewhere, a push
# that comes again, a wake-up, a failing read.
steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["here", "elsewhere"]), st.integers(1, 4)),
        st.tuples(st.just("again"), st.integers(0, 5)),
        st.tuples(st.sampled_from(["wake", "settle"]), st.just(0)),
    ),
    max_size=25,
)


@given(steps=steps, before=st.integers(0, 6), after=st.integers(0, 6), page=st.integers(1, 4))
def test_promise_4_whatever_is_pushed_or_lost_the_client_has_the_log_once_and_in_order(
    steps, before, after, page
):
    async def scenario():
        scene = Scene(settings=GatewaySettings(replay_page=page))
        scene.log.grow(before)
        ref = scene.connect(Resume(min(after, before), "epoch"))
        for kind, number in steps:
            match kind:
                case "here":
                    ref.tell(EventsCommitted(USER, tuple(scene.log.grow(number))))
                case "elsewhere":
                    scene.log.grow(number)
                case "again":
                    start = max(0, len(scene.log.events) - number)
                    ref.tell(EventsCommitted(USER, tuple(scene.log.events[start:])))
                case "wake":
                    ref.tell(LogAdvanced(USER))
                case "settle":
                    await scene.settle(ref)
        ref.tell(LogAdvanced(USER))
        await scene.settle(ref)
        expected = list(range(min(after, before) + 1, len(scene.log.events) + 1))
        assert scene.socket.seqs() == expected
        await scene.end()

    asyncio.run(scenario())


# Without the log.


async def test_without_the_log_the_welcome_is_degraded_and_frames_are_answered(scene):
    scene.log.failures = 100
    ref = scene.connect(Resume(3, "epoch"))
    await scene.settle(ref)
    welcome = scene.socket.frames[0]
    assert welcome["mode"] == "degraded"
    assert (welcome["seq"], welcome["epoch"], welcome["recovered"]) == (None, None, None)
    assert scene.socket.types()[-1] == "heartbeat_ack"
    assert messages_of(scene.told, Connected) == []


@pytest.mark.parametrize(
    ("resume", "recovered", "seqs"),
    [(Resume(2, "epoch"), True, [3, 4, 5]), (Resume(2, "older"), False, []), (None, None, [])],
)
async def test_when_the_log_is_back_the_notice_comes_before_any_event(
    scene, eventually, resume, recovered, seqs
):
    scene.log.grow(4)
    scene.log.failures = 1
    ref = scene.connect(resume)
    await scene.settle(ref)
    scene.log.grow(1)
    assert messages_of(scene.told, Behind) == [Behind(scene.connection_id, ref)]
    ref.tell(LogAdvanced(None))
    await eventually(lambda: "resumed" in scene.socket.types())
    await scene.settle(ref)
    types = scene.socket.types()
    [notice] = [frame for frame in scene.socket.frames if frame["type"] == "resumed"]
    assert notice["recovered"] is recovered
    assert notice["seq"] == (2 if recovered else 5)
    assert scene.socket.seqs() == seqs
    assert "agent_thinking" not in types[: types.index("resumed")]
    ref.tell(EventsCommitted(USER, tuple(scene.log.grow(1))))
    await scene.settle(ref)
    assert scene.socket.seqs() == [*seqs, 6]


async def test_the_current_thread_comes_with_the_position_of_the_log(scene):
    scene.log.thread_id = uuid4()
    await scene.settle(scene.connect())
    assert scene.socket.frames[0]["thread_id"] == str(scene.log.thread_id)


# Slow, silent and faulty clients.


async def test_a_closed_client_is_not_read_for_any_more(scene):
    ref = scene.connect()
    await scene.settle(ref)
    scene.log.grow(50)
    scene.socket.closed.append(1008)
    reads = scene.log.reads
    ref.tell(LogAdvanced(USER))
    await scene.settle(ref)
    assert scene.log.reads == reads


async def test_a_replay_waits_for_its_reader_and_cuts_one_that_takes_nothing(scene):
    async def never():
        scene.socket.drains += 1
        await asyncio.Event().wait()

    scene.settings = GatewaySettings(heartbeat_interval_s=0.05, replay_page=10)
    scene.log.events = [event(number + 1, size=REPLAY_CHUNK_BYTES // 4) for number in range(40)]
    ref = scene.connect(Resume(0, "epoch"))
    await scene.settle(ref)
    assert scene.socket.seqs() == list(range(1, 41))
    assert scene.socket.drains == 10
    scene.socket = FakeSocket()
    scene.socket.drained = never
    await scene.settle(scene.connect(Resume(0, "epoch")))
    assert scene.socket.closed == [4408]
    assert len(scene.socket.seqs()) < 10


async def test_a_silent_peer_is_closed_and_a_sign_of_life_keeps_it(scene):
    scene.settings = GatewaySettings(heartbeat_interval_s=0.05)
    ref = scene.connect()
    await scene.settle(ref)
    await asyncio.sleep(0.11)
    SocketMessages(ref, GatewayMetrics()).alive(0)
    ref.tell(HeartbeatDue(b'{"type":"ping"}'))
    await scene.settle(ref)
    assert scene.socket.closed == []
    assert scene.socket.types().count("ping") == 2
    await asyncio.sleep(0.11)
    ref.tell(HeartbeatDue(b'{"type":"ping"}'))
    await scene.settle(ref)
    assert len(scene.socket.closed) == 1


async def test_a_silence_that_would_end_before_the_next_turn_is_looked_at_in_time(scene):
    scene.settings = GatewaySettings(heartbeat_interval_s=0.3)
    ref = scene.connect()
    await scene.settle(ref)
    ref.tell(HeartbeatDue(b'{"type":"ping"}'))
    await ref.ask_async(Describe(), timeout=5)
    assert messages_of(scene.told, CheckAgain) == []
    await asyncio.sleep(0.35)
    ref.tell(HeartbeatDue(b'{"type":"ping"}'))
    await ref.ask_async(Describe(), timeout=5)
    [check] = messages_of(scene.told, CheckAgain)
    assert 0 < check.after_s < 0.26
    await asyncio.sleep(0.26)
    ref.tell(HeartbeatDue(None))
    await ref.ask_async(Describe(), timeout=5)
    assert scene.socket.closed == [4408]


async def test_errors_in_a_row_close_1008_and_a_good_message_starts_the_count_anew(scene):
    ref = scene.connect()
    for _ in range(2):
        for _ in range(scene.settings.max_consecutive_errors - 1):
            ref.tell(text_frame("{"))
        await scene.settle(ref)
    assert scene.socket.closed == []
    for _ in range(scene.settings.max_consecutive_errors):
        ref.tell(text_frame("{"))
    await scene.settle(ref)
    assert scene.socket.closed == [1008]


@pytest.mark.parametrize("handler", [broken_handler, broken_async_handler])
async def test_a_handler_that_breaks_is_an_internal_error_and_the_connection_lives_on(
    scene, caplog, handler
):
    scene.handlers = {Ping: handler}
    ref = scene.connect()
    ref.tell(text_frame('{"type":"ping","request_id":"r1"}'))
    await scene.settle(ref)
    error = scene.socket.frames[2]
    assert (error["type"], error["code"], error["request_id"]) == ("error", "internal_error", "r1")
    assert "text of a user" not in json.dumps(error)
    assert error["details"]["report_id"] in caplog.text
    assert scene.socket.closed == []


async def test_a_database_that_is_away_is_answered_service_degraded(scene):
    async def away(_message, _session):
        raise AWAY

    scene.handlers = {Ping: away}
    ref = scene.connect()
    ref.tell(text_frame('{"type":"ping"}'))
    await scene.settle(ref)
    error = scene.socket.frames[2]
    assert (error["code"], error["retry_after_ms"]) == ("service_degraded", 1000)


# Rates.


async def test_a_message_over_the_rate_is_refused_with_the_time_to_wait_and_its_request_id(scene):
    ref = scene.connect()
    await scene.settle(ref)
    scene.limits.wait_ms = 250
    ref.tell(text_frame('{"type":"heartbeat","request_id":"r1"}'))
    ref.tell(text_frame('{"type":'))
    await scene.settle(ref)
    first, second = [frame for frame in scene.socket.frames if frame["type"] == "error"][:2]
    assert (first["code"], first["retry_after_ms"]) == ("rate_limited", 250)
    assert first["request_id"] == "r1"
    assert second["code"] == "rate_limited"
    scene.limits.wait_ms = 0
    await scene.settle(ref)
    assert scene.socket.types()[-1] == "heartbeat_ack"


async def test_who_stays_over_the_rate_is_closed_4429_and_not_1008(scene):
    scene.settings = GatewaySettings(limits={"flood_messages": 10})
    ref = scene.connect()
    await scene.settle(ref)
    scene.limits.wait_ms = 250
    for _ in range(9):
        ref.tell(text_frame('{"type":"heartbeat"}'))
    await ref.ask_async(Describe(), timeout=5)
    assert scene.socket.closed == []
    await scene.settle(ref)
    assert scene.socket.closed == [4429]


async def test_pings_of_the_websocket_count_as_well(scene):
    scene.settings = GatewaySettings(limits={"flood_messages": 10})
    ref = scene.connect()
    await scene.settle(ref)
    scene.limits.wait_ms = 250
    for _ in range(10):
        SocketMessages(ref, GatewayMetrics()).alive(100)
    await ref.ask_async(Describe(), timeout=5)
    assert scene.socket.closed == [4429]
    assert scene.limits.taken[-10:] == [100] * 10


async def test_every_message_is_reported_as_handled_whatever_becomes_of_it(scene):
    ref = scene.connect()
    await scene.settle(ref)
    before = scene.socket.unhandled
    for text in ('{"type":"heartbeat"}', "{", '{"type":"ping"}'):
        ref.tell(text_frame(text))
    await scene.settle(ref)
    assert before - scene.socket.unhandled == 4


async def test_what_the_server_cannot_do_is_no_error_of_the_client(scene):
    async def busy(_message, _session):
        raise ProtocolViolation(ErrorCode.THREAD_BUSY, "Busy.")

    scene.handlers = {Ping: busy}
    ref = scene.connect()
    for _ in range(3 * scene.settings.max_consecutive_errors):
        ref.tell(text_frame('{"type":"ping"}'))
    await scene.settle(ref)
    assert scene.socket.closed == []


# The token's life.


async def test_a_client_is_told_before_its_token_expires_and_closed_4401_at_the_end(scene):
    scene.lifetime = timedelta(seconds=0.3)
    ref = scene.connect()
    await scene.settle(ref)
    [opened] = messages_of(scene.told, Opened)
    assert opened.token_due_s == 0
    for _ in range(2):  # once too often: it is said once
        ref.tell(TokenDue())
    await scene.settle(ref)
    assert scene.socket.types().count("token_expiring") == 1
    first, second = messages_of(scene.told, TokenRenewed)
    assert 0 <= second.due_s <= first.due_s <= 0.3
    assert scene.socket.closed == []
    await asyncio.sleep(0.31)
    ref.tell(TokenDue())
    await scene.settle(ref)
    assert scene.socket.closed == [4401]


async def test_a_grace_keeps_the_connection_a_little_longer(scene):
    scene.lifetime = timedelta(seconds=30)
    scene.settings = GatewaySettings(token_grace_s=100)
    ref = scene.connect()
    ref.tell(TokenDue())
    await scene.settle(ref)
    [renewed] = messages_of(scene.told, TokenRenewed)
    assert 128 <= renewed.due_s <= 130


async def test_a_refreshed_token_moves_the_end_and_is_announced_anew(scene):
    later = datetime.now(UTC) + timedelta(hours=2)

    async def refresh(_message, session):
        session.token = VerifiedToken(session.identity, later)
        return TokenRefreshed(token_expires_at=later)

    scene.lifetime = timedelta(seconds=30)
    scene.handlers = {RefreshToken: refresh}
    ref = scene.connect()
    ref.tell(TokenDue())
    ref.tell(text_frame('{"type":"refresh_token","token":"x"}'))
    await scene.settle(ref)
    assert "token_refreshed" in scene.socket.types()
    *_, renewed = messages_of(scene.told, TokenRenewed)
    assert 7100 < renewed.due_s <= 7200 - scene.settings.token_notice_s
    ref.tell(TokenDue())
    await scene.settle(ref)
    assert scene.socket.types().count("token_expiring") == 2
    assert scene.socket.closed == []


async def test_a_token_of_somebody_else_ends_the_connection(scene):
    async def refresh(_message, _session):
        raise ConnectionEnded(CloseCode.TOKEN_EXPIRED, "another user's")

    scene.handlers = {RefreshToken: refresh}
    ref = scene.connect()
    ref.tell(text_frame('{"type":"refresh_token","token":"x"}'))
    await scene.settle(ref)
    assert scene.socket.closed == [4401]


async def test_a_revoked_user_is_closed_4401_and_nobody_else(scene):
    ref = scene.connect()
    await scene.settle(ref)
    scene.revoked.subs = {"bob"}
    ref.tell(TokensRevoked())
    await scene.settle(ref)
    assert scene.socket.closed == []
    scene.revoked.subs = {"ann"}
    ref.tell(TokensRevoked())
    await scene.settle(ref)
    assert scene.socket.closed == [4401]


# Sessions, and what a connection says of itself.


async def test_a_new_thread_is_stored_soon_and_a_position_with_the_next_heartbeat(scene):
    thread_id = uuid4()

    async def switch(_message, session):
        session.thread_id = thread_id
        session.acknowledged = 3

    scene.handlers = {Ping: switch}
    ref = scene.connect()
    ref.tell(text_frame('{"type":"ping"}'))
    await scene.settle(ref)
    changed = SessionChanged(USER, thread_id, 3, soon=True)
    assert messages_of(scene.told, SessionChanged) == [changed]
    ref.tell(HeartbeatDue(b'{"type":"ping"}'))
    await scene.settle(ref)
    assert messages_of(scene.told, SessionChanged) == [changed]  # nothing new


async def test_a_connection_describes_itself_without_its_token(scene):
    scene.log.grow(3)
    ref = scene.connect()
    await scene.settle(ref)
    info = await ref.ask_async(Describe(), timeout=5)
    assert (info.connection_id, info.org, info.sub) == (scene.socket.id, "acme", "ann")
    assert (info.seq, info.acknowledged, info.node) == (3, 0, "n1")


# The end.


async def test_a_lost_socket_ends_the_actor_and_the_registry_is_told(scene, eventually):
    ref = scene.connect()
    await scene.settle(ref)
    ref.tell(SocketLost(1006))
    await asyncio.wait_for(ref.stopped(), 5)
    await eventually(lambda: messages_of(scene.told, Disconnected))
    assert scene.limits.left == ["4:acme:ann"]
    assert scene.limits.released == 1
    SocketMessages(ref, GatewayMetrics()).frame_received(
        "late", 4
    )  # concerns nobody, and is no error


async def test_a_connection_that_dies_closes_1011(scene, eventually, caplog):
    caplog.set_level(logging.CRITICAL)
    ref = scene.connect()
    await scene.settle(ref)
    ref.tell(EventsCommitted(USER, (None,)))  # nothing that can be sent
    await asyncio.wait_for(ref.stopped(), 5)
    assert scene.socket.closed == [1011]
    await eventually(lambda: len(messages_of(scene.told, Disconnected)) == 1)


async def test_a_restart_is_said_and_closes_1012_a_moment_later(scene, eventually):
    ref = scene.connect()
    await scene.settle(ref)
    ref.tell(Restarting(close_after_s=0.01, reconnect_after_ms=321))
    await eventually(lambda: scene.socket.closed)
    assert scene.socket.frames[-1]["type"] == "server_shutdown"
    assert scene.socket.frames[-1]["reconnect_after_ms"] == 321
    assert scene.socket.closed == [1012]


# On a real socket.


async def big_log(node, count, size):
    identity = Identity(org="acme", sub="ann")
    log = EventLog(node.stores.database)
    position = await log.open(identity)
    async with node.stores.database.transaction() as connection:
        for _ in range(count):
            draft = Draft(AgentThinking(reasoning="x" * size, progress=0.5))
            await (await event_log.append(connection, position.user_id, [draft])).events()
    return position.epoch


def open_socket(node, query, **options):
    token, _ = node.authority.issue(sub="ann", org="acme", lifetime_s=600)
    url = node.url.replace("http", "ws", 1) + "/ws" + query
    return connect(url, additional_headers={"Authorization": f"Bearer {token}"}, **options)


async def test_promise_4_a_long_replay_reaches_a_client_that_reads(node):
    count, size = 900, 8_000  # seven times what may pile up
    epoch = await big_log(node, count, size)
    seqs = []
    async with open_socket(node, f"?after=0&epoch={epoch}") as socket, asyncio.timeout(20):
        while len(seqs) < count:
            frame = json.loads(await socket.recv())
            if is_event(frame):
                seqs.append(frame["seq"])
                if len(seqs) % 20 == 0:
                    await asyncio.sleep(0.005)  # a client with a network: 30 MB/s
    assert seqs == list(range(1, count + 1))


async def test_a_client_that_never_reads_is_cut_and_the_node_keeps_none_of_it(settings, eventually):
    gateway = settings.gateway.model_copy(
        update={"close_timeout_s": 0.3, "heartbeat_interval_s": 0.3}
    )
    async with Node(settings.model_copy(update={"gateway": gateway})) as node:
        epoch = await big_log(node, 900, 8_000)
        alive = len(ActorSystem.current().alive())
        async with open_socket(node, f"?after=0&epoch={epoch}", max_queue=1, close_timeout=0.1):
            await eventually(lambda: len(ActorSystem.current().alive()) == alive, timeout_s=5)


def test_the_settings_refuse_what_cannot_work():
    with pytest.raises(ValidationError):
        GatewaySettings(outbound_limit_bytes=10)

"""The handlers on a real database: durable before the reply, in the right thread, and refused in words."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from apex_actors.execution import Acceptance, ExecutionSettings
from apex_actors.gateway.handlers import ChatHandlers
from apex_actors.gateway.session import Session
from apex_actors.protocol.codes import ErrorCode
from apex_actors.protocol.identity import Identity
from apex_actors.protocol.messages import (
    Ack,
    GetThreadHistory,
    Heartbeat,
    IfBusy,
    Ping,
    Pong,
    StartAgent,
    UserMessage,
)
from apex_actors.protocol.payloads import AgentName, AgentThinking
from apex_actors.protocol.violation import ProtocolViolation
from apex_actors.storage import event_log
from apex_actors.storage.errors import StorageUnavailableError
from apex_actors.storage.event_log import Draft, EventLog
from apex_actors.storage.threads import ThreadStore


class Silence:
    def events_committed(self, *_):
        pass

    def work_available(self):
        pass


class Switch:
    def __init__(self):
        self.draining = False

    def __call__(self):
        return self.draining


@pytest.fixture
def is_draining():
    return Switch()


@pytest.fixture
def handlers(database, is_draining):
    return ChatHandlers(
        acceptance=Acceptance(
            database=database,
            announcer=Silence(),
            settings=ExecutionSettings(runs_per_user=2, waiting_per_user=2),
        ),
        threads=ThreadStore(database),
        pipeline="costs",
        is_draining=is_draining,
    )


@pytest.fixture
def session_of(database):
    async def session_of(sub):
        identity = Identity(org="acme", sub=sub)
        session = Session("c", identity, datetime(2026, 11, 22, tzinfo=UTC))
        session.user_id = (await EventLog(database).open(identity)).user_id
        return session

    return session_of


@pytest.fixture
async def session(session_of):
    return await session_of("ann")


async def refusal(coroutine):
    with pytest.raises(ProtocolViolation) as refused:
        await coroutine
    return refused.value


async def test_promise_1_what_is_accepted_is_stored_and_the_reply_names_it(
    handlers, session, database
):
    reply = await handlers.user_message(
        UserMessage(text="How much?", client_message_id="c1"), session
    )
    assert (reply.client_message_id, reply.queue_position, reply.duplicate) == ("c1", 0, False)
    async with database.connection() as connection:
        cursor = await connection.execute(
            "select id, thread_id, run_id, content from apex.messages"
        )
        stored = await cursor.fetchall()
    assert stored == [
        {
            "id": reply.message_id,
            "thread_id": reply.thread_id,
            "run_id": reply.run_id,
            "content": "How much?",
        }
    ]


async def test_messages_without_a_thread_go_to_the_connections_current_one(handlers, session):
    first = await handlers.user_message(UserMessage(text="1"), session)
    second = await handlers.user_message(UserMessage(text="2"), session)
    assert second.thread_id == first.thread_id
    assert (first.queue_position, second.queue_position) == (0, 1)
    session.thread_id = None
    elsewhere = await handlers.user_message(UserMessage(text="3"), session)
    assert elsewhere.thread_id != first.thread_id
    back = await handlers.start_agent(
        StartAgent(user_request="4", thread_id=first.thread_id), session
    )
    assert back.thread_id == session.thread_id == first.thread_id


async def test_promise_11_a_current_thread_that_is_no_more_is_a_new_one(handlers, session):
    # The cache remembers a thread that the database does not have: it was restored, or another
    # one, or the thread was deleted elsewhere.
    session.thread_id = uuid4()
    reply = await handlers.user_message(UserMessage(text="How much?"), session)
    assert session.thread_id == reply.thread_id
    assert not reply.duplicate


async def test_a_thread_that_the_client_names_must_be_there_and_its_own(
    handlers, session, session_of
):
    other = await session_of("bob")
    theirs = await handlers.user_message(UserMessage(text="Mine"), other)
    for thread_id in (theirs.thread_id, uuid4()):
        refused = await refusal(
            handlers.user_message(UserMessage(text="x", thread_id=thread_id), session)
        )
        assert refused.code is ErrorCode.THREAD_NOT_FOUND
        refused = await refusal(
            handlers.get_thread_history(GetThreadHistory(thread_id=thread_id), session)
        )
        assert refused.code is ErrorCode.THREAD_NOT_FOUND
    assert session.thread_id is None


async def test_a_message_sent_again_gets_the_same_ids_also_from_another_thread(handlers, session):
    message = UserMessage(text="How much?", client_message_id="c1")
    first = await handlers.user_message(message, session)
    session.thread_id = None
    again = await handlers.user_message(message, session)
    assert again.duplicate
    assert (again.message_id, again.thread_id, again.run_id) == (
        first.message_id,
        first.thread_id,
        first.run_id,
    )
    conflict = await refusal(
        handlers.user_message(UserMessage(text="Other", client_message_id="c1"), session)
    )
    assert conflict.code is ErrorCode.IDEMPOTENCY_CONFLICT


async def test_a_busy_thread_refuses_takes_or_queues_as_the_client_says(handlers, session):
    await handlers.user_message(UserMessage(text="1"), session)
    busy = await refusal(
        handlers.user_message(UserMessage(text="2", if_busy=IfBusy.REJECT), session)
    )
    assert busy.code is ErrorCode.THREAD_BUSY
    for position in (1, 2):
        reply = await handlers.user_message(UserMessage(text="2"), session)
        assert reply.queue_position == position
    full = await refusal(handlers.user_message(UserMessage(text="3"), session))
    assert full.code is ErrorCode.QUEUE_FULL
    assert full.retry_after_ms > 0


async def test_a_draining_node_accepts_nothing_and_stores_nothing(
    handlers, session, is_draining, database
):
    is_draining.draining = True
    for attempt in (
        handlers.user_message(UserMessage(text="1"), session),
        handlers.start_agent(StartAgent(user_request="1"), session),
    ):
        refused = await refusal(attempt)
        assert refused.code is ErrorCode.DRAINING
        assert refused.retry_after_ms > 0
    async with database.connection() as connection:
        cursor = await connection.execute("select count(*) as n from apex.messages")
        assert (await cursor.fetchone())["n"] == 0


async def test_an_unknown_pipeline_is_refused_with_the_known_ones(handlers, session):
    refused = await refusal(
        handlers.start_agent(StartAgent(user_request="1", pipeline="poems"), session)
    )
    assert refused.code is ErrorCode.INVALID_MESSAGE
    assert refused.details == {"field": "pipeline", "known": ["costs"]}


async def test_without_the_log_nothing_is_accepted_in_anybodys_name(handlers, session):
    session.user_id = None
    with pytest.raises(StorageUnavailableError):
        await handlers.user_message(UserMessage(text="1"), session)
    with pytest.raises(StorageUnavailableError):
        await handlers.get_thread_history(GetThreadHistory(thread_id=uuid4()), session)


async def test_a_history_draws_the_thread_and_its_runs_as_they_stand(handlers, session, database):
    asked = await handlers.user_message(UserMessage(text="How much?"), session)
    draft = Draft(
        AgentThinking(reasoning="Hm.", progress=0.5),
        asked.thread_id,
        asked.run_id,
        agent=AgentName.DATA,
        attempt=1,
    )
    async with database.transaction() as connection:
        await (await event_log.append(connection, session.user_id, [draft])).events()
    history = await handlers.get_thread_history(
        GetThreadHistory(thread_id=asked.thread_id), session
    )
    [message] = history.messages
    assert (message.id, message.content, message.run_id) == (
        asked.message_id,
        "How much?",
        asked.run_id,
    )
    [run] = history.runs
    assert (run.run_id, run.status, run.seq) == (asked.run_id, "queued", history.seq)
    assert [thought.reasoning for thought in run.steps[0].thinking] == ["Hm."]


async def test_a_cursor_that_is_no_message_is_refused_without_its_value(handlers, session):
    asked = await handlers.user_message(UserMessage(text="1"), session)
    refused = await refusal(
        handlers.get_thread_history(
            GetThreadHistory(thread_id=asked.thread_id, before="secret"), session
        )
    )
    assert refused.code is ErrorCode.INVALID_MESSAGE
    assert "secret" not in str(refused.notice().model_dump())


def test_pings_are_answered_and_pongs_and_acks_only_noted(handlers):
    session = Session("c", Identity(org="acme", sub="ann"), datetime(2026, 11, 22, tzinfo=UTC))
    assert handlers.ping(Ping(), session).type == "pong"
    assert handlers.heartbeat(Heartbeat(), session).type == "heartbeat_ack"
    assert handlers.acknowledge(Ack(seq=7), session) is None
    assert handlers.acknowledge(Pong(seq=3), session) is None
    assert handlers.acknowledge(Pong(), session) is None
    assert session.acknowledged == 7


def test_every_handler_stands_in_the_table(handlers):
    assert {message.model_fields["type"].default for message in handlers.table()} == {
        "user_message",
        "start_agent",
        "get_thread_history",
        "ping",
        "heartbeat",
        "pong",
        "ack",
    }

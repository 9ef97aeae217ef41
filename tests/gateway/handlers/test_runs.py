"""What begins and ends runs, by its handlers, on a real database: in words, and in the right order."""

from uuid import uuid4

import pytest

from apex_actors.execution import Acceptance, Cancellation, ExecutionSettings
from apex_actors.gateway.handlers import RunHandlers
from apex_actors.protocol.codes import ErrorCode
from apex_actors.protocol.messages import (
    CancelRun,
    IfBusy,
    RetryRun,
    StartAgent,
    StopAgent,
    UserMessage,
)
from apex_actors.storage.errors import StorageUnavailableError


class Switch:
    def __init__(self):
        self.draining = False

    def __call__(self):
        return self.draining


@pytest.fixture
def is_draining():
    return Switch()


@pytest.fixture
def handlers(database, announcer, is_draining):
    execution = {
        "database": database,
        "announcer": announcer,
        "settings": ExecutionSettings(runs_per_user=2, waiting_per_user=2),
    }
    return RunHandlers(
        acceptance=Acceptance(**execution),
        cancellation=Cancellation(**execution),
        pipeline="costs",
        is_draining=is_draining,
    )


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


async def test_a_message_that_asks_for_a_new_thread_gets_one_and_it_is_the_current_one(
    handlers, session
):
    first = await handlers.user_message(UserMessage(text="1"), session)
    new = await handlers.user_message(
        UserMessage(text="2", new_thread=True, client_message_id="c"), session
    )
    assert new.thread_id == session.thread_id != first.thread_id
    session.thread_id = first.thread_id
    again = await handlers.user_message(
        UserMessage(text="2", new_thread=True, client_message_id="c"), session
    )
    assert (again.thread_id, again.duplicate) == (new.thread_id, True)


async def test_promise_11_a_current_thread_that_is_no_more_is_a_new_one(handlers, session):
    # The cache remembers a thread that the database does not have: it was restored, or another
    # one, or the thread was deleted elsewhere.
    session.thread_id = uuid4()
    reply = await handlers.user_message(UserMessage(text="How much?"), session)
    assert session.thread_id == reply.thread_id
    assert not reply.duplicate


async def test_a_thread_that_the_client_names_must_be_there_and_its_own(
    handlers, session, refusal, session_of
):
    other = await session_of("bob")
    theirs = await handlers.user_message(UserMessage(text="Mine"), other)
    for thread_id in (theirs.thread_id, uuid4()):
        refused = await refusal(
            handlers.user_message(UserMessage(text="x", thread_id=thread_id), session)
        )
        assert refused.code is ErrorCode.THREAD_NOT_FOUND
    assert session.thread_id is None


async def test_a_message_sent_again_gets_the_same_ids_also_from_another_thread(
    handlers, session, refusal
):
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


async def test_a_busy_thread_refuses_takes_or_queues_as_the_client_says(handlers, session, refusal):
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
    handlers, session, refusal, is_draining, database
):
    is_draining.draining = True
    for attempt in (
        handlers.user_message(UserMessage(text="1"), session),
        handlers.start_agent(StartAgent(user_request="1"), session),
        handlers.retry_run(RetryRun(run_id=uuid4()), session),
    ):
        refused = await refusal(attempt)
        assert refused.code is ErrorCode.DRAINING
        assert refused.retry_after_ms > 0
    async with database.connection() as connection:
        cursor = await connection.execute("select count(*) as n from apex.messages")
        assert (await cursor.fetchone())["n"] == 0


async def test_an_unknown_pipeline_is_refused_with_the_known_ones(handlers, session, refusal):
    refused = await refusal(
        handlers.start_agent(StartAgent(user_request="1", pipeline="poems"), session)
    )
    assert refused.code is ErrorCode.INVALID_MESSAGE
    assert refused.details == {"field": "pipeline", "known": ["costs"]}


async def test_without_the_log_nothing_is_accepted_in_anybodys_name(handlers, session):
    session.user_id = None
    with pytest.raises(StorageUnavailableError):
        await handlers.user_message(UserMessage(text="1"), session)
    for ending in (
        handlers.retry_run(RetryRun(run_id=uuid4()), session),
        handlers.cancel_run(CancelRun(run_id=uuid4()), session),
        handlers.stop_agent(StopAgent(thread_id=uuid4()), session),
    ):
        with pytest.raises(StorageUnavailableError):
            await ending


async def test_an_interrupt_is_accepted_before_what_waits(handlers, session):
    await handlers.user_message(UserMessage(text="1"), session)
    await handlers.user_message(UserMessage(text="2"), session)
    reply = await handlers.user_message(UserMessage(text="3", if_busy=IfBusy.INTERRUPT), session)
    assert reply.queue_position == 1


async def test_a_cancel_is_confirmed_once_it_is_durable_and_then_told_how_it_ended(
    handlers, session, database
):
    running = await handlers.user_message(UserMessage(text="1"), session)
    waiting = await handlers.user_message(UserMessage(text="2"), session)
    for run_id in (running.run_id, waiting.run_id, running.run_id):
        reply = await handlers.cancel_run(CancelRun(run_id=run_id), session)
        assert (reply.type, reply.run_id) == ("run_cancelling", run_id)
    # The one that waited has ended with its request.
    reply = await handlers.stop_agent(StopAgent(run_id=waiting.run_id), session)
    assert (reply.type, reply.status) == ("run_status", "cancelled")
    async with database.connection() as connection:
        cursor = await connection.execute(
            "select cancel_requested_at from apex.runs where id = %s", (running.run_id,)
        )
        assert (await cursor.fetchone())["cancel_requested_at"] is not None


async def test_stopping_a_thread_names_the_run_at_work_and_later_the_latest(
    handlers, session, database
):
    running = await handlers.user_message(UserMessage(text="1"), session)
    waiting = await handlers.user_message(UserMessage(text="2"), session)
    stop = StopAgent(thread_id=running.thread_id)
    reply = await handlers.stop_agent(stop, session)
    assert (reply.type, reply.run_id) == ("run_cancelling", running.run_id)
    async with database.connection() as connection:
        await connection.execute(
            "update apex.runs set status = 'completed' where task_id is not null"
        )
    reply = await handlers.stop_agent(stop, session)
    assert (reply.type, reply.run_id, reply.status) == (
        "run_status",
        waiting.run_id,
        "cancelled",
    )


async def test_promise_8_what_is_anothers_is_answered_as_what_is_not_there(
    handlers, session, refusal, session_of
):
    theirs = await handlers.user_message(UserMessage(text="Mine"), await session_of("bob"))
    answers = set()
    for run_id in (theirs.run_id, uuid4()):
        for attempt in (
            handlers.cancel_run(CancelRun(run_id=run_id), session),
            handlers.stop_agent(StopAgent(run_id=run_id), session),
            handlers.retry_run(RetryRun(run_id=run_id), session),
        ):
            refused = await refusal(attempt)
            answers.add((refused.code, str(refused)))
    assert {code for code, _ in answers} == {ErrorCode.RUN_NOT_FOUND}
    assert len(answers) == 1
    for thread_id in (theirs.thread_id, uuid4()):
        refused = await refusal(handlers.stop_agent(StopAgent(thread_id=thread_id), session))
        assert refused.code is ErrorCode.THREAD_NOT_FOUND


async def test_a_retry_is_a_new_run_on_the_same_message(handlers, session):
    first = await handlers.user_message(UserMessage(text="1"), session)
    second = await handlers.user_message(UserMessage(text="2", client_message_id="c2"), session)
    await handlers.cancel_run(CancelRun(run_id=second.run_id), session)
    reply = await handlers.retry_run(RetryRun(run_id=second.run_id), session)
    assert (reply.message_id, reply.thread_id) == (second.message_id, first.thread_id)
    assert reply.run_id not in {first.run_id, second.run_id}
    assert (reply.queue_position, reply.duplicate) == (1, False)


async def test_a_cancel_is_taken_by_a_draining_node(handlers, session, is_draining):
    accepted = await handlers.user_message(UserMessage(text="1"), session)
    is_draining.draining = True
    reply = await handlers.cancel_run(CancelRun(run_id=accepted.run_id), session)
    assert reply.type == "run_cancelling"


def test_every_handler_stands_in_the_table(handlers):
    assert {message.model_fields["type"].default for message in handlers.table()} == {
        "user_message",
        "start_agent",
        "retry_run",
        "cancel_run",
        "stop_agent",
    }

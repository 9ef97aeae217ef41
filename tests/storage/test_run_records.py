"""Runs for those who draw them: with all events, of one snapshot, of their own user only."""

from uuid import uuid4

import pytest

from apex_actors.protocol.payloads import AgentName, AgentThinking
from apex_actors.storage import event_log
from apex_actors.storage.event_log import Draft
from apex_actors.storage.run_records import RunRecords


@pytest.fixture
def records(database):
    return RunRecords(database)


async def test_a_run_comes_with_its_events_and_the_position_that_they_are_of(
    records, ask, user_id, database
):
    asked, other = await ask(user_id), await ask(user_id)
    thought = Draft(
        AgentThinking(reasoning="Hm.", progress=0.5),
        asked.thread_id,
        asked.run_id,
        agent=AgentName.DATA,
        attempt=1,
    )
    async with database.transaction() as connection:
        await event_log.append(connection, user_id, [thought])
    await ask(user_id, thread_id=other.thread_id)
    snapshot = await records.of_user(user_id, asked.run_id)
    assert snapshot.seq == 5
    run = snapshot.run
    assert (run.run_id, run.thread_id, run.message_id) == (
        asked.run_id,
        asked.thread_id,
        asked.message_id,
    )
    assert [event.seq for event in run.events] == [1, 3]
    assert (run.status, run.partial, run.error) == ("queued", False, None)
    assert run.started_at is run.finished_at is None


async def test_promise_8_anothers_run_none_and_one_of_a_thread_being_deleted_look_the_same(
    records, ask, user_id, other_id, database
):
    asked = await ask(user_id)
    assert await records.of_user(other_id, asked.run_id) is None
    assert await records.of_user(user_id, uuid4()) is None
    async with database.connection() as connection:
        await connection.execute("update apex.threads set delete_requested_at = now()")
    assert await records.of_user(user_id, asked.run_id) is None

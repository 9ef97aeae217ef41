"""A thread's history: pages of messages with their runs, of the thread's own user only."""

from uuid import uuid4

import pytest

from apex_actors.execution import Acceptance, ExecutionSettings, MessageToAccept
from apex_actors.protocol.identity import Identity
from apex_actors.protocol.payloads import AgentName, AgentThinking
from apex_actors.storage import event_log
from apex_actors.storage.event_log import Draft, EventLog
from apex_actors.storage.threads import ThreadStore


class Silence:
    def events_committed(self, *_):
        pass

    def work_available(self):
        pass


@pytest.fixture
def threads(database):
    return ThreadStore(database)


@pytest.fixture
async def user_id(database):
    return (await EventLog(database).open(Identity(org="acme", sub="ann"))).user_id


@pytest.fixture
async def asked(database, user_id):
    """Five messages in one thread; the acceptances."""
    acceptance = Acceptance(database=database, announcer=Silence(), settings=ExecutionSettings())
    accepted = []
    for number in range(5):
        thread_id = accepted[0].thread_id if accepted else None
        message = MessageToAccept(
            user_id=user_id, text=f"Question {number}", pipeline="p", thread_id=thread_id
        )
        accepted.append(await acceptance.accept(message))
    return accepted


async def test_the_latest_messages_come_oldest_first_page_by_page(threads, user_id, asked):
    thread_id = asked[0].thread_id
    seen, before = [], None
    while True:
        page = await threads.history(user_id, thread_id, limit=2, before=before)
        if not page.messages:
            break
        assert len(page.messages) <= 2
        assert [run.run_id for run in page.runs] == [m.run_id for m in page.messages]
        seen = [message.content for message in page.messages] + seen
        before = page.messages[0].id
    assert seen == [f"Question {number}" for number in range(5)]


async def test_messages_of_one_moment_are_neither_lost_nor_doubled_between_pages(
    threads, user_id, asked, database
):
    async with database.connection() as connection:
        await connection.execute("update apex.messages set created_at = '2026-11-22T10:00:00Z'")
    seen, before = [], None
    for _ in asked:
        page = await threads.history(user_id, asked[0].thread_id, limit=1, before=before)
        seen += page.messages
        before = page.messages[0].id
    assert {message.id for message in seen} == {item.message_id for item in asked}


async def test_the_runs_come_with_their_events_up_to_seq(threads, user_id, asked, database):
    run = asked[-1]
    draft = Draft(
        AgentThinking(reasoning="Hm.", progress=0.5),
        run.thread_id,
        run.run_id,
        agent=AgentName.DATA,
        attempt=1,
    )
    async with database.transaction() as connection:
        [event] = await (await event_log.append(connection, user_id, [draft])).events()
    page = await threads.history(user_id, run.thread_id, limit=1, before=None)
    [record] = page.runs
    assert [item.type.value for item in record.events] == [
        "message_created",
        "run_queued",
        "agent_thinking",
    ]
    assert record.events[-1].encode() == event.encode()
    assert page.seq == event.seq
    assert (record.status, record.partial) == ("waiting", False)


async def test_promise_8_anothers_thread_and_none_look_the_same(threads, asked, database):
    other = await EventLog(database).open(Identity(org="acme", sub="bob"))
    same_sub = await EventLog(database).open(Identity(org="other", sub="ann"))
    for user in (other, same_sub):
        for thread_id in (asked[0].thread_id, uuid4()):
            assert await threads.history(user.user_id, thread_id, limit=5, before=None) is None


async def test_a_cursor_of_another_thread_gives_an_empty_page(threads, user_id, asked):
    page = await threads.history(user_id, asked[0].thread_id, limit=5, before=uuid4())
    assert page.messages == ()

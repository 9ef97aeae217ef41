"""Threads: lists and histories in pages, of the thread's own user only."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_actors.protocol.payloads import AgentName, AgentThinking
from apex_actors.storage import event_log
from apex_actors.storage.event_log import Draft
from apex_actors.storage.threads import (
    FRONT,
    QUERIES,
    ThreadCursor,
    ThreadStore,
    thread_of_user,
)


@pytest.fixture
def threads(database):
    return ThreadStore(database)


@pytest.fixture
async def asked(ask, user_id):
    """Five messages in one thread; the acceptances."""
    accepted = [await ask(user_id, "Question 0")]
    for number in range(1, 5):
        accepted.append(await ask(user_id, f"Question {number}", thread_id=accepted[0].thread_id))
    return accepted


async def pages(threads, user_id, limit):
    """All pages of the list, as a client reads them."""
    found, before = [], None
    while True:
        page = await threads.page(user_id, limit=limit, before=before)
        found.append(page.threads)
        if page.next is None:
            return found
        before = ThreadCursor.decode(page.next.encode())


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


async def test_promise_8_anothers_thread_and_none_look_the_same(threads, asked, other_id):
    for thread_id in (asked[0].thread_id, uuid4()):
        assert await threads.history(other_id, thread_id, limit=5, before=None) is None
    assert (await threads.page(other_id, limit=5)).threads == ()


async def test_a_cursor_of_another_thread_gives_an_empty_page(threads, user_id, asked):
    page = await threads.history(user_id, asked[0].thread_id, limit=5, before=uuid4())
    assert page.messages == ()


async def test_all_runs_on_a_message_come_with_it_and_an_answer_comes_with_its_run(
    threads, user_id, asked, database
):
    first, last = asked[0], asked[-1]
    answer_id, retry_id = uuid4(), uuid4()
    async with database.connection() as connection:
        await connection.execute(
            "insert into apex.runs (id, user_id, thread_id, message_id, pipeline, priority,"
            " accept_no, status) select %s, user_id, thread_id, message_id, pipeline, 1, 99,"
            " 'failed' from apex.runs where id = %s",
            (retry_id, last.run_id),
        )
        await connection.execute(
            "insert into apex.messages (id, user_id, thread_id, run_id, role, content)"
            " values (%s, %s, %s, %s, 'assistant', 'So much.')",
            (answer_id, user_id, first.thread_id, first.run_id),
        )
    page = await threads.history(user_id, first.thread_id, limit=2, before=None)
    assert [message.id for message in page.messages] == [last.message_id, answer_id]
    assert {run.run_id for run in page.runs} == {first.run_id, last.run_id, retry_id}
    assert {run.message_id for run in page.runs} == {first.message_id, last.message_id}


# The list of threads.


async def test_threads_of_one_moment_are_neither_lost_nor_doubled_between_pages(
    threads, user_id, ask, database
):
    asked = [await ask(user_id) for _ in range(7)]
    async with database.connection() as connection:
        await connection.execute("update apex.threads set updated_at = '2026-11-22T10:00:00Z'")
    for limit in (1, 2, 3, 7, 8):
        found = await pages(threads, user_id, limit)
        assert all(len(page) == limit for page in found[:-1])
        listed = [thread.thread_id for page in found for thread in page]
        assert sorted(listed) == sorted(item.thread_id for item in asked)


async def test_threads_that_differ_by_a_microsecond_keep_their_order(
    threads, user_id, ask, database
):
    asked = [await ask(user_id) for _ in range(5)]
    moment = datetime(2026, 11, 22, 10, tzinfo=UTC)
    async with database.connection() as connection:
        for number, item in enumerate(asked):
            await connection.execute(
                "update apex.threads set updated_at = %s where id = %s",
                (moment + timedelta(microseconds=number), item.thread_id),
            )
    found = await pages(threads, user_id, 1)
    listed = [thread.thread_id for page in found for thread in page]
    assert listed == [item.thread_id for item in reversed(asked)]


async def test_whatever_is_touched_between_pages_all_others_come_once(threads, user_id, ask):
    asked = [await ask(user_id) for _ in range(6)]
    touched = asked[1].thread_id
    seen, before = [], None
    while True:
        page = await threads.page(user_id, limit=2, before=before)
        seen += [thread.thread_id for thread in page.threads]
        if page.next is None:
            break
        before = page.next
        # The place of the cursor itself, and one that was not seen yet, go to the front.
        await ask(user_id, thread_id=before.thread_id)
        await ask(user_id, thread_id=touched)
    assert len(seen) == len(set(seen))
    assert {item.thread_id for item in asked} - set(seen) == {touched}
    front = await threads.page(user_id, limit=1)
    assert front.threads[0].thread_id == touched


async def test_a_thread_is_touched_in_the_order_of_what_is_stored(threads, user_id, ask, database):
    first, second = await ask(user_id), await ask(user_id)
    # A clock that was set back must not move a thread back.
    async with database.connection() as connection:
        await connection.execute(
            "update apex.threads set updated_at = now() + interval '1 hour' where id = %s",
            (first.thread_id,),
        )
    before = (await threads.page(user_id, limit=5)).threads
    await ask(user_id, thread_id=first.thread_id)
    after = (await threads.page(user_id, limit=5)).threads
    assert [thread.thread_id for thread in after] == [first.thread_id, second.thread_id]
    assert after[0].updated_at == before[0].updated_at


async def test_a_thread_asked_to_be_deleted_is_in_no_list_and_has_no_history(
    threads, user_id, asked, database
):
    thread_id = asked[0].thread_id
    async with database.connection() as connection:
        assert (await thread_of_user(connection, user_id, thread_id))["id"] == thread_id
        await connection.execute("update apex.threads set delete_requested_at = now()")
        assert await thread_of_user(connection, user_id, thread_id) is None
    assert (await threads.page(user_id, limit=5)).threads == ()
    assert await threads.history(user_id, thread_id, limit=5, before=None) is None


@given(
    st.datetimes(timezones=st.just(UTC)),
    st.uuids(),
)
def test_a_cursor_survives_its_text(moment, thread_id):
    cursor = ThreadCursor(moment, thread_id)
    assert ThreadCursor.decode(cursor.encode()) == cursor


@given(st.text(max_size=40))
def test_what_is_no_cursor_is_a_value_error_and_nothing_else(text):
    try:
        cursor = ThreadCursor.decode(text)
    except ValueError:
        return
    assert cursor.encode() == text


# On much data.

THREADS = 50_000
MESSAGES = 200_000

# Without the checks of references, which hold by construction and would take longer than all the
# rest. Half of the messages are in one thread, the others spread over all.
FILL = """
set session_replication_role = replica;
insert into apex.threads (id, user_id, title, updated_at)
select md5('t' || n)::uuid, :user_id, 'Thread ' || n,
       timestamptz '2026-01-01' + interval '1 second' * (n / 10)
from generate_series(1, :threads) n;
insert into apex.messages (id, user_id, thread_id, run_id, role, content, created_at)
select md5('m' || n)::uuid, :user_id,
       md5('t' || case when n % 2 = 0 then 1 else n % :threads + 1 end)::uuid,
       md5('r' || n)::uuid, 'user', 'Message ' || n,
       timestamptz '2026-01-01' + interval '1 second' * (n / 10)
from generate_series(1, :messages) n;
insert into apex.runs
    (id, user_id, thread_id, message_id, pipeline, priority, accept_no, status)
select run_id, user_id, thread_id, id, 'p', 1, 1, 'completed' from apex.messages;
analyze apex.threads, apex.messages, apex.runs;
"""


async def test_a_page_reads_about_its_own_rows_however_many_there_are(
    threads, user_id, database, rows_read
):
    async with database.connection() as connection:
        fill = FILL.replace(":threads", str(THREADS)).replace(":messages", str(MESSAGES))
        await connection.execute(fill.replace(":user_id", str(user_id)))
        await connection.execute("reset session_replication_role")
    limit = 50
    page = {"user_id": user_id, "limit": limit}
    middle = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=THREADS // 20)
    # A row more where the index is asked beyond the end of a range.
    for cursor in (FRONT, ThreadCursor(middle, UUID(int=2**127))):
        place = {"updated_at": cursor.updated_at, "id": cursor.thread_id}
        read = await rows_read(QUERIES["threads_before"], page | place)
        assert read["threads"] <= limit + 1
        assert read["messages"] <= limit + 1
        assert read.get("runs", 0) == 0
    big = {"thread_id": (await first_thread(database)), "limit": limit}
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=MESSAGES // 20)
    place = {"created_at": moment, "id": UUID(int=2**127)}
    for query, arguments in (("latest_messages", big), ("messages_before", big | place)):
        assert (await rows_read(QUERIES[query], arguments))["messages"] <= limit + 1
    history = await threads.history(user_id, big["thread_id"], limit=limit, before=None)
    runs = {
        "message_ids": [message.id for message in history.messages],
        "run_ids": [message.run_id for message in history.messages],
    }
    # Each is found twice: by its message, and as the run that the message names.
    assert (await rows_read(QUERIES["runs_of_messages"], runs))["runs"] <= 2 * limit
    found = await rows_read(QUERIES["threads_to_delete"], {"limit": 20, "left_out": []})
    assert found.get("threads", 0) == 0


async def first_thread(database):
    async with database.connection() as connection:
        cursor = await connection.execute("select md5('t1')::uuid as id")
        return (await cursor.fetchone())["id"]

"""Threads renamed and deleted: told to all, and nothing of a deleted one is left but numbers."""

import asyncio
import json
from uuid import uuid4

import pytest

from apex_actors.execution import MessageToAccept, ThreadService
from apex_actors.protocol.codes import ErrorCode
from apex_actors.protocol.identity import Identity
from apex_actors.protocol.payloads import AgentName, AgentThinking
from apex_actors.protocol.violation import ProtocolViolation
from apex_actors.storage import event_log, thread_deletion
from apex_actors.storage.cache import Cache
from apex_actors.storage.event_log import Draft
from apex_actors.storage.retention import Retention, RetentionSettings
from apex_actors.storage.sessions import SessionChange, SessionStore, StoredSession
from apex_actors.storage.thread_deletion import DoomedThread

SECRET = "what nobody shall find"


@pytest.fixture
def requests():
    return []


@pytest.fixture
def service(database, announcer, sessions, requests):
    return ThreadService(
        database=database,
        announcer=announcer,
        sessions=sessions,
        on_deletion_requested=lambda: requests.append(1),
    )


@pytest.fixture
def query(database):
    async def query(statement, *arguments):
        async with database.connection() as connection:
            cursor = await connection.execute(statement, arguments)
            return await cursor.fetchall() if cursor.description else []

    return query


@pytest.fixture
def say(database):
    """Append thoughts of a run to the log."""

    async def say(user_id, run, count=1):
        drafts = [
            Draft(
                AgentThinking(reasoning=SECRET, progress=0.5),
                run.thread_id,
                run.run_id,
                agent=AgentName.DATA,
                attempt=1,
            )
            for _ in range(count)
        ]
        async with database.transaction() as connection:
            await event_log.append(connection, user_id, drafts)

    return say


@pytest.fixture
def end_runs(query):
    """All that runs ends, with its durable task, as if by a worker."""

    async def end_runs():
        await query(
            "select absurd.complete_run('runs', c.run_id)"
            " from absurd.claim_task('runs', 'w', 60, 1000) c"
        )
        await query(
            "update apex.runs set status = 'completed', finished_at = now()"
            " where status in ('queued', 'running')"
        )

    return end_runs


@pytest.fixture
def ask(acceptance, user_id):
    async def ask(text=SECRET, **fields):
        message = MessageToAccept(
            **{"user_id": user_id, "pipeline": "costs", "text": text} | fields
        )
        return await acceptance.accept(message)

    return ask


async def refusal(awaitable):
    with pytest.raises(ProtocolViolation) as refused:
        await awaitable
    return refused.value.code


async def test_a_new_title_is_an_event_of_the_thread_and_the_same_one_again_is_none(
    service, ask, user_id, announcer, log
):
    asked = await ask()
    await service.rename(user_id, asked.thread_id, "Costs")
    await service.rename(user_id, asked.thread_id, " Costs ")
    events = await log.read(user_id, after=1, limit=5)
    assert [(event.type, event.thread_id, event.payload) for event in events] == [
        ("thread_updated", asked.thread_id, {"title": "Costs"})
    ]
    assert announcer.events[1:] == events


async def test_a_deletion_is_requested_once_hides_the_thread_and_wakes_who_finishes_it(
    service, ask, user_id, sessions, requests, query
):
    asked = await ask()
    await sessions.store_many({user_id: SessionChange(asked.thread_id, 1)})
    await service.delete(user_id, asked.thread_id)
    assert await refusal(service.delete(user_id, asked.thread_id)) is ErrorCode.THREAD_NOT_FOUND
    assert (
        await refusal(service.rename(user_id, asked.thread_id, "x")) is ErrorCode.THREAD_NOT_FOUND
    )
    assert await refusal(ask(thread_id=asked.thread_id)) is ErrorCode.THREAD_NOT_FOUND
    assert await sessions.current(user_id) == StoredSession(None, 1)
    assert requests == [1]
    [thread] = await query("select delete_requested_at from apex.threads")
    assert thread["delete_requested_at"] is not None


async def test_what_waits_is_cancelled_at_once_and_what_runs_is_asked_to_stop(
    service, ask, user_id, announcer, query, log
):
    running = await ask()
    waiting = [await ask(thread_id=running.thread_id) for _ in range(2)]
    elsewhere = await ask()
    work = announcer.work
    await service.delete(user_id, running.thread_id)
    statuses = {
        row["id"]: (row["status"], row["cancel_requested_at"] is not None)
        for row in await query("select id, status, cancel_requested_at from apex.runs")
    }
    assert statuses == {
        running.run_id: ("queued", True),
        waiting[0].run_id: ("cancelled", True),
        waiting[1].run_id: ("cancelled", True),
        elsewhere.run_id: ("queued", False),
    }
    told = [event for event in announcer.events if event.type == "run_finished"]
    assert [(event.run_id, event.payload["status"]) for event in told] == [
        (run.run_id, "cancelled") for run in waiting
    ]
    assert told == (await log.read(user_id, after=0, limit=20))[-2:]
    assert announcer.work == work + 1


async def test_nothing_is_removed_while_something_runs(service, ask, user_id, query, end_runs):
    asked = await ask()
    doomed = DoomedThread(user_id, asked.thread_id)
    assert not await service.finish(doomed)
    await service.delete(user_id, asked.thread_id)
    assert not await service.finish(doomed)
    assert len(await query("select 1 from apex.messages")) == 1
    await end_runs()
    assert await service.finish(doomed)
    assert not await service.finish(doomed)


TABLES = (
    "apex.threads",
    "apex.messages",
    "apex.runs",
    "apex.step_results",
    "apex.results",
    "apex.error_reports",
    "absurd.t_runs",
    "absurd.r_runs",
    "absurd.c_runs",
    "absurd.w_runs",
)


async def test_promise_3_nothing_of_a_deleted_thread_is_left_but_the_numbers_of_its_events(
    service, ask, say, user_id, query, end_runs, announcer, log
):
    kept = await ask("kept")
    await say(user_id, kept)
    gone = await ask()
    await say(user_id, gone, 3)
    await service.rename(user_id, gone.thread_id, SECRET)
    for run in (kept, gone):
        await query(
            "insert into apex.step_results (run_id, step, agent, attempt, status, result, duration_ms)"
            " values (%s, 1, 'data', 1, 'ok', %s, 1)",
            run.run_id,
            json.dumps(SECRET),
        )
        await query("insert into apex.results values (%s, %s, '{}')", run.run_id, SECRET)
        await query(
            "insert into apex.error_reports (id, user_id, run_id, kind, message, stack, context)"
            " values (%s, %s, %s, 'E', %s, '', '{}')",
            uuid4(),
            user_id,
            run.run_id,
            SECRET,
        )
        await query(
            "insert into absurd.c_runs (task_id, checkpoint_name)"
            " select task_id, 'c' from apex.runs where id = %s",
            run.run_id,
        )
    await end_runs()
    before = await log.read(user_id, after=0, limit=50)
    await service.delete(user_id, gone.thread_id)
    await service.finish(DoomedThread(user_id, gone.thread_id))

    for table in TABLES:
        left = await query(f"select * from {table}")  # noqa: S608 - names of the list above
        assert len(left) <= 1
        assert str(gone.thread_id) not in str(left)
        assert str(gone.run_id) not in str(left)
    assert len(await query("select 1 from apex.results")) == 1
    events = await log.read(user_id, after=0, limit=50)
    assert [event.seq for event in events] == list(range(1, len(before) + 2))
    assert [event.event_id for event in events[:-1]] == [event.event_id for event in before]
    for event, old in zip(events[:-1], before, strict=True):
        if old.thread_id == kept.thread_id:
            assert event == old
        else:
            assert (event.type, event.agent, event.payload) == ("event_redacted", None, {})
            assert (event.thread_id, event.run_id, event.attempt) == (None, None, 0)
            assert event.ts == old.ts
    assert (events[-1].type, events[-1].thread_id) == ("thread_deleted", gone.thread_id)
    assert announcer.events[-1] == events[-1]


async def test_another_users_thread_is_not_touched_by_a_deletion_in_their_name(
    service, ask, user_id, log, query, end_runs
):
    asked = await ask()
    other = (await log.open(Identity(org="acme", sub="bob"))).user_id
    assert await refusal(service.delete(other, asked.thread_id)) is ErrorCode.THREAD_NOT_FOUND
    await service.delete(user_id, asked.thread_id)
    await end_runs()
    assert not await service.finish(DoomedThread(other, asked.thread_id))
    assert len(await query("select 1 from apex.threads")) == 1


async def test_a_huge_thread_goes_in_parts_and_others_of_the_user_get_in_between(
    service, ask, say, user_id, query, end_runs, monkeypatch, log
):
    monkeypatch.setattr(thread_deletion, "EVENT_BATCH", 5)
    monkeypatch.setattr(thread_deletion, "ROW_BATCH", 2)
    first = await ask()
    for _ in range(3):
        await ask(thread_id=first.thread_id)
    await say(user_id, first, 23)
    await service.delete(user_id, first.thread_id)
    await end_runs()
    finishing = asyncio.create_task(service.finish(DoomedThread(user_id, first.thread_id)))
    asked = [await ask("between") for _ in range(3)]
    assert await finishing
    events = await log.read(user_id, after=0, limit=200)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert SECRET not in str([event.to_wire() for event in events])
    rows = await query("select id from apex.runs")
    assert {row["id"] for row in rows} == {run.run_id for run in asked}


async def test_whoever_stops_in_between_another_goes_on_and_it_is_said_once(
    service, ask, say, user_id, end_runs, monkeypatch, announcer, log
):
    monkeypatch.setattr(thread_deletion, "EVENT_BATCH", 5)
    asked = await ask()
    await say(user_id, asked, 50)
    await service.delete(user_id, asked.thread_id)
    await end_runs()
    doomed = DoomedThread(user_id, asked.thread_id)
    # A node that dies in the middle: its transaction is lost, what it has committed is not.
    real, calls = thread_deletion.remove_batch, []

    async def dying(connection, doomed):
        calls.append(1)
        done = await real(connection, doomed)
        if len(calls) == 3:
            raise ConnectionResetError
        return done

    monkeypatch.setattr(thread_deletion, "remove_batch", dying)
    with pytest.raises(ConnectionResetError):
        await service.finish(doomed)
    redacted = [
        event
        for event in await log.read(user_id, after=0, limit=99)
        if event.type == "event_redacted"
    ]
    assert len(redacted) == 10
    outcomes = await asyncio.gather(*(service.finish(doomed) for _ in range(4)))
    assert sorted(outcomes) == [False, False, False, True]
    said = [event for event in announcer.events if event.type == "thread_deleted"]
    assert len(said) == 1
    assert [event.type for event in await log.read(user_id, after=51, limit=9)] == [
        "thread_deleted"
    ]


async def test_without_the_cache_a_thread_is_deleted_as_well(
    database, announcer, ask, user_id, end_runs
):
    away = Cache("redis://127.0.0.1:1", timeout_s=0.1)
    service = ThreadService(
        database=database, announcer=announcer, sessions=SessionStore(database, away)
    )
    asked = await ask()
    await service.delete(user_id, asked.thread_id)
    await end_runs()
    assert await service.finish(DoomedThread(user_id, asked.thread_id))
    await away.close()


async def test_promise_3_deletions_appends_and_trims_at_once_leave_no_gap_and_nothing_to_find(
    service, ask, say, user_id, end_runs, database, query, log, monkeypatch
):
    monkeypatch.setattr(thread_deletion, "EVENT_BATCH", 4)
    threads = [await ask() for _ in range(2)]
    for run in threads:
        await say(user_id, run, 15)
    await end_runs()
    kept = await ask("kept")
    keep = Retention(database, RetentionSettings(events_per_user=20, batch=3))

    async def delete(thread_id):
        await service.delete(user_id, thread_id)
        while not await service.finish(DoomedThread(user_id, thread_id)):
            pass

    async def trim():
        for _ in range(10):
            await keep.run()

    async def append():
        for _ in range(15):
            await say(user_id, kept)

    async with asyncio.timeout(30):
        await asyncio.gather(*(delete(run.thread_id) for run in threads), trim(), append())
    [user] = await query("select seq, trimmed_seq from apex.users")
    events = await log.read(user_id, after=0, limit=200)
    assert [event.seq for event in events] == list(range(user["trimmed_seq"] + 1, user["seq"] + 1))
    gone = {run.run_id for run in threads}
    assert gone.isdisjoint(event.run_id for event in events)
    assert sum(event.type == "thread_deleted" for event in events) == 2
    assert sum(event.run_id == kept.run_id for event in events) == 16

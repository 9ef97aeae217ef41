"""Asking runs to stop: what waits ends at once, what a worker holds gets a mark, and nobody else's."""

import asyncio
from uuid import uuid4

import pytest

from apex_actors.execution import CancelOutcome, MessageToAccept
from apex_actors.protocol.codes import ErrorCode
from apex_actors.protocol.grammar import RunGrammar
from apex_actors.protocol.identity import Identity
from apex_actors.protocol.payloads import RunStatus
from apex_actors.protocol.violation import ProtocolViolation


@pytest.fixture
def accept(acceptance, user_id):
    async def accept(thread_id=None):
        return await acceptance.accept(
            MessageToAccept(user_id=user_id, text="How much?", pipeline="p", thread_id=thread_id)
        )

    return accept


@pytest.fixture
def state(rows):
    """Status of each run by its id, and whether it carries the mark."""

    async def state():
        found = await rows("select id, status, cancel_requested_at from apex.runs")
        return {row["id"]: (row["status"], row["cancel_requested_at"] is not None) for row in found}

    return state


@pytest.fixture
def events_of(log, user_id):
    async def events_of(run_id):
        return [e for e in await log.read(user_id, after=0, limit=100) if e.run_id == run_id]

    return events_of


async def test_promise_2_a_waiting_run_ends_in_the_transaction_of_the_request(
    accept, cancellation, user_id, announcer, events_of, rows
):
    first = await accept()
    waiting = await accept(first.thread_id)
    woken = announcer.work
    outcome = await cancellation.cancel_run(user_id, waiting.run_id)
    assert announcer.work == woken  # nothing is left to do for a worker
    assert outcome == CancelOutcome(waiting.run_id, RunStatus.CANCELLED, cancelling=True)
    events = await events_of(waiting.run_id)
    assert [event.type for event in events] == ["message_created", "run_queued", "run_finished"]
    assert events[-1].payload == {"status": "cancelled", "partial": False}
    assert RunGrammar().check(events) == []
    assert announcer.events[-1].encode() == events[-1].encode()
    [row] = await rows("select * from apex.runs where id = %s", waiting.run_id)
    assert (row["status"], row["partial"], row["error"]) == ("cancelled", False, None)
    assert row["finished_at"] is not None
    assert row["task_id"] is None


async def test_a_run_with_a_durable_task_gets_a_mark_and_its_worker_a_wake(
    accept, cancellation, user_id, announcer, events_of, state
):
    queued = await accept()
    woken = announcer.work
    outcome = await cancellation.cancel_run(user_id, queued.run_id)
    assert outcome == CancelOutcome(queued.run_id, RunStatus.QUEUED, cancelling=True)
    assert await state() == {queued.run_id: ("queued", True)}
    assert [event.type for event in await events_of(queued.run_id)] == ["message_created"]
    assert announcer.work == woken + 1


async def test_asking_twice_changes_nothing_more(accept, cancellation, user_id, rows, log):
    running = await accept()
    waiting = await accept(running.thread_id)
    for run in (running, waiting):
        await cancellation.cancel_run(user_id, run.run_id)
    before = await rows("select * from apex.runs order by accept_no")
    end = len(await log.read(user_id, after=0, limit=100))
    again = [await cancellation.cancel_run(user_id, run.run_id) for run in (running, waiting)]
    assert [outcome.cancelling for outcome in again] == [True, False]
    assert await rows("select * from apex.runs order by accept_no") == before
    assert len(await log.read(user_id, after=0, limit=100)) == end


async def test_requests_at_once_end_a_waiting_run_once(accept, cancellation, user_id, events_of):
    first = await accept()
    waiting = await accept(first.thread_id)
    outcomes = await asyncio.gather(
        *(cancellation.cancel_run(user_id, waiting.run_id) for _ in range(6))
    )
    assert sum(outcome.cancelling for outcome in outcomes) == 1
    assert {outcome.status for outcome in outcomes} == {RunStatus.CANCELLED}
    types = [event.type for event in await events_of(waiting.run_id)]
    assert types.count("run_finished") == 1


@pytest.mark.parametrize("status", [status for status in RunStatus if status.is_terminal])
async def test_a_finished_run_stays_as_it_is(
    accept, cancellation, user_id, finish, state, announcer, status
):
    run = await accept()
    await finish(run.run_id, status)
    woken = announcer.work
    outcome = await cancellation.cancel_run(user_id, run.run_id)
    assert outcome == CancelOutcome(run.run_id, status, cancelling=False)
    assert await state() == {run.run_id: (status, False)}
    assert announcer.work == woken


async def test_promise_8_anothers_run_or_thread_is_answered_as_none_at_all(
    accept, cancellation, log, state
):
    run = await accept()
    before = await state()
    stranger = (await log.open(Identity(org="other", sub="ann"))).user_id
    answers = []
    for run_id in (run.run_id, uuid4()):
        with pytest.raises(ProtocolViolation) as refused:
            await cancellation.cancel_run(stranger, run_id)
        answers.append((refused.value.code, str(refused.value)))
    assert answers[0] == answers[1]
    assert answers[0][0] is ErrorCode.RUN_NOT_FOUND
    for thread_id in (run.thread_id, uuid4()):
        with pytest.raises(ProtocolViolation) as refused:
            await cancellation.cancel_thread(stranger, thread_id)
        assert refused.value.code is ErrorCode.THREAD_NOT_FOUND
    assert await state() == before


async def test_a_thread_is_stopped_with_all_that_waits_in_it_and_no_other(
    accept, cancellation, user_id, state, events_of
):
    working = await accept()
    waiting = [await accept(working.thread_id) for _ in range(2)]
    other = await accept()
    outcomes = await cancellation.cancel_thread(user_id, working.thread_id)
    assert outcomes == (
        CancelOutcome(working.run_id, RunStatus.QUEUED, cancelling=True),
        *(CancelOutcome(run.run_id, RunStatus.CANCELLED, cancelling=True) for run in waiting),
    )
    assert await state() == {
        working.run_id: ("queued", True),
        **{run.run_id: ("cancelled", True) for run in waiting},
        other.run_id: ("queued", False),
    }
    for run in waiting:
        assert [event.type for event in await events_of(run.run_id)][-1] == "run_finished"


async def test_a_thread_at_rest_tells_how_its_latest_run_ended(
    accept, cancellation, user_id, finish
):
    first = await accept()
    await finish(first.run_id)
    second = await accept(first.thread_id)
    await finish(second.run_id, RunStatus.FAILED)
    [outcome] = await cancellation.cancel_thread(user_id, first.thread_id)
    assert outcome == CancelOutcome(second.run_id, RunStatus.FAILED, cancelling=False)


async def test_within_a_transaction_of_another_all_is_kept_or_dropped_with_it(
    accept, cancellation, user_id, database, state, log
):
    working = await accept()
    waiting = await accept(working.thread_id)
    before = await state()
    end = len(await log.read(user_id, after=0, limit=100))

    async def stop_all(connection):
        await connection.execute("select 1 from apex.users where id = %s for update", (user_id,))
        return await cancellation.cancel_all_of_thread(connection, user_id, working.thread_id)

    async def fails():
        async with database.transaction() as connection:
            await stop_all(connection)
            raise LookupError("the rest of the transaction did not work")

    with pytest.raises(LookupError):
        await fails()
    assert await state() == before
    assert len(await log.read(user_id, after=0, limit=100)) == end
    async with database.transaction() as connection:
        events, any_running = await stop_all(connection)
    assert [(event.type, event.run_id) for event in events] == [("run_finished", waiting.run_id)]
    assert any_running
    assert await state() == {
        working.run_id: ("queued", True),
        waiting.run_id: ("cancelled", True),
    }


async def test_stopping_a_thread_without_work_says_so(
    accept, cancellation, user_id, database, finish
):
    run = await accept()
    await finish(run.run_id)
    async with database.transaction() as connection:
        stopped = await cancellation.cancel_all_of_thread(connection, user_id, run.thread_id)
    assert (stopped.events, stopped.any_running) == ([], False)


async def test_what_was_missed_is_started_by_the_next_request(
    accept, cancellation, user_id, rows, state, announcer
):
    first = await accept()
    second = await accept(first.thread_id)
    third = await accept(first.thread_id)
    # The end of the first without the start of the second, as a fault would leave it.
    await rows("update apex.runs set status = 'failed' where id = %s returning id", first.run_id)
    woken = announcer.work
    await cancellation.cancel_run(user_id, third.run_id)
    assert (await state())[second.run_id] == ("queued", False)
    assert announcer.work == woken + 1

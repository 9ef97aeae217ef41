"""Claims, leases and fences: one holder at a time, and a lost lease stops its own run only."""

import asyncio
from uuid import uuid4

import pytest

from apex_actors.execution import Acceptance, ExecutionSettings, MessageToAccept
from apex_actors.protocol.identity import Identity
from apex_actors.protocol.payloads import AgentName, AgentStatus, RunStatus
from apex_actors.storage.errors import LeaseLostError, StorageError
from apex_actors.storage.event_log import EventLog
from apex_actors.storage.runs import (
    QUERIES,
    EndRun,
    RunStore,
    StartAttempt,
    StepRecord,
    StoreErrorReport,
    StoreStep,
    cancel_runs,
    hold_fence,
    lock_user,
)

LEASE_S = 2


class Silence:
    def events_committed(self, *_):
        pass

    def work_available(self):
        pass


@pytest.fixture
def runs(database):
    return RunStore(database)


@pytest.fixture
def accept(database, user_id):
    acceptance = Acceptance(
        database=database, announcer=Silence(), settings=ExecutionSettings(runs_per_user=3)
    )

    async def accept(text="How much?"):
        return await acceptance.accept(MessageToAccept(user_id=user_id, text=text, pipeline="p"))

    return accept


async def end_all_leases(database):
    async with database.connection() as connection:
        await connection.execute(
            "update absurd.r_runs set claim_expires_at = now() - interval '1 s'"
        )


async def test_a_run_is_claimed_by_one_worker_only(runs, accept):
    accepted = [await accept() for _ in range(3)]
    claimed = await asyncio.gather(
        *(runs.claim(f"w{number}", quantity=2, lease_s=LEASE_S) for number in range(4))
    )
    run_ids = [claim.run_id for claims in claimed for claim in claims]
    assert sorted(run_ids) == sorted(item.run_id for item in accepted)
    assert await runs.claim("late", quantity=9, lease_s=LEASE_S) == []


async def test_a_claimed_run_is_loaded_as_it_was_accepted(runs, accept, user_id):
    accepted = await accept("What did it cost?")
    loaded = (await runs.load([accepted.run_id, uuid4()]))[accepted.run_id]
    assert (loaded.org, loaded.sub, loaded.user_id) == ("acme", "ann", user_id)
    assert (loaded.question, loaded.status, loaded.attempt) == ("What did it cost?", "queued", 0)
    assert "What did it cost?" not in repr(loaded)


async def test_a_lease_that_ended_is_no_fence_any_more_once_another_has_the_run(
    runs, accept, database
):
    await accept()
    [old] = await runs.claim("frozen", quantity=1, lease_s=LEASE_S)
    await end_all_leases(database)
    new = await runs.claim("healthy", quantity=1, lease_s=LEASE_S) or await runs.claim(
        "healthy", quantity=1, lease_s=LEASE_S
    )
    assert [claim.run_id for claim in new] == [old.run_id]
    assert await runs.extend([old.fence_id, new[0].fence_id], lease_s=LEASE_S) == {new[0].fence_id}
    with pytest.raises(LeaseLostError):
        async with database.transaction() as connection:
            await (await hold_fence(connection, old.fence_id)).held()


async def test_an_extended_lease_is_kept(runs, accept, database):
    await accept()
    [claim] = await runs.claim("slow", quantity=1, lease_s=LEASE_S)
    await end_all_leases(database)
    assert await runs.extend([claim.fence_id], lease_s=LEASE_S) == {claim.fence_id}
    for _ in range(2):
        assert await runs.claim("other", quantity=1, lease_s=LEASE_S) == []


async def test_released_runs_are_claimed_at_once(runs, accept):
    accepted = [await accept() for _ in range(2)]
    claims = await runs.claim("leaving", quantity=2, lease_s=600)
    assert await runs.release(claims) == {claim.fence_id for claim in claims}
    again = await runs.claim("staying", quantity=2, lease_s=LEASE_S)
    assert {claim.run_id for claim in again} == {item.run_id for item in accepted}


async def test_a_claim_knows_how_many_leases_have_ended_by_themselves(runs, accept, database):
    await accept()
    lost = []
    for released in (True, False, True, False, True):
        claims = []
        while not claims:  # one finds that a lease has ended, the next one takes the run
            claims = await runs.claim("w", quantity=1, lease_s=600)
        [claim] = claims
        lost.append(claim.lost)
        if released:
            await runs.release([claim])
        else:
            await end_all_leases(database)
    assert lost == [0, 0, 1, 1, 2]


async def test_a_user_whose_row_is_held_does_not_keep_the_runs_of_others(
    runs, accept, database, user_id
):
    await accept()
    other = (await EventLog(database).open(Identity(org="acme", sub="bob"))).user_id
    acceptance = Acceptance(
        database=database, announcer=Silence(), settings=ExecutionSettings(runs_per_user=3)
    )
    await acceptance.accept(MessageToAccept(user_id=other, text="And I?", pipeline="p"))
    claims = await runs.claim("leaving", quantity=2, lease_s=600)
    async with database.transaction() as connection:
        await lock_user(connection, user_id)
        with pytest.raises(StorageError):
            await runs.release(claims)
    [claim] = await runs.claim("staying", quantity=2, lease_s=LEASE_S)
    assert (await runs.load([claim.run_id]))[claim.run_id].user_id == other


async def test_one_lost_lease_does_not_keep_the_others_from_being_released(runs, accept, database):
    for _ in range(2):
        await accept()
    claims = await runs.claim("leaving", quantity=2, lease_s=600)
    lost, kept = claims
    async with database.connection() as connection:
        await connection.execute(
            "update absurd.r_runs set state = 'failed' where run_id = %s", (lost.fence_id,)
        )
    assert await runs.release([lost, kept]) == {kept.fence_id}
    again = await runs.claim("staying", quantity=2, lease_s=LEASE_S)
    assert [claim.run_id for claim in again] == [kept.run_id]


async def test_promise_6_a_steps_result_is_stored_once(runs, accept, database):
    accepted = await accept()
    record = StepRecord(1, AgentName.DATA, AgentStatus.OK, {"n": 1}, 5)
    async with database.transaction() as connection:
        await StoreStep(accepted.run_id, 1, record).apply(connection)
    with pytest.raises(Exception, match="step_results_pkey"):
        async with database.transaction() as connection:
            await StoreStep(accepted.run_id, 2, record).apply(connection)
    assert await runs.steps(accepted.run_id) == [record]


async def test_the_end_of_a_run_starts_the_one_behind_it(runs, database, user_id):
    acceptance = Acceptance(database=database, announcer=Silence(), settings=ExecutionSettings())
    first = await acceptance.accept(MessageToAccept(user_id=user_id, text="1", pipeline="p"))
    second = await acceptance.accept(
        MessageToAccept(user_id=user_id, text="2", pipeline="p", thread_id=first.thread_id)
    )
    [claim] = await runs.claim("w", quantity=5, lease_s=LEASE_S)
    assert claim.run_id == first.run_id
    end = EndRun(
        run_id=first.run_id,
        user_id=user_id,
        fence_id=claim.fence_id,
        status=RunStatus.FAILED,
        partial=False,
        error={"code": "x"},
        cap=3,
    )
    async with database.transaction() as connection:
        await StartAttempt(first.run_id, 1).apply(connection)
        await end.apply(connection)
    [claim] = await runs.claim("w", quantity=5, lease_s=LEASE_S)
    assert claim.run_id == second.run_id
    ended = await runs.result(user_id, first.run_id)
    assert (ended.status, ended.partial, ended.content) == ("failed", False, None)
    assert ended.finished_at is not None


async def test_promise_8_the_result_of_anothers_run_is_not_there(runs, accept, database):
    accepted = await accept()
    other = await EventLog(database).open(Identity(org="acme", sub="bob"))
    assert await runs.result(other.user_id, accepted.run_id) is None


async def test_an_error_report_takes_any_text(database, user_id):
    report = StoreErrorReport(
        id=uuid4(),
        user_id=user_id,
        run_id=uuid4(),
        kind="ValueError",
        message="nul \x00 and \ud800",
        stack="x" * 20_000,
        context={"attempt": 1},
    )
    async with database.transaction() as connection:
        await report.apply(connection)
    async with database.connection() as connection:
        row = await (await connection.execute("select * from apex.error_reports")).fetchone()
    assert row["message"] == "nul \\x00 and \\ud800"


async def test_waiting_runs_end_and_others_get_the_mark_once(runs, accept, database, user_id):
    working = await accept()
    acceptance = Acceptance(database=database, announcer=Silence(), settings=ExecutionSettings())
    waiting = [
        await acceptance.accept(
            MessageToAccept(user_id=user_id, text="2", pipeline="p", thread_id=working.thread_id)
        )
        for _ in range(2)
    ]
    run_ids = [working.run_id, *(run.run_id for run in reversed(waiting)), uuid4()]
    async with database.transaction() as connection:
        await lock_user(connection, user_id)
        cancelled = await cancel_runs(connection, user_id, run_ids)
        again = await cancel_runs(connection, user_id, run_ids)
    assert cancelled.ended == tuple((run.run_id, run.thread_id) for run in waiting)
    assert cancelled.marked == again.marked == (working.run_id,)
    assert again.ended == ()
    assert await runs.marked(run_ids) == {working.run_id}
    assert (await runs.load([working.run_id]))[working.run_id].cancel_requested


async def test_promise_8_the_runs_of_another_user_are_not_cancelled(runs, accept, database):
    accepted = await accept()
    other = await EventLog(database).open(Identity(org="acme", sub="bob"))
    async with database.transaction() as connection:
        cancelled = await cancel_runs(connection, other.user_id, [accepted.run_id])
    assert (cancelled.ended, cancelled.marked) == ((), ())
    assert await runs.marked([accepted.run_id]) == set()
    assert not (await runs.load([accepted.run_id]))[accepted.run_id].cancel_requested


async def test_a_worker_finds_marks_without_reading_all_runs(accept, database):
    accepted = await accept()
    async with database.connection() as connection:
        await connection.execute(
            """
            insert into apex.runs (id, user_id, thread_id, message_id, pipeline, priority,
                                   accept_no, status, cancel_requested_at)
            select gen_random_uuid(), r.user_id, r.thread_id, r.message_id, 'p', 1, n, 'cancelled',
                   now()
            from apex.runs r, generate_series(2, 20000) n
            """
        )
        await connection.execute("analyze apex.runs")
        cursor = await connection.execute(
            b"explain (costs off) " + QUERIES["runs_with_mark"],
            {"run_ids": [accepted.run_id, *(uuid4() for _ in range(63))]},
        )
        plan = "\n".join(row["QUERY PLAN"] for row in await cursor.fetchall())
    assert "Seq Scan" not in plan
    assert "runs_to_cancel" in plan or "runs_pkey" in plan

"""Workers that stop: their runs go on elsewhere at once, and no attempt is counted for it."""

import asyncio
import logging

import pytest

from apex_actors.execution import Drain, HandOver, UserExecutionEngine, WorkAvailable
from apex_actors.protocol.payloads import AgentName
from apex_actors.storage.errors import StorageUnavailableError
from apex_actors.storage.runs import RunStore

#: A lease that no test would wait out.
LONG_S = 600

#: More workers than a run may be tried by.
WORKERS = 7


@pytest.fixture(autouse=True)
def expected_failures_are_quiet(caplog):
    caplog.set_level(logging.CRITICAL, logger="apex_actors")


class InterruptedRuns(RunStore):
    """A store whose claims and loads can be held up, or fail."""

    def __init__(self, database):
        super().__init__(database)
        self.reached, self.free = asyncio.Event(), asyncio.Event()
        self.hold = None
        self.failures_at_load = []

    async def claim(self, worker, **limits):
        claims = await super().claim(worker, **limits)
        if claims:
            await self.pause("claim")
        return claims

    async def load(self, run_ids):
        if self.failures_at_load:
            raise self.failures_at_load.pop()
        runs = await super().load(run_ids)
        await self.pause("load")
        return runs

    async def pause(self, at):
        if self.hold == at:
            self.reached.set()
            await self.free.wait()


@pytest.fixture
def hanging(scene):
    """Script the savings to hang; waits until a worker is at it for the n-th time."""

    async def forever(*_):
        await asyncio.Event().wait()

    async def work(agent, _results):
        agent.think("This takes long.", 0.1)
        await scene.use(agent, forever)

    scene.script(optimization=[work] * (WORKERS - 1) + [scene.good_work])
    scene.limit(lease_s=LONG_S, max_attempts=1)

    async def reached(times=1):
        await scene.eventually(
            lambda: (
                len([e for e in scene.of_type("tool_executing") if e.agent == "optimization"])
                == times
            )
        )

    return reached


async def end_leases(scene):
    async with scene.database.connection() as connection:
        await connection.execute(
            "update absurd.r_runs set claim_expires_at = now() - interval '1 s'"
        )


async def counts(scene):
    """Status, attempts, and how many leases have ended by themselves."""
    [row] = await scene.rows(
        "select status, attempt, (select count(*) from absurd.r_runs"
        " where failure_reason ->> 'name' = '$ClaimTimeout') as lost from apex.runs"
    )
    return row["status"], row["attempt"], row["lost"]


@pytest.mark.parametrize("way", ["hand over", "stop"])
async def test_a_run_is_handed_over_many_times_and_none_of_them_is_an_attempt(scene, hanging, way):
    await scene.accept()
    for number in range(1, WORKERS):
        worker = scene.start_worker()
        await hanging(number)
        if way == "hand over":
            assert await worker.ask_async(Drain(), timeout=10) == 1
            assert await worker.ask_async(HandOver(), timeout=10) == 1
        worker.kill()
        await worker.stopped()
    scene.start_worker()
    assert (await scene.finish())["status"] == "completed"
    scene.check_grammar()
    resumed = scene.of_type("run_resumed")
    assert [event.payload["attempt"] for event in resumed] == list(range(2, WORKERS + 1))
    attempts = [event.attempt for event in scene.events if event.agent is not None]
    assert attempts == sorted(attempts)
    assert await counts(scene) == ("completed", WORKERS, 0)
    # What was stored before the first handover was done once.
    assert scene.pipeline.starts.count(AgentName.DATA) == 1


async def test_a_worker_that_has_handed_over_takes_nothing_more(scene, hanging):
    await scene.accept()
    worker = scene.start_worker()
    await hanging()
    assert await worker.ask_async(HandOver(), timeout=10) == 1
    worker.tell(WorkAvailable())
    assert await worker.ask_async(HandOver(), timeout=10) == 0
    [claim] = await RunStore(scene.database).claim("other", quantity=1, lease_s=LONG_S)
    assert claim.lost == 0


async def test_a_lease_that_ends_is_an_attempt(scene, hanging):
    await scene.accept()
    worker = scene.start_worker()
    await hanging()
    await end_leases(scene)
    finished = await scene.finish()
    assert (finished["status"], finished["error"]["code"]) == ("failed", "run_failed")
    assert worker.is_alive()
    assert await counts(scene) == ("failed", 1, 1)


@pytest.mark.parametrize("cancelled", [False, True])
async def test_promise_10_a_run_that_kills_each_engine_before_it_begins_ends(
    scene, monkeypatch, cancelled
):
    engines = []

    async def die(engine, *_):
        engines.append(engine)
        raise RuntimeError("it cannot even be begun")

    monkeypatch.setattr(UserExecutionEngine, "_execute", die)
    scene.limit(lease_s=LONG_S, max_attempts=3)
    accepted = await scene.accept()
    worker = scene.start_worker()
    for number in range(1, 4):
        await scene.eventually(lambda: len(engines) == number)  # noqa: B023 - awaited here
        if number == 3 and cancelled:
            await scene.cancel(accepted.run_id)
        await end_leases(scene)
    finished = await scene.finish()
    scene.check_grammar()
    assert finished["status"] == ("cancelled" if cancelled else "failed")
    assert worker.is_alive()
    reports = await scene.rows("select kind, message from apex.error_reports")
    assert reports == [{"kind": "RuntimeError", "message": "the run was tried too often"}] * (
        not cancelled
    )


@pytest.mark.parametrize("moment", ["claim", "load"])
async def test_what_a_worker_has_claimed_and_not_begun_is_given_back_when_it_stops(scene, moment):
    scene.limit(lease_s=LONG_S)
    await scene.accept()
    runs = InterruptedRuns(scene.database)
    runs.hold = moment
    worker = scene.start_worker(runs)
    await asyncio.wait_for(runs.reached.wait(), 10)
    worker.kill()
    runs.free.set()
    await worker.stopped()
    scene.start_worker()
    assert (await scene.finish())["status"] == "completed"
    assert await counts(scene) == ("completed", 1, 0)


@pytest.mark.parametrize("error", [StorageUnavailableError("away"), ValueError("bug")])
async def test_what_is_claimed_and_cannot_be_loaded_is_given_back(scene, error):
    scene.limit(lease_s=LONG_S)
    await scene.accept()
    runs = InterruptedRuns(scene.database)
    runs.failures_at_load = [error]
    worker = scene.start_worker(runs)
    assert (await scene.finish())["status"] == "completed"
    assert worker.is_alive()

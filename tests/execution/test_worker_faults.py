"""The worker and its engines when things go wrong around them: nothing spreads, nothing is lost."""

import asyncio
import logging

import pytest

from apex_actors.actors import ActorSystem, ChildFailed, LoopActor
from apex_actors.execution import (
    Answer,
    Drain,
    ExecutionEngineFactory,
    ExecutionSettings,
    MessageToAccept,
    RunEnded,
    RunExits,
    StopWork,
    WorkAvailable,
    Worker,
)
from apex_actors.protocol.grammar import RunGrammar
from apex_actors.protocol.payloads import (
    SUB_AGENTS,
    AgentCompleted,
    AgentName,
    AgentStarted,
    AgentStatus,
    AgentThinking,
    RunResumed,
    ToolCompleted,
    ToolExecuting,
    ToolStatus,
)
from apex_actors.storage.errors import StorageUnavailableError
from apex_actors.storage.runs import RunStore, StartAttempt

# The heartbeat comes after 0.67 s: work is looked for many times before.
SETTINGS = ExecutionSettings(runs_per_user=2, lease_s=2, poll_interval_s=0.05)
SUPERVISOR = AgentName.SUPERVISOR


class Supervisor(LoopActor):
    """Says the least that the grammar allows, once the test lets it."""

    def __init__(self, assignment, engine, work):
        super().__init__()
        self.assignment = assignment
        self.engine = engine
        self.work = work

    def on_start(self):
        self.ref.tell("begin")

    def on_receive(self, message):
        if isinstance(message, StopWork):
            return self.stop_work()
        if isinstance(message, BaseException):
            raise message
        return self.begin() if message == "begin" else self.complete()

    async def begin(self):
        assignment = self.assignment
        context = assignment.context
        first = (
            RunResumed(attempt=context.attempt, next_agent=AgentName.DATA)
            if assignment.resumed
            else AgentStarted(message="m", step=0, total_steps=3)
        )
        start = StartAttempt(context.run_id, context.attempt)
        await assignment.journal.commit(SUPERVISOR, first, writes=(start,))
        self.pipe_to_self(self.work(assignment), done=lambda _: "work done")

    async def complete(self):
        assignment = self.assignment
        for agent in SUB_AGENTS:
            assignment.journal.say(agent, *whole_step(f"{assignment.context.attempt}-{agent}"))
        await RunExits(assignment).completed(
            Answer("# Done", {}), status=AgentStatus.OK, summary="done", duration_ms=1
        )
        self.end()

    async def stop_work(self):
        await RunExits(self.assignment).cancelled(None)
        self.end()

    def end(self):
        context = self.assignment.context
        self.engine.tell(RunEnded(context.user_id, context.run_id))


def whole_step(call_id):
    return (
        AgentStarted(message="m", step=1, total_steps=3),
        AgentThinking(reasoning="Hm.", progress=1),
        ToolExecuting(tool_call_id=call_id, tool="t", arguments={}),
        ToolCompleted(
            tool_call_id=call_id, tool="t", status=ToolStatus.OK, result="r", duration_ms=1
        ),
        AgentCompleted(status=AgentStatus.OK, result="r", duration_ms=1),
    )


class Scripted:
    """Makes supervisors; knows which engine each of them came from."""

    def __init__(self):
        self.engines = []
        self.supervisors = []
        self.work = self.nothing

    async def nothing(self, _assignment):
        pass

    def start_supervisor(self, engine, assignment):
        self.engines.append(engine)
        ref = engine.start_child(Supervisor, assignment, engine.ref, self.work)
        self.supervisors.append(ref)
        return ref

    def answer(self, _results):
        return None


class FaultyRuns(RunStore):
    """A store of runs that the test interferes with."""

    def __init__(self, database):
        super().__init__(database)
        self.failures = []
        self.failures_at_marks = []
        self.before_load = None

    async def claim(self, worker, **limits):
        if self.failures:
            raise self.failures.pop()
        return await super().claim(worker, **limits)

    async def marked(self, run_ids):
        if self.failures_at_marks:
            raise self.failures_at_marks.pop()
        return await super().marked(run_ids)

    async def load(self, run_ids):
        if self.before_load is not None:
            await self.before_load()
        return await super().load(run_ids)


@pytest.fixture(autouse=True)
def expected_failures_are_quiet(caplog):
    caplog.set_level(logging.CRITICAL, logger="apex_actors")


@pytest.fixture
def pipeline():
    return Scripted()


@pytest.fixture
def runs(database):
    return FaultyRuns(database)


@pytest.fixture
async def start_worker(database, announcer, runs, pipeline):
    workers = []

    def start(**limits):
        settings = SETTINGS.model_copy(update=limits)
        factory = ExecutionEngineFactory(
            database=database,
            announcer=announcer,
            pipelines={"p": pipeline},
            settings=settings,
        )
        workers.append(Worker.start(name="w", runs=runs, factory=factory, settings=settings))
        return workers[-1]

    yield start
    for worker in workers:
        worker.kill()
        await worker.stopped()
    assert ActorSystem.current().alive() == []


@pytest.fixture
def accept(acceptance, user_id):
    async def accept():
        message = MessageToAccept(user_id=user_id, text="How much?", pipeline="p")
        return await acceptance.accept(message)

    return accept


@pytest.fixture
def finished(announcer, eventually):
    async def wait(count=1):
        await eventually(
            lambda: [event.type for event in announcer.events].count("run_finished") >= count
        )

    return wait


async def test_promise_7_a_worker_that_gets_its_own_lost_run_again_drops_the_older_attempt(
    accept, start_worker, pipeline, announcer, database, eventually, finished, log, user_id
):
    stuck = asyncio.Event()

    async def first_is_stuck(assignment):
        if assignment.context.attempt == 1:
            await stuck.wait()
            await assignment.journal.commit(AgentName.DATA, *whole_step("stale"))

    pipeline.work = first_is_stuck
    await accept()
    start_worker()
    await eventually(lambda: [e for e in announcer.events if e.type == "agent_started"])
    async with database.connection() as connection:
        # What a database that was away for longer than a lease leads to, without the wait.
        await connection.execute(
            "update absurd.r_runs set claim_expires_at = now() - interval '1 s'"
        )
    await eventually(lambda: len(pipeline.supervisors) == 2)
    stuck.set()
    await finished()
    events = await log.read(user_id, after=0, limit=1000)
    assert RunGrammar().check(events) == []
    assert events[-1].attempt == 2
    await eventually(lambda: not any(ref.is_alive() for ref in pipeline.supervisors))


async def test_work_for_a_user_whose_engine_just_died_goes_to_a_new_one(
    accept, start_worker, pipeline, runs, eventually, finished, announcer
):
    async def first_hangs(_assignment):
        if len(pipeline.supervisors) == 1:
            await asyncio.Event().wait()

    async def engine_dies_meanwhile():
        runs.before_load = None
        # An engine dies with its journal; the worker is busy and hears of it afterwards.
        engine = pipeline.engines[0]
        engine.ref.tell(ChildFailed(engine._journal, ValueError("broken")))
        await engine.ref.stopped()

    pipeline.work = first_hangs
    await accept()
    worker = start_worker()
    await eventually(lambda: pipeline.engines)
    runs.before_load = engine_dies_meanwhile
    second = await accept()
    await finished()
    assert worker.is_alive()
    [end] = [event for event in announcer.events if event.type == "run_finished"]
    assert end.run_id == second.run_id
    # The run that died with the engine is kept no longer: it comes back after its lease.
    await finished(2)


async def test_the_leases_of_a_killed_engine_are_kept_no_longer(
    accept, start_worker, pipeline, eventually, finished
):
    hanging = asyncio.Event()

    async def first_hangs(_assignment):
        if len(pipeline.supervisors) == 1:
            hanging.set()
            await asyncio.Event().wait()

    pipeline.work = first_hangs
    await accept()
    worker = start_worker()
    await eventually(hanging.is_set)
    pipeline.engines[0].ref.kill()  # nobody is told of a kill
    await finished()
    assert worker.is_alive()


@pytest.mark.parametrize("error", [ValueError("bug"), OSError("odd")])
async def test_an_unexpected_error_at_a_claim_costs_one_look_and_not_the_worker(
    accept, start_worker, runs, finished, error
):
    runs.failures = [error]
    await accept()
    worker = start_worker()
    await finished()
    assert worker.is_alive()


# Marks.


@pytest.fixture
async def working(accept, pipeline, announcer, eventually):
    """A run that works until it is stopped, once a worker is there; gives its id and a wait."""

    async def forever(_assignment):
        await asyncio.Event().wait()

    pipeline.work = forever
    accepted = await accept()

    async def has_begun():
        await eventually(lambda: [e for e in announcer.events if e.type == "agent_started"])
        return accepted.run_id

    return has_begun


def end_of(announcer):
    return announcer.events[-1].type, announcer.events[-1].payload["status"]


async def test_a_worker_that_is_full_or_drains_still_stops_what_it_holds(
    start_worker, working, cancellation, user_id, finished, announcer
):
    worker = start_worker(runs_per_worker=1)
    run_id = await working()
    assert await worker.ask_async(Drain(), timeout=5) == 1
    await cancellation.cancel_run(user_id, run_id)
    await finished()
    assert end_of(announcer) == ("run_finished", "cancelled")


@pytest.mark.parametrize("error", [StorageUnavailableError("away"), ValueError("bug")])
async def test_an_error_at_the_look_for_marks_costs_one_look(
    start_worker, working, cancellation, user_id, finished, announcer, runs, error
):
    worker = start_worker()
    run_id = await working()
    runs.failures_at_marks = [error]
    await cancellation.cancel_run(user_id, run_id)
    await finished()
    assert runs.failures_at_marks == []
    assert worker.is_alive()
    assert end_of(announcer) == ("run_finished", "cancelled")


async def test_a_wake_is_enough_to_stop_a_run(
    start_worker, working, cancellation, user_id, finished, announcer
):
    worker = start_worker(lease_s=600, poll_interval_s=500)
    # Told as a node's announcer does, and the only look that there will be.
    worker.tell(WorkAvailable())
    run_id = await working()
    await cancellation.cancel_run(user_id, run_id)
    worker.tell(WorkAvailable())
    await finished()
    assert end_of(announcer) == ("run_finished", "cancelled")

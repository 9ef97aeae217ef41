"""Worker, engine and journal on a real database, with a pipeline of one small supervisor."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from apex_actors.actors import ActorSystem, LoopActor
from apex_actors.execution import (
    Answer,
    Drain,
    ExecutionEngineFactory,
    ExecutionSettings,
    MessageToAccept,
    RunEnded,
    RunExits,
    StopWork,
    Worker,
)
from apex_actors.execution.worker import WorkAvailable
from apex_actors.protocol.grammar import GRAMMAR, RunGrammar
from apex_actors.protocol.log_check import LogCheck
from apex_actors.protocol.messages import IfBusy
from apex_actors.protocol.payloads import (
    AgentName,
    AgentStarted,
    AgentStatus,
    ToolExecuting,
)
from apex_actors.storage.errors import StorageUnavailableError
from apex_actors.storage.runs import StartAttempt

SETTINGS = ExecutionSettings(runs_per_user=2, lease_s=2, poll_interval_s=0.05, max_attempts=2)
STARTED = AgentStarted(message="I begin.", step=0, total_steps=3)


class Supervisor(LoopActor):
    """Starts, does what the test says, and ends the run; its work can be stopped."""

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
        await assignment.journal.commit(
            AgentName.SUPERVISOR, STARTED, writes=(StartAttempt(context.run_id, context.attempt),)
        )
        self.pipe_to_self(self.work(assignment), done=lambda _: "work done")

    async def complete(self):
        await RunExits(self.assignment).completed(
            Answer("# Done", {"ok": True}), status=AgentStatus.OK, summary="done", duration_ms=1
        )
        self.end()

    async def stop_work(self):
        await RunExits(self.assignment).cancelled(None)
        self.end()

    def end(self):
        context = self.assignment.context
        self.engine.tell(RunEnded(context.user_id, context.run_id))


@dataclass
class Pipeline:
    work: Callable

    def start_supervisor(self, engine, assignment):
        return engine.start_child(Supervisor, assignment, engine.ref, self.work)

    def answer(self, _results):
        return None


async def nothing(_assignment):
    pass


@pytest.fixture
async def start_worker(database, announcer, runs):
    workers = []

    def start(work=nothing, *, name="w"):
        factory = ExecutionEngineFactory(
            database=database,
            announcer=announcer,
            pipelines={"costs": Pipeline(work)},
            settings=SETTINGS,
        )
        workers.append(Worker.start(name=name, runs=runs, factory=factory, settings=SETTINGS))
        return workers[-1]

    yield start
    for worker in workers:
        worker.kill()
        await worker.stopped()
    assert ActorSystem.current().alive() == []


@pytest.fixture
def accept(acceptance, user_id):
    async def accept(text="How much?", **fields):
        message = MessageToAccept(user_id=user_id, text=text, pipeline="costs", **fields)
        return await acceptance.accept(message)

    return accept


@pytest.fixture
def finished(announcer, eventually):
    """Wait until so many runs have finished; gives the types of all events."""

    async def wait(count=1):
        def types():
            return [event.type for event in announcer.events]

        await eventually(lambda: types().count("run_finished") >= count)
        return types()

    return wait


async def status_of(runs, user_id, run_id):
    return await runs.result(user_id, run_id)


async def test_promise_2_a_run_has_one_run_finished_equal_to_its_row(
    accept, start_worker, finished, announcer, runs, user_id
):
    accepted = await accept()
    start_worker()
    types = await finished()
    assert types == [
        "message_created",
        "agent_started",
        "agent_completed",
        "message_created",
        "final_response",
        "run_finished",
    ]
    stored = await runs.result(user_id, accepted.run_id)
    last = announcer.events[-1]
    assert (stored.status, stored.partial) == (last.payload["status"], last.payload["partial"])
    assert stored.content == "# Done"
    assert stored.report == {"ok": True}


async def test_promise_5_runs_of_a_thread_follow_each_other_and_of_two_threads_overlap(
    accept, start_worker, finished, announcer
):
    working, most = 0, 0
    together = asyncio.Event()

    async def overlap(_assignment):
        nonlocal working, most
        working += 1
        most = max(most, working)
        if working == 2:
            together.set()
        await asyncio.wait_for(together.wait(), 5)
        working -= 1

    first = await accept()
    await accept(thread_id=first.thread_id)
    other = await accept()
    start_worker(overlap)
    await finished(3)
    assert most == 2
    in_thread = [
        (event.type, event.run_id)
        for event in announcer.events
        if event.thread_id == first.thread_id and event.type in {"agent_started", "run_finished"}
    ]
    assert [kind for kind, _ in in_thread] == ["agent_started", "run_finished"] * 2
    assert in_thread[0][1] == in_thread[1][1] == first.run_id
    assert other.run_id not in {run_id for _, run_id in in_thread}


async def test_a_broken_run_ends_with_an_error_report_and_closes_what_it_opened(
    accept, start_worker, finished, announcer, database
):
    async def breaks(assignment):
        assignment.journal.say(
            AgentName.SUPERVISOR, ToolExecuting(tool_call_id="c", tool="t", arguments={})
        )
        raise ValueError("inner cause")

    accepted = await accept()
    start_worker(breaks)
    types = await finished()
    assert types[1:] == [
        "agent_started",
        "tool_executing",
        "tool_completed",
        "agent_completed",
        "run_finished",
    ]
    error = announcer.events[-1].payload["error"]
    assert announcer.events[-1].payload["status"] == "failed"
    async with database.connection() as connection:
        row = await (await connection.execute("select * from apex.error_reports")).fetchone()
    assert str(row["id"]) == error["report_id"]
    assert row["run_id"] == accepted.run_id
    assert (row["kind"], row["message"]) == ("ValueError", "inner cause")
    assert "inner cause" not in error["message"]


async def test_promise_7_a_worker_that_lost_its_lease_says_nothing_any_more(
    accept, start_worker, finished, announcer, database, eventually
):
    blocked = asyncio.Event()
    attempts = []

    async def first_hangs(assignment):
        attempts.append(assignment.context.attempt)
        if len(attempts) == 1:
            await blocked.wait()
            # The fence is checked in the transaction: this must not reach anybody.
            await assignment.journal.commit(AgentName.SUPERVISOR, STARTED)

    await accept()
    frozen = start_worker(first_hangs, name="frozen")
    await eventually(lambda: attempts)
    async with database.connection() as connection:
        # What the end of a lease does, without waiting for it.
        await connection.execute(
            "update absurd.r_runs set claim_expires_at = now() - interval '1 s'"
        )
    start_worker(first_hangs, name="healthy")
    await finished()
    blocked.set()
    drained = await frozen.ask_async(Drain(), timeout=5)
    assert drained in {0, 1}
    assert attempts == [1, 2]
    finish = next(i for i, e in enumerate(announcer.events) if e.type == "run_finished")
    assert announcer.events[finish + 1 :] == []
    assert [e.attempt for e in announcer.events if e.type == "agent_started"] == [1, 2]


async def test_a_stopped_worker_gives_its_runs_back_at_once(
    accept, start_worker, finished, announcer, eventually
):
    attempts = []

    async def hangs_once(assignment):
        attempts.append(assignment.context.attempt)
        if len(attempts) == 1:
            await asyncio.Event().wait()

    await accept()
    first = start_worker(hangs_once, name="first")
    await eventually(lambda: attempts)
    first.kill()
    await first.stopped()
    start_worker(hangs_once, name="second")
    await asyncio.wait_for(finished(), SETTINGS.lease_s)
    assert attempts == [1, 2]
    assert announcer.events[-1].payload["status"] == "completed"


async def test_a_run_that_carries_the_mark_before_it_begins_ends_with_run_finished_alone(
    accept, start_worker, cancellation, finished, announcer, runs, user_id, rows
):
    begun = []

    async def begins(assignment):
        begun.append(assignment)

    accepted = await accept()
    await cancellation.cancel_run(user_id, accepted.run_id)
    start_worker(begins)
    assert await finished() == ["message_created", "run_finished"]
    assert announcer.events[-1].payload == {"status": "cancelled", "partial": False}
    assert RunGrammar().check(announcer.events) == []
    assert (await runs.result(user_id, accepted.run_id)).status == "cancelled"
    assert begun == []
    # Absurd takes it for done: it is nobody's work any more.
    assert await rows("select state from absurd.r_runs") == [{"state": "completed"}]


async def test_an_interrupted_run_ends_and_the_interrupt_begins_before_what_waits(
    accept, start_worker, finished, announcer
):
    async def works_until_stopped(assignment):
        if assignment.context.run_id == first.run_id:
            await asyncio.Event().wait()

    first = await accept()
    start_worker(works_until_stopped)
    waiting = await accept(thread_id=first.thread_id)
    interrupt = await accept(thread_id=first.thread_id, if_busy=IfBusy.INTERRUPT)
    await finished(3)
    order = [event.run_id for event in announcer.events if event.type == "agent_started"]
    assert order in (
        [first.run_id, interrupt.run_id, waiting.run_id],
        [interrupt.run_id, waiting.run_id],  # it was stopped before it began
    )
    checking = LogCheck(0)
    for event in sorted(announcer.events, key=lambda event: event.seq):
        checking.feed(event)
    # This supervisor leads no sub-agents.
    assert {v.promise for v in checking.close()} <= {GRAMMAR}
    ends = {e.run_id: e.payload["status"] for e in announcer.events if e.type == "run_finished"}
    assert ends == {
        first.run_id: "cancelled",
        interrupt.run_id: "completed",
        waiting.run_id: "completed",
    }


async def test_a_retried_run_answers_the_same_message(
    accept, acceptance, start_worker, finished, announcer, user_id, database
):
    async def fails_once(assignment):
        questions.append(assignment.context.question)
        if len(questions) == 1:
            raise ValueError("once")

    questions = []
    accepted = await accept("What did it cost?")
    start_worker(fails_once)
    await finished()
    retried = await acceptance.retry(user_id, accepted.run_id)
    await finished(2)
    assert questions == ["What did it cost?"] * 2
    of_retry = [event.type for event in announcer.events if event.run_id == retried.run_id]
    assert of_retry[0] == "agent_started"
    async with database.connection() as connection:
        cursor = await connection.execute(
            "select role, run_id from apex.messages order by created_at"
        )
        assert await cursor.fetchall() == [
            {"role": "user", "run_id": accepted.run_id},
            {"role": "assistant", "run_id": retried.run_id},
        ]


async def test_a_run_of_a_pipeline_that_nobody_knows_fails_with_a_report(
    acceptance, start_worker, finished, announcer, user_id, rows
):
    await acceptance.accept(MessageToAccept(user_id=user_id, text="x", pipeline="poems"))
    start_worker()
    assert await finished() == ["message_created", "run_finished"]
    assert announcer.events[-1].payload["status"] == "failed"
    [report] = await rows("select id, kind from apex.error_reports")
    assert str(report["id"]) == announcer.events[-1].payload["error"]["report_id"]
    assert report["kind"] == "LookupError"


async def test_a_database_that_is_away_is_said_once_and_work_goes_on_when_it_is_back(
    start_worker, accept, finished, runs, mocker, caplog, eventually
):
    claim = mocker.patch.object(
        runs, "claim", side_effect=StorageUnavailableError("PostgreSQL is away")
    )
    start_worker().tell(WorkAvailable())
    await eventually(lambda: claim.call_count >= 3)
    assert [message for message in caplog.messages if "claimed" in message] == [
        "no work can be claimed: PostgreSQL is away"
    ]
    mocker.stopall()
    await accept()
    await finished()
    assert caplog.messages.count("work can be claimed again") == 1

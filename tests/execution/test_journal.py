"""The journal: durable before it is seen, once, in order, and never behind a lost lease."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from apex_actors.actors import ActorSystem
from apex_actors.execution import Journal, MessageToAccept, RunJournal, RunLedger, Said
from apex_actors.execution.context import UserExecutionContext
from apex_actors.execution.journal import CloseBook, OpenBook
from apex_actors.protocol.payloads import (
    AgentCompleted,
    AgentName,
    AgentStarted,
    AgentStatus,
    AgentThinking,
    RunFinished,
    RunStatus,
    ToolExecuting,
)
from apex_actors.storage.errors import LeaseLostError, StorageUnavailableError
from apex_actors.storage.runs import EndRun, StepRecord, StoreStep

DATA = AgentName.DATA
STARTED = AgentStarted(message="m", step=1, total_steps=3)
COMPLETED = AgentCompleted(status=AgentStatus.OK, result="r", duration_ms=1)


def thought(text="Hm."):
    return AgentThinking(reasoning=text, progress=0.5)


class FaultyDatabase:
    """A database some of whose transactions end as the test says."""

    def __init__(self, database):
        self._database = database
        self.faults = []
        self.transactions = 0
        self.settling = []

    @asynccontextmanager
    async def pipelined(self):
        self.transactions += 1
        fault = self.faults.pop(0) if self.faults else None
        if fault == "away":
            raise StorageUnavailableError("PostgreSQL is away or too busy; try again")
        if fault == "answer comes late":
            stack = AsyncExitStack()
            yield await stack.enter_async_context(self._database.pipelined())
            self.settling.append(asyncio.create_task(self._commit_later(stack)))
            raise StorageUnavailableError("PostgreSQL is away or too busy; try again")
        async with self._database.pipelined() as connection:
            yield connection
        if fault == "answer lost":
            raise StorageUnavailableError("PostgreSQL is away or too busy; try again")

    def transaction(self):
        return self._database.transaction()

    async def _commit_later(self, stack):
        # Longer than the first pause before the commit is tried again.
        await asyncio.sleep(0.3)
        await stack.aclose()


@pytest.fixture
def faulty(database):
    return FaultyDatabase(database)


@pytest.fixture
async def start_journal(faulty, announcer, user_id):
    journals = []

    def start(*, give_up_s=5.0):
        journals.append(
            Journal.start(
                user_id=user_id, database=faulty, announcer=announcer, give_up_s=give_up_s
            )
        )
        return journals[-1]

    yield start
    for journal in journals:
        journal.kill()
        await journal.stopped()
    if faulty.settling:
        await asyncio.wait(faulty.settling)
    assert ActorSystem.current().alive() == []


@pytest.fixture
def begin(acceptance, runs, user_id):
    """Accept and claim a run, and open its book."""

    async def begin(journal):
        message = MessageToAccept(user_id=user_id, text="How much?", pipeline="p")
        accepted = await acceptance.accept(message)
        [claim] = await runs.claim("w", quantity=1, lease_s=60)
        context = UserExecutionContext(
            org="acme",
            sub="ann",
            user_id=user_id,
            thread_id=accepted.thread_id,
            run_id=accepted.run_id,
            message_id=accepted.message_id,
            question="How much?",
            attempt=1,
            deadline=datetime.now(UTC) + timedelta(seconds=60),
            trace_id="t",
        )
        journal.tell(OpenBook(accepted.run_id, claim.fence_id, RunLedger()))
        return RunJournal(journal, context), context, claim

    return begin


async def lose(database, claim):
    async with database.connection() as connection:
        await connection.execute(
            "update absurd.r_runs set state = 'failed' where run_id = %s", (claim.fence_id,)
        )


async def events_of_run(log, context):
    return await log.read_run(context.run_id)


def end_of(context, claim):
    return EndRun(
        run_id=context.run_id,
        user_id=context.user_id,
        fence_id=claim.fence_id,
        status=RunStatus.COMPLETED,
        partial=False,
        error=None,
        cap=2,
    )


def step_of(context):
    return StoreStep(context.run_id, context.attempt, StepRecord(1, DATA, AgentStatus.OK, {}, 1))


async def test_all_that_waits_goes_into_one_transaction_in_order(
    start_journal, begin, faulty, log, announcer
):
    journal, context, _ = await begin(start_journal())
    journal.say(DATA, STARTED)
    for number in range(20):
        journal.say(DATA, thought(str(number)))
    await journal.commit(DATA, COMPLETED, writes=(step_of(context),))
    events = await events_of_run(log, context)
    assert [event.payload.get("reasoning") for event in events[2:-1]] == [
        str(number) for number in range(20)
    ]
    assert [event.seq for event in events] == list(range(1, 24))
    assert [event.encode() for event in announcer.events] == [event.encode() for event in events]
    assert faulty.transactions == 1


async def test_nothing_is_announced_before_it_is_durable(start_journal, begin, database, announcer):
    journal, _, _ = await begin(start_journal())
    said_before = len(announcer.events)
    async with database.transaction() as connection:
        await connection.execute("select 1 from apex.users for update")
        committing = asyncio.create_task(journal.commit(DATA, STARTED))
        async with database.connection() as watching:
            blocked = "select count(*) as n from pg_stat_activity where wait_event_type = 'Lock'"

            async def is_blocked():
                return (await (await watching.execute(blocked)).fetchone())["n"] > 0

            async with asyncio.timeout(5):
                while not await is_blocked():  # noqa: ASYNC110 - only the server knows
                    await asyncio.sleep(0.01)
        assert len(announcer.events) == said_before
        assert not committing.done()
    await committing
    assert len(announcer.events) == said_before + 1


async def test_promise_7_a_lost_lease_fails_what_waits_and_all_that_comes(
    start_journal, begin, database, log, announcer
):
    journal, context, claim = await begin(start_journal())
    await journal.commit(DATA, STARTED)
    await lose(database, claim)
    journal.say(DATA, thought())
    with pytest.raises(LeaseLostError):
        await journal.commit(DATA, thought())
    with pytest.raises(LeaseLostError):
        await journal.commit(DATA, COMPLETED)
    types = [event.type.value for event in await events_of_run(log, context)]
    assert types == ["message_created", "agent_started"]
    assert [event.type.value for event in announcer.events] == types


async def test_promise_2_the_end_of_a_run_behind_a_lost_lease_is_a_lost_lease(
    start_journal, begin, database, log
):
    journal, context, claim = await begin(start_journal())
    await lose(database, claim)
    finished = RunFinished(status=RunStatus.COMPLETED, partial=False)
    with pytest.raises(LeaseLostError):
        await journal.commit(None, finished, writes=(end_of(context, claim),))
    assert [event.type.value for event in await events_of_run(log, context)] == ["message_created"]


async def test_promise_6_a_step_that_the_next_worker_has_stored_is_a_lost_lease(
    start_journal, begin, database
):
    journal, context, claim = await begin(start_journal())
    async with database.transaction() as connection:
        await step_of(context).apply(connection)
    await lose(database, claim)
    with pytest.raises(LeaseLostError):
        await journal.commit(DATA, COMPLETED, writes=(step_of(context),))


async def test_a_write_that_cannot_be_is_an_error_at_once_and_nothing_of_it_is_stored(
    start_journal, begin, database, log
):
    journal, context, _ = await begin(start_journal(give_up_s=60))
    async with database.transaction() as connection:
        await step_of(context).apply(connection)
    async with asyncio.timeout(5):
        with pytest.raises(Exception, match="step_results_pkey"):
            await journal.commit(DATA, COMPLETED, writes=(step_of(context),))
    assert [event.type.value for event in await events_of_run(log, context)] == ["message_created"]


async def test_a_lost_lease_of_one_run_leaves_the_users_other_runs_alone(
    start_journal, begin, database, log
):
    ref = start_journal()
    lost, _, claim = await begin(ref)
    kept, context, _ = await begin(ref)
    await lose(database, claim)
    lost.say(DATA, STARTED)
    await kept.commit(DATA, STARTED)
    with pytest.raises(LeaseLostError):
        await lost.commit(DATA, COMPLETED)
    await kept.commit(DATA, COMPLETED)
    assert len(await events_of_run(log, context)) == 3


async def test_promise_4_a_commit_whose_answer_was_lost_is_stored_once(
    start_journal, begin, faulty, log, announcer
):
    journal, context, claim = await begin(start_journal())
    faulty.faults = ["answer lost"]
    finished = RunFinished(status=RunStatus.COMPLETED, partial=False)
    await journal.commit(None, finished, writes=(end_of(context, claim),))
    events = await events_of_run(log, context)
    assert [event.type.value for event in events] == ["message_created", "run_finished"]
    assert [event.encode() for event in announcer.events] == [event.encode() for event in events]


async def test_promise_4_a_commit_that_is_still_under_way_when_it_is_retried_is_stored_once(
    start_journal, begin, faulty, log, announcer
):
    journal, context, _ = await begin(start_journal())
    faulty.faults = ["answer comes late"]
    await journal.commit(DATA, STARTED)
    await journal.commit(DATA, COMPLETED)
    events = await events_of_run(log, context)
    assert [event.type.value for event in events] == [
        "message_created",
        "agent_started",
        "agent_completed",
    ]
    assert [event.encode() for event in announcer.events] == [event.encode() for event in events]


async def test_a_database_that_is_away_for_a_moment_costs_a_moment(
    start_journal, begin, faulty, log
):
    journal, context, _ = await begin(start_journal())
    faulty.faults = ["away", "away"]
    journal.say(DATA, STARTED)
    await journal.commit(DATA, COMPLETED)
    assert len(await events_of_run(log, context)) == 3
    assert faulty.transactions == 3


async def test_a_database_that_stays_away_fails_the_commit_and_all_behind_the_gap(
    start_journal, begin, faulty, log
):
    journal, context, _ = await begin(start_journal(give_up_s=0.01))
    faulty.faults = ["away"]
    with pytest.raises(StorageUnavailableError):
        await journal.commit(DATA, STARTED)
    with pytest.raises(StorageUnavailableError):
        await journal.commit(DATA, COMPLETED)
    assert len(await events_of_run(log, context)) == 1


async def test_nothing_is_taken_for_a_run_that_has_ended(start_journal, begin):
    ref = start_journal()
    journal, context, _ = await begin(ref)
    ref.tell(CloseBook(context.run_id))
    with pytest.raises(RuntimeError, match="ended"):
        await journal.commit(DATA, STARTED)


async def test_a_closing_commit_closes_what_is_open_at_that_moment(start_journal, begin, log):
    journal, context, _ = await begin(start_journal())
    journal.say(DATA, STARTED, ToolExecuting(tool_call_id="c", tool="t", arguments={}))
    finished = RunFinished(status=RunStatus.FAILED, partial=False)
    await journal.commit_closing("stopped", (Said(None, finished),), ())
    events = await events_of_run(log, context)
    assert [event.type.value for event in events[3:]] == [
        "tool_completed",
        "agent_completed",
        "run_finished",
    ]
    assert events[3].payload["status"] == "aborted"
    assert events[4].payload["result"] == "stopped"


async def test_tools_in_flight_are_closed_before_an_agent_begins_again(start_journal, begin, log):
    journal, context, _ = await begin(start_journal())
    call = ToolExecuting(tool_call_id=uuid4().hex, tool="t", arguments={})
    journal.say(DATA, STARTED, call)
    journal.say(DATA, STARTED, abort_tools=True)
    await journal.commit(DATA, COMPLETED, abort_tools=True)
    assert [event.type.value for event in (await events_of_run(log, context))[1:]] == [
        "agent_started",
        "tool_executing",
        "tool_completed",
        "agent_started",
        "agent_completed",
    ]

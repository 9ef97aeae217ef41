"""The life of runs among workers that die, hand over and come back too late, against a model of it.

The database's clock is the test's: leases end when it says so.
"""

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from apex_actors.actors import ActorSystem
from apex_actors.execution import (
    Acceptance,
    Answer,
    Cancellation,
    ExecutionSettings,
    Journal,
    MessageToAccept,
    RunAssignment,
    RunExits,
    RunJournal,
    UserExecutionContext,
)
from apex_actors.execution.journal import OpenBook
from apex_actors.execution.pipeline import stored_ledger
from apex_actors.protocol.identity import Identity
from apex_actors.protocol.log_check import LogCheck
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
from apex_actors.storage.database import Database
from apex_actors.storage.errors import LeaseLostError
from apex_actors.storage.event_log import EventLog
from apex_actors.storage.runs import Claim, RunStore, StartAttempt, StepRecord, StoreStep

LEASE_S = 10
SETTINGS = ExecutionSettings(lease_s=LEASE_S, runs_per_user=2)
STEPS_OF_A_RUN = len(SUB_AGENTS)


class Clocked(Database):
    """A database for which it is as late as the test says."""

    now = datetime(2026, 11, 1, tzinfo=UTC)

    @asynccontextmanager
    async def connection(self):
        async with super().connection() as connection:
            await connection.execute(
                "select set_config('absurd.fake_now', %s, false)", [self.now.isoformat()]
            )
            yield connection


@pytest.fixture
async def clocked(database_url):
    database = Clocked(database_url, max_size=2)
    await database.open()
    yield database
    await database.close()


class Nobody:
    """Is told, and has nothing to show of it: what failed is shown with all that it was given."""

    def events_committed(self, user_id, events):
        pass

    def work_available(self):
        pass


@dataclass
class Run:
    """What the model knows of a run that has a durable task."""

    run_id: UUID
    thread: int
    begun: bool = False
    steps: int = 0
    holder: int | None = None
    claim: Claim | None = None
    lease_ends: datetime | None = None
    cancelled: bool = False


@dataclass
class Hands:
    """A worker of the test: what it believes to hold."""

    runs: dict = field(default_factory=dict)


class Scene:
    """A user's runs, two workers, and the model of what may come of it."""

    def __init__(self, database, sub, position):
        self.database = database
        self.sub = sub
        self.announcer = Nobody()
        self.user_id = position.user_id
        self.log = EventLog(database)
        self.store = RunStore(database)
        self.acceptance = Acceptance(database=database, announcer=self.announcer, settings=SETTINGS)
        self.cancellation = Cancellation(
            database=database, announcer=self.announcer, settings=SETTINGS
        )
        self.runs = {}
        self.threads = {}
        self.fences = set()
        self.begun_here = set()
        """Runs whose present attempt has said that it begins."""
        self.hands = [Hands(), Hands()]
        self.late = []
        """Assignments of workers that died or lost their lease and may write once more."""

    def new_journal(self):
        """Of an engine that is made for one claim: nobody else's attempt goes through it."""
        return Journal.start(
            user_id=self.user_id, database=self.database, announcer=self.announcer, give_up_s=1.0
        )

    # What happens.

    async def accept(self, thread, _):
        accepted = await self.acceptance.accept(
            MessageToAccept(
                user_id=self.user_id,
                text="How much?",
                pipeline="p",
                thread_id=self.threads.get(thread),
            )
        )
        self.threads[thread] = accepted.thread_id
        self.runs[accepted.run_id] = Run(accepted.run_id, thread)

    async def cancel(self, which, _):
        run = self.pick(self.runs.values(), which)
        if run is not None:
            await self.cancellation.cancel_run(self.user_id, run.run_id)
            await self.forget_ended()
            if run.run_id in self.runs:
                run.cancelled = True

    async def claim(self, who, _):
        """The first claim behind the end of a lease sweeps, the second one takes."""
        hands = self.hands[who % 2]
        free = await self.claimable()
        claims = []
        for _attempt in range(2):
            claims += await self.store.claim(f"w{who}", quantity=100, lease_s=LEASE_S)
        assert {claim.run_id for claim in claims} == free
        stored = await self.store.load([claim.run_id for claim in claims])
        for claim in claims:
            assert claim.fence_id not in self.fences
            self.fences.add(claim.fence_id)
            run = self.runs[claim.run_id]
            older = hands_before(self, run).pop(run.run_id, None)
            if older is not None:
                self.late.append(older)
            run.holder, run.claim = who % 2, claim
            run.lease_ends = self.database.now + timedelta(seconds=LEASE_S)
            hands.runs[run.run_id] = await self.assign(stored[run.run_id], claim)
        # Those of one thread never at once, those of a user not more than the cap.
        held = [run for run in self.runs.values() if run.holder is not None]
        assert len({run.thread for run in held}) == len(held) <= SETTINGS.runs_per_user

    async def step(self, who, which):
        """One more agent does its part, all of it in one transaction."""
        found = self.held(who, which)
        if found is None:
            return
        run, assignment = found
        if not run.begun or (assignment.resumed and run.run_id not in self.begun_here):
            await self.begin(run, assignment)
        if run.steps < STEPS_OF_A_RUN:
            await self.perform(assignment, run.steps)
            run.steps += 1

    async def end(self, who, which):
        """The run completes, fails, or is cancelled, whatever is due."""
        found = self.held(who, which)
        if found is None:
            return
        run, assignment = found
        exits = RunExits(assignment)
        answer = Answer("# Answer", {"of": run.steps}) if run.steps else None
        if run.cancelled:
            await exits.cancelled(answer)
        elif answer is None or run.steps < STEPS_OF_A_RUN or run.run_id not in self.begun_here:
            await exits.failed(ValueError("the test says so"), answer)
        else:
            await exits.completed(answer, status=AgentStatus.OK, summary="s", duration_ms=1)
        await self.forget_ended()
        assert run.run_id not in self.runs

    async def die(self, who, _):
        """Nothing is given back; whoever it was may write once more."""
        hands = self.hands[who % 2]
        self.late += hands.runs.values()
        self.hands[who % 2] = Hands()

    async def hand_over(self, who, _):
        hands = self.hands[who % 2]
        held = [
            run for run in self.runs.values() if run.run_id in hands.runs and run.holder == who % 2
        ]
        await self.store.release([run.claim for run in held])
        for run in held:
            self.late.append(hands.runs.pop(run.run_id))
            run.holder = run.claim = run.lease_ends = None

    async def extend(self, who, _):
        hands = self.hands[who % 2]
        fences = {a.fence_id: run_id for run_id, a in hands.runs.items()}
        extended = await self.store.extend(fences, lease_s=LEASE_S)
        assert extended == set(fences), "a lease that nobody has taken is still ours"
        for fence_id in extended:
            self.runs[fences[fence_id]].lease_ends = self.database.now + timedelta(seconds=LEASE_S)

    async def wait(self, seconds, _):
        self.database.now += timedelta(seconds=seconds)

    async def come_late(self, which, _):
        """Whoever had a run earlier writes: refused once anybody else has it."""
        if not self.late:
            return
        assignment = self.late[which % len(self.late)]
        run = self.runs.get(assignment.context.run_id)
        before = await self.end_of_log()
        still_ours = (
            run is not None and run.claim is not None and run.claim.fence_id == assignment.fence_id
        )
        if still_ours:
            return  # a lease that is not taken may still be written under: nothing to see
        with pytest.raises(LeaseLostError):
            await assignment.journal.commit(
                AgentName.DATA, AgentThinking(reasoning="Too late.", progress=1.0)
            )
        assert await self.end_of_log() == before

    # How it is done.

    async def begin(self, run, assignment):
        context = assignment.context
        said = (
            RunResumed(attempt=context.attempt, next_agent=self.next_agent(run))
            if assignment.resumed
            else AgentStarted(message="m", step=0, total_steps=STEPS_OF_A_RUN)
        )
        await assignment.journal.commit(
            AgentName.SUPERVISOR,
            said,
            writes=(StartAttempt(context.run_id, context.attempt),),
            abort_tools=True,
        )
        run.begun = True
        self.begun_here.add(run.run_id)

    def next_agent(self, run):
        return SUB_AGENTS[run.steps] if run.steps < STEPS_OF_A_RUN else AgentName.SUPERVISOR

    async def perform(self, assignment, number):
        agent, call_id = SUB_AGENTS[number], uuid4().hex
        context = assignment.context
        record = StepRecord(number + 1, agent, AgentStatus.OK, {"of": agent}, 1)
        tries = assignment.ledger.tries(agent) + 1
        await assignment.journal.commit(
            agent,
            AgentStarted(
                message="m", step=number + 1, total_steps=STEPS_OF_A_RUN, try_number=tries
            ),
            AgentThinking(reasoning="Hm.", progress=0.5),
            ToolExecuting(tool_call_id=call_id, tool="look", arguments={}),
            ToolCompleted(
                tool_call_id=call_id, tool="look", status=ToolStatus.OK, result="r", duration_ms=1
            ),
            AgentCompleted(status=AgentStatus.OK, result="r", duration_ms=1),
            writes=(StoreStep(context.run_id, context.attempt, record),),
        )

    async def assign(self, run, claim):
        """As the engine of a user does it."""
        ledger = await stored_ledger(self.log, run)
        context = UserExecutionContext.of(run, run_limit_s=3600)
        journal = self.new_journal()
        journal.tell(OpenBook(run.run_id, claim.fence_id, ledger))
        self.begun_here.discard(run.run_id)
        steps = tuple(await self.store.steps(run.run_id))
        assert len(steps) == self.runs[run.run_id].steps
        return RunAssignment(
            context, RunJournal(journal, context), claim.fence_id, SETTINGS, steps, ledger
        )

    @staticmethod
    def pick(candidates, which):
        candidates = list(candidates)
        return candidates[which % len(candidates)] if candidates else None

    def held(self, who, which):
        hands = self.hands[who % 2]
        run_id = self.pick(hands.runs, which)
        return None if run_id is None else (self.runs[run_id], hands.runs[run_id])

    async def end_of_log(self):
        return (await self.log.open(Identity(org="acme", sub=self.sub))).seq

    async def statuses(self):
        async with self.database.connection() as connection:
            cursor = await connection.execute(
                "select id, status from apex.runs where user_id = %s", [self.user_id]
            )
            return {row["id"]: row["status"] for row in await cursor.fetchall()}

    async def claimable(self):
        statuses = await self.statuses()
        return {
            run.run_id
            for run in self.runs.values()
            if statuses[run.run_id] in {"queued", "running"}
            and (run.lease_ends is None or run.lease_ends <= self.database.now)
        }

    async def forget_ended(self):
        for run_id, status in (await self.statuses()).items():
            if status not in {"waiting", "queued", "running"}:
                self.runs.pop(run_id, None)
                for hands in self.hands:
                    if run_id in hands.runs:
                        self.late.append(hands.runs.pop(run_id))


def hands_before(scene, run):
    """The runs of whoever held this one; of nobody where it has died."""
    return {} if run.holder is None else scene.hands[run.holder].runs


COMMANDS = st.tuples(
    st.sampled_from(
        [
            "accept",
            "accept",
            "claim",
            "claim",
            "step",
            "step",
            "step",
            "end",
            "cancel",
            "die",
            "hand_over",
            "extend",
            "come_late",
        ]
    ),
    st.integers(0, 3),
    st.integers(0, 3),
)
WAITS = st.tuples(st.just("wait"), st.sampled_from([3, LEASE_S + 1]), st.just(0))


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example(  # killed behind a step, taken over, and the dead one writes
    commands=[
        ("accept", 0, 0), ("claim", 0, 0), ("step", 0, 0), ("die", 0, 0), ("wait", LEASE_S + 1, 0),
        ("claim", 1, 0), ("come_late", 0, 0), ("step", 1, 0), ("step", 1, 0), ("end", 1, 0),
    ]
)  # fmt: skip
@example(  # handed over before its first event, and cancelled by the time it is claimed again
    commands=[
        ("accept", 0, 0), ("accept", 0, 0), ("claim", 0, 0), ("hand_over", 0, 0), ("cancel", 0, 0),
        ("claim", 1, 0), ("come_late", 0, 0), ("end", 1, 0), ("claim", 0, 0), ("come_late", 0, 0),
    ]
)  # fmt: skip
@given(commands=st.lists(st.one_of(COMMANDS, COMMANDS, COMMANDS, WAITS), min_size=8, max_size=30))
async def test_promises_2_6_7_hold_whoever_dies_hands_over_or_comes_too_late(commands, clocked):
    sub = uuid4().hex
    [position] = await EventLog(clocked).open_many([Identity(org="acme", sub=sub)])
    scene = Scene(clocked, sub, position)
    try:
        for name, *arguments in commands:
            await getattr(scene, name)(*arguments)
        # Whatever happened, a worker that stays ends it all.
        await scene.die(0, 0)
        await scene.die(1, 0)
        while scene.runs:
            await scene.wait(LEASE_S + 1, 0)
            await scene.claim(0, 0)
            assert scene.hands[0].runs, "an unfinished run is claimed by nobody"
            while scene.hands[0].runs:
                await scene.step(0, 0)
                await scene.end(0, 0)
    finally:
        for ref in ActorSystem.current().alive():
            ref.kill()
            await ref.stopped()
        # What a failed example leaves is no other one's to claim.
        async with clocked.connection() as connection:
            await connection.execute("truncate absurd.t_runs, absurd.r_runs")
    events = await scene.log.read(scene.user_id, after=0, limit=10_000)
    check = LogCheck(0)
    for event in events:
        check.feed(event)
    assert check.close() == []
    finished = [event for event in events if event.type == "run_finished"]
    statuses = await scene.statuses()
    assert len(finished) == len(statuses)
    assert {event.run_id: event.payload["status"] for event in finished} == statuses

"""Fixtures of the agents: a worker whose supervisor leads sub-agents that the test scripts."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from pydantic import BaseModel

from apex_actors.actors import ActorDeadError, ActorSystem
from apex_actors.agents import StepOutcome, SubAgent, SupervisorAgent
from apex_actors.execution import (
    Acceptance,
    Answer,
    Cancellation,
    ExecutionEngineFactory,
    ExecutionSettings,
    MessageToAccept,
    WorkAvailable,
    Worker,
)
from apex_actors.protocol.grammar import RunGrammar
from apex_actors.protocol.identity import Identity
from apex_actors.protocol.payloads import SUB_AGENTS, AgentName, AgentStatus
from apex_actors.storage.event_log import EventLog
from apex_actors.storage.runs import RunStore

ESSENTIAL = frozenset({AgentName.DATA, AgentName.REPORT})


class Words(BaseModel):
    words: str = "w"


@dataclass(frozen=True)
class Tool:
    """A tool that does what the test says."""

    work: Callable
    name: str = "look"
    is_repeatable: bool = False

    async def run(self, arguments, context):
        return await self.work(arguments, context)

    def summary(self, output):
        return f"found {output}"


async def found(_arguments, _context):
    return "something"


async def use(agent, work=found, name="look", **traits):
    """Call a tool that does ``work``."""
    return await agent.use(Tool(work, name, **traits), Words())


async def good_work(agent, results):
    """Think, use a tool, and hand on who came before."""
    agent.think("I think.", 0.5)
    await use(agent)
    return StepOutcome(AgentStatus.OK, "done", {"before": sorted(results)})


class ScriptedAgent(SubAgent):
    """Plays the next of its parts each time it is started; the last one again and again."""

    name = AgentName.DATA
    opening = "I begin."

    def __init__(self, *, assignment, name, work):
        super().__init__(assignment=assignment)
        self.name = name
        self._work = work

    async def work(self, results):
        return await self._work(self, results)


@dataclass
class ScriptedStep:
    name: AgentName
    essential: bool
    pipeline: "ScriptedPipeline"
    opening: str = "I begin."

    def start(self, supervisor, assignment):
        pipeline = self.pipeline
        parts = pipeline.parts.get(self.name, [good_work])
        number = pipeline.starts.count(self.name)
        pipeline.starts.append(self.name)
        ref = supervisor.start_child(
            ScriptedAgent,
            assignment=assignment,
            name=self.name,
            work=parts[min(number, len(parts) - 1)],
        )
        pipeline.refs.append(ref)
        pipeline.on_started(ref)
        return ref


@dataclass
class ScriptedPipeline:
    """Three sub-agents as in the cost pipeline: data and report are essential."""

    parts: dict = field(default_factory=dict)
    starts: list = field(default_factory=list)
    refs: list = field(default_factory=list)
    completed_with: list = field(default_factory=list)
    on_started: Callable = lambda _ref: None

    def start_supervisor(self, engine, assignment):
        steps = tuple(ScriptedStep(name, name in ESSENTIAL, self) for name in SUB_AGENTS)
        return engine.start_child(
            SupervisorAgent, assignment=assignment, engine=engine.ref, steps=steps, assembly=self
        )

    def answer(self, *run_and_results):
        """Asked by the engine, with the run's id, and by a supervisor, without."""
        results = run_and_results[-1]
        return Answer("# Answer", {"of": sorted(results)}) if AgentName.DATA in results else None

    async def after_completion(self, _assignment, results):
        self.completed_with.append(sorted(results))


@dataclass
class RecordingAnnouncer:
    """Remembers the events, and wakes the workers as a node does."""

    workers: list
    events: list = field(default_factory=list)
    on_events: Callable = lambda _events: None

    def events_committed(self, _user_id, events):
        self.events.extend(events)
        self.on_events(events)

    def work_available(self):
        for worker in self.workers:
            with contextlib.suppress(ActorDeadError):
                worker.tell(WorkAvailable())


@dataclass
class Scene:
    """A user, a worker that a test starts, and what became of the run."""

    database: object
    eventually: Callable
    user_id: int
    pipeline: ScriptedPipeline = field(default_factory=ScriptedPipeline)
    settings: ExecutionSettings = field(
        default_factory=lambda: ExecutionSettings(lease_s=2, poll_interval_s=0.05)
    )
    workers: list = field(default_factory=list)
    announcer: RecordingAnnouncer = field(init=False)
    # What scripts are made of.
    use = staticmethod(use)
    good_work = staticmethod(good_work)

    def __post_init__(self):
        self.announcer = RecordingAnnouncer(self.workers)

    @property
    def events(self):
        return self.announcer.events

    def script(self, **parts):
        """``data=[first try, second try]``, and the same for the other agents."""
        self.pipeline.parts = {AgentName(name): list(works) for name, works in parts.items()}

    def limit(self, **settings):
        self.settings = self.settings.model_copy(update=settings)

    def start_worker(self, runs=None, *, factory_class=ExecutionEngineFactory):
        factory = factory_class(
            database=self.database,
            announcer=self.announcer,
            pipelines={"scripted": self.pipeline},
            settings=self.settings,
        )
        worker = Worker.start(
            name=f"w{len(self.workers)}",
            runs=runs or RunStore(self.database),
            factory=factory,
            settings=self.settings,
        )
        self.workers.append(worker)
        return worker

    async def accept(self, user_id=None):
        acceptance = Acceptance(
            database=self.database, announcer=self.announcer, settings=self.settings
        )
        message = MessageToAccept(
            user_id=user_id or self.user_id, text="How much?", pipeline="scripted"
        )
        return await acceptance.accept(message)

    async def cancel(self, run_id):
        cancellation = Cancellation(
            database=self.database, announcer=self.announcer, settings=self.settings
        )
        return await cancellation.cancel_run(self.user_id, run_id)

    async def finish(self):
        """Wait for the end of the run; gives the payload of its ``run_finished``."""
        await self.eventually(lambda: self.of_type("run_finished"))
        # What was announced is part of the log; what was committed at the moment of a kill is
        # announced by nobody, and read by all.
        log = await EventLog(self.database).read(self.user_id, after=0, limit=10_000)
        stored = {event.seq: event.encode() for event in log}
        assert all(stored[event.seq] == event.encode() for event in self.events)
        self.announcer.events = log
        [finished] = self.of_type("run_finished")
        return finished.payload

    async def run(self):
        """Accept a message, work on it, and check what was said by the grammar."""
        await self.accept()
        self.start_worker()
        finished = await self.finish()
        self.check_grammar()
        return finished

    def check_grammar(self):
        assert RunGrammar().check(self.events) == []

    def of_type(self, kind):
        return [event for event in self.events if event.type == kind]

    def said_by(self, agent):
        return [event.type.value for event in self.events if event.agent == agent]

    async def rows(self, query):
        async with self.database.connection() as connection:
            return await (await connection.execute(query)).fetchall()


@pytest.fixture
async def scene(database, eventually):
    user_id = (await EventLog(database).open(Identity(org="acme", sub="ann"))).user_id
    scene = Scene(database, eventually, user_id)
    before = asyncio.all_tasks()
    yield scene
    for worker in scene.workers:
        worker.kill()
        await worker.stopped()
    # Whatever the run was: no actor and no task of it is left.
    assert ActorSystem.current().alive() == []
    await eventually(lambda: asyncio.all_tasks() - before == {asyncio.current_task()})

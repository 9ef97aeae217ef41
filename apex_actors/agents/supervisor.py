"""The supervisor of a run: leads the sub-agents in order and ends the run."""

import contextlib
import logging
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from apex_actors.actors import ActorDeadError, ActorRef, ChildFailed, Future, LoopActor
from apex_actors.agents.sub_agent import PerformStep, StepOutcome, SubAgent
from apex_actors.execution.exits import RunExits
from apex_actors.execution.pipeline import Answer, RunAssignment, RunEnded, StopWork
from apex_actors.protocol.payloads import (
    AgentCompleted,
    AgentName,
    AgentStarted,
    AgentStatus,
    RunResumed,
)
from apex_actors.storage.errors import StorageError
from apex_actors.storage.runs import StartAttempt, StepRecord, StoreStep

logger = logging.getLogger(__name__)

#: How often a sub-agent is started in one run before its part counts as failed.
MAX_TRIES: Final = 2

#: Pause before a sub-agent's second try, in seconds; doubled for each try after it.
FIRST_BACKOFF_S: Final = 0.2

#: What stands for the part of an agent that the run can do without.
MISSING: Final = StepOutcome(AgentStatus.FAILED, "This part is missing.", {})

OPENING: Final = "I lead the data, the optimization and the report agent to your answer."


class SubAgentStarter(Protocol):
    """Starts a sub-agent as a child of the supervisor."""

    name: AgentName
    opening: str
    """What the user reads when the agent begins."""
    essential: bool
    """Whether the run fails with this agent, or goes on with its part marked missing."""

    def start(self, supervisor: LoopActor, assignment: RunAssignment) -> ActorRef[SubAgent]: ...


class AnswerAssembly(Protocol):
    """What becomes of the steps' results."""

    def answer(self, results: Mapping[AgentName, Mapping[str, Any]]) -> Answer | None:
        """The answer that these results allow; None where they allow none."""
        ...

    async def after_completion(
        self, assignment: RunAssignment, results: Mapping[AgentName, Mapping[str, Any]]
    ) -> None:
        """Best effort, when all is stored and said: fill caches. Must not raise."""
        ...


@dataclass(frozen=True, slots=True)
class _Begin:
    pass


@dataclass(frozen=True, slots=True)
class _Next:
    pass


@dataclass(frozen=True, slots=True)
class _StepEnded:
    starter: SubAgentStarter
    child: ActorRef[SubAgent]
    performing: Future[StepOutcome]


@dataclass(frozen=True, slots=True)
class _TimeIsUp:
    pass


class SupervisorAgent(LoopActor):
    """Leads one attempt at one run, from its first event to its exit.

    Asks sub-agents to PerformStep and receives their outcomes; says that they began and ended, so
    that what it knows and what is stored are one. Receives StopWork from its engine, and takes it
    between two steps of its own: what is being committed then is committed. Tells its engine
    RunEnded when nothing is left to do. Owns the results so far, all of which are stored. When it dies the engine ends the run
    with an error report.
    """

    def __init__(
        self,
        *,
        assignment: RunAssignment,
        engine: ActorRef[Any],
        steps: Sequence[SubAgentStarter],
        assembly: AnswerAssembly,
    ) -> None:
        super().__init__()
        self._assignment = assignment
        self._engine = engine
        self._steps = steps
        self._assembly = assembly
        self._exits = RunExits(assignment)
        self._records: dict[AgentName, StepRecord] = {
            record.agent: record for record in assignment.steps
        }
        self._tries = {step.name: assignment.ledger.tries(step.name) for step in steps}
        self._working: ActorRef[SubAgent] | None = None
        self._began = self._step_began = time.monotonic()
        self._ended = False

    def on_start(self) -> None:
        self.ref.tell(_Begin())

    def on_receive(self, message: object) -> object:
        match message:
            case _Begin():
                work = self._begin()
            case _StepEnded():
                work = self._step_ended(message)
            case _Next():
                work = self._next()
            case _TimeIsUp():
                work = self._time_is_up()
            case StopWork():
                work = self._cancelled()
            case ChildFailed():
                return None  # its step has ended with it, and that is told
            case _:
                return super().on_receive(message)
        return self._guarded(work)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """Without its lease or its database a run cannot be ended: it is left to the next worker."""
        if self._ended:
            work.close()
            return
        try:
            await work
        except StorageError as error:
            logger.warning("run %s is left: %s", self._assignment.context.run_id, error)
            self._end()

    async def _begin(self) -> None:
        assignment = self._assignment
        context = assignment.context
        self.tell_later(context.remaining_s(datetime.now(UTC)), _TimeIsUp())
        begin: AgentStarted | RunResumed
        if assignment.resumed:
            upcoming = self._upcoming()
            begin = RunResumed(
                attempt=context.attempt,
                next_agent=AgentName.SUPERVISOR if upcoming is None else upcoming.name,
            )
        else:
            begin = AgentStarted(message=OPENING, step=0, total_steps=len(self._steps))
        await assignment.journal.commit(
            AgentName.SUPERVISOR,
            begin,
            writes=(StartAttempt(context.run_id, context.attempt),),
            abort_tools=True,
        )
        await self._next()

    async def _next(self) -> None:
        upcoming = self._upcoming()
        if upcoming is None:
            await self._complete()
            return
        self._tries[upcoming.name] += 1
        self._step_began = time.monotonic()
        started = AgentStarted(
            message=upcoming.opening,
            step=self._number(upcoming),
            total_steps=len(self._steps),
            try_number=self._tries[upcoming.name],
        )
        # What a failed try has left open is closed before the next one begins.
        self._assignment.journal.say(upcoming.name, started, abort_tools=True)
        working = self._working = upcoming.start(self, self._assignment)
        performing: Any = working.ask(
            PerformStep(step=self._number(upcoming), results=self._results()), block=False
        )
        ended = _StepEnded(upcoming, working, performing)
        # However the agent ends, killed or not, its reply is set and this is called.
        performing.add_done_callback(lambda: self._tell_self(ended))

    async def _step_ended(self, message: "_StepEnded") -> None:
        if message.child is not self._working:
            return
        await self._stop_working()
        starter = message.starter
        try:
            outcome = message.performing.get()
        except StorageError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever an agent raises ends its try
            await self._step_failed(starter, error)
        else:
            await self._store(starter, outcome)

    async def _step_failed(self, starter: SubAgentStarter, error: Exception) -> None:
        tries = self._tries[starter.name]
        run_id = self._assignment.context.run_id
        logger.warning("try %d at %s of run %s failed", tries, starter.name, run_id, exc_info=error)
        if tries < MAX_TRIES:
            self.tell_later(FIRST_BACKOFF_S * 2 ** (tries - 1), _Next())
        elif starter.essential:
            await self._fail(error)
        else:
            await self._store(starter, MISSING)

    async def _store(self, starter: SubAgentStarter, outcome: StepOutcome) -> None:
        context = self._assignment.context
        record = StepRecord(
            step=self._number(starter),
            agent=starter.name,
            status=outcome.status,
            result=outcome.result,
            duration_ms=_ms_since(self._step_began),
        )
        completed = AgentCompleted(
            status=outcome.status, result=outcome.summary, duration_ms=record.duration_ms
        )
        await self._assignment.journal.commit(
            starter.name,
            completed,
            writes=(StoreStep(context.run_id, context.attempt, record),),
            abort_tools=True,
        )
        self._records[starter.name] = record
        await self._next()

    async def _time_is_up(self) -> None:
        await self._stop_working()
        await self._exits.timed_out(self._assembly.answer(self._results()))
        self._end()

    async def _cancelled(self) -> None:
        await self._stop_working()
        await self._exits.cancelled(self._assembly.answer(self._results()))
        self._end()

    async def _fail(self, error: BaseException) -> None:
        await self._exits.failed(error, self._assembly.answer(self._results()))
        self._end()

    async def _complete(self) -> None:
        results = self._results()
        answer = self._assembly.answer(results)
        if answer is None:
            await self._fail(RuntimeError("the steps are done but allow no answer"))
            return
        degraded = any(record.status is not AgentStatus.OK for record in self._records.values())
        await self._exits.completed(
            answer,
            status=AgentStatus.DEGRADED if degraded else AgentStatus.OK,
            summary=f"{len(results)} of {len(self._steps)} agents contributed to the answer.",
            duration_ms=_ms_since(self._began),
        )
        await self._assembly.after_completion(self._assignment, results)
        self._end()

    def _number(self, starter: SubAgentStarter) -> int:
        return self._steps.index(starter) + 1

    def _upcoming(self) -> SubAgentStarter | None:
        return next((step for step in self._steps if step.name not in self._records), None)

    def _results(self) -> dict[AgentName, Mapping[str, Any]]:
        return {
            name: record.result
            for name, record in self._records.items()
            if record.status is not AgentStatus.FAILED
        }

    async def _stop_working(self) -> None:
        working, self._working = self._working, None
        if working is not None:
            working.kill()
            await working.stopped()

    def _tell_self(self, message: object) -> None:
        # A sub-agent that is stopped with its supervisor has nobody left to tell.
        with contextlib.suppress(ActorDeadError):
            self.ref.tell(message)

    def _end(self) -> None:
        self._ended = True
        context = self._assignment.context
        fence_id = self._assignment.fence_id
        self._engine.tell(RunEnded(context.user_id, context.run_id, fence_id))


def _ms_since(moment: float) -> int:
    return round((time.monotonic() - moment) * 1000)

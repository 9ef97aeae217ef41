"""The supervisor of a run: leads the sub-agents in order and ends the run."""

import logging
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from apex_actors.actors import ChildFailed, LoopActor, LoopActorRef
from apex_actors.agents.sub_agent import PerformStep, StepDone, StepFailed, SubAgent
from apex_actors.execution.exits import RunExits
from apex_actors.execution.ledger import Said
from apex_actors.execution.pipeline import Answer, RunAssignment, RunEnded
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

OPENING: Final = "I lead the data, the optimization and the report agent to your answer."


class SubAgentStarter(Protocol):
    """Starts a sub-agent as a child of the supervisor."""

    name: AgentName
    essential: bool
    """Whether the run fails with this agent, or goes on with its part marked missing."""

    def start(self, supervisor: LoopActor, assignment: RunAssignment) -> LoopActorRef[SubAgent]: ...


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
class _TimeIsUp:
    pass


class SupervisorAgent(LoopActor):
    """Leads one attempt at one run, from its first event to its exit.

    Receives StepDone and StepFailed from sub-agents, ChildFailed from the runtime. Tells its
    engine RunEnded when nothing is left to do. Owns the results so far, all of which are stored.
    When it dies the engine ends the run with an error report.
    """

    def __init__(
        self,
        *,
        assignment: RunAssignment,
        engine: LoopActorRef[Any],
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
        self._working: LoopActorRef[SubAgent] | None = None
        self._began = time.monotonic()
        self._ended = False

    def on_start(self) -> None:
        self.ref.tell(_Begin())

    def on_receive(self, message: object) -> object:
        match message:
            case _Begin():
                return self._guarded(self._begin())
            case StepDone(record):
                self._records[record.agent] = record
                return self._guarded(self._next())
            case StepFailed(agent, error):
                return self._guarded(self._step_failed(agent, error))
            case ChildFailed(child, error):
                return self._guarded(self._child_failed(child, error))
            case _TimeIsUp():
                return self._guarded(self._time_is_up())
            case _:
                return super().on_receive(message)

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
        start = StartAttempt(context.run_id, context.attempt)
        if assignment.resumed:
            upcoming = self._upcoming()
            resumed = RunResumed(
                attempt=context.attempt,
                next_agent=AgentName.SUPERVISOR if upcoming is None else upcoming.name,
            )
            await assignment.journal.commit_said(
                (*assignment.ledger.close_tools(), Said(AgentName.SUPERVISOR, resumed)), (start,)
            )
        else:
            started = AgentStarted(message=OPENING, step=0, total_steps=len(self._steps))
            await assignment.journal.commit(AgentName.SUPERVISOR, started, writes=(start,))
        await self._next()

    async def _next(self) -> None:
        await self._stop_working()
        upcoming = self._upcoming()
        if upcoming is None:
            await self._complete()
            return
        self._tries[upcoming.name] += 1
        self._working = upcoming.start(self, self._assignment)
        self._working.tell(
            PerformStep(
                step=self._steps.index(upcoming) + 1,
                total_steps=len(self._steps),
                try_number=self._tries[upcoming.name],
                results=self._results(),
            )
        )

    async def _step_failed(self, agent: AgentName, error: BaseException) -> None:
        await self._stop_working()
        starter = next(step for step in self._steps if step.name is agent)
        if self._tries[agent] < MAX_TRIES:
            await self._next()
        elif starter.essential:
            await self._fail(error)
        else:
            await self._go_on_without(starter)

    async def _go_on_without(self, starter: SubAgentStarter) -> None:
        context = self._assignment.context
        record = StepRecord(
            step=self._steps.index(starter) + 1,
            agent=starter.name,
            status=AgentStatus.FAILED,
            result={},
            duration_ms=0,
        )
        await self._assignment.journal.commit(
            starter.name,
            AgentCompleted(
                status=AgentStatus.FAILED, result="This part is missing.", duration_ms=0
            ),
            writes=(StoreStep(context.run_id, context.attempt, record),),
        )
        self._records[starter.name] = record
        await self._next()

    async def _child_failed(self, child: LoopActorRef[Any], error: BaseException) -> None:
        if child is not self._working:
            return
        if isinstance(error, StorageError):
            raise error
        await self._fail(error)

    async def _time_is_up(self) -> None:
        await self._stop_working()
        await self._exits.timed_out(self._assembly.answer(self._results()))
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
            duration_ms=round((time.monotonic() - self._began) * 1000),
        )
        await self._assembly.after_completion(self._assignment, results)
        self._end()

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

    def _end(self) -> None:
        self._ended = True
        context = self._assignment.context
        self._engine.tell(RunEnded(context.user_id, context.run_id))

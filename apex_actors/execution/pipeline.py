"""What a pipeline of agents gets from the execution of runs, and what it gives back."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from apex_actors.actors import ActorRef, LoopActor
from apex_actors.execution.context import UserExecutionContext
from apex_actors.execution.journal import RunJournal
from apex_actors.execution.ledger import RunLedger
from apex_actors.execution.settings import ExecutionSettings
from apex_actors.protocol.payloads import AgentName, AgentStatus, Artifact
from apex_actors.storage.event_log import EventLog
from apex_actors.storage.runs import Run, RunStore, StepRecord

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunAssignment:
    """One attempt at one run, as its supervisor gets it."""

    context: UserExecutionContext
    journal: RunJournal
    fence_id: UUID
    settings: ExecutionSettings
    steps: tuple[StepRecord, ...]
    """Steps that earlier attempts have stored: the work goes on behind them."""
    ledger: RunLedger
    """What earlier attempts said; not fed any further."""

    @property
    def resumed(self) -> bool:
        """Whether an earlier attempt had begun."""
        return self.context.attempt > 1


@dataclass(frozen=True, slots=True)
class Answer:
    """What a run answers: Markdown for people, the same as structure, files that go with it."""

    content: str
    report: Mapping[str, Any]
    artifacts: tuple[Artifact, ...] = ()


@dataclass(frozen=True, slots=True)
class RunEnded:
    """Told by a supervisor to its engine, and by the engine to its worker: nothing is left to do."""

    user_id: int
    run_id: UUID
    fence_id: UUID | None = None
    """Of the attempt that ended, where a later one may have begun; None: whichever there is."""


@dataclass(frozen=True, slots=True)
class StopWork:
    """Told by the engine to a supervisor: somebody wants the run stopped.

    The supervisor stops what works for it and takes the exit ``RunExits.cancelled``, unless the
    run has ended by the time this is handled.
    """


class Pipeline(Protocol):
    """Starts the supervisor of a run as a child of the engine.

    The supervisor handles StopWork, ends the run through ``RunExits`` and then tells its parent
    RunEnded.
    """

    def start_supervisor(self, engine: LoopActor, assignment: RunAssignment) -> ActorRef[Any]: ...

    def answer(self, run_id: UUID, results: Mapping[AgentName, Mapping[str, Any]]) -> Answer | None:
        """The answer of the run that these stored results allow; None where they allow none.

        Asked where a run ends without a supervisor.
        """
        ...


async def stored_ledger(log: EventLog, run: Run) -> RunLedger:
    """What earlier attempts at ``run`` have said."""
    if run.started_at is None:
        return RunLedger()
    return RunLedger.of(await log.read_run(run.run_id))


async def stored_answer(runs: RunStore, pipeline: Pipeline | None, run_id: UUID) -> Answer | None:
    """What the steps stored so far allow to answer where a run ends without a supervisor."""
    # Read anew: a supervisor that died may have stored some.
    steps = await runs.steps(run_id)
    if pipeline is None:
        return None
    results = {step.agent: step.result for step in steps if step.status is not AgentStatus.FAILED}
    try:
        return pipeline.answer(run_id, results)
    except Exception:
        # Results that nobody can read must not keep the run from ending.
        logger.exception("run %s: its results allow no answer", run_id)
        return None

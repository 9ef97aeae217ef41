"""What a pipeline of agents gets from the execution of runs, and what it gives back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from apex_actors.actors import ActorRef, LoopActor
from apex_actors.execution.context import UserExecutionContext
from apex_actors.execution.journal import RunJournal
from apex_actors.execution.ledger import RunLedger
from apex_actors.execution.settings import ExecutionSettings
from apex_actors.protocol.payloads import Artifact
from apex_actors.storage.runs import StepRecord


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


class Pipeline(Protocol):
    """Starts the supervisor of a run as a child of the engine.

    The supervisor ends the run through ``RunExits`` and then tells its parent RunEnded.
    """

    def start_supervisor(self, engine: LoopActor, assignment: RunAssignment) -> ActorRef[Any]: ...

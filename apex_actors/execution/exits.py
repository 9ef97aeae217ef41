"""The ways out of a run: each with what is stored and what is said, in one transaction."""

import traceback
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID, uuid4

from apex_actors.execution.context import UserExecutionContext
from apex_actors.execution.ledger import Said
from apex_actors.execution.pipeline import Answer
from apex_actors.execution.settings import ExecutionSettings
from apex_actors.protocol.payloads import (
    AgentCompleted,
    AgentName,
    AgentStatus,
    ChatMessage,
    FinalAgentStatus,
    FinalResponse,
    MessageCreated,
    MessageRole,
    RunError,
    RunFinished,
    RunStatus,
)
from apex_actors.storage.runs import EndRun, StoreAnswer, StoreErrorReport, Write

TERMINAL_MESSAGES = {
    RunStatus.FAILED: "The run failed. The operator finds the reason under the report id.",
    RunStatus.TIMED_OUT: "The run took longer than its time limit and was stopped.",
    RunStatus.CANCELLED: "The run was cancelled.",
}


class ClosingJournal(Protocol):
    """What a run's last words are committed by; ``RunJournal`` is one."""

    async def commit_said(self, said: tuple[Said, ...], writes: tuple[Write, ...]) -> None: ...

    async def commit_closing(
        self, reason: str, said: tuple[Said, ...], writes: tuple[Write, ...]
    ) -> None: ...


class Leaving(Protocol):
    """A run that is to end; ``RunAssignment`` is one."""

    @property
    def context(self) -> UserExecutionContext: ...

    @property
    def journal(self) -> ClosingJournal: ...

    @property
    def fence_id(self) -> UUID: ...

    @property
    def settings(self) -> ExecutionSettings: ...


class RunExits:
    """Ends one run, once; every method commits and may raise what ``RunJournal.commit`` raises."""

    def __init__(self, assignment: Leaving) -> None:
        self._assignment = assignment

    async def completed(
        self, answer: Answer, *, status: FinalAgentStatus, summary: str, duration_ms: int
    ) -> None:
        """All is done: answer, result and terminal state are stored together."""
        partial = status is not AgentStatus.OK
        supervisor = AgentCompleted(status=status, result=summary, duration_ms=duration_ms)
        said, store = self._answer(answer)
        await self._assignment.journal.commit_said(
            (
                Said(AgentName.SUPERVISOR, supervisor),
                *said,
                Said(None, RunFinished(status=RunStatus.COMPLETED, partial=partial)),
            ),
            (store, self._end(RunStatus.COMPLETED, partial=partial, error=None)),
        )

    async def timed_out(self, answer: Answer | None) -> None:
        """The time limit is reached: what was opened is closed, what there is gets answered."""
        message = TERMINAL_MESSAGES[RunStatus.TIMED_OUT]
        error = RunError(code="run_timed_out", message=message)
        await self._early(RunStatus.TIMED_OUT, error, answer, ())

    async def cancelled(self, answer: Answer | None) -> None:
        """Somebody asked for the end: no error, and what there is gets answered.

        The work must have stopped before: nothing may be said after ``run_finished``.
        """
        await self._early(RunStatus.CANCELLED, None, answer, ())

    async def failed(self, failure: BaseException, answer: Answer | None = None) -> None:
        """Something broke: an error report is stored, the user gets its id."""
        context = self._assignment.context
        report_id = uuid4()
        report = StoreErrorReport(
            id=report_id,
            user_id=context.user_id,
            run_id=context.run_id,
            kind=type(failure).__name__,
            message=str(failure),
            stack="".join(traceback.format_exception(failure)),
            context={"attempt": context.attempt, "trace_id": context.trace_id},
        )
        error = RunError(
            code="run_failed", message=TERMINAL_MESSAGES[RunStatus.FAILED], report_id=report_id
        )
        await self._early(RunStatus.FAILED, error, answer, (report,))

    async def _early(
        self,
        status: RunStatus,
        error: RunError | None,
        answer: Answer | None,
        reports: tuple[StoreErrorReport, ...],
    ) -> None:
        said: tuple[Said, ...] = ()
        stores: tuple[StoreAnswer, ...] = ()
        if answer is not None:
            said, store = self._answer(answer)
            stores = (store,)
        partial = answer is not None
        finished = RunFinished(status=status, partial=partial, error=error)  # type: ignore[arg-type]  # one of the terminal ones
        await self._assignment.journal.commit_closing(
            TERMINAL_MESSAGES[status],
            (*said, Said(None, finished)),
            (*stores, *reports, self._end(status, partial=partial, error=error)),
        )

    def _answer(self, answer: Answer) -> tuple[tuple[Said, ...], StoreAnswer]:
        context = self._assignment.context
        message = ChatMessage(
            id=uuid4(),
            role=MessageRole.ASSISTANT,
            content=answer.content,
            created_at=datetime.now(UTC),
        )
        response = FinalResponse(
            content=answer.content, report=dict(answer.report), artifacts=answer.artifacts
        )
        store = StoreAnswer(
            run_id=context.run_id,
            user_id=context.user_id,
            thread_id=context.thread_id,
            message_id=message.id,
            content=answer.content,
            report=answer.report,
            created_at=message.created_at,
        )
        said = (Said(None, MessageCreated(message=message)), Said(AgentName.SUPERVISOR, response))
        return said, store

    def _end(self, status: RunStatus, *, partial: bool, error: RunError | None) -> EndRun:
        assignment = self._assignment
        return EndRun(
            run_id=assignment.context.run_id,
            user_id=assignment.context.user_id,
            fence_id=assignment.fence_id,
            status=status,
            partial=partial,
            error=None if error is None else error.model_dump(mode="json"),
            cap=assignment.settings.runs_per_user,
        )

"""The execution engine of one user on this node."""

import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from apex_actors.actors import ActorDeadError, ActorRef, ChildFailed, LoopActor
from apex_actors.execution.context import UserExecutionContext
from apex_actors.execution.exits import RunExits
from apex_actors.execution.journal import CloseBook, Journal, OpenBook, RunJournal
from apex_actors.execution.ledger import RunLedger
from apex_actors.execution.pipeline import (
    Answer,
    Pipeline,
    RunAssignment,
    RunEnded,
    StopWork,
)
from apex_actors.execution.publishing import Announcer
from apex_actors.execution.settings import ExecutionSettings
from apex_actors.protocol.payloads import AgentStatus
from apex_actors.storage.database import Database
from apex_actors.storage.errors import LeaseLostError, StorageUnavailableError
from apex_actors.storage.event_log import EventLog
from apex_actors.storage.runs import Claim, Run, RunStore

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Execute:
    """Work on a run whose lease this node holds."""

    run: Run
    claim: Claim


@dataclass(frozen=True, slots=True)
class Abandon:
    """Drop a run whose lease is lost; another worker has it."""

    run_id: UUID


@dataclass(frozen=True, slots=True)
class Cancel:
    """Somebody wants a run stopped that this engine has."""

    run_id: UUID


@dataclass(slots=True)
class _Active:
    assignment: RunAssignment
    pipeline: Pipeline | None
    """None: this node knows no pipeline of the run's name."""
    supervisor: ActorRef[Any] | None = None


class UserExecutionEngine(LoopActor):
    """Runs of one user: one supervisor a run, one journal for all of them.

    Receives Execute, Cancel and Abandon from the worker, RunEnded from supervisors, ChildFailed
    from the runtime. Tells supervisors StopWork, and the worker RunEnded, once for each Execute.
    Owns no state that is not in the database: when this actor or its node dies, the runs are
    claimed again and go on.
    """

    def __init__(
        self,
        *,
        user_id: int,
        worker: ActorRef[Any],
        database: Database,
        announcer: Announcer,
        pipelines: "dict[str, Pipeline]",
        settings: ExecutionSettings,
    ) -> None:
        super().__init__()
        self._user_id = user_id
        self._worker = worker
        self._runs = RunStore(database)
        self._log = EventLog(database)
        self._announcer = announcer
        self._pipelines = pipelines
        self._settings = settings
        self._active: dict[UUID, _Active] = {}
        self._journal = self.start_child(
            Journal,
            user_id=user_id,
            database=database,
            announcer=announcer,
            give_up_s=float(settings.lease_s),
        )

    def on_receive(self, message: object) -> object:
        match message:
            case Execute(run, claim):
                return self._execute(run, claim)
            case RunEnded(_, run_id, fence_id):
                return self._close(run_id, fence_id)
            case Cancel(run_id):
                self._cancel(run_id)
            case Abandon(run_id):
                return self._close(run_id)
            case ChildFailed(child, error):
                return self._child_failed(child, error)
            case _:
                return super().on_receive(message)
        return None

    async def _execute(self, run: Run, claim: Claim) -> None:
        stale = self._active.pop(run.run_id, None)
        if stale is not None:
            # The lease was lost unnoticed and this node got the run again: the older attempt
            # must not go on writing under the fence of the new one.
            await self._stop_supervisor(stale)
        try:
            assignment = await self._assign(run, claim)
        except Exception:
            # The lease ends by itself and the run is claimed again, here or elsewhere.
            logger.exception("run %s could not be begun", run.run_id)
            self._worker.tell(RunEnded(self._user_id, run.run_id, claim.fence_id))
            return
        pipeline = self._pipelines.get(run.pipeline)
        active = self._active[run.run_id] = _Active(assignment, pipeline)
        if run.cancel_requested:
            await self._end_cancelled(active)
            return
        if assignment.context.attempt > self._settings.max_attempts:
            await self._fail(active, RuntimeError("the run was tried too often"))
            return
        if pipeline is None:
            await self._fail(active, LookupError("no pipeline of the run's name is served here"))
            return
        try:
            active.supervisor = pipeline.start_supervisor(self, assignment)
        except Exception as error:
            logger.exception("run %s has no supervisor", run.run_id)
            await self._fail(active, error)

    async def _assign(self, run: Run, claim: Claim) -> RunAssignment:
        resumed = run.started_at is not None
        ledger = RunLedger.of(await self._log.read_run(run.run_id)) if resumed else RunLedger()
        steps = tuple(await self._runs.steps(run.run_id)) if resumed else ()
        started_at = run.started_at or datetime.now(UTC)
        context = UserExecutionContext(
            org=run.org,
            sub=run.sub,
            user_id=run.user_id,
            thread_id=run.thread_id,
            run_id=run.run_id,
            message_id=run.message_id,
            question=run.question,
            attempt=run.attempt + 1,
            deadline=started_at + timedelta(seconds=self._settings.run_limit_s),
            time_zone=run.time_zone,
            trace_id=uuid4().hex,
        )
        self._journal.tell(OpenBook(run.run_id, claim.fence_id, ledger))
        return RunAssignment(
            context=context,
            journal=RunJournal(self._journal, context),
            fence_id=claim.fence_id,
            settings=self._settings,
            steps=steps,
            ledger=ledger,
        )

    async def _child_failed(self, child: ActorRef[Any], error: BaseException) -> None:
        if child is self._journal:
            # Nothing can be said without it. The engine dies as well; the leases end by themselves.
            raise RuntimeError("the journal died") from error
        for active in list(self._active.values()):
            if active.supervisor is child:
                await self._fail(active, error)

    def _cancel(self, run_id: UUID) -> None:
        active = self._active.get(run_id)
        if active is None or active.supervisor is None:
            return  # it has ended meanwhile
        # The supervisor takes it between two of its own commits: a run that is being completed
        # completes, and one that is being failed fails.
        with contextlib.suppress(ActorDeadError):
            active.supervisor.tell(StopWork())

    async def _end_cancelled(self, active: _Active) -> None:
        """The mark was there before the work began: nobody begins it."""
        await self._end(active, RunExits(active.assignment).cancelled)

    async def _fail(self, active: _Active, error: BaseException) -> None:
        await self._end(active, partial(RunExits(active.assignment).failed, error))

    async def _end(
        self, active: _Active, leave: Callable[[Answer | None], Awaitable[None]]
    ) -> None:
        """Take an exit on behalf of a supervisor that there is not, or not any more."""
        try:
            await leave(await self._answer(active))
        except (LeaseLostError, StorageUnavailableError) as lost:
            logger.warning("run %s: %s", active.assignment.context.run_id, lost)
        await self._close(active.assignment.context.run_id)

    async def _answer(self, active: _Active) -> Answer | None:
        """What the steps stored so far allow to answer."""
        run_id = active.assignment.context.run_id
        # Read anew: a supervisor that died may have stored some.
        steps = await self._runs.steps(run_id)
        if active.pipeline is None:
            return None
        try:
            return active.pipeline.answer(
                run_id,
                {
                    step.agent: step.result
                    for step in steps
                    if step.status is not AgentStatus.FAILED
                },
            )
        except Exception:
            # Results that nobody can read must not keep the run from ending.
            logger.exception("run %s: its results allow no answer", run_id)
            return None

    async def _close(self, run_id: UUID, fence_id: UUID | None = None) -> None:
        active = self._active.get(run_id)
        if active is None or fence_id not in {None, active.assignment.fence_id}:
            return
        del self._active[run_id]
        await self._stop_supervisor(active)
        self._journal.tell(CloseBook(run_id))
        self._announcer.work_available()
        self._worker.tell(RunEnded(self._user_id, run_id, active.assignment.fence_id))

    async def _stop_supervisor(self, active: _Active) -> None:
        if active.supervisor is not None:
            active.supervisor.kill()
            await active.supervisor.stopped()

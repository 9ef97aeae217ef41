"""The execution engine of one user on this node."""

import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from apex_actors.actors import ActorDeadError, ActorRef, ChildFailed, LoopActor
from apex_actors.execution.context import UserExecutionContext
from apex_actors.execution.exits import RunExits
from apex_actors.execution.journal import CloseBook, Journal, OpenBook, RunJournal
from apex_actors.execution.making import Making
from apex_actors.execution.pipeline import (
    Answer,
    Pipeline,
    RunAssignment,
    RunEnded,
    StopWork,
    stored_answer,
    stored_ledger,
)
from apex_actors.execution.publishing import Announcer
from apex_actors.execution.settings import ExecutionSettings
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
    pipeline_name: str
    pipeline: Pipeline | None
    """None: this node knows no pipeline of the run's name."""
    supervisor: ActorRef[Any] | None = None
    """None while none can be made."""
    failures: int = 0
    """How often making it has failed."""


@dataclass(frozen=True, slots=True)
class _TryAgain:
    """To make the supervisor of a run."""

    run_id: UUID
    fence_id: UUID


class UserExecutionEngine(LoopActor):
    """Runs of one user: one supervisor a run, one journal for all of them.

    Receives Execute, Cancel and Abandon from the worker, RunEnded from supervisors, ChildFailed
    from the runtime. Tells supervisors StopWork, and the worker RunEnded, once for each Execute.
    A supervisor that cannot be made is tried again, and then its run fails.
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
        making: Making,
    ) -> None:
        super().__init__()
        self._user_id = user_id
        self._worker = worker
        self._runs = RunStore(database)
        self._log = EventLog(database)
        self._announcer = announcer
        self._pipelines = pipelines
        self._settings = settings
        self._making = making
        self._active: dict[UUID, _Active] = {}
        self._journal = self.start_child(
            Journal,
            user_id=user_id,
            database=database,
            announcer=announcer,
            give_up_s=float(settings.lease_s),
        )

    def on_receive(self, message: object) -> object:
        work: object
        match message:
            case Execute(run, claim):
                work = self._execute(run, claim)
            case RunEnded(_, run_id, fence_id):
                work = self._close(run_id, fence_id)
            case _TryAgain(run_id, fence_id):
                work = self._try_again(run_id, fence_id)
            case Cancel(run_id):
                work = self._cancel(run_id)
            case Abandon(run_id):
                work = self._close(run_id)
            case ChildFailed(child, error):
                work = self._child_failed(child, error)
            case _:
                work = super().on_receive(message)
        return work

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
        active = self._active[run.run_id] = _Active(assignment, run.pipeline, pipeline)
        if run.cancel_requested:
            await self._end_cancelled(active)
            return
        if pipeline is None:
            await self._fail(active, LookupError("no pipeline of the run's name is served here"))
            return
        await self._start_supervisor(active, pipeline)

    async def _start_supervisor(self, active: _Active, pipeline: Pipeline) -> None:
        context = active.assignment.context
        part = f"supervisors of {active.pipeline_name}"
        try:
            active.supervisor = pipeline.start_supervisor(self, active.assignment)
        except Exception as error:  # noqa: BLE001 - noted, and in the run's report at last
            active.failures += 1
            pause_s = self._making.failed(part, error, failures=active.failures)
            if pause_s is None:
                await self._fail(active, error)
            else:
                again = _TryAgain(context.run_id, active.assignment.fence_id)
                self.tell_later(pause_s, again)
        else:
            self._making.worked(part)

    async def _try_again(self, run_id: UUID, fence_id: UUID) -> None:
        active = self._active.get(run_id)
        if active is None or active.assignment.fence_id != fence_id:
            return  # it has ended meanwhile, or a new attempt is under way
        if active.pipeline is not None:
            await self._start_supervisor(active, active.pipeline)

    async def _assign(self, run: Run, claim: Claim) -> RunAssignment:
        ledger = await stored_ledger(self._log, run)
        steps = () if run.started_at is None else tuple(await self._runs.steps(run.run_id))
        context = UserExecutionContext.of(run, run_limit_s=self._settings.run_limit_s)
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

    async def _cancel(self, run_id: UUID) -> None:
        active = self._active.get(run_id)
        if active is None:
            return  # it has ended meanwhile
        if active.supervisor is None:
            await self._end_cancelled(active)
            return
        # The supervisor takes it between two of its own commits: a run that is being completed
        # completes, and one that is being failed fails.
        with contextlib.suppress(ActorDeadError):
            active.supervisor.tell(StopWork())

    async def _end_cancelled(self, active: _Active) -> None:
        """The mark was there before the work began, or there is nobody to do it."""
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
        run_id = active.assignment.context.run_id
        return await stored_answer(self._runs, active.pipeline, run_id)

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

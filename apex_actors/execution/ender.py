"""The end of a run that has no engine: because none can be made, or none is needed any more."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from apex_actors.actors import ActorRef, LoopActor
from apex_actors.execution.committer import Committer, draft_of
from apex_actors.execution.context import UserExecutionContext
from apex_actors.execution.exits import RunExits
from apex_actors.execution.ledger import RunLedger, Said
from apex_actors.execution.pipeline import Pipeline, RunEnded, stored_answer, stored_ledger
from apex_actors.execution.publishing import Announcer
from apex_actors.execution.settings import ExecutionSettings
from apex_actors.storage.database import Database
from apex_actors.storage.errors import LeaseLostError, StorageUnavailableError
from apex_actors.storage.event_log import EventLog
from apex_actors.storage.runs import Claim, Run, RunStore, Write

logger = logging.getLogger(__name__)


class LastWords:
    """The journal of a run that only ends: one commit, and no actor that would have to be made."""

    def __init__(
        self,
        context: UserExecutionContext,
        *,
        fence_id: UUID,
        ledger: RunLedger,
        committer: Committer,
    ) -> None:
        self._context = context
        self._fence_id = fence_id
        self._ledger = ledger
        self._committer = committer

    async def commit_said(self, said: tuple[Said, ...], writes: tuple[Write, ...]) -> None:
        """As ``RunJournal.commit_said``."""
        drafts = [draft_of(self._context, item) for item in said]
        self._committer.announce(await self._committer.commit(self._fence_id, drafts, writes))

    async def commit_closing(
        self, reason: str, said: tuple[Said, ...], writes: tuple[Write, ...]
    ) -> None:
        """As ``RunJournal.commit_closing``."""
        await self.commit_said((*self._ledger.close_all(reason), *said), writes)


@dataclass(frozen=True, slots=True)
class Ending:
    """A run that only ends, as its exits see it."""

    context: UserExecutionContext
    journal: LastWords
    fence_id: UUID
    settings: ExecutionSettings


class RunEnder(LoopActor):
    """Ends one run whose lease the worker holds, without the engine that it did not get.

    Takes the exit ``failed`` with ``error``, or ``cancelled`` where there is none; what earlier
    attempts have stored is answered. Tells the worker RunEnded and stops, whatever came of it:
    a run that could not be ended is claimed again after its lease. Owns nothing.
    """

    def __init__(
        self,
        *,
        run: Run,
        claim: Claim,
        error: Exception | None,
        worker: ActorRef[Any],
        database: Database,
        announcer: Announcer,
        pipelines: Mapping[str, Pipeline],
        settings: ExecutionSettings,
    ) -> None:
        super().__init__()
        self._run = run
        self._claim = claim
        self._error = error
        self._worker = worker
        self._database = database
        self._announcer = announcer
        self._pipelines = pipelines
        self._settings = settings

    async def on_start(self) -> None:  # type: ignore[override]  # hooks of the loop may be async
        try:
            await self._end()
        except (LeaseLostError, StorageUnavailableError) as lost:
            logger.warning("run %s: %s", self._run.run_id, lost)
        except Exception:
            logger.exception("run %s could not be ended", self._run.run_id)
        self._announcer.work_available()
        run = self._run
        self._worker.tell(RunEnded(run.user_id, run.run_id, self._claim.fence_id))
        self.stop()

    async def _end(self) -> None:
        run = self._run
        context = UserExecutionContext.of(run, run_limit_s=self._settings.run_limit_s)
        journal = LastWords(
            context,
            fence_id=self._claim.fence_id,
            ledger=await stored_ledger(EventLog(self._database), run),
            committer=Committer(
                user_id=run.user_id,
                database=self._database,
                announcer=self._announcer,
                give_up_s=float(self._settings.lease_s),
            ),
        )
        exits = RunExits(Ending(context, journal, self._claim.fence_id, self._settings))
        pipeline = self._pipelines.get(run.pipeline)
        answer = await stored_answer(RunStore(self._database), pipeline, run.run_id)
        if self._error is None:
            await exits.cancelled(answer)
        else:
            await exits.failed(self._error, answer)

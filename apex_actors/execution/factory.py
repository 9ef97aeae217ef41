"""The one place where execution engines are made, and what ends a run that gets none."""

from collections.abc import Mapping
from typing import Any

from apex_actors.actors import ActorRef, LoopActor
from apex_actors.execution.ender import RunEnder
from apex_actors.execution.engine import UserExecutionEngine
from apex_actors.execution.making import Making
from apex_actors.execution.pipeline import Pipeline
from apex_actors.execution.publishing import Announcer
from apex_actors.execution.settings import ExecutionSettings
from apex_actors.storage.database import Database
from apex_actors.storage.runs import Claim, Run


class ExecutionEngineFactory:
    """Gives every engine what it needs; holds no engine itself."""

    def __init__(
        self,
        *,
        database: Database,
        announcer: Announcer,
        pipelines: Mapping[str, Pipeline],
        settings: ExecutionSettings,
    ) -> None:
        if not pipelines:
            raise ValueError("at least one pipeline is needed: without it no run can be worked on")
        self._database = database
        self._announcer = announcer
        self._pipelines = dict(pipelines)
        self._settings = settings
        self.making = Making(settings)
        """Whether engines and supervisors can be made."""

    def start_engine(self, worker: LoopActor, user_id: int) -> ActorRef[UserExecutionEngine]:
        """Start the engine of a user as a child of ``worker``."""
        engine: ActorRef[Any] = worker.start_child(
            UserExecutionEngine,
            user_id=user_id,
            worker=worker.ref,
            database=self._database,
            announcer=self._announcer,
            pipelines=self._pipelines,
            settings=self._settings,
            making=self.making,
        )
        return engine

    def start_ender(
        self, worker: LoopActor, run: Run, claim: Claim, error: Exception | None
    ) -> ActorRef[RunEnder]:
        """Start, as a child of ``worker``, what ends ``run`` as failed, or without ``error`` as cancelled."""
        return worker.start_child(
            RunEnder,
            run=run,
            claim=claim,
            error=error,
            worker=worker.ref,
            database=self._database,
            announcer=self._announcer,
            pipelines=self._pipelines,
            settings=self._settings,
        )

"""The one place where execution engines are made."""

from collections.abc import Mapping
from typing import Any

from apex_actors.actors import ActorRef, LoopActor
from apex_actors.execution.engine import UserExecutionEngine
from apex_actors.execution.pipeline import Pipeline
from apex_actors.execution.publishing import Announcer
from apex_actors.execution.settings import ExecutionSettings
from apex_actors.storage.database import Database


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
        )
        return engine

"""Starts waiting runs that may start and that nobody has started."""

import logging
from dataclasses import dataclass
from typing import Final

from apex_actors.actors import LoopActor
from apex_actors.execution.publishing import Announcer
from apex_actors.execution.settings import ExecutionSettings
from apex_actors.storage.errors import StorageError
from apex_actors.storage.runs import RunStore

logger = logging.getLogger(__name__)

#: Users whom one sweep serves; the next one goes on with the others.
SWEEP_LIMIT: Final = 100


@dataclass(frozen=True, slots=True)
class _Sweep:
    pass


class RunSweeper(LoopActor):
    """Looks for waiting runs at the head of their threads, and starts them.

    Whatever accepts or ends a run starts the next one in the same transaction, so there is nothing
    to find, unless the cap of runs of a user was raised or somebody has changed rows by hand. Tells
    the announcer of new work. Owns nothing: any number of nodes may have one. Whatever goes wrong is
    logged and tried again.
    """

    def __init__(
        self, *, runs: RunStore, announcer: Announcer, settings: ExecutionSettings
    ) -> None:
        super().__init__()
        self._runs = runs
        self._announcer = announcer
        self._settings = settings

    def on_start(self) -> None:
        self.timers.every(_Sweep, self._settings.sweep_interval_s, _Sweep())

    def on_receive(self, message: object) -> object:
        match message:
            case _Sweep():
                return self._sweep()
            case _:
                return super().on_receive(message)

    async def _sweep(self) -> None:
        cap = self._settings.runs_per_user
        started = 0
        try:
            for user_id in await self._runs.users_with_startable_runs(cap=cap, limit=SWEEP_LIMIT):
                started += len(await self._runs.start_startable(user_id, cap=cap))
        except StorageError as error:
            logger.debug("no sweep for waiting runs: %s", error)
        except Exception:
            # A server in a state that nobody foresaw: it is looked at again.
            logger.exception("no sweep for waiting runs")
        if started:
            logger.warning("%d waiting runs were started that nobody had started", started)
            self._announcer.work_available()

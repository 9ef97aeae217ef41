"""Keeps the tallies of days that savings plans are combined from, behind the imports."""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final

from apex_actors.actors import LoopActor
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.storage.errors import StorageError
from apex_actors.storage.savings import DueDay, SavingsStore, spans
from apex_actors.storage.usage import UsageRepository
from apex_actors.storage.usage_plan import UsagePlanner
from apex_actors.storage.work import WorkError, WorkRunner

logger = logging.getLogger(__name__)

#: Between two looks for something that is due, in seconds.
LOOK_S: Final = 1.0

#: Requests of one piece of work: some seconds.
PIECE_REQUESTS: Final = 100_000

#: Days of one piece of work.
PIECE_DAYS: Final = 100

#: Who has not settled a piece by then is taken for dead, in seconds.
CLAIM_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class _Look:
    pass


class SavingsKeeper(LoopActor):
    """Works out the days that are due, one piece after another, in a process beside the loop.

    Owns nothing: a piece is claimed for a while in the database, so any number of nodes may have a
    keeper, and what one leaves behind another takes up. At its start it makes due what was worked
    out with other prices or settings. Whatever goes wrong is logged and tried again; what only
    these days can be the reason of, when their claim has ended, so that others have their turn.
    """

    def __init__(
        self,
        *,
        savings: SavingsStore,
        usage: UsageRepository,
        catalogue: PriceCatalogue,
        work: WorkRunner,
    ) -> None:
        super().__init__()
        self._savings = savings
        self._usage = usage
        self._catalogue = catalogue
        self._work = work
        self._has_expired = False

    def on_start(self) -> None:
        self.ref.tell(_Look())

    def on_receive(self, message: object) -> object:
        match message:
            case _Look():
                return self._look()
            case _:
                return super().on_receive(message)

    async def _look(self) -> None:
        found = False
        try:
            if not self._has_expired:
                await self._savings.expire(UsagePlanner(self._usage.reader, self._catalogue).key)
                self._has_expired = True
            found = await work_out_a_piece(self._savings, self._usage, self._catalogue, self._work)
        except (StorageError, WorkError) as error:
            logger.debug("no savings are worked out: %s", error)
        except Exception:
            # A record that nobody foresaw, say.
            logger.exception("savings could not be worked out")
        if found:
            self.ref.tell(_Look())
        else:
            self.tell_later(LOOK_S, _Look())


async def work_out_a_piece(
    savings: SavingsStore, usage: UsageRepository, catalogue: PriceCatalogue, work: WorkRunner
) -> bool:
    """Work out the next days that are due; False: there are none.

    Raises StorageError and WorkError; the days are given back then.
    """
    claimed = await savings.claim(requests=PIECE_REQUESTS, days=PIECE_DAYS, claim_s=CLAIM_S)
    if claimed is None:
        return False
    tenant, due = claimed
    try:
        planner = UsagePlanner(usage.reader, await usage.prices(tenant, catalogue))
        tallies: dict[date, bytes] = {}
        for first, last in spans(one.day for one in due if one.requests):
            tallies |= await work.call(planner.tally, tenant, first, last)
        await savings.settle(tenant, due, tallies, planner.key)
    except (StorageError, WorkError, asyncio.CancelledError):
        await _give_back(savings, tenant, due)
        raise
    return True


async def _give_back(savings: SavingsStore, tenant: str, due: Iterable[DueDay]) -> None:
    try:
        await savings.release(tenant, due)
    except StorageError:
        logger.debug("days were not given back, their claim must end")

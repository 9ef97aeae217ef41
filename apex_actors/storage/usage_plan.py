"""The savings plan of stored usage: reading and planning as one piece of work for a process."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from apex_actors.costs.levers import (
    DEFAULT_SETTINGS,
    LeverSettings,
    SavingsPlan,
    build_plan,
    combine,
    tally_days,
)
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.costs.timerange import TimeRange
from apex_actors.storage.savings import TallyKey, pack, unpack
from apex_actors.storage.usage_reader import UsageReader


@dataclass(frozen=True, slots=True)
class UsagePlanner:
    """Re-prices requests through the levers; can be handed to another process.

    Its methods block, for seconds where there are many requests, and raise
    StorageUnavailableError.
    """

    reader: UsageReader
    catalogue: PriceCatalogue
    settings: LeverSettings = DEFAULT_SETTINGS

    @property
    def key(self) -> TallyKey:
        """What its tallies depend on."""
        return TallyKey(self.catalogue.version, self.settings.fingerprint)

    def plan(self, tenant: str, time_range: TimeRange) -> SavingsPlan:
        """The plan of the range, from every single request."""
        return build_plan(
            self.reader.requests(tenant, time_range, warm_up_s=self.settings.warm_up_s),
            catalogue=self.catalogue,
            time_range=time_range,
            settings=self.settings,
        )

    def tally(self, tenant: str, first: date, last: date) -> dict[date, bytes]:
        """The packed tallies of those days (UTC) from ``first`` to ``last`` that have requests."""
        time_range = TimeRange.days(first, last)
        tallies = tally_days(
            self.reader.requests(tenant, time_range, warm_up_s=self.settings.warm_up_s),
            catalogue=self.catalogue,
            settings=self.settings,
            start=time_range.start,
        )
        return {day.day: pack(day) for day in tallies}

    def plan_tallied(
        self,
        tenant: str,
        time_range: TimeRange,
        tallied: Mapping[date, bytes],
        missing: Iterable[tuple[date, date]],
    ) -> SavingsPlan:
        """The plan of whole days (UTC) from their tallies; the spans ``missing`` are tallied first."""
        days = dict(tallied)
        for first, last in missing:
            days |= self.tally(tenant, first, last)
        return combine(
            map(unpack, days.values()),
            settings=self.settings,
            time_range=time_range,
            price_version=self.catalogue.version,
        )

"""The data agent: what was used and what it cost."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from apex_actors.agents.cost_tools import (
    FindUsage,
    NoArguments,
    RangeArguments,
    SummarizeUsage,
    dump,
)
from apex_actors.agents.sub_agent import StepOutcome, SubAgent
from apex_actors.costs.formatting import percent, plural, tokens, usd
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.costs.summary import Extent, UsageSummary, share
from apex_actors.costs.timerange import TimeRange
from apex_actors.execution.pipeline import RunAssignment
from apex_actors.protocol.payloads import AgentName, AgentStatus
from apex_actors.storage.usage import UsageRepository

#: The range of a question that names none: the last days that have data.
DEFAULT_DAYS: Final = 90

#: Without any records: the range that the answer names.
EMPTY_DAYS: Final = 30


class DataAgent(SubAgent):
    """Finds the tenant's usage and sums it up; degraded where there is none."""

    name = AgentName.DATA
    opening = "I look at your usage records."

    def __init__(
        self,
        *,
        assignment: RunAssignment,
        usage: UsageRepository,
        catalogue: PriceCatalogue,
    ) -> None:
        super().__init__(assignment=assignment)
        self._usage = usage
        self._catalogue = catalogue

    async def work(self, results: Mapping[AgentName, Mapping[str, Any]]) -> StepOutcome:  # noqa: ARG002 - the first
        self.think("Looking for your usage records.", 0.1)
        extent = await self.use(FindUsage(self._usage), NoArguments())
        time_range = self._range(extent)
        if extent is None:
            self.think("There are no usage records yet, so there is nothing to sum up.", 0.5)
        else:
            self.think(
                f"{plural(extent.requests, 'request')} are on record; I take {time_range}.", 0.4
            )
        summary = await self.use(SummarizeUsage(self._usage), RangeArguments(time_range=time_range))
        if summary.totals.requests:
            self.think(_finding(summary), 0.9)
        prices = await self._usage.prices(self.context.org, self._catalogue)
        found = {
            "time_range": dump(time_range),
            "summary": dump(summary),
            "price_version": prices.version,
            "sample": extent is not None and extent.sample_only,
        }
        if not summary.totals.requests:
            return StepOutcome(
                AgentStatus.DEGRADED, "There are no usage records to look at.", found
            )
        totals = summary.totals
        return StepOutcome(
            AgentStatus.OK,
            f"{usd(totals.cost)} for {plural(totals.requests, 'request')}; "
            f"{percent(totals.priced_token_share)} of the tokens have a price.",
            found,
        )

    def _range(self, extent: Extent | None) -> TimeRange:
        zone = self.context.time_zone
        if extent is None:
            return TimeRange.last_days(EMPTY_DAYS, datetime.now(UTC), zone)
        earliest = extent.last - timedelta(days=DEFAULT_DAYS - 1)
        return TimeRange.covering(max(extent.first, earliest), extent.last, zone)


def _finding(summary: UsageSummary) -> str:
    """What stands out: the model that costs most."""
    totals = summary.totals
    said = f"{usd(totals.cost)} in all, {tokens(totals.tokens)} tokens"
    models = summary.breakdowns[0].rows if summary.breakdowns else ()
    if models and totals.cost:
        top = models[0]
        said += f"; {top.name} makes up {percent(share(top.cost, totals.cost))} of it"
    return said + "."

"""The tools of the cost pipeline: typed questions to the tenant's own records."""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from apex_actors.agents.tools import ToolCallContext
from apex_actors.costs.formatting import plural, usd
from apex_actors.costs.levers import SavingsPlan, Verdict
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.costs.report import CostReport, build_report
from apex_actors.costs.summary import Extent, UsageSummary
from apex_actors.costs.timerange import TimeRange
from apex_actors.protocol.payloads import AgentName
from apex_actors.storage.cache import ResultCache
from apex_actors.storage.errors import CacheUnavailableError
from apex_actors.storage.savings import SavingsStore, spans
from apex_actors.storage.usage import UsageRepository
from apex_actors.storage.usage_plan import UsagePlanner
from apex_actors.storage.work import WorkRunner

M = TypeVar("M", bound=BaseModel)

#: So many requests are looked at one by one while somebody waits for the answer: some seconds.
REQUESTS_WHILE_WAITING: Final = 100_000

#: Changes when the levers or their settings do: part of the key of cached recommendations.
PLAN_VERSION: Final = 2


class _Arguments(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NoArguments(_Arguments):
    """The tool needs to know nothing but whose data it reads."""


class RangeArguments(_Arguments):
    """A half-open time range in the user's time zone."""

    time_range: TimeRange


class PlanArguments(_Arguments):
    """A time range of one state of the data."""

    time_range: TimeRange
    data_version: int
    requests: int
    """How many there are in the range."""


class ReportArguments(_Arguments):
    """What the report is made of is in the results of the steps before."""

    sections: tuple[str, ...]


class FindUsage:
    """When the tenant's records begin and end, and how many there are."""

    name = "find_usage"
    is_repeatable = True

    def __init__(self, usage: UsageRepository) -> None:
        self._usage = usage

    async def run(self, _arguments: NoArguments, context: ToolCallContext) -> Extent | None:
        return await self._usage.extent(context.execution.org)

    def summary(self, output: Extent | None) -> str:
        if output is None:
            return "There are no usage records yet."
        return (
            f"{plural(output.requests, 'request')} from {output.first:%Y-%m-%d} "
            f"to {output.last:%Y-%m-%d}."
        )


class SummarizeUsage:
    """Totals, breakdowns, days and what has no price, in one snapshot, from the rollups."""

    name = "summarize_usage"
    is_repeatable = True

    def __init__(self, usage: UsageRepository) -> None:
        self._usage = usage

    async def run(self, arguments: RangeArguments, context: ToolCallContext) -> UsageSummary:
        return await self._usage.summary(context.execution.org, arguments.time_range)

    def summary(self, output: UsageSummary) -> str:
        totals = output.totals
        return (
            f"{usd(totals.cost)} for {plural(totals.requests, 'request')}, "
            f"broken down by {len(output.breakdowns)} dimensions."
        )


class ReadCachedPlan:
    """The savings plan that an earlier run worked out for the same data, prices and settings."""

    name = "read_cached_plan"
    is_repeatable = True

    def __init__(self, cache: ResultCache, catalogue: PriceCatalogue) -> None:
        self._cache = cache
        self._catalogue = catalogue

    async def run(self, arguments: PlanArguments, context: ToolCallContext) -> SavingsPlan | None:
        key = plan_key(context.execution.org, arguments, self._catalogue.version)
        try:
            stored = await self._cache.get(key)
        except CacheUnavailableError:
            return None
        try:
            return None if stored is None else load(SavingsPlan, stored)
        except ValidationError:
            return None  # written by another version: worked out again

    def summary(self, output: SavingsPlan | None) -> str:
        if output is None:
            return "No plan for these data yet."
        return f"A plan over {plural(output.requests, 'request')} is at hand."


class BuildSavingsPlan:
    """Every single request re-priced through the levers, beside the event loop.

    Combined from the tallies of whole days (UTC) that are kept behind the imports. What they lack
    is worked out now where that is little; else the plan says what is not in it yet. A range that
    is no whole number of such days is worked out by itself where that is little; else the plan is
    about the whole days in it, and its own range says so.
    """

    name = "build_savings_plan"
    is_repeatable = True

    def __init__(
        self,
        usage: UsageRepository,
        savings: SavingsStore,
        catalogue: PriceCatalogue,
        work: WorkRunner,
    ) -> None:
        self._planner = UsagePlanner(usage.reader, catalogue)
        self._savings = savings
        self._work = work

    async def run(self, arguments: PlanArguments, context: ToolCallContext) -> SavingsPlan:
        tenant, time_range = context.execution.org, arguments.time_range
        days = time_range.whole_utc_days
        if days is None or (
            not time_range.is_whole_utc_days and arguments.requests <= REQUESTS_WHILE_WAITING
        ):
            return await self._work.call(self._planner.plan, tenant, time_range)
        first, last = days
        stored = await self._savings.days(tenant, first, last, self._planner.key)
        is_little = stored.pending_requests <= REQUESTS_WHILE_WAITING
        plan: SavingsPlan = await self._work.call(
            self._planner.plan_tallied,
            tenant,
            time_range if time_range.is_whole_utc_days else TimeRange.days(first, last),
            stored.tallied,
            tuple(spans(stored.untallied)) if is_little else (),
        )
        if is_little:
            return plan
        return plan.model_copy(
            update={"as_of": stored.as_of, "pending_requests": stored.pending_requests}
        )

    def summary(self, output: SavingsPlan) -> str:
        saving = [lever for lever in output.levers if lever.verdict is Verdict.SAVES]
        return (
            f"{plural(output.priced_requests, 'priced request')} replayed: "
            f"{len(saving)} of {len(output.levers)} levers save."
        )


@dataclass(frozen=True, slots=True)
class ComposeReport:
    """Puts the figures of the earlier steps into one report."""

    results: Mapping[AgentName, Mapping[str, Any]]
    name: str = "compose_report"
    is_repeatable: bool = True

    async def run(self, _arguments: ReportArguments, _context: ToolCallContext) -> CostReport:
        return await asyncio.to_thread(
            compose, self.results[AgentName.DATA], self.results.get(AgentName.OPTIMIZATION)
        )

    def summary(self, output: CostReport) -> str:
        return (
            f"{output.title}: {plural(len(output.ranked_levers), 'action')}, "
            f"{plural(len(output.data_gaps), 'gap')}."
        )


def compose(data: Mapping[str, Any], optimization: Mapping[str, Any] | None) -> CostReport:
    """The report of what the data agent, and perhaps the optimization agent, have found."""
    plan = None if optimization is None else load(SavingsPlan, optimization["plan"])
    return build_report(
        summary=load(UsageSummary, data["summary"]),
        time_range=load(TimeRange, data["time_range"]),
        plan=plan,
        price_version=data["price_version"],
        sample=data["sample"],
    )


def plan_key(tenant: str, arguments: PlanArguments, price_version: str) -> str:
    """Key of a cached plan: tenant, state of the data, prices, settings, range."""
    time_range = arguments.time_range
    parts = (
        tenant,
        arguments.data_version,
        price_version,
        PLAN_VERSION,
        time_range.start.isoformat(),
        time_range.end.isoformat(),
        time_range.time_zone,
    )
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return f"plan:{digest}"


def dump(model: BaseModel) -> dict[str, Any]:
    """A model as JSON-ready values; money becomes decimal text."""
    return model.model_dump(mode="json")


def load(model: type[M], stored: Mapping[str, Any]) -> M:
    """The model that ``dump`` was given."""
    return model.model_validate_json(json.dumps(stored))

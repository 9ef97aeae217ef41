"""The optimization agent: what could have been spent less."""

from collections.abc import Mapping
from typing import Any

from apex_actors.agents.cost_tools import (
    BuildSavingsPlan,
    PlanArguments,
    ReadCachedPlan,
    dump,
    load,
)
from apex_actors.agents.sub_agent import StepOutcome, SubAgent
from apex_actors.costs.formatting import percent, plural, usd
from apex_actors.costs.levers import SavingsPlan, Verdict
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.costs.summary import UsageSummary, share
from apex_actors.costs.timerange import TimeRange
from apex_actors.execution.pipeline import RunAssignment
from apex_actors.protocol.payloads import AgentName, AgentStatus
from apex_actors.storage.cache import ResultCache
from apex_actors.storage.savings import SavingsStore
from apex_actors.storage.usage import UsageRepository
from apex_actors.storage.work import WorkRunner


class OptimizationAgent(SubAgent):
    """Runs the levers over the requests, or takes what an earlier run found for the same data."""

    name = AgentName.OPTIMIZATION
    opening = "I look for what could have cost less."

    def __init__(
        self,
        *,
        assignment: RunAssignment,
        usage: UsageRepository,
        savings: SavingsStore,
        catalogue: PriceCatalogue,
        cache: ResultCache,
        work: WorkRunner,
    ) -> None:
        super().__init__(assignment=assignment)
        self._usage = usage
        self._savings = savings
        self._catalogue = catalogue
        self._cache = cache
        self._work = work

    async def work(self, results: Mapping[AgentName, Mapping[str, Any]]) -> StepOutcome:
        data = results[AgentName.DATA]
        summary = load(UsageSummary, data["summary"])
        arguments = PlanArguments(
            time_range=load(TimeRange, data["time_range"]),
            data_version=summary.data_version,
            requests=summary.totals.requests,
        )
        totals = summary.totals
        if totals.requests:
            self.think(
                f"{percent(totals.read_share)} of the input tokens were read from a cache so far; "
                "I see what could have been left out, shortened, cached, or sent elsewhere or later.",
                0.1,
            )
        else:
            self.think(
                "Without requests there is nothing to save; I say what data would help.", 0.1
            )
        prices = await self._usage.prices(self.context.org, self._catalogue)
        plan = await self.use(ReadCachedPlan(self._cache, prices), arguments)
        if plan is None:
            self.think(f"Going through {plural(totals.requests, 'request')} with every lever.", 0.3)
            plan = await self.use(
                BuildSavingsPlan(self._usage, self._savings, prices, self._work), arguments
            )
        self.think(_finding(plan), 0.9)
        return StepOutcome(
            AgentStatus.OK,
            _summary(plan),
            {"plan": dump(plan), "data_version": summary.data_version},
        )


def _finding(plan: SavingsPlan) -> str:
    saving = [lever for lever in plan.levers if lever.verdict is Verdict.SAVES]
    if not saving:
        return "None of the levers would have saved anything on these requests."
    best = max(saving, key=lambda lever: lever.saving)
    return f"{best.title}: {usd(best.saving)} less for the same requests."


def _summary(plan: SavingsPlan) -> str:
    if not plan.baseline or not plan.saving:
        return "No saving found."
    return (
        f"{usd(plan.saving)} of {usd(plan.baseline)} could have been saved "
        f"({percent(share(plan.saving, plan.baseline))})."
    )

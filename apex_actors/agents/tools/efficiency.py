"""What the money bought."""

from decimal import Decimal

from apex_actors.agents.tools.arguments import UsageArguments
from apex_actors.agents.tools.tool import ToolCallContext
from apex_actors.costs.analysis import CachePrices, Efficiency, efficiency
from apex_actors.costs.formatting import percent, usd
from apex_actors.storage.usage_questions import UsageQuestions


class EfficiencyArguments(UsageArguments):
    """Which usage, and what only others know about its caching."""

    cache_prices: CachePrices | None = None
    """For the break-even; of the model that the filters choose."""
    cache_ceiling: Decimal | None = None
    """Share of the input that could be read from a cache, from a replay of the requests."""


class MeasureEfficiency:
    """Cost per request, per session and per 1,000 output tokens; errors, truncation, cache hits.

    Quotients of sums of priced usage. Sessions and truncated answers come from single records; where
    the range has too many of them those figures are missing. Caching breaks even where the share h
    of cached tokens that are reads satisfies h * p_r + (1 - h) * p_w = p_i.
    """

    name = "measure_efficiency"
    is_repeatable = True

    def __init__(self, questions: UsageQuestions) -> None:
        self._questions = questions

    async def run(self, arguments: EfficiencyArguments, context: ToolCallContext) -> Efficiency:
        totals, records = await self._questions.totals_and_records(
            context.execution.org, arguments.time_range, filters=arguments.filters
        )
        return efficiency(
            totals,
            records=records,
            prices=arguments.cache_prices,
            cache_ceiling=arguments.cache_ceiling,
        )

    def summary(self, output: Efficiency) -> str:
        if output.cost_per_request is None:
            return "There is no priced request."
        return (
            f"{usd(output.cost_per_request)} a request; {percent(output.error_cost_share)} of the "
            f"cost is for errors; {percent(output.cache.hit_share)} of the input came from a cache."
        )

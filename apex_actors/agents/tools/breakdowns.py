"""Usage broken down: by what the sums know, by session and tag, over time, and its latency."""

from pydantic import Field

from apex_actors.agents.tools.arguments import UsageArguments
from apex_actors.agents.tools.tool import ToolCallContext
from apex_actors.costs.analysis import Step
from apex_actors.costs.answers import CostSeries, Latency, RecordBreakdown
from apex_actors.costs.formatting import count, plural, usd
from apex_actors.costs.money import total
from apex_actors.costs.records import Name
from apex_actors.costs.summary import Breakdown, BreakdownRow, Dimension
from apex_actors.storage.usage import UsageRepository
from apex_actors.storage.usage_questions import UsageQuestions

TOO_MANY = "A single day has more records than are read for one question."


class BreakdownArguments(UsageArguments):
    """By what to break down, and how many values to name."""

    dimension: Dimension
    limit: int = Field(default=10, ge=1, le=1000)


class RecordBreakdownArguments(UsageArguments):
    """By session, or by the values of a tag."""

    tag: Name | None = None
    """None: by session."""
    limit: int = Field(default=10, ge=1, le=1000)


class SeriesArguments(UsageArguments):
    """By hours or days, and by which dimensions too."""

    step: Step = Step.DAY
    dimensions: tuple[Dimension, ...] = ()


class LatencyArguments(UsageArguments):
    """By which dimension, or none."""

    dimension: Dimension | None = None
    limit: int = Field(default=10, ge=1, le=1000)


class BreakDownUsage:
    """The most expensive values of a dimension and all others together, from the rollups."""

    name = "break_down_usage"
    is_repeatable = True

    def __init__(self, usage: UsageRepository) -> None:
        self._usage = usage

    async def run(self, arguments: BreakdownArguments, context: ToolCallContext) -> Breakdown:
        return await self._usage.breakdown(
            context.execution.org,
            arguments.time_range,
            arguments.dimension,
            limit=arguments.limit,
            filters=arguments.filters,
        )

    def summary(self, output: Breakdown) -> str:
        named = len(output.rows) + output.other_count
        return f"{count(named)} by {output.dimension}. {_top(output.rows)}"


class BreakDownRecords:
    """The most expensive sessions or values of a tag, from single records.

    Of a range with too many records only the last whole days are read, and the answer says which;
    None where even one day has too many.
    """

    name = "break_down_records"
    is_repeatable = True

    def __init__(self, questions: UsageQuestions) -> None:
        self._questions = questions

    async def run(
        self, arguments: RecordBreakdownArguments, context: ToolCallContext
    ) -> RecordBreakdown | None:
        tenant, time_range = context.execution.org, arguments.time_range
        if arguments.tag is None:
            return await self._questions.by_session(
                tenant, time_range, limit=arguments.limit, filters=arguments.filters
            )
        return await self._questions.by_tag(
            tenant, time_range, arguments.tag, limit=arguments.limit, filters=arguments.filters
        )

    def summary(self, output: RecordBreakdown | None) -> str:
        if output is None:
            return TOO_MANY
        noun = "session" if output.tag is None else "value"
        named = sum(row.name is not None for row in output.rows) + output.other_count
        return f"{plural(named, noun)} in {output.time_range}. {_top(output.rows)}"


class ReadCostSeries:
    """What each local hour or day cost, in all and by dimension, from the rollups."""

    name = "read_cost_series"
    is_repeatable = True

    def __init__(self, questions: UsageQuestions) -> None:
        self._questions = questions

    async def run(self, arguments: SeriesArguments, context: ToolCallContext) -> CostSeries:
        return await self._questions.costs(
            context.execution.org,
            arguments.time_range,
            arguments.step,
            filters=arguments.filters,
            dimensions=arguments.dimensions,
        )

    def summary(self, output: CostSeries) -> str:
        cost = total(point.cost for point in output.points)
        return f"{usd(cost)} in {plural(len(output.points), output.step)}."


class MeasureLatency:
    """Percentiles of latency and of the time to the first token, beside cost, from single records.

    A percentile is a latency that occurred: the least at or below which that share of the requests
    lies (nearest rank; `percentile_disc` of PostgreSQL). Bounded as `BreakDownRecords` is.
    """

    name = "measure_latency"
    is_repeatable = True

    def __init__(self, questions: UsageQuestions) -> None:
        self._questions = questions

    async def run(self, arguments: LatencyArguments, context: ToolCallContext) -> Latency | None:
        return await self._questions.latency(
            context.execution.org,
            arguments.time_range,
            dimension=arguments.dimension,
            limit=arguments.limit,
            filters=arguments.filters,
        )

    def summary(self, output: Latency | None) -> str:
        if output is None:
            return TOO_MANY
        if not output.rows:
            return "No request says how long it took."
        requests = sum(row.requests for row in output.rows)
        slowest = max(row.latency_ms[95] for row in output.rows)
        return f"{plural(requests, 'timed request')}; 95 % took at most {count(slowest)} ms."


def _top(rows: tuple[BreakdownRow, ...]) -> str:
    if not rows:
        return "There is no usage."
    return f"Most expensive: {rows[0].name or 'not said'}, {usd(rows[0].cost)}."

"""Two periods: side by side, and why the later one cost more or less."""

from apex_actors.agents.tools.arguments import PeriodsArguments
from apex_actors.agents.tools.tool import ToolCallContext
from apex_actors.costs.analysis import ChangeExplained, Comparison, compare, explain_change
from apex_actors.costs.formatting import percent, usd
from apex_actors.costs.summary import Dimension
from apex_actors.storage.usage_questions import UsageQuestions


class ExplainArguments(PeriodsArguments):
    """Two periods, and among which values requests may have moved."""

    dimension: Dimension = Dimension.MODEL


class ComparePeriods:
    """Every sum of two periods with its absolute and relative difference, from the rollups."""

    name = "compare_periods"
    is_repeatable = True

    def __init__(self, questions: UsageQuestions) -> None:
        self._questions = questions

    async def run(self, arguments: PeriodsArguments, context: ToolCallContext) -> Comparison:
        before, after = await self._questions.both_totals(
            context.execution.org, arguments.before, arguments.after, filters=arguments.filters
        )
        return compare(before, after)

    def summary(self, output: Comparison) -> str:
        [cost] = [change for change in output.changes if change.figure == "cost"]
        said = f"{usd(cost.before)} before, {usd(cost.after)} after"
        return (
            f"{said}." if cost.relative is None else f"{said}: {_signed(percent(cost.relative))}."
        )


class ExplainChange:
    """Why the cost changed: volume, mix, tokens per request and price, which add up exactly.

    Cost is the sum over the values i of a dimension of N * s_i * t_i * p_i: all requests, the share
    of them that went to i, tokens per request, cost per token. The effect of a factor x is the sum of
    L(C_i1, C_i0) * ln(x_i1 / x_i0) with the logarithmic mean L(a, b) = (a - b) / (ln a - ln b): LMDI-I
    of Ang, "The LMDI approach to decomposition analysis: a practical guide", Energy Policy 33 (2005).
    Priced usage only; the result says how many requests have no price.
    """

    name = "explain_change"
    is_repeatable = True

    def __init__(self, questions: UsageQuestions) -> None:
        self._questions = questions

    async def run(self, arguments: ExplainArguments, context: ToolCallContext) -> ChangeExplained:
        pairs = await self._questions.periods(
            context.execution.org,
            arguments.before,
            arguments.after,
            arguments.dimension,
            filters=arguments.filters,
        )
        return explain_change(pairs, dimension=arguments.dimension)

    def summary(self, output: ChangeExplained) -> str:
        cents = output.effects_in_cents
        parts = (
            ("volume", cents.volume),
            ("mix", cents.mix),
            ("tokens per request", cents.tokens_per_request),
            ("price", cents.price),
        )
        shown = ", ".join(f"{name} {_signed(usd(amount))}" for name, amount in parts)
        return f"{_signed(usd(cents.total))}: {shown}."


def _signed(shown: str) -> str:
    return shown if shown.startswith("-") else f"+{shown}"

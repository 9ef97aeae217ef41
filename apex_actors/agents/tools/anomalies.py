"""Hours and days that cost far more or less than others of their kind."""

from functools import partial
from typing import Final

from apex_actors.agents.tools.arguments import UsageArguments
from apex_actors.agents.tools.tool import ToolCallContext
from apex_actors.costs.analysis import AnomalyReport, AnomalySettings, Step, find_anomalies
from apex_actors.costs.formatting import plural, usd
from apex_actors.costs.summary import Dimension
from apex_actors.storage.usage_questions import UsageQuestions
from apex_actors.storage.work import WorkRunner

DRIVERS: Final = (Dimension.MODEL, Dimension.FEATURE, Dimension.TEAM, Dimension.ENVIRONMENT)


class AnomalyArguments(UsageArguments):
    """In hours or days, by which limits, and among what to look for drivers."""

    step: Step = Step.DAY
    settings: AnomalySettings = AnomalySettings()
    dimensions: tuple[Dimension, ...] = DRIVERS


class FindAnomalies:
    """Points whose modified z-score among the same weekdays (and hours) is beyond 3.5.

    z = 0.6745 * (x - median) / MAD; where MAD is 0, (x - median) / (1.253314 * mean absolute
    deviation). Iglewicz and Hoaglin, "How to Detect and Handle Outliers" (1993); the fallback as in
    IBM SPSS. Each names the value that explains most of it beyond its usual share. Only points that
    lie between the first and the last record are judged: a day that is not over is no drop.
    """

    name = "find_anomalies"
    is_repeatable = True

    def __init__(self, questions: UsageQuestions, work: WorkRunner) -> None:
        self._questions = questions
        self._work = work

    async def run(self, arguments: AnomalyArguments, context: ToolCallContext) -> AnomalyReport:
        time_range = arguments.time_range
        series = await self._questions.costs(
            context.execution.org,
            time_range,
            arguments.step,
            filters=arguments.filters,
            dimensions=arguments.dimensions,
        )
        find = partial(
            find_anomalies,
            step=arguments.step,
            time_zone=time_range.time_zone,
            parts=series.parts,
            settings=arguments.settings,
        )
        return await self._work.call(find, series.complete)

    def summary(self, output: AnomalyReport) -> str:
        if not output.anomalies:
            return f"{plural(output.judged, output.step)} judged, none is unusual."
        largest = output.anomalies[0]
        return (
            f"{len(output.anomalies)} of {plural(output.judged, output.step)} unusual; the largest "
            f"cost {usd(largest.cost)} instead of {usd(largest.expected)}."
        )

"""What the coming days will cost, and whether budgets will hold."""

import asyncio
from collections.abc import Sequence
from datetime import date, timedelta
from functools import partial
from typing import Final

from pydantic import Field

from apex_actors.agents.tools.arguments import Arguments
from apex_actors.agents.tools.tool import ToolCallContext
from apex_actors.costs.analysis import (
    Budget,
    BudgetReport,
    BudgetStatus,
    BudgetUnknown,
    CostForecast,
    DailyCost,
    Forecast,
    budget_status,
    forecast,
)
from apex_actors.costs.analysis.budgets import days_to_come
from apex_actors.costs.analysis.forecast import MAX_HORIZON_DAYS
from apex_actors.costs.filters import EVERYTHING, Filters
from apex_actors.costs.formatting import percent, plural, usd
from apex_actors.costs.timerange import TimeRange
from apex_actors.storage.budgets import BudgetRepository
from apex_actors.storage.usage import UsageRepository
from apex_actors.storage.work import WorkRunner

#: How far back a forecast looks: half a year holds every weekday often enough.
HISTORY_DAYS: Final = 182

#: Complete days that stand for those to come where there is no forecast.
RATE_DAYS: Final = 28


class ForecastArguments(Arguments):
    """How many days, of which usage."""

    time_zone: str = "UTC"
    """In which days begin."""
    horizon_days: int = Field(default=30, ge=1, le=MAX_HORIZON_DAYS)
    filters: Filters = EVERYTHING


class BudgetArguments(Arguments):
    """In which time zone months begin."""

    time_zone: str = "UTC"


class ForecastCosts:
    """The days from the last one with records on, by the method with the least error in a backtest.

    Candidates: seasonal-naive, mean and drift (Hyndman and Athanasopoulos, "Forecasting: Principles
    and Practice", 5.2) and seasonal-naive with a damped weekly trend (Gardner and McKenzie, 1985).
    Error: wQL[0.5] = sum of |actual - forecast| / sum of |actual| over rolling origins; the intervals
    are quantiles of those errors. The last day with records may not be over: it is forecast too.
    """

    name = "forecast_costs"
    is_repeatable = True

    def __init__(self, usage: UsageRepository, work: WorkRunner) -> None:
        self._usage = usage
        self._work = work

    async def run(
        self, arguments: ForecastArguments, context: ToolCallContext
    ) -> CostForecast | None:
        tenant = context.execution.org
        open_day = await _open_day(self._usage, tenant, arguments.time_zone)
        if open_day is None:
            return None
        days = await _history(self._usage, tenant, open_day, arguments.time_zone, arguments.filters)
        history = tuple(each for each in days if each.day < open_day)
        find = partial(forecast, horizon_days=arguments.horizon_days)
        return CostForecast(
            first_day=open_day, history=history, result=await self._work.call(find, history)
        )

    def summary(self, output: CostForecast | None) -> str:
        if output is None:
            return "There are no usage records yet."
        found = output.result
        if not isinstance(found, Forecast):
            return found.reason
        whole = found.total
        error = "" if found.error is None else f"; off by {percent(found.error)} in the backtest"
        return (
            f"{usd(whole.expected)} in {plural(len(found.days), 'day')} "
            f"({usd(whole.low)} to {usd(whole.high)}) by {found.method}{error}."
        )


class CheckBudgets:
    """Each budget: month to date, projected month end, and the day it runs out.

    The month is that of the tenant's last record. The projection is the cost so far and the forecast
    of the days to come (`ForecastCosts`), or under 14 days of history the mean of complete days.
    """

    name = "check_budgets"
    is_repeatable = True

    def __init__(self, usage: UsageRepository, budgets: BudgetRepository, work: WorkRunner) -> None:
        self._usage = usage
        self._budgets = budgets
        self._work = work

    async def run(self, arguments: BudgetArguments, context: ToolCallContext) -> BudgetReport:
        tenant = context.execution.org
        budgets, open_day = await asyncio.gather(
            self._budgets.list(tenant), _open_day(self._usage, tenant, arguments.time_zone)
        )
        if open_day is None:
            return BudgetReport(last_day=None, budgets=len(budgets), statuses=())
        statuses = [
            await self._work.call(
                status_of,
                budget,
                await _history(self._usage, tenant, open_day, arguments.time_zone, budget.filters),
                open_day,
            )
            for budget in budgets
        ]
        return BudgetReport(last_day=open_day, budgets=len(budgets), statuses=tuple(statuses))

    def summary(self, output: BudgetReport) -> str:
        if not output.budgets:
            return "There are no budgets."
        known = [each for each in output.statuses if isinstance(each, BudgetStatus)]
        short = [each for each in known if each.runs_out_on is not None]
        return f"{len(short)} of {plural(output.budgets, 'budget')} will not last the month."


def status_of(
    budget: Budget, days: Sequence[DailyCost], open_day: date
) -> BudgetStatus | BudgetUnknown:
    """Where a budget stands, by the days up to the open one."""
    complete = [each for each in days if each.day < open_day]
    found = forecast(complete, horizon_days=len(days_to_come(open_day)))
    return budget_status(
        budget,
        month_days=[each for each in days if each.day >= open_day.replace(day=1)],
        open_day=open_day,
        forecast=found if isinstance(found, Forecast) else None,
        rate_days=_since_first_cost(complete)[-RATE_DAYS:],
    )


def _since_first_cost(days: Sequence[DailyCost]) -> Sequence[DailyCost]:
    first = next((index for index, each in enumerate(days) if each.cost), len(days))
    return days[first:]


async def _open_day(usage: UsageRepository, tenant: str, time_zone: str) -> date | None:
    """The local day of the last record, which need not be over; None where there are no records."""
    extent = await usage.extent(tenant)
    if extent is None:
        return None
    return TimeRange.covering(extent.last, extent.last, time_zone).first_day


async def _history(
    usage: UsageRepository, tenant: str, open_day: date, time_zone: str, filters: Filters
) -> tuple[DailyCost, ...]:
    """What each of the last days cost, the open one too."""
    time_range = TimeRange.days(open_day - timedelta(days=HISTORY_DAYS), open_day, time_zone)
    daily = await usage.daily(tenant, time_range, filters=filters)
    return tuple(DailyCost(day=point.day, cost=point.cost) for point in daily)

"""Monthly budgets: how much is spent, where the month will end, and the day the money runs out."""

from calendar import monthrange
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal, localcontext
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from apex_actors.costs.analysis.forecast import DailyCost, Forecast
from apex_actors.costs.analysis.statistics import PRECISE, estimate, mean, quotient
from apex_actors.costs.filters import EVERYTHING, Filters
from apex_actors.costs.money import total
from apex_actors.costs.records import Money, Name
from apex_actors.costs.summary import SHARE_STEP, Dimension

COST_CURRENCY = "USD"
"""What computed costs are in."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Budget(_Value):
    """What may be spent in each calendar month, in all or on one value of a dimension."""

    name: Name
    monthly_amount: Annotated[Money, Field(gt=0)]
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] = COST_CURRENCY
    dimension: Dimension | None = None
    value: Name | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.dimension is None) != (self.value is None):
            raise ValueError("value: must stand with a dimension, and a dimension with a value")
        return self

    @property
    def filters(self) -> Filters:
        """The usage that the budget is about."""
        if self.dimension is None:
            return EVERYTHING
        return Filters.only(self.dimension, self.value)


class BudgetStatus(_Value):
    """A budget and a month. Money is US dollars."""

    budget: Budget
    month_start: date
    month_end: date
    """The last day of the month."""
    spent: Decimal
    """Month to date, exact."""
    spent_share: Decimal
    projected: Decimal | None
    """Of the whole month; None where nothing can be said yet."""
    projected_low: Decimal | None
    projected_high: Decimal | None
    """None where the projection is no forecast."""
    projection: str
    """Where the projection comes from."""
    runs_out_on: date | None
    """The first day at whose end the budget is used up; None: not within the month."""
    runs_out_in_future: bool
    """Whether that day is a projection."""


class BudgetUnknown(_Value):
    """Why nothing can be said about a budget."""

    budget: Budget
    reason: str


class BudgetReport(_Value):
    """All budgets of a tenant, in the month of its last record."""

    last_day: date | None
    """The local day of the last record, which need not be over; None: there are no records."""
    budgets: int
    """How many there are."""
    statuses: tuple[BudgetStatus | BudgetUnknown, ...]
    """Of each budget; empty where there are no records."""


def days_to_come(open_day: date) -> list[date]:
    """The days of the month from the open day on, itself among them."""
    last = monthrange(open_day.year, open_day.month)[1]
    return [open_day.replace(day=day) for day in range(open_day.day, last + 1)]


def budget_status(
    budget: Budget,
    *,
    month_days: Sequence[DailyCost],
    open_day: date,
    forecast: Forecast | None = None,
    rate_days: Sequence[DailyCost] = (),
) -> BudgetStatus | BudgetUnknown:
    """Where a budget stands.

    The days from ``open_day`` on are expected to cost what the forecast says, or else the mean of
    ``rate_days``; the open day at least what it has cost already.

    :param month_days: the days of the month so far; what the open day has cost may be among them.
    :param open_day: the first day of the month that is not over, or the first of the next month.
    :param forecast: of the days from the open day on.
    :param rate_days: complete days of the recent past, used where there is no forecast.
    :raises ValueError: a day outside of the month or after the open day.
    """
    if budget.currency != COST_CURRENCY:
        return BudgetUnknown(
            budget=budget,
            reason=(
                f"The budget is in {budget.currency}, costs are in {COST_CURRENCY}, and there is no "
                "rate between them: set the budget in US dollars."
            ),
        )
    start = (month_days[0].day if month_days else open_day).replace(day=1)
    end = start.replace(day=monthrange(start.year, start.month)[1])
    spent_on = {each.day: each.cost for each in month_days}
    if any(not start <= day <= min(end, open_day) for day in spent_on):
        raise ValueError("month_days: must lie in one month, and not after the open day")
    open_days = [open_day + timedelta(days=step) for step in range((end - open_day).days + 1)]
    expected, projection = _expected(open_days, forecast, rate_days)
    spent = total(spent_on.values())
    projected = None
    if expected is not None:
        for day, cost in expected.items():
            spent_on[day] = max(cost, spent_on.get(day, Decimal(0)))
        with localcontext(PRECISE):
            projected = sum(spent_on.values(), Decimal(0))
    out = _first_day_used_up(spent_on, budget.monthly_amount)
    low, high = _interval(spent, projected, open_days, forecast)
    return BudgetStatus(
        budget=budget,
        month_start=start,
        month_end=end,
        spent=spent,
        spent_share=quotient(spent, budget.monthly_amount).quantize(SHARE_STEP, context=PRECISE),
        projected=None if projected is None else estimate(projected),
        projected_low=low,
        projected_high=high,
        projection=projection,
        runs_out_on=out,
        runs_out_in_future=out is not None and spent < budget.monthly_amount,
    )


def _expected(
    days: Sequence[date], forecast: Forecast | None, rate_days: Sequence[DailyCost]
) -> tuple[Mapping[date, Decimal] | None, str]:
    """The cost of each open day, None where unknown, and where it comes from."""
    if not days:
        return {}, "the month is over"
    if forecast is not None:
        by_day = {each.day: each.expected for each in forecast.days}
        if all(day in by_day for day in days):
            return {day: by_day[day] for day in days}, f"forecast by {forecast.method}"
    if rate_days:
        rate = mean([each.cost for each in rate_days])
        return dict.fromkeys(days, rate), f"the mean of the last {len(rate_days)} complete days"
    return None, "there is no complete day to go by"


def _first_day_used_up(costs: Mapping[date, Decimal], amount: Decimal) -> date | None:
    with localcontext(PRECISE):
        spent = Decimal(0)
        for day in sorted(costs):
            spent += costs[day]
            if spent >= amount:
                return day
    return None


def _interval(
    spent: Decimal, projected: Decimal | None, days: Sequence[date], forecast: Forecast | None
) -> tuple[Decimal | None, Decimal | None]:
    """The forecast's interval of the sum, around the projection, where it is of these very days."""
    if forecast is None or projected is None or [each.day for each in forecast.days] != list(days):
        return None, None
    whole = forecast.total
    with localcontext(PRECISE):
        low = max(spent, projected - (whole.expected - whole.low))
        high = projected + (whole.high - whole.expected)
    return estimate(low), estimate(high)

"""What the coming days will cost, by the method that would have been best until now.

Every candidate is tried from many days of the past, always with what was known then (rolling
origin; Tashman, "Out-of-sample tests of forecasting accuracy", International Journal of Forecasting
16, 2000). The one with the least weighted quantile loss at the median wins; the errors it made are
the intervals.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal, localcontext
from itertools import accumulate, pairwise

from pydantic import BaseModel, ConfigDict

from apex_actors.costs.analysis.candidates import WEEK_DAYS, Method, continued
from apex_actors.costs.analysis.statistics import PRECISE, estimate, quantile, quotient
from apex_actors.costs.summary import SHARE_STEP

LEAST_HISTORY_DAYS = 14
MAX_HORIZON_DAYS = 92

MAX_ORIGINS = 56
"""Days of the past from which candidates are tried: eight weeks, the latest."""

LEAST_ERRORS = 10
"""From fewer errors no 10 % and 90 % quantile is taken; all steps are pooled then."""

INTERVAL = Decimal("0.8")
"""The share of outcomes that an interval shall hold: from the 10 % to the 90 % quantile of errors."""

ERROR_NAME = "wQL[0.5]"
"""Weighted quantile loss at the median: sum of |actual - forecast| over sum of |actual|, which is also
called WAPE. Unlike MAPE it stands days without cost."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DailyCost(_Value):
    """What a local day cost, US dollars."""

    day: date
    cost: Decimal


class Expected(_Value):
    """A forecast with its interval, US dollars."""

    expected: Decimal
    low: Decimal
    high: Decimal


class ExpectedDay(Expected):
    """The forecast of one day."""

    day: date


class CandidateError(_Value):
    """How a method did in the backtest."""

    method: Method
    error: Decimal | None
    """As `ERROR_NAME` says; None where the tried days cost nothing."""


class Forecast(_Value):
    """The coming days."""

    days: tuple[ExpectedDay, ...]
    total: Expected
    """Of all days together; its interval comes from errors of sums, not from sums of intervals."""
    method: Method
    error_name: str
    error: Decimal | None
    """Of the chosen method: 0.1 means that it was off by 10 % of the cost, day by day."""
    candidates: tuple[CandidateError, ...]
    origins: int
    """How many days of the past the methods were tried from."""
    history_days: int
    interval: Decimal
    interval_basis: str


class ForecastRefusal(_Value):
    """Why there is no forecast."""

    reason: str
    history_days: int
    needed_days: int = LEAST_HISTORY_DAYS


class CostForecast(_Value):
    """A forecast with the days that it continues."""

    first_day: date
    """The first day that is forecast: that of the last record, which need not be over."""
    history: tuple[DailyCost, ...]
    result: Forecast | ForecastRefusal


def forecast(history: Sequence[DailyCost], *, horizon_days: int) -> Forecast | ForecastRefusal:
    """Forecast the days after the last of ``history``.

    :param history: complete days without gaps, in order; those without usage with cost 0. What
        stands before the first day with a cost counts for nothing.
    :param horizon_days: from 1 to 92.
    :raises ValueError: a gap, or a horizon out of bounds.
    """
    if not 1 <= horizon_days <= MAX_HORIZON_DAYS:
        raise ValueError(f"horizon_days: must be from 1 to {MAX_HORIZON_DAYS}")
    for earlier, later in pairwise(history):
        if later.day - earlier.day != timedelta(days=1):
            raise ValueError("history: must hold each day once, in order")
    first = next((index for index, day in enumerate(history) if day.cost), len(history))
    costs = [day.cost for day in history[first:]]
    if len(costs) < LEAST_HISTORY_DAYS:
        return ForecastRefusal(
            reason=(
                f"There are {len(costs)} complete days of costs; a forecast needs at least "
                f"{LEAST_HISTORY_DAYS}, two of each weekday."
            ),
            history_days=len(costs),
        )
    trials = {method: _backtest(method, costs, horizon_days) for method in Method}
    measured = {method: _loss(trial) for method, trial in trials.items()}
    # Of equal errors the simplest: min takes the first.
    method = min(Method, key=lambda each: measured[each] or Decimal(0))
    expected = continued(method, costs, horizon_days)
    errors = [[actual - guess for actual, guess in trial] for trial in trials[method]]
    return Forecast(
        days=tuple(
            ExpectedDay(day=history[-1].day + timedelta(days=step + 1), **band)
            for step, band in enumerate(_bands(expected, errors))
        ),
        total=Expected(**_band_of_sum(expected, errors)),
        method=method,
        error_name=ERROR_NAME,
        error=measured[method],
        candidates=tuple(
            CandidateError(method=each, error=error) for each, error in measured.items()
        ),
        origins=len(errors),
        history_days=len(costs),
        interval=INTERVAL,
        interval_basis=(
            f"the 10 % and 90 % quantiles of the method's own errors from {len(errors)} days of "
            "the past, by weeks ahead where there are enough of them"
        ),
    )


_Trial = list[tuple[Decimal, Decimal]]


def _backtest(method: Method, costs: Sequence[Decimal], horizon: int) -> list[_Trial]:
    """For each origin the actual and the forecast cost of the days after it."""
    first = max(WEEK_DAYS, len(costs) - MAX_ORIGINS)
    return [
        list(
            zip(
                costs[origin : origin + horizon],
                continued(method, costs[:origin], min(horizon, len(costs) - origin)),
                strict=True,
            )
        )
        for origin in range(first, len(costs))
    ]


def _loss(trials: Sequence[_Trial]) -> Decimal | None:
    with localcontext(PRECISE):
        size = sum((abs(actual) for trial in trials for actual, _ in trial), Decimal(0))
        missed = sum(
            (abs(actual - guess) for trial in trials for actual, guess in trial), Decimal(0)
        )
    return quotient(missed, size).quantize(SHARE_STEP, context=PRECISE) if size else None


def _bands(
    expected: Sequence[Decimal], errors: Sequence[Sequence[Decimal]]
) -> list[Mapping[str, Decimal]]:
    by_week: dict[int, list[Decimal]] = {}
    for trial in errors:
        for step, error in enumerate(trial):
            by_week.setdefault(step // WEEK_DAYS, []).append(error)
    everything = [error for trial in errors for error in trial]
    usable = [week for week in sorted(by_week) if len(by_week[week]) >= LEAST_ERRORS]
    bands = []
    for step, cost in enumerate(expected):
        # Weeks that the past was too short for are at least as uncertain as the last it reached.
        week = min(step // WEEK_DAYS, usable[-1]) if usable else None
        bands.append(_band(cost, everything if week is None else by_week[week]))
    return bands


def _band_of_sum(
    expected: Sequence[Decimal], errors: Sequence[Sequence[Decimal]]
) -> Mapping[str, Decimal]:
    with localcontext(PRECISE):
        whole = sum(expected, Decimal(0))
        # The longest sum that was tried often enough stands for the whole, scaled to its length.
        sums = [list(accumulate(trial)) for trial in errors]
        for days in range(len(expected), 0, -1):
            tried = [trial[days - 1] for trial in sums if len(trial) >= days]
            if len(tried) >= LEAST_ERRORS or days == 1:
                return _band(whole, [error * len(expected) / days for error in tried])
    raise AssertionError("a forecast has at least one day")  # pragma: no cover


def _band(cost: Decimal, errors: Sequence[Decimal]) -> Mapping[str, Decimal]:
    tail = (1 - INTERVAL) / 2
    with localcontext(PRECISE):
        low = min(cost, max(Decimal(0), cost + quantile(errors, tail)))
        high = max(cost, cost + quantile(errors, 1 - tail))
    return {"expected": estimate(cost), "low": estimate(low), "high": estimate(high)}

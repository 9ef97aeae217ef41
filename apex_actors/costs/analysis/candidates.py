"""Ways to continue a daily series, simplest first.

The first three are the simple methods of Hyndman and Athanasopoulos, "Forecasting: Principles and
Practice" (3rd edition, 2021), section 5.2; the last damps a weekly trend as Gardner and McKenzie,
"Forecasting Trends in Time Series" (Management Science 31, 1985), do.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, localcontext
from enum import StrEnum

from apex_actors.costs.analysis.statistics import PRECISE, mean, median

WEEK_DAYS = 7
WINDOW_DAYS = 28
"""How far back the mean and the trend look."""

DAMPING = Decimal("0.8")
"""What is left of the trend from one week to the next."""


class Method(StrEnum):
    """How a series is continued."""

    SEASONAL_NAIVE = "seasonal-naive"
    MEAN = "mean"
    DRIFT = "drift"
    DAMPED_SEASONAL = "seasonal-naive with damped trend"


Candidate = Callable[[Sequence[Decimal], int], list[Decimal]]


def seasonal_naive(history: Sequence[Decimal], horizon: int) -> list[Decimal]:
    """Each day as the same weekday was last: y(T+h) = y(T+h-7k)."""
    week = history[-WEEK_DAYS:]
    return [week[step % len(week)] for step in range(horizon)]


def recent_mean(history: Sequence[Decimal], horizon: int) -> list[Decimal]:
    """Each day as the mean of the last 28."""
    return [mean(history[-WINDOW_DAYS:])] * horizon


def drift(history: Sequence[Decimal], horizon: int) -> list[Decimal]:
    """On from the last day along the line from the first: y(T) + h * (y(T) - y(1)) / (T - 1)."""
    with localcontext(PRECISE):
        steps = max(1, len(history) - 1)
        slope = (history[-1] - history[0]) / steps
        return [history[-1] + slope * (step + 1) for step in range(horizon)]


def damped_seasonal(history: Sequence[Decimal], horizon: int) -> list[Decimal]:
    """The same weekday of the last week, and a trend that fades.

    In the k-th week ahead y(T+h-7k) + D * (0.8 + 0.8^2 + … + 0.8^k), where D is the median of the
    differences between each of the last 28 days and its weekday a week earlier.
    """
    with localcontext(PRECISE):
        first = max(WEEK_DAYS, len(history) - WINDOW_DAYS)
        differences = [
            history[day] - history[day - WEEK_DAYS] for day in range(first, len(history))
        ]
        trend = median(differences) if differences else Decimal(0)
        return [
            cost + trend * sum(DAMPING**week for week in range(1, step // WEEK_DAYS + 2))
            for step, cost in enumerate(seasonal_naive(history, horizon))
        ]


CANDIDATES: Mapping[Method, Candidate] = {
    Method.SEASONAL_NAIVE: seasonal_naive,
    Method.MEAN: recent_mean,
    Method.DRIFT: drift,
    Method.DAMPED_SEASONAL: damped_seasonal,
}
"""In the order in which equal errors are decided."""


def continued(method: Method, history: Sequence[Decimal], horizon: int) -> list[Decimal]:
    """The next days by that method; no day costs less than nothing."""
    return [max(Decimal(0), cost) for cost in CANDIDATES[method](history, horizon)]

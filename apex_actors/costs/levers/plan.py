"""The savings plan: every request re-priced through all levers, in one order.

A lever's saving is the marginal drop at its place (remove, shrink, route, cache, time, commit), so
the savings add up exactly to baseline - final and nothing is counted twice. What the lever would
save alone stands beside it.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime

from apex_actors.costs.levers.batch import BatchLever
from apex_actors.costs.levers.line import Applied, Lever, LeverRequest, Line
from apex_actors.costs.levers.monthly import per_month
from apex_actors.costs.levers.prompt_caching import PromptCachingLever
from apex_actors.costs.levers.results import LeverResult, MonthlySaving, SavingsPlan
from apex_actors.costs.money import from_units, total
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.costs.rates import RateCard
from apex_actors.costs.summary import share
from apex_actors.costs.timerange import TimeRange


def build_plan(
    requests: Iterable[LeverRequest], *, catalogue: PriceCatalogue, time_range: TimeRange
) -> SavingsPlan:
    """Re-prices the requests through all levers.

    Args:
        requests: single requests (no buckets) of the time range, in order of time.
        catalogue: the prices, at each request's own date.
        time_range: whose days the monthly figures are about, and its time zone.
    """
    count = 0
    lines: list[Line] = []
    days = _LocalDays(time_range)
    for request in requests:
        count += 1
        card = catalogue.card(
            request.provider, request.model, request.occurred_at, request.processing
        )
        if isinstance(card, RateCard) and card.missing_price(request.shape) is None:
            lines.append(
                Line(
                    request,
                    days.of(request.occurred_at),
                    request.processing,
                    card,
                    request.shape,
                    card.cost(request.shape),
                )
            )
    levers: tuple[Lever, ...] = (PromptCachingLever(), BatchLever(catalogue=catalogue))
    final, results = _in_order(lines, levers)
    baseline_units = sum(line.units for line in lines)
    final_units = sum(line.units for line in final)
    monthly = [result.monthly.expected for result in results if result.monthly is not None]
    return SavingsPlan(
        time_range=time_range,
        price_version=catalogue.version,
        requests=count,
        priced_requests=len(lines),
        baseline=from_units(baseline_units),
        final=from_units(final_units),
        saving=from_units(baseline_units - final_units),
        expected_per_month=total(monthly) if monthly else None,
        levers=tuple(results),
    )


def _in_order(
    baseline: Sequence[Line], levers: Iterable[Lever]
) -> tuple[Sequence[Line], list[LeverResult]]:
    lines = baseline
    results: list[LeverResult] = []
    for lever in levers:
        applied = lever.apply(lines)
        alone: Applied = applied if lines is baseline else lever.apply(baseline)
        results.append(
            applied.result.model_copy(
                update={
                    "standalone": alone.result.saving,
                    "monthly": _with_share(applied.result.monthly, baseline),
                }
            )
        )
        lines = applied.lines
    return lines, results


def _with_share(monthly: MonthlySaving | None, baseline: Sequence[Line]) -> MonthlySaving | None:
    """The monthly figures beside what the same days cost: both from one window."""
    if monthly is None:
        return None
    first, last = monthly.first_day, monthly.last_day
    cost = from_units(sum(line.units for line in baseline if first <= line.day <= last))
    days = (last - first).days + 1
    part = share(monthly.expected, per_month(cost, days))
    return monthly.model_copy(update={"share_of_cost": part})


class _LocalDays:
    """The local day of each moment; requests come in order, so most share the last one's."""

    def __init__(self, time_range: TimeRange) -> None:
        self._range = time_range
        self._quarters: dict[int, date] = {}

    def of(self, moment: datetime) -> date:
        # A quarter hour never spans two days in any time zone in use.
        quarter = int(moment.timestamp()) // 900
        day = self._quarters.get(quarter)
        if day is None:
            day = self._quarters[quarter] = self._range.local_date(moment)
        return day

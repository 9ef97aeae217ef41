"""The savings plan: every request re-priced through all levers, in one order.

A lever's saving is the marginal drop at its place (remove, shrink, route, cache, time, commit), so
the savings add up exactly to baseline - final and nothing is counted twice. What the lever would
save alone stands beside it.

Three parts: `tally_days` goes once through the requests and gives additive tallies by day, which
can be stored; `combine` makes a plan of the tallies of any days; `build_plan` is both at once.
"""

from collections.abc import Callable, Iterable

from apex_actors.costs.levers.batch import batch
from apex_actors.costs.levers.committed import committed
from apex_actors.costs.levers.context_trim import context_trim
from apex_actors.costs.levers.duplicates import duplicates
from apex_actors.costs.levers.ledger import Ledger
from apex_actors.costs.levers.line import LeverRequest
from apex_actors.costs.levers.off_peak import off_peak
from apex_actors.costs.levers.output_cap import output_cap
from apex_actors.costs.levers.prompt_caching import prompt_caching
from apex_actors.costs.levers.results import LeverResult, SavingsPlan
from apex_actors.costs.levers.right_sizing import right_sizing
from apex_actors.costs.levers.settings import DEFAULT_SETTINGS, LeverSettings
from apex_actors.costs.levers.stream import tally_days
from apex_actors.costs.levers.tallies import DayTallies
from apex_actors.costs.levers.waste import waste
from apex_actors.costs.money import from_units, total
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.costs.timerange import TimeRange

_LEVERS: tuple[Callable[[Ledger], LeverResult], ...] = (
    duplicates,
    waste,
    output_cap,
    context_trim,
    right_sizing,
    prompt_caching,
    batch,
    off_peak,
    committed,
)


def build_plan(
    requests: Iterable[LeverRequest],
    *,
    catalogue: PriceCatalogue,
    time_range: TimeRange,
    settings: LeverSettings = DEFAULT_SETTINGS,
) -> SavingsPlan:
    """Re-prices the requests through all levers.

    Args:
        requests: single requests (no buckets) in order of time, of the time range and, where there
            are any, from `settings.warm_up_s` before it on: these are only remembered.
        catalogue: the prices, at each request's own date.
        time_range: whose days the monthly figures are about, and its time zone.
        settings: limits and offers.
    """
    return combine(
        tally_days(
            requests,
            catalogue=catalogue,
            settings=settings,
            time_zone=time_range.time_zone,
            start=time_range.start,
        ),
        settings=settings,
        time_range=time_range,
        price_version=catalogue.version,
    )


def combine(
    days: Iterable[DayTallies],
    *,
    settings: LeverSettings,
    time_range: TimeRange,
    price_version: str,
) -> SavingsPlan:
    """The plan of the time range from the tallies of its days, in any order.

    Raises:
        ValueError: the days were tallied with other settings or prices.
    """
    ledger = Ledger(days, settings)
    for day in ledger.days:
        if (day.settings, day.price_version) != (settings.fingerprint, price_version):
            raise ValueError(f"The tallies of {day.day} belong to other settings or prices.")
    results = [lever(ledger) for lever in _LEVERS]
    baseline = ledger.baseline
    saving = total(result.saving for result in results)
    monthly = [result.monthly.expected for result in results if result.monthly is not None]
    return SavingsPlan(
        time_range=time_range,
        price_version=price_version,
        requests=sum(day.requests for day in ledger.days),
        priced_requests=ledger.priced,
        baseline=from_units(baseline),
        final=total((from_units(baseline), -saving)),
        saving=saving,
        expected_per_month=total(monthly) if monthly else None,
        levers=tuple(results),
    )

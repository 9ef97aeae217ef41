"""From what would have been saved on the observed days to a monthly figure with its spread."""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal

from apex_actors.costs.levers.ledger import Ledger, Place
from apex_actors.costs.levers.results import MonthlySaving
from apex_actors.costs.money import from_units, times
from apex_actors.costs.summary import share

MONTH_DAYS = 30
WEEK_DAYS = 7
LEAST_DAYS = WEEK_DAYS
"""Under a week no monthly figure is given: weekdays and weekends differ too much."""


_ESTIMATE_STEP = Decimal("0.000001")
"""A monthly figure is an estimate: digits beyond a millionth of a dollar would feign precision."""


def per_month(amount: Decimal, days: int) -> Decimal:
    """What `amount` in `days` days comes to in 30."""
    return times(amount, MONTH_DAYS, days).quantize(_ESTIMATE_STEP)


def monthly_saving(
    saved_units: Mapping[date, int], *, first_day: date, last_day: date
) -> MonthlySaving | None:
    """Low, expected and high saving of 30 days.

    Expected is the mean day of the window times 30. Low and high are the least and the most saving
    of its whole weeks (counted back from the last day), times 30/7: a spread that was observed, no
    forecast. None where the window is shorter than a week.
    """
    days = (last_day - first_day).days + 1
    if days < LEAST_DAYS:
        return None
    total = sum(units for day, units in saved_units.items() if first_day <= day <= last_day)
    weeks = [
        sum(
            saved_units.get(last_day - timedelta(days=WEEK_DAYS * week + offset), 0)
            for offset in range(WEEK_DAYS)
        )
        for week in range(days // WEEK_DAYS)
    ]
    expected = per_month(from_units(total), days)
    low = per_month(from_units(min(weeks)), WEEK_DAYS)
    high = per_month(from_units(max(weeks)), WEEK_DAYS)
    return MonthlySaving(
        # The days before the first whole week may pull the mean out of the weeks' spread.
        low=min(low, expected),
        expected=expected,
        high=max(high, expected),
        first_day=first_day,
        last_day=last_day,
        basis=(
            f"{first_day} to {last_day}: the mean of {days} days, and the lowest and the highest "
            f"of {len(weeks)} whole week{'s' if len(weeks) != 1 else ''}, each scaled to "
            f"{MONTH_DAYS} days"
        ),
    )


def monthly_of(
    ledger: Ledger, place: Place, *, first_day: date | None = None
) -> MonthlySaving | None:
    """The monthly saving of a lever at its place, beside what the same days cost.

    Args:
        ledger: the plan.
        place: the lever.
        first_day: where the window begins; with the first priced day, if not given.
    """
    cost = ledger.cost_by_day()
    if not cost:
        return None
    first, last = first_day or min(cost), max(cost)
    monthly = monthly_saving(ledger.saved_by_day(place), first_day=first, last_day=last)
    if monthly is None:
        return None
    spent = from_units(sum(units for day, units in cost.items() if first <= day <= last))
    part = share(monthly.expected, per_month(spent, (last - first).days + 1))
    return monthly.model_copy(update={"share_of_cost": part})

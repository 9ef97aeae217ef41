"""Monthly figures from observed days."""

from datetime import date, timedelta
from decimal import Decimal

from apex_actors.costs.levers.monthly import monthly_saving, per_month
from apex_actors.costs.money import UNITS_PER_USD

FIRST = date(2026, 11, 1)


def saving(dollars_by_day: list[int]):
    units = {
        FIRST + timedelta(days=offset): dollars * UNITS_PER_USD
        for offset, dollars in enumerate(dollars_by_day)
    }
    last = FIRST + timedelta(days=len(dollars_by_day) - 1)
    return monthly_saving(units, first_day=FIRST, last_day=last)


def test_expected_is_the_mean_day_and_the_spread_is_of_whole_weeks():
    # A day before the first whole week, then weeks of 7 and 14 dollars: 21 + 1 in 15 days.
    month = saving([1] + [1] * 7 + [2] * 7)

    assert month.expected == (Decimal(22) * 30 / 15)
    assert month.low == Decimal(7) * 30 / 7
    assert month.high == Decimal(14) * 30 / 7
    assert "15 days" in month.basis
    assert "2 whole weeks" in month.basis


def test_a_losing_week_shows_as_a_loss():
    assert saving([5] * 7 + [-1] * 7).low == -30


def test_low_expected_and_high_stay_in_order():
    # The day before the only whole week is far above it.
    month = saving([800] + [1] * 7)

    assert month.low <= month.expected <= month.high


def test_under_a_week_there_is_no_monthly_figure():
    assert saving([5] * 6) is None


def test_an_estimate_has_six_places():
    assert per_month(Decimal(10), 7) == Decimal("42.857143")

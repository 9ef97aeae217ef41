"""Budgets: month to date, where the month ends, and the day the money runs out."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from apex_actors.costs.analysis import (
    Budget,
    BudgetStatus,
    BudgetUnknown,
    DailyCost,
    budget_status,
    forecast,
)
from apex_actors.costs.summary import Dimension

NOVEMBER = date(2026, 11, 1)


def budget(amount=1000, **fields):
    return Budget(**{"name": "all", "monthly_amount": Decimal(amount), **fields})


def costs(first, *amounts):
    return [
        DailyCost(day=first + timedelta(days=day), cost=Decimal(amount))
        for day, amount in enumerate(amounts)
    ]


def test_the_month_by_hand_at_the_rate_of_complete_days():
    # Ten days of 30 make 300; the 11th has cost 5 so far. 20 days to come at 30: 300 + 600 = 900.
    # 800 is reached when 500 more are spent, after 17 more days (16 * 30 = 480): the 27th.
    complete = costs(NOVEMBER, *[30] * 10)
    status = budget_status(
        budget(800),
        month_days=[*complete, *costs(date(2026, 11, 11), 5)],
        open_day=date(2026, 11, 11),
        rate_days=complete,
    )

    assert isinstance(status, BudgetStatus)
    assert (status.month_start, status.month_end) == (NOVEMBER, date(2026, 11, 30))
    assert status.spent == 305
    assert status.spent_share == Decimal("0.3812")
    assert status.projected == 900
    assert (status.projected_low, status.projected_high) == (None, None)
    assert status.projection == "the mean of the last 10 complete days"
    assert status.runs_out_on == date(2026, 11, 27)
    assert status.runs_out_in_future


def test_an_open_day_that_already_costs_more_than_expected_counts_in_full():
    complete = costs(NOVEMBER, *[10] * 28)
    status = budget_status(
        budget(),
        month_days=[*complete, *costs(date(2026, 11, 29), 100)],
        open_day=date(2026, 11, 29),
        rate_days=complete,
    )
    assert status.projected == 280 + 100 + 10


def test_a_budget_that_is_used_up_says_since_when():
    status = budget_status(
        budget(50), month_days=costs(NOVEMBER, 20, 20, 10, 20), open_day=date(2026, 11, 4)
    )
    assert status.runs_out_on == date(2026, 11, 3)
    assert not status.runs_out_in_future


def test_a_budget_that_lasts_has_no_such_day():
    complete = costs(NOVEMBER, *[10] * 29)
    status = budget_status(
        budget(301), month_days=complete, open_day=date(2026, 11, 30), rate_days=complete
    )
    assert status.projected == 300
    assert status.runs_out_on is None
    assert not status.runs_out_in_future


def test_a_month_that_is_over_is_as_it_was():
    status = budget_status(
        budget(), month_days=costs(NOVEMBER, *[10] * 30), open_day=date(2026, 12, 1)
    )
    assert status.projected == status.spent == 300
    assert status.projection == "the month is over"


def test_without_a_complete_day_nothing_is_projected():
    status = budget_status(budget(), month_days=costs(NOVEMBER, 3), open_day=NOVEMBER)
    assert (status.spent, status.projected, status.runs_out_on) == (3, None, None)


def test_a_forecast_comes_before_the_rate_and_brings_its_interval():
    past = costs(date(2026, 10, 1), *[10, 12, 11, 13, 9, 2, 1] * 6)[:41]
    coming = forecast(past, horizon_days=20)
    month = [each for each in past if each.day >= NOVEMBER]
    status = budget_status(
        budget(), month_days=month, open_day=date(2026, 11, 11), forecast=coming, rate_days=past
    )

    spent = sum(each.cost for each in month)
    assert status.projection == "forecast by seasonal-naive"
    assert status.projected == spent + coming.total.expected
    assert status.projected_low == status.projected_high == status.projected


def test_another_currency_is_not_compared():
    status = budget_status(budget(currency="EUR"), month_days=[], open_day=NOVEMBER)
    assert isinstance(status, BudgetUnknown)
    assert "EUR" in status.reason


def test_a_filter_needs_both_its_halves_and_an_amount_is_positive():
    assert budget(dimension=Dimension.TEAM, value="search").value == "search"
    for wrong in ({"dimension": Dimension.TEAM}, {"value": "search"}, {"currency": "usd"}):
        with pytest.raises(ValidationError):
            budget(**wrong)
    with pytest.raises(ValidationError):
        budget(0)


def test_days_of_other_months_are_refused():
    with pytest.raises(ValueError, match="month_days"):
        budget_status(
            budget(), month_days=costs(date(2026, 10, 31), 1, 1), open_day=date(2026, 11, 3)
        )
    with pytest.raises(ValueError, match="month_days"):
        budget_status(budget(), month_days=costs(NOVEMBER, 1, 1), open_day=NOVEMBER)


@given(
    st.lists(st.integers(0, 100), min_size=1, max_size=29),
    st.integers(1, 3000),
    st.integers(1, 3000),
)
@settings(max_examples=50)
def test_more_money_never_runs_out_earlier(amounts, one, other):
    complete = costs(NOVEMBER, *amounts)
    smaller, larger = (
        budget_status(
            budget(amount),
            month_days=complete,
            open_day=NOVEMBER + timedelta(days=len(amounts)),
            rate_days=complete,
        ).runs_out_on
        for amount in sorted((one, other))
    )
    never = date.max
    assert (smaller or never) <= (larger or never)

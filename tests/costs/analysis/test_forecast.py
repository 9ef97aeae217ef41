"""Forecasts: each method by hand, the choice between them, intervals, and when there is none."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_actors.costs.analysis import DailyCost, ForecastRefusal, Method, forecast
from apex_actors.costs.analysis.candidates import (
    continued,
    damped_seasonal,
    drift,
    recent_mean,
    seasonal_naive,
)
from apex_actors.costs.analysis.forecast import _band

FIRST = date(2026, 9, 7)
WEEK = [10, 12, 11, 13, 9, 2, 1]


def history(costs):
    return [
        DailyCost(day=FIRST + timedelta(days=day), cost=Decimal(cost))
        for day, cost in enumerate(costs)
    ]


def decimals(costs):
    return [Decimal(cost) for cost in costs]


def test_seasonal_naive_repeats_the_last_week():
    assert seasonal_naive(decimals([99, *WEEK]), 9) == [*WEEK, *WEEK[:2]]


def test_the_mean_is_that_of_the_last_four_weeks():
    assert recent_mean(decimals([1000, *[1, 3] * 14]), 2) == [2, 2]


def test_drift_goes_on_along_the_line_from_the_first_day_to_the_last():
    # (10 - 4) / 3 = 2 a day.
    assert drift(decimals([4, 7, 1, 10]), 3) == [12, 14, 16]


def test_a_damped_trend_fades_week_by_week():
    # Every day costs 5 more than a week before: 0.8 * 5 = 4 more in the first week ahead,
    # (0.8 + 0.64) * 5 = 7.2 more in the second.
    costs = decimals([*WEEK, *[cost + 5 for cost in WEEK]])
    expected = damped_seasonal(costs, 8)
    assert expected[:7] == [cost + 5 + 4 for cost in WEEK]
    assert expected[7] == WEEK[0] + 5 + Decimal("7.2")


def test_no_day_costs_less_than_nothing():
    assert continued(Method.DRIFT, decimals([10, 5]), 3) == [0, 0, 0]


def test_under_fourteen_days_there_is_no_forecast_and_a_reason():
    refused = forecast(history([1] * 13), horizon_days=7)

    assert isinstance(refused, ForecastRefusal)
    assert (refused.history_days, refused.needed_days) == (13, 14)
    assert "13 complete days" in refused.reason
    # Days before the first cost are no history.
    assert isinstance(forecast(history([0] * 10 + [1] * 13), horizon_days=7), ForecastRefusal)
    assert isinstance(forecast([], horizon_days=7), ForecastRefusal)
    assert not isinstance(forecast(history([1] * 14), horizon_days=7), ForecastRefusal)


@given(
    st.lists(st.integers(1, 10**6), min_size=7, max_size=7),
    st.integers(2, 10),
    st.integers(0, 6),
    st.integers(1, 31),
)
@settings(max_examples=25)
def test_a_forecast_of_a_perfectly_periodic_series_is_exact(week, weeks, more, horizon):
    length = 7 * weeks + more
    found = forecast(history([week[day % 7] for day in range(length)]), horizon_days=horizon)

    assert [each.expected for each in found.days] == [
        week[(length + step) % 7] for step in range(horizon)
    ]
    assert all(each.low == each.expected == each.high for each in found.days)
    assert found.error == 0
    assert found.total.expected == sum(each.expected for each in found.days)
    assert found.total.low == found.total.high == found.total.expected
    assert found.days[0].day == FIRST + timedelta(days=length)


def test_the_method_with_the_least_error_is_chosen_and_all_errors_are_shown():
    # A straight line without weeks: drift is exact.
    found = forecast(history(range(100, 160)), horizon_days=10)
    assert found.method is Method.DRIFT
    assert found.error == 0
    assert found.error_name == "wQL[0.5]"
    assert [each.expected for each in found.days[:2]] == [160, 161]
    errors = {each.method: each.error for each in found.candidates}
    assert set(errors) == set(Method)
    # A week that repeats while it grows is not a line.
    grown = [cost * 10 + 3 * day // 7 for day, cost in enumerate(WEEK * 8)]
    assert forecast(history(grown), horizon_days=7).method is Method.DAMPED_SEASONAL


def test_the_error_by_hand():
    # With 14 days and a horizon of 1 there are 7 origins. Of the last seven days one costs 12, not 10:
    # seasonal-naive misses 2 once; the actual costs are 6 * 10 + 12 = 72; 2 / 72 = 0.0278.
    costs = [10] * 7 + [10, 10, 10, 12, 10, 10, 10]
    found = forecast(history(costs), horizon_days=1)
    errors = {each.method: each.error for each in found.candidates}
    assert errors[Method.SEASONAL_NAIVE] == Decimal("0.0278")
    assert found.origins == 7


def test_an_interval_is_the_spread_of_the_errors():
    # Of the errors -2, -1, 0, 1, 2 the 10 % quantile is at 0.1 * 4 = 0.4 of the way from -2 to -1.
    band = _band(Decimal(10), decimals([2, -1, 0, 1, -2]))
    assert band == {"expected": 10, "low": Decimal("8.4"), "high": Decimal("11.6")}
    noisy = forecast(history([8, 12, 9, 11, 10] * 12), horizon_days=3)
    assert all(each.low <= each.expected <= each.high for each in noisy.days)
    assert any(each.low < each.high for each in noisy.days)


def test_gaps_and_long_horizons_are_refused():
    days = history([1] * 20)
    with pytest.raises(ValueError, match="history"):
        forecast([*days[:5], *days[6:]], horizon_days=7)
    for horizon in (0, 93):
        with pytest.raises(ValueError, match="horizon_days"):
            forecast(days, horizon_days=horizon)


@given(st.lists(st.integers(0, 1000), min_size=14, max_size=80), st.integers(1, 35))
@settings(max_examples=25)
def test_intervals_hold_their_forecast_and_no_cost_is_below_nothing(costs, horizon):
    found = forecast(history(costs), horizon_days=horizon)
    if isinstance(found, ForecastRefusal):
        return
    for each in (*found.days, found.total):
        assert 0 <= each.low <= each.expected <= each.high
    assert len(found.days) == horizon

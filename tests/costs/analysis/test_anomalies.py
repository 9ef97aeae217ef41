"""Anomalies: the modified z-score by hand, its fallbacks, and what drove them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_actors.costs.analysis import (
    AnomalySettings,
    CostPoint,
    PartPoint,
    Spread,
    Step,
    find_anomalies,
)
from apex_actors.costs.summary import Dimension

MONDAY = datetime(2026, 9, 7, tzinfo=UTC)


def mondays(*costs):
    return [
        CostPoint(start=MONDAY + timedelta(weeks=week), cost=Decimal(cost))
        for week, cost in enumerate(costs)
    ]


def days(*costs):
    return [
        CostPoint(start=MONDAY + timedelta(days=day), cost=Decimal(cost))
        for day, cost in enumerate(costs)
    ]


def judge(points, **options):
    return find_anomalies(points, **{"step": Step.DAY, "time_zone": "UTC", **options})


def test_the_score_by_hand():
    # Median of 10, 11, 12, 13, 40 is 12; deviations 2, 1, 0, 1, 28 have the median 1.
    # z = 0.6745 * (40 - 12) / 1 = 18.886.
    (found,) = judge(mondays(10, 11, 12, 13, 40)).anomalies

    assert found.start == MONDAY + timedelta(weeks=4)
    assert (found.cost, found.expected, found.impact) == (40, 12, 28)
    assert found.z == Decimal("18.89")
    assert found.spread is Spread.MEDIAN_DEVIATION
    assert (found.peers, found.peer_count) == ("Mondays", 5)


def test_where_most_are_equal_the_mean_deviation_takes_over():
    # MAD is 0; the mean deviation of 10, 10, 10, 10, 10, 40 is 30 / 6 = 5.
    # z = 30 / (1.253314 * 5) = 4.787…
    (found,) = judge(mondays(10, 10, 10, 10, 10, 40)).anomalies

    assert found.z == Decimal("4.79")
    assert found.spread is Spread.MEAN_DEVIATION


def test_equal_values_are_no_anomalies():
    assert judge(mondays(*[10] * 8)).anomalies == ()


def test_what_costs_unusually_little_is_one_too():
    (found,) = judge(mondays(30, 31, 29, 30, 30, 32, 0)).anomalies
    assert found.impact == -30
    assert found.z < 0


def test_the_threshold_is_not_an_anomaly_and_what_is_small_is_none():
    # Deviations from 10: 1, 1, 0, 1, x with median 1; z = 0.6745 x; 5.18 gives 3.49, 5.20 gives 3.51.
    assert judge(mondays(9, 11, 10, 9, "15.18")).anomalies == ()
    assert len(judge(mondays(9, 11, 10, 9, "15.20")).anomalies) == 1
    cents = mondays("0.09", "0.11", "0.10", "0.09", "0.60")
    assert judge(cents).anomalies == ()
    settings = AnomalySettings(least_impact=Decimal("0.5"))
    assert len(judge(cents, settings=settings).anomalies) == 1


def test_a_weekend_is_not_judged_by_working_days():
    # Five weeks of 100 on working days and 5 on weekends, but the last Saturday costs 60.
    costs = ([100] * 5 + [5, 5]) * 5
    costs[-2] = 60
    (found,) = judge(days(*costs)).anomalies
    assert found.cost == 60
    assert found.peers == "Saturdays"


def test_a_small_class_gives_way_to_a_wider_one_and_two_days_are_not_judged():
    costs = [100, 101, 99, 100, 102, 5, 5] * 2
    costs[2] = 300
    report = judge(days(*costs))
    (found,) = report.anomalies
    assert (found.peers, found.peer_count) == ("working days", 10)
    # Four weekend days are too few, and are not measured by working days.
    assert (report.judged, report.unjudged) == (10, 4)

    few = judge(days(1, 1000))
    assert (few.anomalies, few.judged, few.unjudged) == ((), 0, 2)


def test_hours_are_those_of_the_time_zone():
    # 18:30 UTC is midnight in Kolkata.
    start = datetime(2026, 9, 6, 18, 30, tzinfo=UTC)
    points = [
        CostPoint(start=start + timedelta(weeks=week), cost=Decimal(cost))
        for week, cost in enumerate([10, 11, 12, 13, 40])
    ]
    (found,) = judge(points, step=Step.HOUR, time_zone="Asia/Kolkata").anomalies
    assert found.peers == "Mondays at 00:00"


def parts(dimension, name, *costs):
    return [
        PartPoint(dimension=dimension, name=name, start=point.start, cost=point.cost)
        for point in mondays(*costs)
    ]


def test_an_anomaly_names_what_drove_it():
    # 12 were to be expected: 9 for chat, 3 for search; then 40: 10 for chat, 30 for search.
    # Search: (30 - 3) / 28 = 0.9643 of the impact, 3 / 12 = 0.25 of what is usual.
    (found,) = judge(
        mondays(12, 11, 13, 12, 40),
        parts=[
            *parts(Dimension.FEATURE, "chat", 9, 8, 10, 9, 10),
            *parts(Dimension.FEATURE, "search", 3, 3, 3, 3, 30),
            *parts(Dimension.ENVIRONMENT, "production", 12, 11, 13, 12, 40),
        ],
    ).anomalies

    driver, everything = found.drivers
    assert (driver.dimension, driver.name) == (Dimension.FEATURE, "search")
    assert (driver.cost, driver.expected) == (30, 3)
    assert (driver.share_of_impact, driver.usual_share) == (Decimal("0.9643"), Decimal("0.25"))
    # What always makes up everything explains all of it and tells nothing.
    assert (everything.name, everything.share_of_impact) == ("production", 1)


def test_a_drop_is_driven_by_what_is_missing():
    (found,) = judge(
        mondays(30, 31, 29, 30, 30, 32, 10),
        parts=[
            *parts(Dimension.MODEL, "a", 10, 10, 10, 10, 10, 10, 10),
            *parts(Dimension.MODEL, "b", 20, 21, 19, 20, 20, 22),
        ],
    ).anomalies
    assert found.drivers[0].name == "b"
    assert found.drivers[0].share_of_impact == 1


@given(
    st.lists(st.integers(0, 50), min_size=10, max_size=60).flatmap(
        lambda costs: st.tuples(st.just(days(*costs)), st.permutations(days(*costs)))
    )
)
def test_anomalies_do_not_depend_on_the_order_of_points(both):
    ordered, mixed = both
    assert judge(ordered) == judge(mixed)


@given(st.lists(st.integers(0, 1000), min_size=5, max_size=40), st.integers(1, 9))
def test_scores_do_not_depend_on_the_unit_of_money(costs, factor):
    settings = AnomalySettings(least_impact=Decimal(0))
    before = judge(days(*costs), settings=settings).anomalies
    after = judge(days(*[cost * factor for cost in costs]), settings=settings).anomalies
    assert [(each.start, each.z) for each in before] == [(each.start, each.z) for each in after]


def test_settings_that_mean_nothing_are_refused():
    with pytest.raises(ValueError, match="threshold"):
        AnomalySettings(threshold=Decimal(0))

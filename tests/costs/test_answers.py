"""Series of costs: which of their points can be judged."""

from datetime import UTC, datetime
from decimal import Decimal

from apex_actors.costs.analysis import CostPoint, Step
from apex_actors.costs.answers import CostSeries


def at(day, hour=0):
    return datetime(2026, 11, day, hour, tzinfo=UTC)


def series(first, last):
    return CostSeries(
        step=Step.DAY,
        points=tuple(CostPoint(start=at(day), cost=Decimal(1)) for day in range(1, 7)),
        parts=(),
        first_record=first,
        last_record=last,
    )


def test_days_that_begin_before_or_end_after_the_records_are_not_complete():
    found = series(at(2, 9), at(5, 17)).complete
    assert [point.start for point in found] == [at(3), at(4)]
    assert len(series(at(1), at(6)).complete) == 5
    assert series(None, None).complete == ()

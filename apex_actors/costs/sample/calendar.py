"""Lays slices of traffic over days and hours of a believable quarter of a year."""

from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import accumulate

from apex_actors.costs.sample.story import Rhythm

_DAY_WEIGHTS = (100, 104, 106, 102, 92, 20, 14)
"""Monday to Sunday."""

_OFFICE_HOURS = {7: 2, 8: 5, 9: 9, 10: 10, 11: 9, 12: 6, 13: 8, 14: 9, 15: 8, 16: 6, 17: 3, 18: 1}
"""UTC hour to weight."""

_NIGHT_HOURS = {1: 2, 2: 3, 3: 1}

_GROWTH_FROM, _GROWTH_BY = 100, 60
"""The last day has 1.6 times the traffic of the same weekday at the beginning."""


def place_slices(count: int, *, first_day: date, days: int, rhythm: Rhythm) -> Iterator[datetime]:
    """The UTC hour at which each of `count` slices begins, in order of time.

    Slice k stands where (k + 1/2)/count of the whole weight is reached, so that the traffic follows
    the weights as closely as slices can, without chance.
    """
    slots: list[datetime] = []
    weights: list[int] = []
    hours = _OFFICE_HOURS if rhythm is Rhythm.OFFICE else _NIGHT_HOURS
    for offset in range(days):
        day = first_day + timedelta(days=offset)
        day_weight = _DAY_WEIGHTS[day.weekday()] if rhythm is Rhythm.OFFICE else _DAY_WEIGHTS[0]
        growth = _GROWTH_FROM * days + _GROWTH_BY * offset
        for hour, hour_weight in hours.items():
            slots.append(datetime.combine(day, time(hour), UTC))
            weights.append(day_weight * growth * hour_weight)
    reached = list(accumulate(weights))
    for number in range(count):
        target = (2 * number + 1) * reached[-1] // (2 * count)
        yield slots[bisect_right(reached, target)]

"""Which time ranges a question is about, from the times it names, its intents and the thread."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from apex_actors.costs.questions.periods import MONTHS_OF, Calendar, Period, Unit, shift
from apex_actors.costs.questions.question import Intent, Question
from apex_actors.costs.questions.reading import Reading
from apex_actors.costs.questions.timewords import Said
from apex_actors.costs.timerange import TimeRange

DEFAULT_DAYS: Final = 90
"""Of a question that names no time: the last days that have records."""

CHANGE_DAYS: Final = 30
"""Of a change whose time is not named."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """The time ranges of a question."""

    main: TimeRange
    is_named: bool
    compare_to: TimeRange | None = None
    horizon: TimeRange | None = None


def ranges(
    reading: Reading,
    intents: Sequence[Intent],
    previous: Question | None,
    *,
    has_sides: bool,
) -> Ranges:
    """The time ranges.

    :param previous: the question that this one goes on from, if it does.
    :param has_sides: whether names are compared, so that times need not be.
    """
    calendar = reading.calendar
    horizon = _horizon(reading.times, calendar) if Intent.FORECAST in intents else None
    named = [said for said in reading.times if not said.is_relative]
    if horizon is not None:
        named = [said for said in named if said is not horizon[0]]
    whole = [
        calendar.around(said.period.unit)
        if said.is_future and Intent.BUDGET in intents and not said.is_to_come
        else said.period
        for said in named
    ]
    periods = [past for period in whole if (past := calendar.past(period)) is not None]
    ends = [said.ends for said in named if said.ends is not None]
    is_pair = Intent.EXPLAIN_CHANGE in intents or (Intent.COMPARE in intents and not has_sides)
    carried = None
    if previous is not None and previous.is_time_named:
        carried = calendar.past(calendar.period(previous.time_range))
    if is_pair and len(ends) == 1 and len(periods) == 1:
        periods = [past for end in ends[0] if (past := calendar.past(end)) is not None]
    is_one_side = len(periods) == 1 and len(named) == 1
    if is_pair and is_one_side and Intent.COMPARE in intents and carried is not None:
        periods.append(carried)
    periods.sort(key=lambda period: (period.end, period.first))
    is_named = bool(periods) or carried is not None
    if not periods:
        periods = [carried or _default(reading, intents)]
    main = periods[-1]
    relative = [said.period.unit for said in reading.times if said.is_relative]
    if relative and not is_pair:
        main = _before(calendar, main, relative[0])
    other = None
    if is_pair:
        earlier = [period for period in periods if period.first < main.first]
        other = (
            earlier[0]
            if earlier
            else _before(calendar, main, relative[0] if relative else Unit.SPAN)
        )
        if other.end <= other.first:
            other = None  # nothing is before the beginning of the calendar
        elif not earlier:
            reading.assume(f"I compared with {calendar.range(other)}.")
    elif len(periods) > 1:
        main = Period(min(one.first for one in periods), main.end, Unit.SPAN)
    return Ranges(
        main=calendar.range(main),
        is_named=is_named,
        compare_to=None if other is None else calendar.range(other),
        horizon=None if horizon is None else calendar.range(horizon[1]),
    )


def _before(calendar: Calendar, main: Period, unit: Unit) -> Period:
    """`the week before` a period; without a unit, the period of its own kind before it."""
    if unit is Unit.SPAN or main.hours is not None:
        return main.before()
    return calendar.around(unit, -1, main.first)


def are_apart(reading: Reading) -> bool:
    """Whether the question names two times that are no single range: each is asked for."""
    periods = sorted(
        (
            past
            for said in reading.times
            if not said.is_relative and not said.is_future
            and (past := reading.calendar.past(said.period)) is not None
        ),
        key=lambda period: period.first,
    )  # fmt: skip
    return any(left.end != right.first for left, right in itertools.pairwise(periods))


def _default(reading: Reading, intents: Sequence[Intent]) -> Period:
    calendar = reading.calendar
    last = min(calendar.extent_last or calendar.today, calendar.today)
    end = shift(last, 1)
    if Intent.BUDGET in intents:
        month = calendar.around(Unit.MONTH)
        return Period(month.first, calendar.tomorrow, Unit.MONTH)
    if Intent.EXPLAIN_CHANGE in intents or (
        Intent.COMPARE in intents and any(said.is_relative for said in reading.times)
    ):
        reading.assume(f"I took the last {CHANGE_DAYS} days, because you named no time.")
        return Period(shift(end, -CHANGE_DAYS), end, Unit.SPAN)
    first = shift(end, -DEFAULT_DAYS)
    if calendar.extent_first is not None:
        first = min(max(first, calendar.extent_first), last)
    if not set(intents) & {Intent.HELP, Intent.PRICES, Intent.SESSION, Intent.REQUEST}:
        days = (end - first).days
        reading.assume(f"I took the last {days} days that have records, because you named no time.")
    return Period(first, end, Unit.SPAN)


def _horizon(times: Sequence[Said], calendar: Calendar) -> tuple[Said, Period] | None:
    """The days that a forecast is for: to come, a month that comes again, or one that has begun."""
    for said in times:
        if said.is_future:
            return said, said.period
    for said in times:
        period = said.period
        if period.hours is not None:
            continue
        if period.first <= calendar.today < period.end and period.unit in {*MONTHS_OF, Unit.WEEK}:
            return said, period
        if said.is_yearless and period.end <= calendar.today:
            later = calendar.around(
                period.unit, day=period.first.replace(year=period.first.year + 1)
            )
            return said, later
    return None

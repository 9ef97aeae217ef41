"""Periods of local days or of hours, and the calendar that a question was asked in."""

from calendar import monthrange
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import Enum

from apex_actors.costs.timerange import QUARTER_S, TimeRange, zone

FIRST_YEAR = 2000
LAST_YEAR = 2099
"""Years outside of these are numbers of something else; records are of these years too."""

_LOW_YEAR = 1990
_HIGH_YEAR = 2110
"""Where the ends of periods are held, so that no count of units leads out of the calendar."""


class Unit(Enum):
    """What a period is one or several of; tells which period is the one before."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"
    SPAN = "span"
    """Some days in a row, which belong to no calendar unit."""


MONTHS_OF = {Unit.MONTH: 1, Unit.QUARTER: 3, Unit.YEAR: 12}


@dataclass(frozen=True, slots=True)
class Period:
    """Whole local days from `first` up to `end`, which is not in it; or hours, if those are given."""

    first: date
    end: date
    unit: Unit
    hours: tuple[datetime, datetime] | None = None

    def before(self) -> "Period":
        """The period of the same kind before it: of a day, that weekday a week before."""
        if self.hours is not None:
            start, end = self.hours
            earlier = start - (end - start)
            return Period(earlier.date(), shift(start.date(), 1), self.unit, (earlier, start))
        if self.unit in MONTHS_OF:
            months = MONTHS_OF[self.unit]
            first = add_months(self.first, -months)
            whole = self.end.day == 1
            until = add_months(self.end, -months) if whole else _same_day(self.end, -months)
            return replace(self, first=first, end=min(max(until, shift(first, 1)), self.first))
        days = 7 if self.unit in {Unit.DAY, Unit.WEEK} else (self.end - self.first).days
        return replace(
            self, first=shift(self.first, -days), end=min(shift(self.end, -days), self.first)
        )


@dataclass(frozen=True, slots=True)
class Calendar:
    """Now, in a person's time zone, and the days that have records."""

    now: datetime
    time_zone: str
    extent_first: date | None = None
    extent_last: date | None = None

    @property
    def today(self) -> date:
        """The person's day."""
        return self.now.astimezone(zone(self.time_zone)).date()

    @property
    def tomorrow(self) -> date:
        """The end of today."""
        return shift(self.today, 1)

    @property
    def earliest(self) -> date:
        """Where "always" begins."""
        fallback = shift(self.today, -364)
        return min(self.extent_first or fallback, self.today)

    @property
    def is_month_first(self) -> bool:
        """Whether people write 11/3 for 3 November where the person lives, as far as a zone tells."""
        return self.time_zone.startswith(("America/", "US/"))

    def range(self, period: Period) -> TimeRange:
        """The time range of a period."""
        if period.hours is not None:
            start, end = period.hours
            return TimeRange(start=start, end=end, time_zone=self.time_zone)
        return TimeRange.days(period.first, shift(period.end, -1), self.time_zone)

    def period(self, time_range: TimeRange) -> Period:
        """The period of a time range, with the calendar unit that it fills, if it does."""
        first, end = time_range.first_day, shift(time_range.last_day, 1)
        whole = TimeRange.days(first, time_range.last_day, time_range.time_zone)
        if (whole.start, whole.end) != (time_range.start, time_range.end):
            return Period(first, end, Unit.HOUR, (time_range.start, time_range.end))
        for unit in (Unit.DAY, Unit.WEEK, Unit.MONTH, Unit.QUARTER, Unit.YEAR):
            calendar_unit = self.around(unit, day=first)
            reached = calendar_unit.end if calendar_unit.end <= self.today else self.tomorrow
            if (calendar_unit.first, reached) == (first, end):
                return Period(first, end, unit)
        return Period(first, end, Unit.SPAN)

    def past(self, period: Period) -> Period | None:
        """What of a period has begun: up to the end of today; None for one that is all to come."""
        if period.hours is not None:
            return period if period.hours[0] < self.now else None
        if period.first > self.today:
            return None
        return replace(period, end=min(period.end, self.tomorrow))

    def last_hours(self, count: int) -> Period:
        """The hours up to now, on quarter hours."""
        quarter = timedelta(seconds=QUARTER_S)
        utc = self.now.astimezone(UTC)
        over = timedelta(
            seconds=(utc.minute * 60 + utc.second) % QUARTER_S, microseconds=utc.microsecond
        )
        end = utc - over + (quarter if over else timedelta())
        start = end - timedelta(hours=count)
        tz = zone(self.time_zone)
        hours = (start.astimezone(tz), end.astimezone(tz))
        return Period(hours[0].date(), shift(hours[1].date(), 1), Unit.HOUR, hours)

    def last(self, count: int, unit: Unit) -> Period:
        """The rolling period that ends with today."""
        end = self.tomorrow
        if unit in MONTHS_OF:
            return Period(_same_day(end, -count * MONTHS_OF[unit]), end, Unit.SPAN)
        days = count * (7 if unit is Unit.WEEK else 1)
        return Period(shift(end, -days), end, Unit.SPAN)

    def next(self, count: int, unit: Unit) -> Period:
        """The rolling period that begins tomorrow."""
        first = self.tomorrow
        if unit in MONTHS_OF:
            return Period(first, _same_day(first, count * MONTHS_OF[unit]), Unit.SPAN)
        days = count * (7 if unit is Unit.WEEK else 1)
        return Period(first, shift(first, days), Unit.SPAN)

    def around(self, unit: Unit, offset: int = 0, day: date | None = None) -> Period:
        """The calendar unit that holds a day (today), or the one so many units after it."""
        day = self.today if day is None else day
        if unit is Unit.WEEK:
            first = shift(day, -day.weekday() + 7 * offset)
            return Period(first, shift(first, 7), unit)
        if unit in MONTHS_OF:
            months = MONTHS_OF[unit]
            first = date(day.year, (day.month - 1) // months * months + 1, 1)
            first = add_months(first, months * offset)
            return Period(first, add_months(first, months), unit)
        first = shift(day, offset)
        return Period(first, shift(first, 1), Unit.DAY)

    def all_time(self) -> Period:
        """All days that have records."""
        last = min(self.extent_last or self.today, self.today)
        first = min(self.earliest, last)
        return Period(first, shift(last, 1), Unit.SPAN)


def shift(day: date, days: int) -> date:
    """A day so many days later, held within the calendar."""
    low, high = date(_LOW_YEAR, 1, 1), date(_HIGH_YEAR, 12, 31)
    if abs(days) > (high - low).days:
        return low if days < 0 else high
    return min(max(day + timedelta(days=days), low), high)


def add_months(first: date, months: int) -> date:
    """The first day of the month so many months later."""
    index = first.year * 12 + first.month - 1 + months
    index = min(max(index, _LOW_YEAR * 12), _HIGH_YEAR * 12 + 11)
    return date(index // 12, index % 12 + 1, 1)


def _same_day(day: date, months: int) -> date:
    month = add_months(day, months)
    return month.replace(day=min(day.day, monthrange(month.year, month.month)[1]))


def day_of(year: int, month: int, day: int) -> date | None:
    """That date, or None where there is none."""
    if not FIRST_YEAR <= year <= LAST_YEAR:
        return None
    try:
        return date(year, month, day)
    except (ValueError, OverflowError):
        return None

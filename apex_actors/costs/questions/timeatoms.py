"""Single times in plain English, each an exact half-open period: `last week`, `3.11.`, `Q3 2025`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from apex_actors.costs.questions.periods import (
    FIRST_YEAR,
    LAST_YEAR,
    Calendar,
    Period,
    Unit,
    day_of,
    shift,
)
from apex_actors.costs.questions.timelexicon import (
    AMBIGUOUS,
    BEFORE_A_TIME,
    LAST,
    MONTHS,
    MOST_UNITS,
    NEXT,
    NUMBERS,
    ORDINALS,
    PAST,
    SMALL,
    THIS,
    UNITS,
    WEEKDAYS,
)
from apex_actors.costs.questions.tokens import Token


@dataclass(frozen=True, slots=True)
class Atom:
    """A time, and where the tokens end that name it."""

    period: Period
    end: int
    assumption: str | None = None
    is_future: bool = False
    is_relative: bool = False
    is_yearless: bool = False
    is_over: bool = False
    ends: tuple[Period, Period] | None = None


class TimeAtoms:
    """Reads one time at a given place."""

    def __init__(self, tokens: Sequence[Token], calendar: Calendar, taken: Sequence[bool]) -> None:
        self._tokens = tokens
        self._calendar = calendar
        self._taken = taken

    def _word(self, at: int) -> str:
        if at < len(self._tokens) and not self._taken[at]:
            return self._tokens[at].word
        return ""

    def _number(self, at: int) -> int | None:
        return self._tokens[at].number if self._word(at) else None

    def _glued(self, at: int, *, sign: str = "") -> bool:
        return (
            bool(self._word(at))
            and self._tokens[at].is_glued
            and (not sign or self._word(at) in sign)
        )

    def _skip(self, at: int, words: frozenset[str]) -> int:
        while self._word(at) in words:
            at += 1
        return at

    # Atoms

    def _atom(self, at: int) -> Atom | None:
        for rule in (
            self._iso, self._dotted, self._slashed, self._named_day, self._ago, self._named_month,
            self._over, self._to_date, self._quarter, self._half, self._always, self._before_last,
            self._last_of, self._this, self._next, self._edge, self._day_word, self._week_of,
            self._weekday, self._year, self._the_one_before,
        ):  # fmt: skip
            atom = rule(at)
            if atom is not None:
                return atom
        return None

    def _last(self, count: int, unit: Unit) -> Period:
        if unit is Unit.HOUR:
            return self._calendar.last_hours(count)
        return self._calendar.last(count, unit)

    def _count(self, at: int) -> tuple[int | None, int]:
        """A number in digits or words, and where it ends."""
        if self._word(at) in {"a", "an"} and self._word(at + 1) in {"couple", "few", "hundred"}:
            at += 1
        number = self._number(at)
        if number is None:
            number = NUMBERS.get(self._word(at))
        if number is None or not 0 < number <= MOST_UNITS:
            return None, at
        after = at + 1
        return number, after + 1 if self._word(at) in {"couple", "few"} and self._word(
            after
        ) == "of" else after

    def _on(self, first: date, at: int, assumption: str | None = None) -> Atom:
        return Atom(Period(first, shift(first, 1), Unit.DAY), at, assumption)

    def _iso(self, at: int) -> Atom | None:
        year = self._number(at)
        if year is None or not FIRST_YEAR <= year <= LAST_YEAR:
            return None
        if not self._glued(at + 1, sign="-/."):
            return None
        if self._word(at + 2) == "w" and self._glued(at + 3):
            return self._iso_week(year, at + 3)
        month = self._number(at + 2)
        if month is None or not self._glued(at + 2) or not 1 <= month <= 12:  # noqa: PLR2004
            return None
        day = self._number(at + 4) if self._glued(at + 3, sign="-/.") else None
        if day is not None and self._glued(at + 4):
            first = day_of(year, month, day)
            return None if first is None else self._on(first, at + 5)
        period = self._calendar.around(Unit.MONTH, day=date(year, month, 1))
        return Atom(period, at + 3)

    def _iso_week(self, year: int, at: int) -> Atom | None:
        week = self._number(at)
        try:
            first = date.fromisocalendar(year, week or 0, 1)
        except (ValueError, OverflowError):
            return None
        return Atom(self._calendar.around(Unit.WEEK, day=first), at + 1)

    def _dotted(self, at: int) -> Atom | None:
        """`3.11.`, `03.11.2026`, `3.11.26`: the day comes first."""
        day, month = self._number(at), self._number(at + 2)
        if day is None or month is None:
            return None
        if not (self._glued(at + 1, sign=".") and self._glued(at + 2)):
            return None
        if not self._glued(at + 3, sign="."):
            return None
        year = self._number(at + 4) if self._glued(at + 4) else None
        end = at + 4 if year is None else at + 5
        first = self._day(day, month, year)
        return None if first is None else self._on(first, end)

    def _slashed(self, at: int) -> Atom | None:
        """`11/20`, `20/11/2026`, `11-20-2026`: which one is the month is resolved, and said."""
        one, two = self._number(at), self._number(at + 2)
        if one is None or two is None or not self._glued(at + 2):
            return None
        sign = self._word(at + 1)
        if sign not in {"/", "-"} or not self._glued(at + 1):
            return None
        has_year = self._word(at + 3) == sign and self._glued(at + 3) and self._glued(at + 4)
        year = self._number(at + 4) if has_year else None
        if sign == "-" and year is None:
            return None
        end = at + 3 if year is None else at + 5
        readings = [self._day(two, one, year), self._day(one, two, year)]
        if not self._calendar.is_month_first:
            readings.reverse()
        days = [day for day in readings if day is not None]
        if not days:
            return None
        days.sort(key=lambda day: day > self._calendar.today)
        written = f"{one}{sign}{two}"
        said = None
        if len(set(days)) > 1:
            said = f"I read {written} as {days[0].day} {days[0]:%B %Y}."
        return self._on(days[0], end, said)

    def _day(self, day: int, month: int, year: int | None) -> date | None:
        """That day; without a year, the last one that has come."""
        if year is not None:
            return day_of(year + FIRST_YEAR if year < 100 else year, month, day)  # noqa: PLR2004
        this_year = self._calendar.today.year
        for candidate in range(this_year, this_year - 5, -1):
            found = day_of(candidate, month, day)
            if found is not None and found <= self._calendar.today:
                return found
        return None

    def _ordinal_end(self, at: int) -> int:
        """Where a day of the month ends: `3`, `3rd`, `3.`."""
        if self._glued(at + 1) and self._word(at + 1) in {"st", "nd", "rd", "th", "."}:
            return at + 2
        return at + 1

    def _named_day(self, at: int) -> Atom | None:
        """`3 November`, `3rd of Nov 2026`, `November 3`, `Nov 3rd, 2026`."""
        day = self._number(at)
        if day is not None:
            after = self._skip(self._ordinal_end(at), SMALL)
            month = MONTHS.get(self._word(after))
            end = after + 1
        else:
            month = MONTHS.get(self._word(at))
            after = self._skip(at + 1, SMALL | {"."})
            day = self._number(after)
            end = self._ordinal_end(after)
        if day is None or month is None or not 1 <= day <= 31:  # noqa: PLR2004 - days of a month
            return None
        year, end = self._year_after(end)
        first = self._day(day, month, year)
        return None if first is None else self._on(first, end)

    def _year_after(self, at: int) -> tuple[int | None, int]:
        after = at + 1 if self._word(at) in {",", "of", "'"} else at
        year = self._number(after)
        if year is not None and FIRST_YEAR <= year <= LAST_YEAR:
            return year, after + 1
        return None, at

    def _named_month(self, at: int) -> Atom | None:
        start = at
        is_next, is_last = self._word(at) in NEXT, self._word(at) in LAST | THIS
        if is_next or is_last:
            start = at + 1
        name = self._word(start)
        month = MONTHS.get(name)
        if month is None:
            return None
        year, end = self._year_after(start + 1)
        if name in AMBIGUOUS and year is None and not is_last:
            before = self._tokens[at - 1].word if at else ""
            if before not in BEFORE_A_TIME:
                return None
        today = self._calendar.today
        is_yearless = year is None and not is_next and not is_last
        if year is None and is_next:
            year = today.year if month > today.month else today.year + 1
        if year is None:
            year = today.year if month <= today.month else today.year - 1
        period = self._calendar.around(Unit.MONTH, day=date(year, month, 1))
        return Atom(period, end, is_yearless=is_yearless)

    def _day_number(self, at: int) -> Atom | None:
        """`the 3rd`: of this month or, where that is to come, of the month before."""
        start = self._skip(at, frozenset({"the"}))
        day = self._number(start)
        end = self._ordinal_end(start)
        if day is None or end == start + 1 or self._word(self._skip(end, SMALL)) in MONTHS:
            return None
        if self._number(end) is not None:
            return None
        month = self._calendar.today.replace(day=1)
        for _ in range(3):
            found = day_of(month.year, month.month, day)
            if found is not None and found <= self._calendar.today:
                return self._on(found, end)
            month = shift(month, -1).replace(day=1)
        return None

    def _ago(self, at: int) -> Atom | None:
        count, after = self._count(at)
        if count is None and self._word(at) in {"a", "one", "an"}:
            count, after = 1, at + 1
        unit = UNITS.get(self._word(after))
        if count is None or unit is None or self._word(after + 1) not in {"ago", "back", "earlier"}:
            return None
        if unit is Unit.HOUR:
            recent = self._calendar.last_hours(count)
            return Atom(recent, after + 2)
        if unit is Unit.DAY or count > MOST_UNITS:
            return self._on(shift(self._calendar.today, -count), after + 2)
        return Atom(self._calendar.around(unit, -count), after + 2)

    def _to_date(self, at: int) -> Atom | None:
        shorts = {"mtd": Unit.MONTH, "ytd": Unit.YEAR, "qtd": Unit.QUARTER, "wtd": Unit.WEEK}
        unit = shorts.get(self._word(at))
        end = at + 1
        if unit is None:
            unit = UNITS.get(self._word(at))
            joined = [self._word(at + step) for step in range(1, 5)]
            words = [word for word in joined if word != "-"]
            if unit is None or words[:2] != ["to", "date"]:
                return None
            end = at + 3 + joined.count("-")
        return Atom(self._so_far(unit), end)

    def _over(self, at: int) -> Atom | None:
        """`month over month`, `week-over-week`, `YoY`."""
        shorts = {"qoq": Unit.QUARTER, "yoy": Unit.YEAR}
        unit, end = shorts.get(self._word(at)), at + 1
        if unit is None:
            unit = UNITS.get(self._word(at))
            words: list[str] = []
            while end < at + 5 and len(words) < 2:  # noqa: PLR2004 - "over", and the unit again
                words += [self._word(end)] if self._word(end) != "-" else []
                end += 1
            if unit in {None, Unit.HOUR} or words != ["over", self._word(at)]:
                return None
        if unit is None:
            return None
        return Atom(self._so_far(unit), end, is_over=True)

    def _so_far(self, unit: Unit) -> Period:
        whole = self._calendar.around(unit)
        return self._calendar.past(whole) or whole

    def _quarter(self, at: int) -> Atom | None:
        if self._word(at) == "q" and self._glued(at + 1):
            number, end = self._number(at + 1), at + 2
        else:
            number, end = ORDINALS.get(self._word(at)), at + 2
            if (
                number is None
                and self._glued(at + 1)
                and self._word(at + 1) in {"st", "nd", "rd", "th"}
            ):
                number, end = self._number(at), at + 3
            if self._word(end - 1) != "quarter":
                return None
        if number is None or not 1 <= number <= 4:  # noqa: PLR2004 - quarters of a year
            return None
        return self._part_of_year(3 * number - 2, end, Unit.QUARTER)

    def _half(self, at: int) -> Atom | None:
        if self._word(at) == "h" and self._glued(at + 1):
            number, end = self._number(at + 1), at + 2
        elif self._word(at + 1) == "half" and self._word(at) in ORDINALS:
            number, end = ORDINALS[self._word(at)], at + 2
        else:
            return None
        if number not in {1, 2}:
            return None
        if self._word(self._skip(end, SMALL)) == "year":
            end = self._skip(end, SMALL) + 1
        half = self._part_of_year(6 * number - 5, end, Unit.QUARTER)
        second = self._calendar.around(Unit.QUARTER, 1, half.period.first)
        return Atom(Period(half.period.first, second.end, Unit.SPAN), half.end)

    def _part_of_year(self, month: int, at: int, unit: Unit) -> Atom:
        year, end = self._year_after(at)
        today = self._calendar.today
        if year is None and self._word(self._skip(at, SMALL)) == "last":
            after = self._skip(at, SMALL)
            if self._word(after + 1) == "year":
                year, end = today.year - 1, after + 2
        is_yearless = year is None
        if year is None:
            year = today.year if month <= today.month else today.year - 1
        period = self._calendar.around(unit, day=date(year, month, 1))
        return Atom(period, end, is_yearless=is_yearless)

    def _always(self, at: int) -> Atom | None:
        words = (self._word(at), self._word(at + 1))
        length = 0
        if words in {
            ("all", "time"), ("whole", "time"), ("entire", "history"), ("whole", "history"),
            ("entire", "period"), ("whole", "period"), ("all", "history"),
        }:  # fmt: skip
            length = 2
        elif words[0] in {"ever", "lifetime", "always"}:
            length = 1
        if not length:
            return None
        return Atom(self._calendar.all_time(), at + length)

    def _before_last(self, at: int) -> Atom | None:
        """`the month before last`, `day before yesterday`."""
        start = self._skip(at, SMALL)
        unit = UNITS.get(self._word(start))
        words = (self._word(start + 1), self._word(start + 2))
        if unit is Unit.DAY and words == ("before", "yesterday"):
            return self._on(shift(self._calendar.today, -2), start + 3)
        if unit is Unit.DAY and words == ("after", "tomorrow"):
            return self._on(shift(self._calendar.today, 2), start + 3)
        if unit is None or unit is Unit.HOUR or words != ("before", "last"):
            return None
        return Atom(self._calendar.around(unit, -2), start + 3)

    def _last_of(self, at: int) -> Atom | None:  # noqa: PLR0911 - a table
        word = self._word(at)
        if word == "l" and self._glued(at + 1) and self._glued(at + 2):
            word = "last"  # L7D, L30D
        if word not in LAST | PAST:
            return None
        count, after = self._count(at + 1)
        after = self._skip(after, frozenset({"full", "complete", "-"}))
        unit = UNITS.get(self._word(after))
        if count is not None and unit is not None:
            return Atom(self._last(count, unit), after + 1)
        name = self._word(at + 1)
        if name == "fortnight":
            return Atom(self._calendar.last(2, Unit.WEEK), at + 2)
        if name == "weekend":
            return Atom(self._weekend(), at + 2)
        if name in WEEKDAYS:
            return self._on(self._last_weekday(WEEKDAYS[name]), at + 2)
        unit = UNITS.get(name)
        if unit is None:
            return None
        if word in PAST or unit is Unit.HOUR:
            return Atom(self._last(1, unit), at + 2)
        return Atom(self._calendar.around(unit, -1), at + 2)

    def _weekend(self) -> Period:
        today = self._calendar.today
        week = self._calendar.around(Unit.WEEK, -1, today)
        return Period(shift(week.first, 5), week.end, Unit.WEEK)

    def _last_weekday(self, weekday: int) -> date:
        today = self._calendar.today
        return shift(today, -((today.weekday() - weekday - 1) % 7 + 1))

    def _this(self, at: int) -> Atom | None:
        if self._word(at) not in THIS:
            return None
        name = self._word(at + 1)
        unit = UNITS.get(name)
        if name == "weekend":
            saturday = shift(self._calendar.around(Unit.WEEK).first, 5)
            if saturday > self._calendar.today:
                return None
            return Atom(Period(saturday, shift(saturday, 2), Unit.WEEK), at + 2)
        if name in WEEKDAYS:
            day = shift(self._calendar.around(Unit.WEEK).first, WEEKDAYS[name])
            return self._on(day, at + 2)
        if unit is None or unit is Unit.HOUR or name in {"h", "d", "w", "y"}:
            return None
        return Atom(self._calendar.around(unit), at + 2)

    def _next(self, at: int) -> Atom | None:
        if self._word(at) not in NEXT:
            return None
        count, after = self._count(at + 1)
        unit = UNITS.get(self._word(after))
        if count is not None and unit is not None:
            if unit is Unit.HOUR:
                return None
            return Atom(self._calendar.next(count, unit), after + 1, is_future=True)
        unit = UNITS.get(self._word(at + 1))
        if unit is None or unit is Unit.HOUR:
            return None
        return Atom(self._calendar.around(unit, 1), at + 2, is_future=True)

    def _edge(self, at: int) -> Atom | None:
        """`end of June`, `start of the month`, `rest of the year`."""
        edge = self._word(at)
        unit = UNITS.get(edge)
        if unit not in {None, Unit.HOUR} and self._word(at + 1) == "end":
            return self._end_of(Atom(self._calendar.around(unit), at + 2))
        if edge not in {"end", "start", "beginning", "begin", "rest", "remainder"}:
            return None
        after = self._skip(at + 1, SMALL | {"this"})
        unit = UNITS.get(self._word(after))
        whole = (
            Atom(self._calendar.around(unit), after + 1)
            if unit not in {None, Unit.HOUR}
            else self._named_month(after) or self._quarter(after) or self._year(after)
            or self._last_of(after) or self._next(after)
        )  # fmt: skip
        if whole is None or unit is Unit.HOUR or whole.period.hours:
            return None
        period = whole.period
        if edge in {"start", "beginning", "begin"}:
            return self._on(period.first, whole.end)
        return self._end_of(whole)

    def _end_of(self, whole: Atom) -> Atom:
        """The days that are left of it or, where it is over, its last one."""
        period = whole.period
        if period.end > self._calendar.tomorrow:
            first = max(period.first, self._calendar.today)
            return Atom(Period(first, period.end, period.unit), whole.end, is_future=True)
        return self._on(shift(period.end, -1), whole.end)

    def _day_word(self, at: int) -> Atom | None:
        offsets = {"today": 0, "tonight": 0, "yesterday": -1, "tomorrow": 1}
        word = self._word(at)
        if word not in offsets:
            return None
        return self._on(shift(self._calendar.today, offsets[word]), at + 1)

    def _week_of(self, at: int) -> Atom | None:
        """`week of Nov 3`, `week 45`, `cw 45`, `kw 45`."""
        start = self._skip(at, frozenset({"the", "calendar"}))
        if self._word(start) not in {"week", "cw", "kw"}:
            return None
        number = self._number(start + 1)
        if number is not None:
            year, end = self._year_after(start + 2)
            today = self._calendar.today
            this_year = today.isocalendar().year
            if year is None:
                year = this_year if number <= today.isocalendar().week else this_year - 1
            found = self._iso_week(year, start + 1)
            return None if found is None else Atom(found.period, end)
        if self._word(start + 1) not in {"of", "from", "starting", "beginning"}:
            return None
        day = self._atom(self._skip(start + 2, SMALL))
        if day is None or day.period.unit is not Unit.DAY:
            return None
        week = self._calendar.around(Unit.WEEK, day=day.period.first)
        return Atom(week, day.end, day.assumption)

    def _weekday(self, at: int) -> Atom | None:
        name = self._word(at)
        if name not in WEEKDAYS:
            return None
        before = self._tokens[at - 1].word if at else ""
        if before in {"every", "each"} or (name in AMBIGUOUS and before not in BEFORE_A_TIME):
            return None
        week = self._last_of(at + 1) or self._this(at + 1)
        if week is not None and week.period.unit is Unit.WEEK:
            return self._on(shift(week.period.first, WEEKDAYS[name]), week.end)
        today = self._calendar.today
        return self._on(shift(today, -((today.weekday() - WEEKDAYS[name]) % 7)), at + 1)

    def _year(self, at: int) -> Atom | None:
        year = self._number(at)
        if year is None or not 2015 <= year <= LAST_YEAR:  # noqa: PLR2004 - nobody paid for AI before
            return None
        if self._glued(at) or self._glued(at + 1, sign="-_:/"):
            return None
        return Atom(self._calendar.around(Unit.YEAR, day=date(year, 1, 1)), at + 1)

    def _the_one_before(self, at: int) -> Atom | None:
        """`the week before`, `the previous period`: before what else the question is about."""
        start = self._skip(at, frozenset({"the", "that"}))
        words = (self._word(start), self._word(start + 1))
        names = {*UNITS, "period"}
        is_before = words[0] in names and words[1] in {"before", "earlier", "prior"}
        is_previous = words[0] in LAST and words[1] == "period"
        if not (is_before or is_previous):
            return None
        unit = UNITS.get(words[0], Unit.SPAN)
        if unit is Unit.HOUR:
            return None
        before = self._calendar.around(Unit.DAY if unit is Unit.SPAN else unit, -1)
        period = Period(before.first, before.end, unit)
        return Atom(period, start + 2, is_relative=True)

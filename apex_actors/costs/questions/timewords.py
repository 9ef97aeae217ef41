"""Times as questions name them: single ones, and what stands between, before, after or since them."""

from dataclasses import dataclass
from datetime import date

from apex_actors.costs.questions.periods import MONTHS_OF, Period, Unit, day_of, shift
from apex_actors.costs.questions.timeatoms import Atom, TimeAtoms
from apex_actors.costs.questions.timelexicon import SMALL, TO, UNITS


@dataclass(frozen=True, slots=True)
class Said:
    """A time that a question names, and the tokens that name it."""

    start: int
    end: int
    period: Period
    is_future: bool = False
    """It reaches beyond today because the words say so."""
    is_to_come: bool = False
    """It begins after today."""
    is_relative: bool = False
    """It is the period before another one that the question or the thread names."""
    is_yearless: bool = False
    """A month or quarter whose year is not said: of what is to come, it is the next one."""
    is_over: bool = False
    """It is to be compared with the one before it: `month over month`."""
    ends: tuple[Period, Period] | None = None
    """The months, weeks, quarters or years at both ends of a span, which may be meant to be compared."""
    assumption: str | None = None


class TimeWords(TimeAtoms):
    """Finds the times that tokens name."""

    def find(self) -> list[Said]:
        """All times, from left to right; none overlaps another."""
        found: list[Said] = []
        at = 0
        while at < len(self._tokens):
            said = None if self._taken[at] else self._said(at)
            if said is None:
                at += 1
            else:
                found.append(said)
                at = said.end
        return found

    # Relations

    def _said(self, at: int) -> Said | None:
        for rule in (self._between, self._from, self._since, self._before, self._after):
            said = rule(at)
            if said is not None:
                return said
        return self._plain(at)

    def _done(self, start: int, end: int, atom: Atom) -> Said:
        period = atom.period
        to_come = period.hours is None and period.first > self._calendar.today
        return Said(
            start,
            end,
            period,
            is_future=atom.is_future or to_come,
            is_to_come=to_come,
            is_relative=atom.is_relative,
            is_yearless=atom.is_yearless,
            is_over=atom.is_over,
            ends=atom.ends,
            assumption=atom.assumption,
        )

    def _plain(self, at: int) -> Said | None:
        days = self._days_of_month(at, at, TO - {"and", "up"})
        if days is not None:
            return days
        is_ordinal = self._word(at) in {"the", "on"}
        atom = self._day_number(at) if is_ordinal else self._atom(at)
        if atom is None:
            return None
        later = self._range_end(at, atom)
        if later is not None:
            return later
        if self._word(atom.end) in {"onwards", "onward"}:
            return self._done(at, atom.end + 1, self._up_to_today(atom))
        return self._done(at, atom.end, atom)

    def _range_end(self, at: int, first: Atom) -> Said | None:
        """`A to B`, `A - B`: both ends are in it."""
        if self._word(first.end) not in TO - {"and", "up"} or first.is_relative:
            return None
        if first.period.unit in {Unit.HOUR, Unit.SPAN}:
            return None
        after = self._skip(first.end + 1, SMALL)
        last = self._atom(after) or self._same_month(first, after)
        if last is None or last.is_relative:
            return None
        return self._span(at, first, last)

    def _same_month(self, first: Atom, at: int) -> Atom | None:
        """`Nov 3-9`: the second day is of the month of the first."""
        day = self._number(at)
        start = first.period.first
        if day is None or first.period.unit is not Unit.DAY or day <= start.day:
            return None
        last = day_of(start.year, start.month, day)
        return None if last is None else self._on(last, self._ordinal_end(at))

    def _span(self, at: int, first: Atom, last: Atom) -> Said | None:
        start, end = first.period, last.period
        if end.end <= start.first and start.first.year == end.first.year:
            # "November to March": of the year before.
            start = Period(_year_earlier(start.first), start.end, start.unit)
        if start.hours or end.hours or end.end <= start.first:
            return None
        period = Period(start.first, end.end, Unit.SPAN)
        ends = None
        if start.unit is end.unit and start.unit in {Unit.WEEK, *MONTHS_OF}:
            ends = (start, end)
        assumption = first.assumption or last.assumption
        return self._done(at, last.end, Atom(period, last.end, assumption, ends=ends))

    def _between(self, at: int) -> Said | None:
        if self._word(at) != "between":
            return None
        return self._pair(at, at + 1, frozenset({"and", "to", "-"}))

    def _from(self, at: int) -> Said | None:
        if self._word(at) not in {"from", "starting"}:
            return None
        start = at + 1
        said = self._pair(at, start, TO)
        if said is not None:
            return said
        atom = self._day_number(start) or self._atom(self._skip(start, SMALL))
        if atom is None or atom.is_relative:
            return None
        after = atom.end
        if self._word(after) == "on" or self._word(after).startswith("onward"):
            return self._done(at, after + 1, self._up_to_today(atom))
        return None

    def _pair(self, at: int, start: int, joins: frozenset[str]) -> Said | None:
        first = self._atom(self._skip(start, SMALL)) or self._day_number(start)
        if first is None:
            return self._days_of_month(at, start, joins)
        if self._word(first.end) not in joins or first.is_relative:
            return self._days_of_month(at, start, joins)
        after = first.end + 1
        if self._word(first.end) == "up" and self._word(after) == "to":
            after += 1
        if self._word(after) in {"now", "date"}:
            return self._done(at, after + 1, self._up_to_today(first))
        last = self._atom(self._skip(after, SMALL))
        if last is None or last.is_relative:
            return None
        return self._span(at, first, last)

    def _days_of_month(self, at: int, start: int, joins: frozenset[str]) -> Said | None:
        """`3 to 7 November`, `the 3rd to the 7th of November 2026`."""
        day = self._number(self._skip(start, SMALL))
        if day is None:
            return None
        after = self._skip(start, SMALL) + 1
        if self._word(after) in {"st", "nd", "rd", "th", "."}:
            after += 1
        if self._word(after) not in joins:
            return None
        last = self._atom(self._skip(after + 1, SMALL))
        if last is None or last.period.unit is not Unit.DAY:
            return None
        first = day_of(last.period.first.year, last.period.first.month, day)
        if first is None or first > last.period.first:
            return None
        period = Period(first, last.period.end, Unit.SPAN)
        return self._done(at, last.end, Atom(period, last.end, last.assumption))

    def _since(self, at: int) -> Said | None:
        if self._word(at) != "since":
            return None
        start = self._skip(at + 1, SMALL)
        if self._word(start) in {"beginning", "start", "begin"} and self._atom(start) is None:
            end = start + 1
            return self._done(at, end, Atom(self._calendar.all_time(), end))
        count, after = self._count(start)
        unit = UNITS.get(self._word(after))
        if count is not None and unit is not None and self._word(after + 1) != "ago":
            return self._done(at, after + 1, Atom(self._last(count, unit), after + 1))
        atom = self._day_number(start) or self._atom(start)
        if atom is None or atom.is_relative:
            return None
        return self._done(at, atom.end, self._up_to_today(atom))

    def _up_to_today(self, atom: Atom) -> Atom:
        period = atom.period
        end = max(self._calendar.tomorrow, shift(period.first, 1))
        return Atom(Period(period.first, end, Unit.SPAN), atom.end, atom.assumption)

    def _before(self, at: int) -> Said | None:
        word = self._word(at)
        if word not in {"before", "until", "till"} and not (
            word == "up" and self._word(at + 1) in {"to", "until"}
        ):
            return None
        atom = self._atom(self._skip(at + (2 if word == "up" else 1), SMALL))
        if atom is None or atom.period.hours or atom.is_relative:
            return None
        calendar = self._calendar
        end = atom.period.first if word == "before" else atom.period.end
        if word != "before" and end > calendar.tomorrow:
            return self._done(
                at,
                atom.end,
                Atom(Period(calendar.today, end, Unit.SPAN), atom.end, is_future=True),
            )
        end = min(end, calendar.tomorrow)
        first = min(calendar.earliest, shift(end, -1))
        if first >= end:
            return None
        return self._done(
            at, atom.end, Atom(Period(first, end, Unit.SPAN), atom.end, atom.assumption)
        )

    def _after(self, at: int) -> Said | None:
        if self._word(at) != "after":
            return None
        atom = self._atom(self._skip(at + 1, SMALL))
        if atom is None or atom.period.hours or atom.period.end > self._calendar.today:
            return None
        period = Period(atom.period.end, self._calendar.tomorrow, Unit.SPAN)
        return self._done(at, atom.end, Atom(period, atom.end, atom.assumption))


def _year_earlier(day: date) -> date:
    return day_of(day.year - 1, day.month, day.day) or shift(day, -365)

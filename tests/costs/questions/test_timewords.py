"""Times in plain English, each an exact half-open range."""

from datetime import UTC, date, datetime

import pytest

from apex_actors.costs.questions.periods import Calendar, Unit
from apex_actors.costs.questions.timewords import TimeWords
from apex_actors.costs.questions.tokens import tokenize

NOW = datetime(2026, 11, 25, 13, 20, tzinfo=UTC)  # a Wednesday


def times(text, now=NOW, zone="Europe/Berlin"):
    calendar = Calendar(now, zone, date(2026, 2, 10), date(2026, 11, 25))
    tokens = tokenize(text)
    return TimeWords(tokens, calendar, [False] * len(tokens)).find(), calendar


def one(text, **when):
    found, calendar = times(text, **when)
    assert len(found) == 1, found
    period = found[0].period
    if not found[0].is_future:
        period = calendar.past(period)
    return calendar.range(period)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("today", "2026-11-25", "2026-11-25"),
        ("the day before yesterday", "2026-11-23", "2026-11-23"),
        ("this week", "2026-11-23", "2026-11-25"),
        ("last week", "2026-11-16", "2026-11-22"),
        ("past week", "2026-11-19", "2026-11-25"),
        ("past fortnight", "2026-11-12", "2026-11-25"),
        ("last month", "2026-10-01", "2026-10-31"),
        ("last quarter", "2026-07-01", "2026-09-30"),
        ("last year", "2025-01-01", "2025-12-31"),
        ("last 3 months", "2026-08-26", "2026-11-25"),
        ("the last couple of weeks", "2026-11-12", "2026-11-25"),
        ("L30D", "2026-10-27", "2026-11-25"),
        ("last weekend", "2026-11-21", "2026-11-22"),
        ("last Wednesday", "2026-11-18", "2026-11-18"),
        ("on Wednesday", "2026-11-25", "2026-11-25"),
        ("Friday last week", "2026-11-20", "2026-11-20"),
        ("since Monday", "2026-11-23", "2026-11-25"),
        ("since the 3rd", "2026-11-03", "2026-11-25"),
        ("since the 28th", "2026-10-28", "2026-11-25"),
        ("since two weeks", "2026-11-12", "2026-11-25"),
        ("two weeks ago", "2026-11-09", "2026-11-15"),
        ("a month ago", "2026-10-01", "2026-10-31"),
        ("3 days ago", "2026-11-22", "2026-11-22"),
        ("in October", "2026-10-01", "2026-10-31"),
        ("in december", "2025-12-01", "2025-12-31"),
        ("in November", "2026-11-01", "2026-11-25"),
        ("in October 2025", "2025-10-01", "2025-10-31"),
        ("in may", "2026-05-01", "2026-05-31"),
        ("2026-10", "2026-10-01", "2026-10-31"),
        ("2026-11-03", "2026-11-03", "2026-11-03"),
        ("2026-W45", "2026-11-02", "2026-11-08"),
        ("kw 45", "2026-11-02", "2026-11-08"),
        ("3.11.", "2026-11-03", "2026-11-03"),
        ("03.11.25", "2025-11-03", "2025-11-03"),
        ("3rd of November", "2026-11-03", "2026-11-03"),
        ("Nov 3, 2025", "2025-11-03", "2025-11-03"),
        ("Q3", "2026-07-01", "2026-09-30"),
        ("Q4", "2026-10-01", "2026-11-25"),
        ("first quarter of 2025", "2025-01-01", "2025-03-31"),
        ("H1 2026", "2026-01-01", "2026-06-30"),
        ("from 3 to 7 November", "2026-11-03", "2026-11-07"),
        ("Nov 3-9", "2026-11-03", "2026-11-09"),
        ("3-7 Nov", "2026-11-03", "2026-11-07"),
        ("between Nov 3 and Nov 9", "2026-11-03", "2026-11-09"),
        ("from November to March", "2025-11-01", "2026-03-31"),
        ("from the 3rd until now", "2026-11-03", "2026-11-25"),
        ("before 1 March", "2026-02-10", "2026-02-28"),
        ("after 15 November", "2026-11-16", "2026-11-25"),
        ("month to date", "2026-11-01", "2026-11-25"),
        ("YTD", "2026-01-01", "2026-11-25"),
        ("week of Nov 3", "2026-11-02", "2026-11-08"),
        ("all time", "2026-02-10", "2026-11-25"),
        ("end of June", "2026-06-30", "2026-06-30"),
        ("next month", "2026-12-01", "2026-12-31"),
        ("next 30 days", "2026-11-26", "2026-12-25"),
        ("rest of the month", "2026-11-25", "2026-11-30"),
    ],
)  # fmt: skip
def test_days_are_whole_and_both_ends_are_right(text, first, last):
    days = one(text)

    assert (str(days.first_day), str(days.last_day)) == (first, last)
    assert days.day_count == (days.last_day - days.first_day).days + 1


def test_hours_end_with_the_quarter_that_runs():
    day = one("in the last 24 hours")

    assert day.start.astimezone(UTC) == datetime(2026, 11, 24, 13, 30, tzinfo=UTC)
    assert day.end.astimezone(UTC) == datetime(2026, 11, 25, 13, 30, tzinfo=UTC)


def test_a_day_is_the_day_of_the_person():
    now = datetime(2026, 11, 25, 23, 30, tzinfo=UTC)

    assert str(one("yesterday", now=now, zone="UTC").first_day) == "2026-11-24"
    assert str(one("yesterday", now=now, zone="Europe/Berlin").first_day) == "2026-11-25"
    assert str(one("yesterday", now=now, zone="America/New_York").first_day) == "2026-11-24"


@pytest.mark.parametrize(
    ("text", "zone", "day", "is_said"),
    [
        ("on 3/11", "Europe/Berlin", "2026-11-03", True),
        ("on 3/11", "America/New_York", "2026-03-11", True),
        ("on 11/20", "Europe/Berlin", "2026-11-20", False),
        ("on 20/11/2026", "America/New_York", "2026-11-20", False),
        ("on 12/11", "America/Chicago", "2025-12-11", True),
    ],
)
def test_an_ambiguous_date_is_read_as_where_the_person_lives_and_said(text, zone, day, is_said):
    found, _ = times(text, zone=zone)

    assert str(found[0].period.first) == day
    assert (found[0].assumption is not None) is is_said


@pytest.mark.parametrize(
    "text",
    ["may I ask", "a march on rome", "seconds", "30.5 dollars", "gpt-4", "1/0", "99.99.", "0.0."],
)
def test_what_only_looks_like_a_time_is_none(text):
    assert times(text)[0] == []


@pytest.mark.parametrize(
    ("text", "before"),
    [
        ("last week", ("2026-11-09", "2026-11-15")),
        ("this month", ("2026-10-01", "2026-10-25")),
        ("October", ("2026-09-01", "2026-09-30")),
        ("last 7 days", ("2026-11-12", "2026-11-18")),
        ("yesterday", ("2026-11-17", "2026-11-17")),
        ("Q3", ("2026-04-01", "2026-06-30")),
    ],
)
def test_the_period_before_is_of_the_same_kind(text, before):
    found, calendar = times(text)
    period = calendar.past(found[0].period)

    earlier = calendar.range(period.before())

    assert (str(earlier.first_day), str(earlier.last_day)) == before


def test_a_range_of_a_calendar_unit_is_known_again():
    calendar = Calendar(NOW, "Europe/Berlin")
    for text, unit in (("last week", Unit.WEEK), ("October", Unit.MONTH), ("Q3", Unit.QUARTER)):
        assert calendar.period(one(text)).unit is unit

"""Half-open time ranges."""

from datetime import UTC, date, datetime, timedelta

import pytest
from pydantic import ValidationError

from apex_actors.costs.timerange import TimeRange


def test_days_are_local_and_the_end_is_excluded():
    days = TimeRange.days(date(2026, 11, 1), date(2026, 11, 2), "Asia/Kolkata")

    assert days.start.astimezone(UTC) == datetime(2026, 10, 31, 18, 30, tzinfo=UTC)
    assert days.end.astimezone(UTC) == datetime(2026, 11, 2, 18, 30, tzinfo=UTC)
    assert (days.first_day, days.last_day, days.day_count) == (
        date(2026, 11, 1),
        date(2026, 11, 2),
        2,
    )


def test_a_day_with_a_change_of_the_clock_has_25_hours():
    day = TimeRange.days(date(2026, 10, 25), date(2026, 10, 25), "Europe/Berlin")

    assert day.end.astimezone(UTC) - day.start.astimezone(UTC) == timedelta(hours=25)


def test_a_day_that_has_no_midnight_begins_when_it_begins():
    day = TimeRange.days(date(2026, 9, 6), date(2026, 9, 6), "America/Santiago")

    assert day.end.astimezone(UTC) - day.start.astimezone(UTC) == timedelta(hours=23)


def test_the_last_days_end_with_today():
    now = datetime(2026, 11, 23, 23, 30, tzinfo=UTC)

    assert TimeRange.last_days(7, now).first_day == date(2026, 11, 17)
    assert TimeRange.last_days(1, now, "Europe/Berlin").last_day == date(2026, 11, 24)


def test_covering_holds_both_moments():
    first, last = datetime(2026, 8, 25, 9, 1, tzinfo=UTC), datetime(2026, 11, 22, 9, 54, tzinfo=UTC)

    covering = TimeRange.covering(first, last)

    assert covering.start <= first < last < covering.end
    assert covering.day_count == 90


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"end": datetime(2026, 11, 1, tzinfo=UTC)}, "end after it starts"),
        ({"end": datetime(2026, 11, 2, 0, 5, tzinfo=UTC)}, "quarter hour"),
        ({"time_zone": "Mars/Olympus"}, "IANA"),
        ({"time_zone": "../../etc/passwd"}, "IANA"),
        ({"start": datetime(2026, 11, 1)}, "timezone"),  # noqa: DTZ001 - what is tested
    ],
)
def test_what_is_no_range_is_refused(fields, reason):
    good = {"start": datetime(2026, 11, 1, tzinfo=UTC), "end": datetime(2026, 11, 2, tzinfo=UTC)}

    with pytest.raises(ValidationError, match=reason):
        TimeRange(**{**good, **fields})


def test_a_range_survives_json():
    days = TimeRange.days(date(2026, 11, 1), date(2026, 11, 2), "Asia/Kolkata")

    assert TimeRange.model_validate_json(days.model_dump_json()).start == days.start

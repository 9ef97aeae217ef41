"""The execution context: checked once, then fixed, and silent about what the user wrote."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from apex_actors.execution import UserExecutionContext

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


def context(**fields):
    given = {
        "org": "acme",
        "sub": "ann",
        "user_id": 1,
        "thread_id": uuid4(),
        "run_id": uuid4(),
        "message_id": uuid4(),
        "question": "What did Project Nightjar cost?",
        "attempt": 1,
        "deadline": NOW + timedelta(seconds=90),
        "trace_id": "t",
    }
    return UserExecutionContext(**given | fields)


def test_it_is_immutable_and_a_value():
    one = context()
    with pytest.raises(ValidationError):
        one.org = "other"
    assert one == UserExecutionContext(**dict(one))
    assert hash(one) == hash(UserExecutionContext(**dict(one)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("org", ""),
        ("org", "x" * 129),
        ("sub", ""),
        ("user_id", 0),
        ("user_id", "1"),
        ("run_id", "not a uuid"),
        ("question", ""),
        ("attempt", 0),
        ("deadline", datetime(2026, 11, 22, 10)),  # noqa: DTZ001 - what must be refused
        ("time_zone", "Mars/Olympus"),
        ("time_zone", "../../etc/passwd"),
        ("time_zone", ""),
        ("trace_id", ""),
        ("surprise", 1),
    ],
)
def test_bad_values_are_refused_by_the_name_of_their_field(field, value):
    with pytest.raises(ValidationError, match=field):
        context(**{field: value})


def test_promise_8_errors_and_reprs_do_not_show_what_the_user_wrote():
    assert "Nightjar" not in repr(context())
    assert "Nightjar" not in str(context())
    with pytest.raises(ValidationError) as refused:
        context(question=["Project Nightjar"])
    assert "Nightjar" not in str(refused.value)


def test_the_time_that_remains_is_never_negative():
    one = context()
    assert one.remaining_s(NOW) == 90
    assert one.remaining_s(NOW.astimezone(timezone(timedelta(hours=5)))) == 90
    assert one.remaining_s(NOW + timedelta(days=1)) == 0


def test_the_time_zone_is_one_of_the_iana_names():
    assert context().zone == ZoneInfo("UTC")
    assert context(time_zone="Europe/Berlin").zone == ZoneInfo("Europe/Berlin")

"""What is known of engines and supervisors that cannot be made: when to try again, what to log."""

import logging

import pytest

from apex_actors.execution import ExecutionSettings, Making

SETTINGS = ExecutionSettings(making_retries=3, making_pause_s=0.5)


@pytest.fixture
def making():
    return Making(SETTINGS)


@pytest.fixture
def logged(caplog):
    caplog.set_level(logging.WARNING, logger="apex_actors.execution.making")
    return lambda: [record.getMessage() for record in caplog.records]


def test_the_pauses_double_and_then_nothing_is_tried_any_more(making):
    pauses = [making.failed("engines", ValueError(), failures=number) for number in (1, 2, 3, 4)]
    assert pauses == [0.5, 1.0, 2.0, None]


def test_without_retries_the_first_failure_is_the_last():
    making = Making(ExecutionSettings(making_retries=0))
    assert making.failed("engines", ValueError(), failures=1) is None


def test_all_works_until_something_fails_and_from_its_next_success_on(making):
    assert making.works
    making.failed("engines", ValueError(), failures=1)
    assert not making.works
    making.worked("engines")
    assert making.works


def test_the_success_of_one_part_says_nothing_of_another(making):
    making.failed("supervisors of costs", ValueError(), failures=1)
    making.worked("engines")
    assert not making.works


def test_each_change_is_logged_once(making, logged, caplog):
    making.worked("engines")
    for number in (1, 2, 3, 4, 1, 2):
        making.failed("engines", ValueError("bug"), failures=number)
    making.worked("engines")
    making.worked("engines")
    assert logged() == ["engines cannot be made", "engines can be made again"]
    assert "ValueError: bug" in caplog.text

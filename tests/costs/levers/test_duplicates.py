"""Exact duplicates, worked out by hand."""

from datetime import timedelta
from decimal import Decimal

import pytest

from apex_actors.costs.levers import Confidence, Verdict
from apex_actors.costs.records import Status


@pytest.fixture
def asked(make_request):
    """An answer to the same question some minutes after the first one."""

    def make(minutes: float, **fields):
        given = {"request_hash": "q", "temperature": Decimal(0), **fields}
        at = make_request().occurred_at + timedelta(minutes=minutes)
        return make_request(at=at, **given)

    return make


def test_a_repeat_saves_its_whole_cost_by_hand(run_lever, asked, usd):
    result = run_lever("duplicates", [asked(0), asked(10), asked(30, output_tokens=300)])

    # In 3 dollars a million, out 15: the second and the third would not have been made.
    assert result.saving == usd((1000, "3"), (100, "15"), (1000, "3"), (300, "15"))
    assert result.standalone == result.saving
    assert [(found.requests, found.saving) for found in result.findings] == [(2, result.saving)]
    assert (result.verdict, result.confidence) == (Verdict.SAVES, Confidence.HIGH)


def test_an_answer_lives_to_the_very_end_of_its_time(run_lever, asked):
    assert run_lever("duplicates", [asked(0), asked(60)]).findings[0].requests == 1
    assert run_lever("duplicates", [asked(0), asked(60.01)]).findings == ()


def test_use_keeps_an_answer_alive(run_lever, asked):
    assert run_lever("duplicates", [asked(0), asked(45), asked(90)]).findings[0].requests == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": Decimal("0.1")},
        {"temperature": None},
        {"request_hash": "another"},
        {"request_hash": None},
        {"model": "claude-opus-4-5"},
    ],
)
def test_what_is_not_surely_the_same_is_no_repeat(run_lever, asked, fields):
    assert run_lever("duplicates", [asked(0), asked(1, **fields)]).saving == 0


@pytest.mark.parametrize("fields", [{"status": Status.ERROR}, {"finish_reason": "length"}])
def test_a_useless_answer_is_not_stored(run_lever, asked, fields):
    result = run_lever("duplicates", [asked(0, **fields), asked(1), asked(2)])

    assert result.findings[0].requests == 1


def test_without_hashes_it_abstains_and_says_what_it_needs(run_lever, make_request):
    result = run_lever("duplicates", [make_request()])

    assert result.verdict is Verdict.ABSTAINS
    assert "request_hash" in result.data_needed

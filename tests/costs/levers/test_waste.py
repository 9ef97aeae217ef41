"""Waste, worked out by hand."""

from datetime import timedelta
from decimal import Decimal

import pytest

from apex_actors.costs.levers import Verdict
from apex_actors.costs.records import Status


@pytest.fixture
def sent(make_request):
    def make(minutes: int = 0, **fields):
        return make_request(at=make_request().occurred_at + timedelta(minutes=minutes), **fields)

    return make


def test_an_error_that_was_billed_is_waste(run_lever, sent, usd):
    result = run_lever("waste", [sent(), sent(status=Status.ERROR, output_tokens=0)])

    # 1,000 in at 3 dollars a million.
    assert result.saving == result.standalone == usd((1000, "3"))
    assert (result.findings[0].failed, result.findings[0].failed_cost) == (1, result.saving)


def test_an_error_that_was_not_billed_is_none(run_lever, sent):
    result = run_lever("waste", [sent(status=Status.ERROR, unbilled=True)])

    assert result.verdict is Verdict.NO_SAVING


def test_a_truncated_answer_that_is_asked_again_by_hand(run_lever, sent, usd):
    result = run_lever(
        "waste",
        [
            sent(record_id="first", output_tokens=500, finish_reason="length"),
            sent(1, record_id="again", retry_of="first", output_tokens=800, finish_reason="stop"),
        ],
    )

    # The second pays 1,000 in at 3 and 800 out at 15; only 300 out are new.
    assert result.saving == usd((1000, "3"), (500, "15"))
    assert result.findings[0].asked_again == 1


def test_asked_again_and_again_the_input_is_paid_once(run_lever, sent, usd):
    result = run_lever(
        "waste",
        [
            sent(record_id="a", output_tokens=500, finish_reason="length"),
            sent(1, record_id="b", retry_of="a", output_tokens=800, finish_reason="max_tokens"),
            sent(2, record_id="c", retry_of="b", output_tokens=900, finish_reason="stop"),
        ],
    )

    # All cost 3,000 in and 2,200 out; one request with room enough 1,000 in and 900 out.
    assert result.saving == usd((2000, "3"), (1300, "15"))


def test_a_shorter_second_answer_adds_nothing(run_lever, sent, usd):
    result = run_lever(
        "waste",
        [
            sent(record_id="a", output_tokens=500, finish_reason="length"),
            sent(1, retry_of="a", output_tokens=200),
        ],
    )

    assert result.saving == usd((1000, "3"), (200, "15"))


@pytest.mark.parametrize(
    ("first", "minutes"), [({"finish_reason": "stop"}, 1), ({"finish_reason": "length"}, 61)]
)
def test_a_retry_of_a_whole_or_an_old_answer_is_no_waste(run_lever, sent, first, minutes):
    result = run_lever("waste", [sent(record_id="a", **first), sent(minutes, retry_of="a")])

    assert (result.saving, result.verdict) == (0, Verdict.NO_SAVING)


def test_what_a_store_of_answers_gives_is_not_counted_again(run_lever, sent, usd):
    same = {"request_hash": "q", "temperature": Decimal(0)}
    made = [sent(**same), sent(1, status=Status.ERROR, **same)]

    assert run_lever("waste", made).saving == 0
    assert run_lever("waste", made).standalone == usd((1000, "3"), (100, "15"))
    assert run_lever("duplicates", made).saving == usd((1000, "3"), (100, "15"))


def test_a_month_without_any_of_it_avoided_is_the_low_figure(run_lever, sent):
    made = [sent(60 * 24 * day, status=Status.ERROR) for day in range(7)]

    monthly = run_lever("waste", made).monthly

    # 0.0045 dollars a day.
    assert (monthly.low, monthly.expected) == (0, Decimal("0.135"))
    assert "low: none of it can be avoided" in monthly.basis


def test_without_errors_reasons_and_retries_it_abstains(run_lever, sent):
    result = run_lever("waste", [sent()])

    assert result.verdict is Verdict.ABSTAINS
    assert "retry_of" in result.data_needed

"""Off-peak hours, worked out by hand."""

from datetime import UTC, datetime

import pytest

from apex_actors.costs.levers import Verdict


@pytest.fixture
def deepseek(make_request):
    """On that day 0.27 in and 1.10 out from 00:30 to 16:30 UTC, half of it at other times."""

    def make(hour: int, minute: int = 0, **fields):
        given = {"provider": "deepseek", "model": "deepseek-chat", "deferrable": True, **fields}
        return make_request(at=datetime(2026, 11, 2, hour, minute, tzinfo=UTC), **given)

    return make


def test_the_cheaper_hours_by_hand(run_lever, deepseek, usd):
    result = run_lever("off_peak", [deepseek(9), deepseek(16, 29), deepseek(16, 30)])

    (found,) = result.findings
    assert found.requests == 2
    assert found.cost_now == usd((2000, "0.27"), (200, "1.1"))
    assert found.cost_off_peak == usd((2000, "0.135"), (200, "0.55"))
    assert result.saving == result.standalone == found.cost_now - found.cost_off_peak
    assert result.verdict is Verdict.SAVES


def test_what_may_not_wait_stays(run_lever, deepseek):
    result = run_lever("off_peak", [deepseek(9, deferrable=False)])

    assert result.verdict is Verdict.ABSTAINS
    assert "set deferrable" in result.data_needed


def test_what_is_sent_off_peak_already_saves_nothing(run_lever, deepseek):
    assert run_lever("off_peak", [deepseek(20)]).verdict is Verdict.NO_SAVING


def test_where_no_price_depends_on_the_time_there_is_nothing_to_say(run_lever, make_request):
    result = run_lever("off_peak", [make_request(deferrable=True)])

    assert (result.verdict, result.data_needed) == (Verdict.ABSTAINS, None)
    assert "None of the models" in result.notes[0]

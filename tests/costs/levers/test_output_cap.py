"""Output cap, worked out by hand."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_actors.costs.levers import Verdict
from apex_actors.costs.levers.output_steps import OUTPUT_STEPS, output_step
from apex_actors.costs.records import MAX_TOKENS


@pytest.fixture
def answers(make_request):
    def make(lengths: list[int], **fields):
        given = {"finish_reason": "stop", "feature": "chat", **fields}
        return [make_request(output_tokens=length, **given) for length in lengths]

    return make


def test_one_answer_in_a_hundred_is_far_longer_by_hand(run_lever, answers, usd):
    result = run_lever("output_cap", answers([200] * 198 + [3000, 5000]))

    (found,) = result.findings
    # 1 % of 200 are two answers. 200 lies in the step up to 224; above it out costs 15 a million.
    assert found.cap_tokens == 224
    assert (found.cut_answers, found.cut_tokens) == (2, 2776 + 4776)
    assert result.saving == usd((2776 + 4776, "15"))
    assert "Up to 1 % of the answers would be cut off" in result.risk


def test_with_more_long_answers_than_may_be_cut_there_is_nothing_to_cap(run_lever, answers):
    result = run_lever("output_cap", answers([200] * 197 + [5000] * 3))

    assert (result.saving, result.verdict) == (0, Verdict.NO_SAVING)


def test_the_user_decides_how_many_may_be_cut(run_lever, answers, usd):
    result = run_lever(
        "output_cap", answers([200] * 197 + [5000] * 3), truncation_share=Decimal("0.02")
    )

    assert result.saving == usd((3 * 4776, "15"))


def test_features_and_models_have_their_own_caps(run_lever, answers):
    result = run_lever(
        "output_cap",
        [*answers([200] * 199 + [9000]), *answers([7000] * 199 + [9000], feature="essays")],
    )

    assert {(found.feature, found.cap_tokens) for found in result.findings} == {
        ("chat", 224), ("essays", 7168),
    }  # fmt: skip


def test_answers_that_are_cut_off_already_get_no_shorter_cap(run_lever, answers):
    made = [*answers([200] * 190), *answers([1000] * 10, finish_reason="length")]

    result = run_lever("output_cap", made)

    assert result.saving == 0
    assert "5 % are cut off already" in result.notes[0]


def test_fewer_than_a_hundred_answers_say_nothing(run_lever, answers):
    result = run_lever("output_cap", answers([200] * 98 + [5000]))

    assert result.verdict is Verdict.ABSTAINS
    assert "At least 100 answers" in result.data_needed


def test_without_finish_reasons_it_abstains(run_lever, answers):
    result = run_lever("output_cap", answers([200] * 199 + [5000], finish_reason=None))

    assert result.verdict is Verdict.ABSTAINS
    assert "finish_reason" in result.data_needed


@given(st.integers(0, MAX_TOKENS))
def test_a_step_holds_its_lengths_and_is_at_most_a_quarter_wide(tokens):
    step = output_step(tokens)

    assert tokens <= OUTPUT_STEPS[step]
    if tokens > 4:
        assert OUTPUT_STEPS[step - 1] < tokens
        assert OUTPUT_STEPS[step] * 4 <= OUTPUT_STEPS[step - 1] * 5

"""Right-sizing, worked out by hand."""

from decimal import Decimal

import pytest

from apex_actors.costs.levers import Confidence, Verdict


@pytest.fixture
def gemini(make_request):
    """Requests to a model with a cheaper and better successor: 1.25 and 10 dollars a million."""

    def make(**fields):
        given = {"provider": "google", "model": "gemini-2.5-pro", **fields}
        return make_request(**given)

    return make


def test_a_cheaper_model_that_is_as_good_by_hand(run_lever, gemini, usd):
    result = run_lever("right_sizing", [gemini()], quality_floor=Decimal(1))

    (found,) = result.findings
    # gemini-3-flash-preview: 0.50 in, 3 out; it solves 27.32 % of that task, the other 13.66 %.
    assert (found.target_model, found.requests) == ("gemini-3-flash-preview", 1)
    assert found.cost_now == usd((1000, "1.25"), (100, "10"))
    assert found.cost_then == usd((1000, "0.5"), (100, "3"))
    assert result.saving == result.standalone == found.cost_now - found.cost_then
    assert [(each.task, each.score_now, each.score_then) for each in found.comparisons] == [
        ("tau2/banking_knowledge", Decimal("13.66"), Decimal("27.32"))
    ]
    assert (result.verdict, result.confidence) == (Verdict.SAVES, Confidence.LOW)


@pytest.mark.parametrize(("floor", "saves"), [("11.99", False), ("12", True)])
def test_a_cheaper_model_below_the_floor_is_not_proposed(run_lever, make_request, floor, saves):
    # Opus 4.5 against Sonnet 4.5: airline 84 and 72, retail 79.61 and 72.37, telecom 92.32 and
    # 84.87, banking 24.74 and 25.26. At airline Sonnet is 12 points worse.
    opus = make_request(model="claude-opus-4-5", feature="support")
    result = run_lever("right_sizing", [opus], quality_floor=Decimal(floor))

    assert (result.verdict is Verdict.SAVES) is saves


def test_a_task_that_stands_for_the_feature_decides_alone(run_lever, make_request, usd):
    opus = make_request(model="claude-opus-4-5", feature="banking")

    settings = {"quality_floor": Decimal(0), "tasks": (("banking", "tau2/banking_knowledge"),)}
    result = run_lever("right_sizing", [opus, opus._replace(feature="other")], **settings)

    (found,) = result.findings
    # 25.26 against 24.74: for banking Sonnet is as good, at 3 and 15 dollars for 5 and 25.
    assert (found.target_model, found.requests) == ("claude-sonnet-4-5", 1)
    assert result.saving == usd((1000, "5"), (100, "25")) - usd((1000, "3"), (100, "15"))
    (compared,) = found.comparisons
    # What a solved task costs: 4.04814 / 0.2526.
    assert compared.usd_per_task_then == Decimal("4.04814")
    assert compared.usd_per_success_then == Decimal("16.025891")
    assert compared.usd_per_task_now is None


def test_the_price_of_the_requests_size_decides(run_lever, make_request, usd):
    # Over 200,000 tokens Sonnet 4.5 costs 6 and 22.50; Opus 4.6, a better model, 5 and 25.
    made = [make_request(input_tokens=tokens) for tokens in (200_000, 200_001)]

    result = run_lever("right_sizing", made, quality_floor=Decimal(1))

    (found,) = result.findings
    assert (found.target_model, found.requests) == ("claude-opus-4-6", 1)
    assert result.saving == usd((200_001, "6"), (100, "22.5")) - usd((200_001, "5"), (100, "25"))


def test_caching_then_works_at_the_new_models_prices(run_lever, gemini):
    made = [gemini(input_tokens=10_240, blocks=tuple(range(20)))] * 2

    caching = run_lever("prompt_caching", made, quality_floor=Decimal(1))

    assert caching.findings[0].model == "gemini-3-flash-preview"


def test_a_model_without_a_score_is_left_alone_and_named(run_lever, make_request, gemini):
    unscored = make_request(model="claude-sonnet-4-6")

    mixed = run_lever("right_sizing", [unscored, gemini()], quality_floor=Decimal(1))
    alone = run_lever("right_sizing", [unscored], quality_floor=Decimal(1))

    assert "nothing is proposed for claude-sonnet-4-6" in mixed.notes[0]
    assert alone.verdict is Verdict.ABSTAINS
    assert "quality score" in alone.data_needed


def test_who_wants_to_keep_the_models_gets_no_figure(run_lever, gemini):
    result = run_lever("right_sizing", [gemini()], quality_floor=None)

    assert (result.verdict, result.saving, result.data_needed) == (Verdict.ABSTAINS, 0, None)

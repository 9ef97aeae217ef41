"""What a request costs at given rates, worked out by hand."""

import pytest

from apex_actors.costs.rates import RateCard, Rates, TokenShape


def rates(**given: int | None) -> Rates:
    base = {
        "input": 30, "cache_read": 3, "cache_write": 37, "cache_write_1h": 60, "output": 150,
        "reasoning": None, "request": 0,
    }  # fmt: skip
    return Rates(**{**base, **given})


def card(*tiers: Rates, thresholds: tuple[int, ...] = ()) -> RateCard:
    return RateCard(thresholds=thresholds, tiers=tiers)


def test_each_kind_of_token_pays_its_own_rate():
    shape = TokenShape(
        1000,
        cache_read_tokens=300,
        cache_write_5m_tokens=200,
        cache_write_1h_tokens=100,
        output_tokens=50,
    )

    # 400 plain x 30 + 300 x 3 + 200 x 37 + 100 x 60 + 50 x 150
    assert card(rates()).cost(shape) == 12_000 + 900 + 7_400 + 6_000 + 7_500


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ("cache_read", 400 * 30 + 300 * 30 + 200 * 37 + 100 * 60),
        ("cache_write_1h", 400 * 30 + 300 * 3 + 200 * 37 + 100 * 37),
        ("cache_write", 400 * 30 + 300 * 3 + 200 * 30 + 100 * 60),
    ],
)
def test_a_kind_without_a_rate_pays_that_of_the_kind_around_it(missing, expected):
    shape = TokenShape(
        1000, cache_read_tokens=300, cache_write_5m_tokens=200, cache_write_1h_tokens=100
    )

    assert card(rates(**{missing: None})).cost(shape) == expected


def test_reasoning_may_have_its_own_rate_and_each_request_a_fee():
    shape = TokenShape(10, output_tokens=50, reasoning_tokens=20)

    assert card(rates(reasoning=400, request=9)).cost(shape) == 9 + 10 * 30 + 20 * 400 + 30 * 150


def test_a_tier_is_a_cliff_that_must_be_exceeded():
    tiered = card(rates(), rates(input=60, output=225), thresholds=(200_000,))

    assert tiered.cost(TokenShape(200_000, output_tokens=1)) == 200_000 * 30 + 150
    assert tiered.cost(TokenShape(200_001, output_tokens=1)) == 200_001 * 60 + 225
    assert not tiered.tiers_matter(200_000)
    assert tiered.tiers_matter(200_001)


def test_a_card_says_which_price_is_missing():
    embeddings = card(rates(output=None))

    assert embeddings.missing_price(TokenShape(10)) is None
    assert embeddings.missing_price(TokenShape(10, output_tokens=1)) == "output"
    assert card(rates(input=None)).missing_price(TokenShape(10)) == "input"

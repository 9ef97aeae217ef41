"""Why a cost changed: effects that add up, by hand and for any figures."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from apex_actors.costs.analysis import PeriodPair, PeriodSums, explain_change
from apex_actors.costs.money import total
from apex_actors.costs.summary import Dimension

NOTHING = (0, 0, "0")


def pair(name, before, after):
    def sums(figures):
        requests, tokens, cost = figures
        return PeriodSums(requests=requests, tokens=tokens, cost=Decimal(cost))

    return PeriodPair(name=name, before=sums(before), after=sums(after))


def explain(*pairs):
    return explain_change(pairs, dimension=Dimension.MODEL)


def effects(explained):
    found = explained.effects
    return found.volume, found.mix, found.tokens_per_request, found.price


def test_one_model_by_hand():
    # Requests 100 -> 200 (x2), tokens per request 10 -> 20 (x2), cost per token 0.001 -> 0.002 (x2):
    # cost 1 -> 8. L = (8 - 1) / ln 8 = 7 / (3 ln 2); each effect is L * ln 2 = 7 / 3.
    explained = explain(pair("m", (100, 1000, "1"), (200, 4000, "8")))

    volume, mix, tokens, price = effects(explained)
    assert mix == 0
    for effect in (volume, tokens, price):
        assert abs(effect - Decimal(7) / 3) < Decimal("1e-23")
    assert explained.effects.total == explained.difference == 7
    # 7/3 = 2.333… three times: 2.33 each makes 6.99, the missing cent goes to one of them.
    cents = explained.effects_in_cents
    assert sorted((cents.volume, cents.tokens_per_request, cents.price)) == [
        Decimal("2.33"), Decimal("2.33"), Decimal("2.34"),
    ]  # fmt: skip


def test_only_the_mix_changes_by_hand():
    # 50 + 50 requests become 25 + 75 at unchanged cost per request of 0.01 and 0.04.
    # a: 0.50 -> 0.25, L ln(1/2) = -0.25; b: 2.00 -> 3.00, L ln(3/2) = +1. Together 0.75.
    explained = explain(
        pair("a", (50, 500, "0.5"), (25, 250, "0.25")), pair("b", (50, 500, "2"), (75, 750, "3"))
    )

    assert effects(explained) == (0, Decimal("0.75"), 0, 0)
    assert [(each.name, each.difference) for each in explained.contributions] == [
        ("b", Decimal(1)), ("a", Decimal("-0.25")),
    ]  # fmt: skip


def test_a_new_and_a_vanished_model_are_mix():
    explained = explain(
        pair("old", (10, 100, "2"), NOTHING), pair("new", NOTHING, (10, 100, "3.5"))
    )

    assert effects(explained) == (0, Decimal("1.5"), 0, 0)


def test_everything_new_or_gone_is_volume():
    assert effects(explain(pair("m", NOTHING, (10, 100, "2")))) == (2, 0, 0, 0)
    assert effects(explain(pair("m", (10, 100, "2"), NOTHING))) == (-2, 0, 0, 0)


def test_what_was_free_or_without_tokens_and_then_cost_is_price_or_tokens():
    assert effects(explain(pair("m", (5, 100, "0"), (10, 200, "2")))) == (0, 0, 0, 2)
    assert effects(explain(pair("m", (5, 0, "0"), (10, 200, "2")))) == (0, 0, 2, 0)


def test_a_price_per_request_without_tokens_counts_as_price():
    # 10 requests at 0.10 become 10 at 0.20.
    assert effects(explain(pair("m", (10, 0, "1"), (10, 0, "2")))) == (0, 0, 0, 1)


def test_nothing_changed_and_nothing_there_have_no_effects():
    assert effects(explain(pair("m", (10, 100, "2"), (10, 100, "2")))) == (0, 0, 0, 0)
    assert effects(explain()) == (0, 0, 0, 0)
    assert effects(explain(pair("m", NOTHING, NOTHING))) == (0, 0, 0, 0)


def test_equal_costs_by_opposite_factors():
    # Twice the requests at half the price: the weight is the cost itself, 2 ln 2 and -2 ln 2.
    explained = explain(pair("m", (10, 100, "2"), (20, 200, "2")))
    volume, mix, tokens, price = effects(explained)
    assert volume == -price
    assert abs(volume - 2 * Decimal(2).ln()) < Decimal("1e-23")
    assert (mix, tokens) == (0, 0)


def test_a_cost_without_requests_is_refused():
    with pytest.raises(ValidationError, match="requests"):
        PeriodSums(requests=0, tokens=0, cost=Decimal(1))


COSTS = st.decimals(min_value=0, max_value=10**9, places=24, allow_nan=False)
SUMS = st.builds(
    lambda requests, tokens, cost: PeriodSums(
        requests=requests, tokens=tokens, cost=cost if requests else Decimal(0)
    ),
    st.integers(0, 10**9),
    st.integers(0, 10**12),
    COSTS,
)
PAIRS = st.lists(st.tuples(SUMS, SUMS), max_size=6).map(
    lambda found: [
        PeriodPair(name=str(index), before=before, after=after)
        for index, (before, after) in enumerate(found)
    ]
)


@given(PAIRS)
def test_effects_add_up_to_the_difference_exactly(pairs):
    explained = explain_change(pairs, dimension=Dimension.TEAM)

    # The unary minus of Decimal would round.
    costs = [each.after.cost for each in pairs]
    costs += [each.before.cost.copy_negate() for each in pairs]
    assert explained.effects.total == explained.difference == total(costs)
    for each in explained.contributions:
        assert each.effects.total == each.difference
    assert explained.effects.mix == total(each.effects.mix for each in explained.contributions)


@given(PAIRS)
def test_effects_in_cents_add_up_to_the_costs_in_cents(pairs):
    explained = explain_change(pairs, dimension=Dimension.MODEL)

    cent = Decimal("0.01")
    shown = explained.after.cost.quantize(cent) - explained.before.cost.quantize(cent)
    cents = explained.effects_in_cents
    assert cents.total == shown
    for name in ("volume", "mix", "tokens_per_request", "price"):
        exact = getattr(explained.effects, name)
        assert abs(getattr(cents, name) - exact) <= 2 * cent


@given(PAIRS)
def test_the_way_back_has_the_opposite_effects(pairs):
    there = explain_change(pairs, dimension=Dimension.MODEL).effects
    back = explain_change(
        [PeriodPair(name=each.name, before=each.after, after=each.before) for each in pairs],
        dimension=Dimension.MODEL,
    ).effects
    assert abs(there.volume + back.volume) <= Decimal("1e-22")
    assert abs(there.price + back.price) <= Decimal("1e-22")

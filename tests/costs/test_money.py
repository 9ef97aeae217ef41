"""Exact money."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_actors.costs.money import (
    UNITS_PER_USD,
    from_units,
    plain,
    times,
    to_units,
    total,
    units_text,
)

AMOUNTS = st.decimals(
    min_value=-(10**12), max_value=10**12, allow_nan=False, allow_infinity=False, places=24
)


def test_a_dollar_is_ten_to_the_24_units():
    assert to_units(Decimal(1)) == UNITS_PER_USD == 10**24


@given(AMOUNTS)
def test_there_and_back_changes_nothing(amount):
    assert from_units(to_units(amount)) == amount


@given(st.lists(AMOUNTS, max_size=20), st.randoms())
def test_a_total_is_exact_in_any_order(amounts, random):
    shuffled = list(amounts)
    random.shuffle(shuffled)

    assert total(amounts) == total(shuffled)
    assert to_units(total(amounts)) == sum(map(to_units, amounts))


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e-25"])
def test_what_is_no_exact_amount_is_refused(text):
    with pytest.raises(ValueError, match="amount of money"):
        to_units(Decimal(text))


@pytest.mark.parametrize(
    ("units", "text"),
    [
        (0, "0"),
        (10**24, "1"),
        (100 * 10**24, "100"),
        (-5 * 10**23, "-0.5"),
        (1, "0." + "0" * 23 + "1"),
    ],
)
def test_amounts_are_written_without_exponent(units, text):
    assert plain(from_units(units)) == str(from_units(units)).replace("1E-24", text) == text


def test_a_fraction_of_an_amount_is_rounded_half_to_even():
    assert times(Decimal(10), 30, 7) == Decimal("42.857142857142857142857143")
    assert times(from_units(1), 1, 2) == 0
    assert times(from_units(3), 1, 2) == from_units(2)
    assert times(Decimal(-10), 1, 4) == Decimal("-2.5")


@given(st.integers(-(10**40), 10**40) | st.integers(-20, 20).map(lambda usd: usd * UNITS_PER_USD))
def test_the_quick_way_to_write_an_amount_writes_the_same(units):
    assert units_text(units) == plain(from_units(units))

"""Medians and quantiles of money."""

from decimal import Decimal

from apex_actors.costs.analysis.statistics import estimate, mean, median, quantile


def decimals(*values):
    return [Decimal(value) for value in values]


def test_the_median_is_the_middle_or_between_the_two_in_the_middle():
    assert median(decimals(9, 1, 5)) == 5
    assert median(decimals(9, 1, 5, 6)) == Decimal("5.5")
    assert median(decimals(7)) == 7


def test_a_quantile_lies_between_order_statistics():
    # (5 - 1) * 0.1 = 0.4 of the way from 10 to 20.
    assert quantile(decimals(50, 40, 30, 20, 10), Decimal("0.1")) == 14
    assert quantile(decimals(10, 20), Decimal(1)) == 20


def test_a_mean_keeps_all_digits_and_an_estimate_six():
    assert mean(decimals("0.000000000000000000000001", "0")) == Decimal("5E-25")
    assert estimate(Decimal("1.23456789")) == Decimal("1.234568")

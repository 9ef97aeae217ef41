"""Statistics of money in `Decimal`: wide enough that rounding never reaches a digit that is shown."""

from collections.abc import Sequence
from decimal import Context, Decimal, localcontext

PRECISE = Context(prec=80)
"""For logarithms, quotients and products: an amount has 12 digits before the point and 24 behind."""

ESTIMATE_STEP = Decimal("0.000001")
"""Estimates of money: digits beyond a millionth of a dollar would feign precision."""


def estimate(amount: Decimal) -> Decimal:
    """The amount, as precise as an estimate may look."""
    return amount.quantize(ESTIMATE_STEP, context=PRECISE)


def quotient(part: Decimal | int, whole: Decimal | int) -> Decimal:
    """`part / whole`, to 80 digits."""
    return PRECISE.divide(Decimal(part), Decimal(whole))


def mean(values: Sequence[Decimal]) -> Decimal:
    """The arithmetic mean of at least one value."""
    with localcontext(PRECISE):
        return sum(values, Decimal(0)) / len(values)


def median(values: Sequence[Decimal]) -> Decimal:
    """The middle value, or the mean of the two in the middle, of at least one value."""
    return quantile(values, Decimal("0.5"))


def quantile(values: Sequence[Decimal], level: Decimal) -> Decimal:
    """The quantile by linear interpolation between order statistics, of at least one value.

    Type 7 of Hyndman and Fan, "Sample Quantiles in Statistical Packages" (1996): the value at
    position (n - 1) * level of the ordered values, counted from 0.
    """
    ordered = sorted(values)
    with localcontext(PRECISE):
        position = (len(ordered) - 1) * level
        below = int(position)
        if below + 1 == len(ordered):
            return ordered[below]
        return ordered[below] + (position - below) * (ordered[below + 1] - ordered[below])

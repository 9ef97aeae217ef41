"""Exact money: whole numbers of a unit so small that every catalogue price is one.

Sums, products and differences of whole numbers are exact in any order, so credits add up to the last
digit and a report can be checked by hand. `Decimal` with its rounding context stands only at the
edges.
"""

from collections.abc import Iterable
from decimal import Context, Decimal, Inexact

SCALE_DIGITS = 24
"""Decimal places of the unit: the finest catalogue price has 18 places for a million tokens (10^6)."""

UNITS_PER_USD = 10**SCALE_DIGITS
"""How many units one US dollar is."""

_EXACT = Context(prec=400, traps=[Inexact])
"""Wide enough for any sum of tokens times price; refuses to round instead of rounding."""


def to_units(usd: Decimal) -> int:
    """The amount in units.

    Raises:
        ValueError: the amount is not finite, or has more than 24 decimal places.
    """
    if not usd.is_finite():
        raise ValueError("An amount of money must be finite.")
    scaled = _EXACT.scaleb(usd, SCALE_DIGITS)
    if scaled != scaled.to_integral_value():
        raise ValueError(f"An amount of money has more than {SCALE_DIGITS} decimal places.")
    return int(scaled)


def from_units(units: int) -> Decimal:
    """The amount in US dollars, exact, without trailing zeros and never in exponent form."""
    usd = _EXACT.scaleb(_EXACT.create_decimal(units), -SCALE_DIGITS)
    normal = _EXACT.normalize(usd)
    exponent = normal.as_tuple().exponent
    if isinstance(exponent, int) and exponent > 0:
        return _EXACT.quantize(normal, Decimal(1))
    return normal


def plain(amount: Decimal) -> str:
    """The amount in digits, without an exponent, as PostgreSQL and people read it."""
    return f"{amount:f}"


def units_text(units: int) -> str:
    """``plain(from_units(units))``, for millions of amounts: without a Decimal in between."""
    whole, fraction = divmod(abs(units), UNITS_PER_USD)
    sign = "-" if units < 0 else ""
    if not fraction:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{fraction:0{SCALE_DIGITS}d}".rstrip("0")


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum; `sum` would round to the precision of the thread's context."""
    return from_units(sum(to_units(amount) for amount in amounts))


def times(amount: Decimal, numerator: int, denominator: int) -> Decimal:
    """The amount times a fraction, to 24 decimal places, rounded half to even."""
    units, remainder = divmod(to_units(amount) * numerator, denominator)
    doubled = 2 * remainder
    if doubled > denominator or (doubled == denominator and units % 2):
        units += 1
    return from_units(units)

"""Figures as people read them; exact values stay in the models."""

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal

_CENT = Decimal("0.01")
_SIGNIFICANT_DIGITS = 2
_MILLION = 1_000_000
_BILLION = 1_000_000_000
_NAMES_SHOWN = 6


def usd(amount: Decimal) -> str:
    """US dollars: two decimals from one dollar on, below it enough to show two digits.

    `$1,234.50`, `$0.45`, `$0.0012`, `-$3.20`, `$0.00`.
    """
    sign = "-" if amount < 0 else ""
    size = abs(amount)
    places = 2
    if 0 < size < _CENT:
        places = _SIGNIFICANT_DIGITS - 1 - size.adjusted()
    rounded = size.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    return f"{sign}${rounded:,f}"


def percent(share: Decimal) -> str:
    """A share as per cent: whole from ten on, one decimal below, `under 0.1 %` for the rest."""
    value = share * 100
    if value == 0:
        return "0 %"
    if abs(value) < Decimal("0.1"):
        return "under 0.1 %"
    step = Decimal(1) if abs(value) >= 10 else Decimal("0.1")  # noqa: PLR2004 - two digits are shown
    rounded = value.quantize(step, ROUND_HALF_UP)
    # All but the last of 1,000 is not all.
    if value < 100 and rounded >= 100:  # noqa: PLR2004 - per cent
        return "over 99 %"
    return f"{rounded.normalize():f} %"


def count(number: int) -> str:
    """`12,031`."""
    return f"{number:,}"


def tokens(number: int) -> str:
    """`950`, `12,031`, `1.2 million`, `3.4 billion`."""
    for size, name in ((_BILLION, "billion"), (_MILLION, "million")):
        if number >= size:
            shown = (Decimal(number) / size).quantize(Decimal("0.1"), ROUND_HALF_UP)
            return f"{shown:,f} {name}"
    return count(number)


def plural(number: int, noun: str) -> str:
    """`1 request`, `12,031 requests`."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def names(all_of_them: Sequence[str]) -> str:
    """`a, b, c`; of many the first few, and how many more there are."""
    shown = ", ".join(all_of_them[:_NAMES_SHOWN])
    more = len(all_of_them) - _NAMES_SHOWN
    return f"{shown} and {count(more)} more" if more > 0 else shown

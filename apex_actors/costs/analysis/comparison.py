"""Period against period: each figure of two sums, its difference and its relative change."""

from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from apex_actors.costs.analysis.statistics import PRECISE, quotient
from apex_actors.costs.money import from_units, to_units
from apex_actors.costs.summary import SHARE_STEP, Sums

COUNTS = (
    "requests",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "errors",
)
AMOUNTS = ("cost", "error_cost")


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FigureChange(_Value):
    """One figure before and after."""

    figure: str
    """A field of `Sums`."""
    is_money: bool
    """Whether it is US dollars."""
    before: Decimal
    after: Decimal
    difference: Decimal
    """`after - before`, exact."""
    relative: Decimal | None
    """`difference / before` to four places; None where there was nothing before."""


class Comparison(_Value):
    """Two periods, figure by figure."""

    before: Sums
    after: Sums
    changes: tuple[FigureChange, ...]


def compare(before: Sums, after: Sums) -> Comparison:
    """All figures of the two, with absolute and relative differences."""
    return Comparison(
        before=_only_sums(before),
        after=_only_sums(after),
        changes=tuple(
            _change(figure, getattr(before, figure), getattr(after, figure))
            for figure in COUNTS + AMOUNTS
        ),
    )


def _only_sums(sums: Sums) -> Sums:
    """Without what a subclass adds, which would be lost when the comparison is stored."""
    return Sums(**{name: getattr(sums, name) for name in Sums.model_fields})


def _change(figure: str, before: int | Decimal, after: int | Decimal) -> FigureChange:
    old, new = Decimal(before), Decimal(after)
    difference = from_units(to_units(new) - to_units(old))
    return FigureChange(
        figure=figure,
        is_money=figure in AMOUNTS,
        before=old,
        after=new,
        difference=difference,
        relative=quotient(difference, old).quantize(SHARE_STEP, context=PRECISE) if old else None,
    )

"""What levers work on: single requests, and the price each stands at in the plan."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple, Protocol

from apex_actors.costs.levers.results import LeverResult
from apex_actors.costs.prices import shape_of
from apex_actors.costs.rates import RateCard, TokenShape
from apex_actors.costs.records import Processing, UsageRecord


class LeverRequest(NamedTuple):
    """The part of a usage record (of grain request) that levers look at."""

    occurred_at: datetime
    provider: str
    model: str
    processing: Processing
    shape: TokenShape
    deferrable: bool | None = None
    blocks: tuple[int, ...] | None = None
    """Hashes of the 512-token prefix blocks, where known."""

    @classmethod
    def of(cls, record: UsageRecord) -> "LeverRequest":
        """The same of a whole record."""
        return cls(
            record.occurred_at,
            record.provider,
            record.model,
            record.processing,
            shape_of(record),
            record.deferrable,
            record.prefix_block_hashes,
        )


class Line(NamedTuple):
    """A priced request at its place in the plan: what it now uses and costs."""

    request: LeverRequest
    day: date
    """The local day of the request."""
    processing: Processing
    card: RateCard
    shape: TokenShape
    units: int
    """Its cost in units of money."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What a lever made of the lines: one line for each given, in the same order."""

    lines: Sequence[Line]
    result: LeverResult
    """With the saving of these lines; the plan sets the stand-alone figure beside it."""


class Lever(Protocol):
    """One way to save. Applying it never raises the total."""

    def apply(self, lines: Sequence[Line]) -> Applied:
        """Re-prices the lines, which are in order of time."""
        ...


def credit_by_day(before: Sequence[Line], after: Sequence[Line]) -> dict[date, int]:
    """Units of money saved on each local day that had any change."""
    credits_: dict[date, int] = {}
    for old, new in zip(before, after, strict=True):
        if new is not old:
            credits_[old.day] = credits_.get(old.day, 0) + old.units - new.units
    return credits_

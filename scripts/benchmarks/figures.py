"""A measured figure beside its baseline, and whether it is as good as it has to be."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

#: Digits behind the point in what is printed: more would be noise.
_DIGITS: Final = 3


@dataclass(frozen=True, slots=True)
class Target:
    """A bound of a figure: of what was measured of ours, or of its ratio to the baseline."""

    of: Literal["ours", "ratio"]
    relation: Literal[">=", "<="]
    bound: float

    def is_met(self, value: float) -> bool:
        """Whether ``value`` is on the right side of the bound, which belongs to it."""
        return value >= self.bound if self.relation == ">=" else value <= self.bound

    def __str__(self) -> str:
        return f"{self.of} {self.relation} {self.bound:,.10g}"


@dataclass(frozen=True, slots=True)
class Goal:
    """What is to be measured: a name that stays, its unit, and what is wanted of it if anything."""

    name: str
    unit: str
    target: Target | None = None
    note: str | None = None
    is_cost: bool = False
    """Whether the ratio is the baseline over ours, so that as with rates more of it is better."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What came out: ``ours`` and ``baseline`` in the unit of the goal, measured in one run."""

    goal: Goal
    ours: float
    baseline: float
    is_judged: bool = True
    """Whether the sizes were those for which the target was set."""

    @property
    def ratio(self) -> float:
        """``ours / baseline``: above 1 is good for rates, below 1 for times and sizes.

        The other way round where the goal is a cost.
        """
        above, below = self.ours, self.baseline
        if self.goal.is_cost:
            above, below = below, above
        return above / below if below else math.inf

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none or it cannot be judged."""
        target = self.goal.target
        if target is None or not self.is_judged:
            return None
        return target.is_met(self.ours if target.of == "ours" else self.ratio)

    def as_json(self) -> dict[str, Any]:
        """The figure as ``--json`` prints it."""
        ratio = self.ratio
        return {
            "name": self.goal.name,
            "ours": round(self.ours, _DIGITS),
            "baseline": round(self.baseline, _DIGITS),
            "ratio": round(ratio, _DIGITS) if math.isfinite(ratio) else None,
            "unit": self.goal.unit,
            "target": None if self.goal.target is None else str(self.goal.target),
            "met": self.met,
            "note": self.goal.note,
        }


def percentile(values: Iterable[float], percent: int) -> float:
    """The nearest rank; raises ValueError where nothing was measured."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("nothing was measured")
    return ordered[math.ceil(len(ordered) * percent / 100) - 1]

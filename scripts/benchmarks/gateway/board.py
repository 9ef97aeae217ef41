"""What was measured of each server, and the figures that it makes."""

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from benchmarks.figures import Figure, Goal
from benchmarks.gateway.bare import UVICORNS_OWN
from benchmarks.gateway.sides import Side
from benchmarks.settings import Settings


@dataclass(slots=True)
class Board:
    """Collects values by side and name; each figure is made of the medians."""

    settings: Settings
    _values: defaultdict[tuple[Side, str], list[float]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _notes: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _not_judged: set[str] = field(default_factory=set)

    def add(self, side: Side, measured: Mapping[str, float]) -> None:
        """What one measurement of ``side`` gave, by the names of the goals."""
        for name, value in measured.items():
            self._values[side, name].append(value)

    def remark(self, name: str, text: str) -> None:
        """Something about a figure that is known only now."""
        self._notes[name].append(text)

    def do_not_judge(self, name: str, reason: str) -> None:
        """The figure was not measured as its target wants it."""
        self._not_judged.add(name)
        self.remark(name, reason)

    def figures(self, goals: Sequence[Goal]) -> list[Figure]:
        """Ours beside the bare protocol class, and below it ours beside uvicorn's where measured."""
        figures: list[Figure] = []
        for goal in goals:
            ours = self._median(Side.OURS, goal.name)
            notes = ([goal.note] if goal.note else []) + self._notes[goal.name]
            figures.append(
                Figure(
                    replace(goal, note="; ".join(notes) or None),
                    ours,
                    self._median(Side.BARE, goal.name),
                    is_judged=self.settings.is_full_scale and goal.name not in self._not_judged,
                )
            )
            if (Side.UVICORN, goal.name) in self._values:
                second = replace(
                    goal,
                    name=f"{goal.name}_{Side.UVICORN}",
                    target=None,
                    note=f"baseline: uvicorn's own class, {UVICORNS_OWN}",
                )
                figures.append(Figure(second, ours, self._median(Side.UVICORN, goal.name)))
        return figures

    def _median(self, side: Side, name: str) -> float:
        return statistics.median(self._values[side, name])

"""Ours and a baseline side by side, round by round."""

import gc
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.figures import Figure, Goal
from benchmarks.settings import Settings

Measurement = Callable[[Settings], Mapping[str, float]]
"""Does the work once and returns what it measured, by the names of the goals."""

Progress = Callable[[str], None]
"""Is told what is being measured now."""


@dataclass(frozen=True, slots=True)
class Contest:
    """One piece of work that both sides do, and the goals that it measures."""

    goals: Sequence[Goal]
    ours: Measurement
    baseline: Measurement


def hold(contests: Sequence[Contest], settings: Settings, tell: Progress) -> list[Figure]:
    """Measure all contests in every round, and take the median of the rounds for each figure.

    Ours and the baseline take turns, so that what else the machine does meets both alike. The
    ratio of a figure is that of its two medians.
    """
    ours: defaultdict[str, list[float]] = defaultdict(list)
    baseline: defaultdict[str, list[float]] = defaultdict(list)
    for number in range(1, settings.rounds + 1):
        for contest in contests:
            names = ", ".join(goal.name for goal in contest.goals)
            tell(f"round {number} of {settings.rounds}: {names}")
            for measure, measured in ((contest.ours, ours), (contest.baseline, baseline)):
                gc.collect()
                for name, value in measure(settings).items():
                    measured[name].append(value)
    return [
        Figure(
            goal,
            statistics.median(ours[goal.name]),
            statistics.median(baseline[goal.name]),
            is_judged=settings.is_full_scale,
        )
        for contest in contests
        for goal in contest.goals
    ]

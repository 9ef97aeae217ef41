"""The actor runtime against stock Pykka, ``pykka.ThreadingActor``, in the same run.

Both sides run the same handlers. Pykka is driven from the main thread, as its users do; ours from
a coroutine on the loop on which its actors live.
"""

from collections.abc import Sequence

from benchmarks.actors import asks, delays, population, rings, starts
from benchmarks.contest import Progress, hold
from benchmarks.figures import Figure
from benchmarks.settings import Settings

__all__ = ["measure"]


def measure(settings: Settings, tell: Progress) -> Sequence[Figure]:
    """All figures of the actor runtime."""
    contests = (rings.CONTEST, starts.CONTEST, asks.CONTEST, *delays.CONTESTS, population.CONTEST)
    return hold(contests, settings, tell)

"""Usage and its costs: how fast records come in, and how long a question about very many takes.

One node with databases of its own does it all. Sizes are those of the targets at scale 1.
"""

from collections.abc import Sequence

from benchmarks.contest import Progress
from benchmarks.costs import importing
from benchmarks.costs.stage import staged
from benchmarks.figures import Figure
from benchmarks.settings import Settings

__all__ = ["measure"]


def measure(settings: Settings, tell: Progress) -> Sequence[Figure]:
    """All figures of usage and costs."""

    async def run() -> list[Figure]:
        async with staged(settings) as stage:
            return [*await importing.measure(stage, tell)]

    return settings.run(run())

"""How a benchmark is run: how often, how big, and on which event loop."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

import uvloop

T = TypeVar("T")

LoopName = Literal["uvloop", "asyncio"]

#: Sizes at which the targets were set; others are for looking whether a benchmark works.
FULL_SCALE: Final = 1.0


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of a run; ``scale`` multiplies all sizes, 1.0 being those of the targets."""

    rounds: int = 5
    scale: float = FULL_SCALE
    loop: LoopName = "uvloop"

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ValueError("a median needs at least one round")
        if not self.scale > 0:
            raise ValueError("the scale is a number above 0: 0.01 for a hundredth of all sizes")

    @property
    def is_full_scale(self) -> bool:
        """Whether targets can be judged."""
        return self.scale == FULL_SCALE

    def size(self, full: int) -> int:
        """How many of something, at least one, where ``full`` is how many at scale 1."""
        return max(1, round(full * self.scale))

    def seconds(self, full_s: float) -> float:
        """How long, in seconds, where ``full_s`` is how long at scale 1."""
        return full_s * self.scale

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` on a fresh event loop of the chosen kind."""
        factory = uvloop.new_event_loop if self.loop == "uvloop" else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(work)

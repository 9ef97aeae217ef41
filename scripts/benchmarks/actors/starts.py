"""Actors started per second, until ``on_start`` of all of them has run; stopping is not counted."""

import asyncio
import gc
import itertools
import statistics
import threading
import time
from collections.abc import Callable, Mapping
from typing import ClassVar, Final

import pykka

from apex_actors.actors import ActorSystem, LoopActor
from benchmarks.actors import stock
from benchmarks.contest import Contest
from benchmarks.figures import Goal, Target
from benchmarks.settings import Settings

ACTORS: Final = 2_000
"""The same for both sides; Pykka makes a thread for each."""

BATCHES: Final = 5
"""Ours are started and stopped that often in a round: one batch takes a few hundredths of a second."""

STARTS: Final = "starts_per_s"


class Arrivals:
    """Calls ``all_there`` when it has been called ``expected`` times, from any threads."""

    def __init__(self, expected: int, all_there: Callable[[], None]) -> None:
        # Taking the next number is one step for the interpreter: no lock, and none too few.
        self._numbers = itertools.count(1)
        self._expected = expected
        self._all_there = all_there

    def __call__(self) -> None:
        """One more is there."""
        if next(self._numbers) == self._expected:
            self._all_there()


class Arriving:
    """Says that it has started."""

    def __init__(self, arrivals: Arrivals) -> None:
        super().__init__()
        self.arrivals = arrivals

    def on_start(self) -> None:
        """Count."""
        self.arrivals()


class LoopArriving(Arriving, LoopActor):
    """Ours."""


class PykkaArriving(Arriving, pykka.ThreadingActor):
    """The baseline."""

    use_daemon_thread: ClassVar[bool] = True


async def start_ours(count: int) -> float:
    """Starts per second, in several batches."""
    return statistics.median([await start_batch_of_ours(count) for _ in range(BATCHES)])


async def start_batch_of_ours(count: int) -> float:
    """Starts per second."""
    all_there = asyncio.Event()
    arrivals = Arrivals(count, all_there.set)
    gc.collect()
    began = time.perf_counter()
    for _ in range(count):
        LoopArriving.start(arrivals)
    await all_there.wait()
    seconds = time.perf_counter() - began
    await ActorSystem.current().stop_all()
    return count / seconds


def start_pykka(count: int) -> float:
    """The same of Pykka's actors."""
    all_there = threading.Event()
    arrivals = Arrivals(count, all_there.set)
    gc.collect()
    began = time.perf_counter()
    for _ in range(count):
        PykkaArriving.start(arrivals)
    all_there.wait()
    seconds = time.perf_counter() - began
    stock.stop_all()
    return count / seconds


def ours(settings: Settings) -> Mapping[str, float]:
    """Start ours."""
    return {STARTS: settings.run(start_ours(settings.size(ACTORS)))}


def baseline(settings: Settings) -> Mapping[str, float]:
    """Start Pykka's."""
    return {STARTS: start_pykka(settings.size(ACTORS))}


CONTEST: Final = Contest(
    goals=(Goal(STARTS, "actors/s", Target("ratio", ">=", 15)),), ours=ours, baseline=baseline
)

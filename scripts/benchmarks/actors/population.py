"""100,000 living actors: how much memory each of them takes, and how long it takes to stop them.

Both sides are measured in a child process of their own, so that no memory that was used and given
up before hides what the actors take. An actor here has one attribute and has handled one message.
Its bytes are what the resident memory of the process has grown by, so a thread counts with the
pages of its stack that it has touched.
"""

import gc
import multiprocessing
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import Any, ClassVar, Final

import psutil
import pykka

from apex_actors.actors import ActorSystem, LoopActor
from benchmarks.contest import Contest, Measurement
from benchmarks.figures import Goal, Target
from benchmarks.settings import Settings

ACTORS: Final = 100_000
THREADS: Final = 1_000
"""Pykka's actors: a thread each, so not as many."""

BYTES: Final = "bytes_per_actor"
STOP: Final = "stop_100k_s"

MAX_BYTES: Final = 3 * 1024
MAX_STOP_S: Final = 3.0


class Remembering:
    """Keeps what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: Any = None

    def on_receive(self, message: Any) -> Any:
        """Keep it."""
        self.told = message


class LoopRemembering(Remembering, LoopActor):
    """Ours."""


class PykkaRemembering(Remembering, pykka.ThreadingActor):
    """The baseline."""

    use_daemon_thread: ClassVar[bool] = True


async def populate_ours(count: int) -> Mapping[str, float]:
    """Start, tell, weigh and stop ``count`` actors."""
    before = resident_bytes()
    refs = [LoopRemembering.start() for _ in range(count)]
    for ref in refs[:-1]:
        ref.tell(1)
    # Turns come in the order of readiness: when this one has replied the others have handled theirs.
    await refs[-1].ask_async(1)
    grown = resident_bytes() - before
    if any(ref.statistics().processed != 1 for ref in refs):
        raise RuntimeError("not every actor has handled its one message")
    began = time.perf_counter()
    await ActorSystem.current().stop_all()
    seconds = time.perf_counter() - began
    return {BYTES: grown / count, STOP: seconds / count * ACTORS}


def populate_pykka(count: int) -> Mapping[str, float]:
    """The same of Pykka's actors."""
    before = resident_bytes()
    refs = [PykkaRemembering.start() for _ in range(count)]
    for ref in refs:
        ref.ask(1)
    grown = resident_bytes() - before
    began = time.perf_counter()
    pykka.ActorRegistry.stop_all()
    seconds = time.perf_counter() - began
    return {BYTES: grown / count, STOP: seconds / count * ACTORS}


def resident_bytes() -> int:
    """What this process holds in memory now, without what waits to be collected."""
    gc.collect()
    return int(psutil.Process().memory_info().rss)


def ours(settings: Settings) -> Mapping[str, float]:
    """In the child."""
    return settings.run(populate_ours(settings.size(ACTORS)))


def baseline(settings: Settings) -> Mapping[str, float]:
    """In the child."""
    return populate_pykka(settings.size(THREADS))


def in_a_child(measure: Measurement, settings: Settings) -> Mapping[str, float]:
    """What ``measure`` returns in a fresh process."""
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=fresh) as child:
        return child.submit(measure, settings).result()


def ours_in_a_child(settings: Settings) -> Mapping[str, float]:
    """Weigh and stop ours."""
    return in_a_child(ours, settings)


def baseline_in_a_child(settings: Settings) -> Mapping[str, float]:
    """Weigh and stop Pykka's."""
    return in_a_child(baseline, settings)


CONTEST: Final = Contest(
    goals=(
        Goal(
            BYTES,
            "bytes",
            Target("ours", "<=", MAX_BYTES),
            f"ours of {ACTORS:,} actors, Pykka's of {THREADS:,}",
        ),
        Goal(
            STOP,
            "s",
            Target("ours", "<=", MAX_STOP_S),
            f"Pykka's: its stop_all() of {THREADS:,} actors, times {ACTORS // THREADS};"
            " it would not start as many",
        ),
    ),
    ours=ours_in_a_child,
    baseline=baseline_in_a_child,
)

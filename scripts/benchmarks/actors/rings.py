"""Hops per second of one token in a ring of actors: the price of one ``tell`` and one turn.

A ring keeps all but one actor idle, so that each hop pays for waking the next one; nothing is
saved by handling many messages in one turn.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final

import pykka

from apex_actors.actors import Actor, ActorSystem, Bound, Hooks, LoopActor, Options, PoolActor
from benchmarks.actors import stock
from benchmarks.contest import Contest
from benchmarks.figures import Goal, Target
from benchmarks.settings import Settings

ACTORS: Final = 100
HOPS: Final = 300_000
HOPS_BY_THREADS: Final = 20_000
"""Enough for where a hop goes from thread to thread."""

BOUND: Final = Bound(1_000)
"""Far more room than one token needs: what is measured is the look at it."""

WARM_UP: Final = 10
"""The first tenth of the hops is not measured."""

RING: Final = "ring_hops_per_s"


@dataclass(frozen=True, slots=True)
class Link:
    """To an actor of the ring: this one is next."""

    following: Any


class Passing:
    """Passes a number on, less by one; who gets 0 says that the token has arrived."""

    following: Any

    def __init__(self, arrived: Callable[[], object]) -> None:
        super().__init__()
        self.arrived = arrived

    def on_receive(self, message: Any) -> Any:
        """Handle a Link or the token."""
        if type(message) is Link:
            self.following = message.following
        elif message:
            self.following.tell(message - 1)
        else:
            self.arrived()


class PykkaPassing(Passing, pykka.ThreadingActor):
    """The baseline."""

    use_daemon_thread: ClassVar[bool] = True


class LoopPassing(Passing, LoopActor):
    """On the loop, with a plain handler."""


class AsyncPassing(Passing, LoopActor):
    """With a handler that could wait and does not."""

    async def on_receive(self, message: Any) -> None:
        """As Passing."""
        super().on_receive(message)


class PoolPassing(Passing, PoolActor):
    """On a pool of threads."""


async def ring_of_ours(
    kind: type[Actor], hops: int, *, bound: Bound | None = None, hooks: Hooks | None = None
) -> float:
    """Hops per second of the token in a ring of ``kind``."""
    loop = asyncio.get_running_loop()
    system = ActorSystem(loop=loop, hooks=hooks).install(loop)
    arrived = asyncio.Event()
    tell_loop = partial(loop.call_soon_threadsafe, arrived.set)
    refs = [kind.start_with(Options(mailbox=bound), tell_loop) for _ in range(ACTORS)]
    for ref, following in zip(refs, refs[1:] + refs[:1], strict=True):
        await ref.ask_async(Link(following))

    async def go_round(hops: int) -> None:
        arrived.clear()
        refs[0].tell(hops)
        await arrived.wait()

    await go_round(hops // WARM_UP)
    began = time.perf_counter()
    await go_round(hops)
    seconds = time.perf_counter() - began
    await system.stop_all()
    return hops / seconds


def ring_of_pykka(hops: int) -> float:
    """The same of Pykka's actors."""
    arrived = threading.Event()
    refs = [PykkaPassing.start(arrived.set) for _ in range(ACTORS)]
    for ref, following in zip(refs, refs[1:] + refs[:1], strict=True):
        ref.ask(Link(following))

    def go_round(hops: int) -> None:
        arrived.clear()
        refs[0].tell(hops)
        arrived.wait()

    go_round(hops // WARM_UP)
    began = time.perf_counter()
    go_round(hops)
    seconds = time.perf_counter() - began
    stock.stop_all()
    return hops / seconds


def ours(settings: Settings) -> Mapping[str, float]:
    """All rings of ours, one after the other."""
    hops, hops_by_threads = settings.size(HOPS), settings.size(HOPS_BY_THREADS)
    return {
        RING: settings.run(ring_of_ours(LoopPassing, hops)),
        f"{RING}_hooks": settings.run(ring_of_ours(LoopPassing, hops, hooks=Hooks())),
        f"{RING}_bounded": settings.run(ring_of_ours(LoopPassing, hops, bound=BOUND)),
        f"{RING}_async": settings.run(ring_of_ours(AsyncPassing, hops)),
        f"{RING}_pool": settings.run(ring_of_ours(PoolPassing, hops_by_threads)),
    }


def baseline(settings: Settings) -> Mapping[str, float]:
    """One ring of Pykka's, to which all of ours are compared."""
    rate = ring_of_pykka(settings.size(HOPS_BY_THREADS))
    return {goal.name: rate for goal in CONTEST.goals}


def _goal(kind: str, note: str) -> Goal:
    return Goal(f"{RING}_{kind}", "hops/s", note=note)


CONTEST: Final = Contest(
    goals=(
        Goal(RING, "hops/s", Target("ratio", ">=", 25)),
        _goal("hooks", "every message and life is told to hooks that do nothing"),
        _goal("bounded", "mailboxes with room for 1,000 messages"),
        _goal("async", "handlers that are async and do not wait"),
        _goal("pool", "actors of a pool of threads"),
    ),
    ours=ours,
    baseline=baseline,
)

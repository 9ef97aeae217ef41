"""How long a message waits for its turn while other actors never have nothing to do.

A probe is sent the time at which it is sent, and takes the difference when its handler begins. It
has nothing else to do, and is asked again some time after its reply; so each time it comes to the
end of the line of those that are ready, which is the worst place.

What the dispatcher promises (``dispatcher.py``): a turn ends after THROUGHPUT messages or, whatever
comes first, with the handler under way at TURN_S. Actors have their turns in the order in which
they became ready. So a message to an idle actor waits for at most one turn of each of the others:

    delay <= actors * (TURN_S + the time of one handler)

which for 1,000 busy actors with handlers of 5 microseconds is 1,005 ms, and for a hot one with
handlers of 20 microseconds 1.02 ms, however many messages it has waiting. Here handlers are so
short that a turn of the crowd ends by its THROUGHPUT messages already, long before TURN_S: of the
first bound less than a half is expected. DRAIN_S says how soon the loop looks at its sockets and
timers between turns; that delays those who send, and is no part of what is measured here but for
the loop's own passes (one in DRAIN_S, some ten microseconds each).

The bound of the crowd is its target. The one of the hot actor is doubled: the machine itself takes
the processor away now and then, for longer than a turn, and nobody here can promise otherwise.

Pykka has no turns, but threads for which the interpreter's lock is the line: it changes hands every
5 ms at best. Its crowd is a tenth of ours, because with 1,000 busy threads one reply takes ten
seconds and more, and so do starts and stops.
"""

import asyncio
import time
import timeit
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import pykka

from apex_actors.actors import ActorSystem, LoopActor
from apex_actors.actors.dispatcher import TURN_S
from benchmarks.actors import stock
from benchmarks.contest import Contest
from benchmarks.figures import Goal, Target, percentile
from benchmarks.settings import Settings

CROWD: Final = 1_000
CROWD_OF_PYKKA: Final = 100
CROWD_HANDLER_S: Final = 5e-6

WAITING: Final = 2
"""Messages of each busy actor: while it handles one there is always another."""

PROBES: Final = 20
"""Asked one by one and independently of each other, so that a few seconds give enough samples."""

WATCH_S: Final = 4.0
"""How long a crowd is watched."""

HOT_HANDLER_S: Final = 20e-6
HOT_BACKLOG: Final = 100_000

PAUSE_S: Final = 0.001
"""From a reply to the next question."""

CROWD_P50: Final = "turn_delay_ms_p50"
CROWD_P99: Final = "turn_delay_ms_p99"
HOT_P50: Final = "hot_actor_delay_ms_p50"
HOT_P99: Final = "hot_actor_delay_ms_p99"


def burn(steps: int) -> None:
    """Keep a processor busy."""
    for _ in range(steps):
        pass


def steps_for(seconds: float) -> int:
    """How many steps ``burn`` makes in that time on this machine, when nobody disturbs it."""
    steps = 10_000
    return max(1, round(seconds * steps / min(timeit.repeat(lambda: burn(steps), number=1))))


@dataclass
class Shift:
    """What all busy actors look at: whether to go on, and how many messages are left."""

    steps: int
    goes_on: bool = True
    left: int = 0


class Busy:
    """Handles a message for some time and tells itself another one, as long as the shift goes on."""

    actor_ref: Any

    def __init__(self, shift: Shift) -> None:
        super().__init__()
        self.shift = shift

    def on_receive(self, message: Any) -> Any:
        """Burn; again."""
        burn(self.shift.steps)
        if self.shift.goes_on:
            self.actor_ref.tell(message)


class Hot:
    """Handles each message for some time, and counts down those that wait."""

    def __init__(self, shift: Shift) -> None:
        super().__init__()
        self.shift = shift

    def on_receive(self, _message: Any) -> Any:
        """Burn."""
        burn(self.shift.steps)
        self.shift.left -= 1


class Probe:
    """Replies how long ago the message says that it was sent, in seconds."""

    def on_receive(self, sent_s: float) -> Any:
        """The age of the message."""
        return time.perf_counter() - sent_s


class LoopBusy(Busy, LoopActor):
    """One of our crowd."""


class LoopHot(Hot, LoopActor):
    """Our hot actor."""


class LoopProbe(Probe, LoopActor):
    """Our probe."""


class PykkaBusy(Busy, pykka.ThreadingActor):
    """One of Pykka's crowd."""

    use_daemon_thread: ClassVar[bool] = True


class PykkaHot(Hot, pykka.ThreadingActor):
    """Pykka's hot actor."""

    use_daemon_thread: ClassVar[bool] = True


class PykkaProbe(Probe, pykka.ThreadingActor):
    """Pykka's probe."""

    use_daemon_thread: ClassVar[bool] = True


async def watch_our_crowd(actors: int, watch_s: float) -> list[float]:
    """The delays of our probes beside that many busy actors, in seconds."""
    shift = Shift(steps_for(CROWD_HANDLER_S))
    for ref in [LoopBusy.start(shift) for _ in range(actors)]:
        for _ in range(WAITING):
            ref.tell("go on")
    delays_s: list[float] = []
    until = time.perf_counter() + watch_s

    async def ask_again_and_again(number: int) -> None:
        probe = LoopProbe.start()
        # Not all at once: side by side in the line they would measure one delay twenty times.
        await asyncio.sleep(number * watch_s / PROBES / 10)
        while not delays_s or time.perf_counter() < until:
            delays_s.append(await probe.ask_async(time.perf_counter()))
            await asyncio.sleep(PAUSE_S)

    await asyncio.gather(*map(ask_again_and_again, range(PROBES)))
    shift.goes_on = False
    await ActorSystem.current().stop_all()
    return delays_s


def watch_crowd_of_pykka(actors: int, watch_s: float) -> list[float]:
    """The same of Pykka's, whose probes are asked side by side."""
    shift = Shift(steps_for(CROWD_HANDLER_S))
    crowd = [PykkaBusy.start(shift) for _ in range(actors)]
    probes = [PykkaProbe.start() for _ in range(PROBES)]
    for ref in crowd:
        for _ in range(WAITING):
            ref.tell("go on")
    delays_s: list[float] = []
    until = time.perf_counter() + watch_s
    while not delays_s or time.perf_counter() < until:
        replies = [probe.ask(time.perf_counter(), block=False) for probe in probes]
        delays_s += pykka.get_all(replies)
        time.sleep(PAUSE_S)
    shift.goes_on = False
    stock.stop_all()
    return delays_s


async def watch_our_hot_actor(backlog: int) -> list[float]:
    """The delays of a probe beside one actor with that many messages waiting, in seconds."""
    shift = Shift(steps_for(HOT_HANDLER_S), left=backlog)
    hot, probe = LoopHot.start(shift), LoopProbe.start()
    for _ in range(backlog):
        hot.tell("one of many")
    delays_s: list[float] = []
    while shift.left:
        delays_s.append(await probe.ask_async(time.perf_counter()))
        await asyncio.sleep(PAUSE_S)
    await ActorSystem.current().stop_all()
    return delays_s


def watch_hot_actor_of_pykka(backlog: int) -> list[float]:
    """The same of Pykka's."""
    shift = Shift(steps_for(HOT_HANDLER_S), left=backlog)
    hot, probe = PykkaHot.start(shift), PykkaProbe.start()
    for _ in range(backlog):
        hot.tell("one of many")
    delays_s: list[float] = []
    while shift.left:
        delays_s.append(probe.ask(time.perf_counter(), block=True))
        time.sleep(PAUSE_S)
    stock.stop_all()
    return delays_s


def our_crowd(settings: Settings) -> Mapping[str, float]:
    """Watch ours."""
    actors, watch_s = settings.size(CROWD), settings.seconds(WATCH_S)
    return _crowd(settings.run(watch_our_crowd(actors, watch_s)))


def crowd_of_pykka(settings: Settings) -> Mapping[str, float]:
    """Watch Pykka's."""
    return _crowd(watch_crowd_of_pykka(settings.size(CROWD_OF_PYKKA), settings.seconds(WATCH_S)))


def our_hot_actor(settings: Settings) -> Mapping[str, float]:
    """Watch ours."""
    return _hot(settings.run(watch_our_hot_actor(settings.size(HOT_BACKLOG))))


def hot_actor_of_pykka(settings: Settings) -> Mapping[str, float]:
    """Watch Pykka's."""
    return _hot(watch_hot_actor_of_pykka(settings.size(HOT_BACKLOG)))


def _crowd(delays_s: list[float]) -> Mapping[str, float]:
    return {
        CROWD_P99: 1000 * percentile(delays_s, 99),
        CROWD_P50: 1000 * percentile(delays_s, 50),
    }


def _hot(delays_s: list[float]) -> Mapping[str, float]:
    return {HOT_P99: 1000 * percentile(delays_s, 99), HOT_P50: 1000 * percentile(delays_s, 50)}


_CROWD_NOTE: Final = (
    f"ours beside {CROWD:,} busy actors, Pykka's beside {CROWD_OF_PYKKA:,};"
    f" handlers of {1e6 * CROWD_HANDLER_S:g} microseconds"
)
_HOT_NOTE: Final = (
    f"beside one actor with {HOT_BACKLOG:,} messages waiting;"
    f" handlers of {1e6 * HOT_HANDLER_S:g} microseconds"
)

CONTESTS: Final = (
    Contest(
        goals=(
            Goal(
                CROWD_P99,
                "ms",
                Target("ours", "<=", 1000 * CROWD * (TURN_S + CROWD_HANDLER_S)),
                _CROWD_NOTE,
            ),
            Goal(CROWD_P50, "ms", note=_CROWD_NOTE),
        ),
        ours=our_crowd,
        baseline=crowd_of_pykka,
    ),
    Contest(
        goals=(
            Goal(
                HOT_P99,
                "ms",
                Target("ours", "<=", 2 * 1000 * (TURN_S + HOT_HANDLER_S)),
                _HOT_NOTE,
            ),
            Goal(HOT_P50, "ms", note=_HOT_NOTE),
        ),
        ours=our_hot_actor,
        baseline=hot_actor_of_pykka,
    ),
)

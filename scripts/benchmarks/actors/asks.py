"""Replies per second to one who asks again as soon as there is a reply.

Ours is asked by a coroutine that awaits each reply, Pykka's by the main thread, which blocks.
"""

import time
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import pykka

from apex_actors.actors import ActorSystem, LoopActor
from benchmarks.actors import stock
from benchmarks.contest import Contest
from benchmarks.figures import Goal, Target
from benchmarks.settings import Settings

ASKED: Final = 50_000
ASKED_OF_PYKKA: Final = 5_000
ASKS: Final = "ask_per_s"

WARM_UP: Final = 10
"""A tenth as many are asked before, and not measured."""


class Echoing:
    """Replies what it was asked."""

    def on_receive(self, message: Any) -> Any:
        """The reply is the message."""
        return message


class LoopEcho(Echoing, LoopActor):
    """Ours."""


class PykkaEcho(Echoing, pykka.ThreadingActor):
    """The baseline."""

    use_daemon_thread: ClassVar[bool] = True


async def ask_ours(count: int) -> float:
    """Replies per second."""
    ref = LoopEcho.start()
    for number in range(count // WARM_UP):
        await ref.ask_async(number)
    began = time.perf_counter()
    for number in range(count):
        await ref.ask_async(number)
    seconds = time.perf_counter() - began
    await ActorSystem.current().stop_all()
    return count / seconds


def ask_pykka(count: int) -> float:
    """The same of Pykka's actor."""
    ref = PykkaEcho.start()
    for number in range(count // WARM_UP):
        ref.ask(number, block=True)
    began = time.perf_counter()
    for number in range(count):
        ref.ask(number, block=True)
    seconds = time.perf_counter() - began
    stock.stop_all()
    return count / seconds


def ours(settings: Settings) -> Mapping[str, float]:
    """Ask ours."""
    return {ASKS: settings.run(ask_ours(settings.size(ASKED)))}


def baseline(settings: Settings) -> Mapping[str, float]:
    """Ask Pykka's."""
    return {ASKS: ask_pykka(settings.size(ASKED_OF_PYKKA))}


CONTEST: Final = Contest(
    goals=(Goal(ASKS, "replies/s", Target("ratio", ">=", 8)),), ours=ours, baseline=baseline
)

"""The end of a system in phases: first nobody new, then what is under way, then the actors."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import IntEnum

from apex_actors.actors.errors import StopTimeoutError
from apex_actors.actors.system import ActorSystem

logger = logging.getLogger("apex_actors.actors")

Step = Callable[[], Awaitable[object]]


class ShutdownPhase(IntEnum):
    """What is done in which order; steps of one phase run side by side."""

    REFUSE = 10
    """Take nothing new: close listeners, refuse messages."""

    DRAIN = 20
    """Let what is under way come to an end, or hand it over."""

    STOP = 30
    """Stop the actors: children before parents, all trees at once."""

    RELEASE = 40
    """Close what the actors used: pools, files, connections."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """How one step of a shutdown went."""

    phase: ShutdownPhase
    name: str
    took_s: float
    error: BaseException | None
    """What it raised; a TimeoutError when the time of its phase was up."""


@dataclass(frozen=True, slots=True)
class ShutdownReport:
    """How a shutdown went, step by step."""

    steps: tuple[StepReport, ...]

    @property
    def is_clean(self) -> bool:
        """Whether no step failed or took too long."""
        return all(step.error is None for step in self.steps)


@dataclass(slots=True)
class Shutdown:
    """Ends a system in the order of ShutdownPhase; each phase has its time, in seconds.

    A step that fails or takes too long is reported and holds nothing else up. Actors that do not
    stop within the time of STOP are killed, and given ``kill_s`` for that. ``run`` may be called
    from several places: all await the one shutdown.
    """

    system: ActorSystem = field(default_factory=ActorSystem.current)
    limits_s: dict[ShutdownPhase, float] = field(
        default_factory=lambda: dict.fromkeys(ShutdownPhase, 5.0)
    )
    kill_s: float = 1.0
    _steps: list[tuple[ShutdownPhase, str, Step]] = field(default_factory=list)
    _running: "asyncio.Task[ShutdownReport] | None" = None

    def add(self, phase: ShutdownPhase, name: str, step: Step) -> None:
        """Await ``step()`` in ``phase``; ``name`` stands in the report and the log."""
        self._steps.append((phase, name, step))

    async def run(self) -> ShutdownReport:
        """Go through the phases; returns when the last one has ended, and never raises for a step."""
        if self._running is None:
            self._running = asyncio.ensure_future(self._run())
        return await asyncio.shield(self._running)

    async def _run(self) -> ShutdownReport:
        reports: list[StepReport] = []
        for phase in ShutdownPhase:
            steps = [(name, step) for at, name, step in self._steps if at is phase]
            if phase is ShutdownPhase.STOP:
                steps.append(("actors", self._stop_actors))
            limit_s = self.limits_s.get(phase, 5.0)
            if phase is ShutdownPhase.STOP:
                limit_s += self.kill_s * 2  # the actors' own step keeps to its time by itself
            reports += await asyncio.gather(
                *(_report(phase, name, step, limit_s) for name, step in steps)
            )
        return ShutdownReport(tuple(reports))

    async def _stop_actors(self) -> None:
        try:
            await self.system.stop_all(self.limits_s.get(ShutdownPhase.STOP, 5.0))
        except StopTimeoutError as late:
            logger.warning("Killing what did not stop: %s", late)
            await self.system.stop_all(self.kill_s, kill=True)


async def _report(phase: ShutdownPhase, name: str, step: Step, limit_s: float) -> StepReport:
    began = time.monotonic()
    error: BaseException | None = None
    task = asyncio.ensure_future(_awaited(step))
    # Not asyncio.timeout: a step that swallows its cancellation would hold everything up.
    done, _ = await asyncio.wait([task], timeout=limit_s)
    if not done:
        task.cancel()
        error = TimeoutError(f"it took longer than {limit_s} s")
    elif task.cancelled():
        error = asyncio.CancelledError("what it awaited was cancelled")
    else:
        error = task.exception()
    if error is not None:
        logger.warning("Shutdown: %s (%s) failed: %r", name, phase.name, error)
    return StepReport(phase, name, time.monotonic() - began, error)


async def _awaited(step: Step) -> None:
    await step()

"""A world of actors for one test: made, watched over, and gone without a trace."""

import asyncio
import inspect
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self, TypedDict, TypeVar, Unpack

from apex_actors.actors import (
    ActorRef,
    ActorSystem,
    DeadLetter,
    Hooks,
    LoopDispatcher,
    StopTimeoutError,
    Supervision,
)
from apex_actors.actors.supervision import STOPPING
from apex_actors.actors.testing.kit_system import KitSystem
from apex_actors.actors.testing.labels import actor_label
from apex_actors.actors.testing.leaks import LeakCheck
from apex_actors.actors.testing.probe import Probe, ProbeActor
from apex_actors.actors.testing.shuffling import ShuffledDispatcher
from apex_actors.actors.testing.stepping import SteppingDispatcher
from apex_actors.actors.testing.turns import Turn, TurnByTurnDispatcher
from apex_actors.actors.testing.virtual_clock import VirtualClock, VirtualTimeLoop

T = TypeVar("T")

#: How long actors may take for their ``on_stop`` at the end of a test, in seconds of its loop.
STOP_WITHIN_S: Final = 10.0

#: Threads of a test's pool: enough for handlers that wait for each other, few enough to be read.
POOL_SIZE: Final = 4

#: Turns after which ``run_until_idle`` takes the actors for busy for ever.
MAX_TURNS: Final = 100_000

#: Turns of a schedule that a failure tells.
LAST_TURNS: Final = 20


class KitOptions(TypedDict, total=False):
    """What ``run``, ``explore`` and ActorTestKit hand on to the system of the test."""

    supervision: Supervision
    hooks: Hooks | None
    pool_size: int
    stop_within_s: float


class ActorTestKit:
    """The system of the running event loop for the length of a test: ``async with ActorTestKit():``.

    ``MyActor.start()`` uses it, and it can start probes, collects dead letters, and is on the loop's
    clock: virtual where that is a VirtualTimeLoop. With ``stepping`` actors of the loop handle
    messages when ``step`` says so; with a ``seed`` they do so in a shuffled order. At the end it
    kills all actors (their ``on_stop`` runs, what waits for them does not), gives them
    ``stop_within_s`` seconds, and raises AssertionError for whatever the test has left behind; where
    the test has failed itself, that becomes a note of its failure.
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        stepping: bool = False,
        supervision: Supervision = STOPPING,
        hooks: Hooks | None = None,
        pool_size: int = POOL_SIZE,
        stop_within_s: float = STOP_WITHIN_S,
    ) -> None:
        if stepping and seed is not None:
            raise ValueError("either the test chooses the turns, by stepping, or the seed does")
        self.seed = seed
        self.dead_letters: list[DeadLetter] = []
        self._stepping = stepping
        self._supervision = supervision
        self._hooks = hooks
        self._pool_size = pool_size
        self._stop_within_s = stop_within_s
        self._system: KitSystem | None = None
        self._earlier: ActorSystem | None = None
        self._leaks: LeakCheck | None = None
        self._never_stepped: list[str] = []
        self._unwatch_work: Callable[[], None] = lambda: None

    async def __aenter__(self) -> Self:
        if self._system is not None:
            raise RuntimeError("a kit is for one test: make another one")
        loop = asyncio.get_running_loop()
        self._system = system = KitSystem(
            loop,
            dispatcher=self._new_dispatcher,
            supervision=self._supervision,
            hooks=self._hooks,
            pool_size=self._pool_size,
        )
        system.dead_letters.subscribe(self.dead_letters.append)
        self._leaks = LeakCheck(system)
        self._earlier = ActorSystem._of_loop.get(loop)  # noqa: SLF001 - no public way to look
        system.install(loop)
        if isinstance(loop, VirtualTimeLoop):
            self._unwatch_work = loop.watch_work(system.is_at_work)
        return self

    async def __aexit__(
        self,
        _exception_type: type[BaseException] | None,
        failure: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        try:
            await self._end()
        except Exception as error:
            if failure is None:
                raise
            failure.add_note(f"and at the end of the test: {error}")
        finally:
            self._uninstall()

    # What there is.

    @property
    def system(self) -> ActorSystem:
        """The system of the test."""
        return self._kit_system

    @property
    def clock(self) -> VirtualClock:
        """The virtual clock; raises TypeError where the loop is on real time."""
        return VirtualClock()

    def now(self) -> float:
        """The time on the loop's clock in seconds, virtual or real."""
        return self._kit_system.loop_dispatcher.loop.time()

    def probe(self, name: str | None = None) -> Probe:
        """A new probe; its name is that of its actor."""
        return Probe(self._kit_system, name=name)

    # Turns.

    def ready(self) -> list[ActorRef[Any]]:
        """With ``stepping``: who has something to do, longest ready first."""
        return self._stepper.ready()

    def step(self, ref: ActorRef[Any] | None = None) -> Any:
        """With ``stepping``: have ``ref``, or the next ready actor, handle one message.

        Returns the message; None where only ``on_start`` or something of the runtime's own (a kill,
        a restart, a watch) was due, which goes before messages. Raises AssertionError when there is
        nothing to do. An ``async`` handler goes on by itself behind its first wait.
        """
        return self._stepper.step(ref)

    async def run_until_idle(self, *, max_turns: int = MAX_TURNS) -> None:
        """Have all done that can be done without time passing.

        With ``stepping`` this takes turns, and raises AssertionError after ``max_turns`` of them. On
        a loop of real time it does not wait for what handlers await.
        """
        loop = self._kit_system.loop_dispatcher.loop
        turns = 0
        while True:
            while self._stepping and self.ready():
                self.step()
                turns += 1
                if turns > max_turns:
                    ready = ", ".join(map(actor_label, self.ready()))
                    raise AssertionError(f"not idle after {max_turns} turns; ready: {ready}")
            await (self.clock.settle() if isinstance(loop, VirtualTimeLoop) else asyncio.sleep(0))
            if not (self._stepping and self.ready()):
                return

    @property
    def history(self) -> list[Turn]:
        """With ``stepping`` or a ``seed``: the turns so far, oldest first."""
        dispatcher = self._kit_system.loop_dispatcher
        return dispatcher.history if isinstance(dispatcher, TurnByTurnDispatcher) else []

    def explain(self, failure: BaseException, *, last: int = LAST_TURNS) -> None:
        """Add notes to ``failure``: the seed, the ``last`` turns, who was ready and had no turn."""
        if self.seed is not None:
            failure.add_note(f"seed {self.seed}: the same seed gives the same order of turns")
        if self._system is None:
            return
        if self._never_stepped:
            failure.add_note(f"ready, but no step was taken: {', '.join(self._never_stepped)}")
        history = self.history
        if history:
            turns = "".join(f"\n  {turn}" for turn in history[-last:])
            failure.add_note(f"the last {min(last, len(history))} of {len(history)} turns:{turns}")

    # Behind the scenes.

    @property
    def _kit_system(self) -> KitSystem:
        if self._system is None:
            raise RuntimeError("the kit begins with: async with ActorTestKit() as kit")
        return self._system

    @property
    def _stepper(self) -> SteppingDispatcher:
        dispatcher = self._kit_system.loop_dispatcher
        if not isinstance(dispatcher, SteppingDispatcher):
            raise TypeError("actors have their turns by themselves here: give stepping=True")
        return dispatcher

    def _new_dispatcher(self, loop: asyncio.AbstractEventLoop) -> LoopDispatcher:
        clock = loop.time if isinstance(loop, VirtualTimeLoop) else None
        if self._stepping:
            return SteppingDispatcher(loop, clock=clock, automatic=(ProbeActor,))
        if self.seed is not None:
            return ShuffledDispatcher(loop, seed=self.seed, clock=clock)
        return LoopDispatcher(loop, clock=clock)

    async def _end(self) -> None:
        system = self._kit_system
        loop = asyncio.get_running_loop()
        if isinstance(loop, VirtualTimeLoop):
            loop.auto_advance = True
        dispatcher = system.loop_dispatcher
        if isinstance(dispatcher, TurnByTurnDispatcher):
            dispatcher.recording = False  # what the test did is over
        if isinstance(dispatcher, SteppingDispatcher):
            self._never_stepped = [actor_label(ref) for ref in dispatcher.ready()]
            dispatcher.release()
        with suppress(StopTimeoutError):  # who is still there is named as left behind
            await system.stop_all(self._stop_within_s, kill=True)
        assert self._leaks is not None  # noqa: S101 - set with the system
        await self._leaks.assert_nothing_left()

    def _uninstall(self) -> None:
        self._unwatch_work()
        loop = asyncio.get_running_loop()
        if self._earlier is not None:
            self._earlier.install(loop)
        else:
            ActorSystem._of_loop.pop(loop, None)  # noqa: SLF001 - no public way to leave


Scenario = Callable[[ActorTestKit], Awaitable[T]] | Callable[[], Awaitable[T]]
"""An async function: what happens in a test. It may take the kit."""


def run(
    scenario: Scenario[T],
    *,
    seed: int | None = None,
    stepping: bool = False,
    virtual_time: bool = True,
    auto_advance: bool = True,
    **options: Unpack[KitOptions],
) -> T:
    """Run ``await scenario(kit)`` on a fresh event loop with an ActorTestKit, and return its result.

    The loop is a VirtualTimeLoop, with ``auto_advance`` or without, where ``virtual_time`` is left
    on; else one of real time. With a ``seed``, Python's own ``random`` is seeded as well, and a
    failure has notes of the seed and of the last turns. What raises outside of everybody's await (a
    forgotten task, a callback of the loop) is an AssertionError here. Not from a coroutine: there,
    use ``async with ActorTestKit()``.
    """
    kit = ActorTestKit(seed=seed, stepping=stepping, **options)
    return run_kit(kit, scenario, virtual_time=virtual_time, auto_advance=auto_advance)


def run_kit(
    kit: ActorTestKit,
    scenario: Scenario[T],
    *,
    virtual_time: bool = True,
    auto_advance: bool = True,
    last: int = LAST_TURNS,
) -> T:
    """As ``run``, with a kit that is there but not entered yet; ``last`` turns are told."""
    if asyncio._get_running_loop() is not None:  # noqa: SLF001 - no exception where there is none
        raise RuntimeError("a loop runs here: use async with ActorTestKit() as kit")
    reported: list[dict[str, Any]] = []

    def new_loop() -> asyncio.AbstractEventLoop:
        loop: asyncio.AbstractEventLoop
        if virtual_time:
            loop = VirtualTimeLoop(auto_advance=auto_advance)
        else:
            loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda _loop, context: reported.append(context))
        return loop

    randomness = random.getstate()
    try:
        if kit.seed is not None:
            random.seed(kit.seed)
        with asyncio.Runner(loop_factory=new_loop) as runner:
            result = runner.run(_play(scenario, kit))
        _raise_first(reported)
        return result
    except BaseException as failure:
        kit.explain(failure, last=last)
        raise
    finally:
        random.setstate(randomness)


def _raise_first(reported: list[dict[str, Any]]) -> None:
    """Raise what the event loop had nobody to raise it to."""
    if reported:
        first = reported[0]
        said = f"the event loop reported: {first['message']}"
        raise AssertionError(said) from first.get("exception")


async def _play(scenario: Scenario[T], kit: ActorTestKit) -> T:
    play: Callable[..., Awaitable[T]] = scenario
    parameters = inspect.signature(play).parameters.values()
    positional = {
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    }
    takes_kit = any(one.default is one.empty and one.kind in positional for one in parameters)
    async with kit:
        return await (play(kit) if takes_kit else play())

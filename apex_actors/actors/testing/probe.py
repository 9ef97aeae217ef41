"""An actor for tests: it takes all that it is told, and the test says what that should have been."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar, overload

import pykka

from apex_actors.actors import ActorRef, ActorSystem, LoopActor, Options, Terminated
from apex_actors.actors.testing.expectation import Assignment, Expectation
from apex_actors.actors.testing.labels import actor_label
from apex_actors.actors.testing.virtual_clock import VirtualClock, VirtualTimeLoop

T = TypeVar("T")

#: How long a message may take where the test says nothing else, in seconds.
WITHIN_S: Final = 1.0

#: How many of the messages that came before a failure tells.
_TOLD: Final = 5


class Probe:
    """Stands in for an actor: give ``probe.ref`` to the actors under test, and expect messages.

    Expectations take the messages in the order in which they came; what came before the
    expectation counts. Seconds are those of the event loop, virtual or real; on virtual time what
    comes at the very moment of a deadline is within it. Where the loop's time
    stands still (a VirtualTimeLoop without auto_advance), ``expect`` waits for what can happen now
    and ``expect_no_message`` lets its time pass. What is expected is a message to be equal to, a
    type, or a function that says whether a message will do. Failures are AssertionErrors.
    """

    def __init__(self, system: ActorSystem, *, name: str | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._arrivals: list[_Arrival] = []
        self._unread: deque[_Arrival] = deque()
        self._last_read: _Arrival | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._watched: set[ActorRef[Any]] = set()
        self._ref = system.start_with(Options(name=name), ProbeActor, self._take)

    def __repr__(self) -> str:
        return f"<Probe {actor_label(self._ref)}>"

    @property
    def ref(self) -> ActorRef["ProbeActor"]:
        """The actor that others are to talk to."""
        return self._ref

    @property
    def received(self) -> list[Any]:
        """All messages so far, also those that were expected already."""
        return [arrival.message for arrival in self._arrivals]

    @overload
    async def expect(self, expected: type[T], *, within_s: float = WITHIN_S) -> T: ...

    @overload
    async def expect(self, expected: Any, *, within_s: float = WITHIN_S) -> Any: ...

    async def expect(self, expected: Any, *, within_s: float = WITHIN_S) -> Any:
        """Wait for the next message, which must be the expected one; returns it."""
        return await self._expect(Expectation(expected), within_s)

    async def expect_all_of(self, *expected: Any, within_s: float = WITHIN_S) -> list[Any]:
        """Wait for as many messages, which must be those expected, in whatever order they come.

        Returns them in the order of the expectations. ``within_s`` is for all of them together.
        """
        assignment = Assignment([Expectation(one) for one in expected])
        began = self._loop.time()
        while missing := assignment.missing():
            awaited = ", ".join(map(str, missing))
            arrival = await self._next(began + within_s)
            if arrival is None:
                raise AssertionError(self._nothing_came(awaited, within_s, began))
            if not assignment.take(arrival.message):
                raise AssertionError(self._came_instead(awaited, arrival, began))
        return assignment.messages()

    async def expect_no_message(self, for_s: float) -> None:
        """Wait ``for_s`` seconds, in which nothing must come, and nothing that came be unread."""
        began = self._loop.time()
        if isinstance(self._loop, VirtualTimeLoop) and not self._loop.auto_advance:
            await VirtualClock(self._loop).advance(for_s)
        arrival = await self._next(began + for_s)
        if arrival is not None:
            expected = f"no message for {for_s:g} s"
            raise AssertionError(self._came_instead(expected, arrival, began))

    async def expect_terminated(
        self, ref: ActorRef[Any], *, within_s: float = WITHIN_S
    ) -> Terminated:
        """Wait for the next message, which must be that ``ref`` has ended; it need not be watched yet."""
        self.watch(ref)
        self._watched.discard(ref)

        def is_terminated(message: Any) -> bool:
            return isinstance(message, Terminated) and message.ref is ref

        expectation = Expectation(is_terminated, f"Terminated of {actor_label(ref)}")
        terminated: Terminated = await self._expect(expectation, within_s)
        return terminated

    def watch(self, ref: ActorRef[Any]) -> None:
        """Have the probe told Terminated, once, when ``ref`` ends or if it has."""
        if ref not in self._watched:
            self._watched.add(ref)
            self._ref.tell(_Watch(ref))

    def reply(self, value: Any) -> None:
        """Answer the last ask: that which was expected last, else that which came last.

        An exception is raised at the asker. Raises AssertionError when no ask waits for an answer.
        """
        asks = [arrival for arrival in self._arrivals if arrival.answer is not None]
        if self._last_read in asks:
            asks.append(self._last_read)
        if not asks:
            raise AssertionError(f"{self!r} has no ask to reply to; {self._came_before()}")
        asks[-1].reply(value)

    async def _expect(self, expectation: Expectation, within_s: float) -> Any:
        began = self._loop.time()
        arrival = await self._next(began + within_s)
        if arrival is None:
            raise AssertionError(self._nothing_came(str(expectation), within_s, began))
        if not expectation.matches(arrival.message):
            raise AssertionError(self._came_instead(str(expectation), arrival, began))
        return arrival.message

    def _take(self, arrival: "_Arrival") -> None:
        self._arrivals.append(arrival)
        self._unread.append(arrival)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _next(self, until: float) -> "_Arrival | None":
        """The next message; None when none has come until then."""
        if not self._unread:
            loop = self._loop
            if isinstance(loop, VirtualTimeLoop) and not loop.auto_advance:
                await VirtualClock(loop).settle()
            else:
                await self._wait(until)
        if not self._unread:
            return None
        self._last_read = self._unread.popleft()
        return self._last_read

    async def _wait(self, until: float) -> None:
        self._waiter = self._loop.create_future()
        try:
            async with asyncio.timeout_at(until):
                await self._waiter
        except TimeoutError:
            # What comes at the very moment of the deadline comes in time.
            if isinstance(self._loop, VirtualTimeLoop):
                await VirtualClock(self._loop).settle()
        finally:
            self._waiter = None

    def _nothing_came(self, expected: str, within_s: float, began: float) -> str:
        waited_s = self._loop.time() - began
        stands = (
            " (time stands still: auto_advance is off)"
            if isinstance(self._loop, VirtualTimeLoop) and not self._loop.auto_advance
            else ""
        )
        return (
            f"{self!r} expected {expected} within {within_s:g} s, but nothing came in "
            f"{waited_s:g} s{stands}; {self._came_before()}"
        )

    def _came_instead(self, expected: str, arrival: "_Arrival", began: float) -> str:
        waited_s = self._loop.time() - began
        return (
            f"{self!r} expected {expected}, but after {waited_s:g} s came {arrival.message!r}; "
            f"{self._came_before(arrival)}"
        )

    def _came_before(self, arrival: "_Arrival | None" = None) -> str:
        arrivals = self._arrivals
        before = arrivals if arrival is None else arrivals[: arrivals.index(arrival)]
        if not before:
            return "nothing had come before"
        told = ", ".join(repr(one.message) for one in before[-_TOLD:])
        more = f" ({len(before) - _TOLD} more before them)" if len(before) > _TOLD else ""
        return f"before it had come: {told}{more}"


class ProbeActor(LoopActor):
    """The actor of a Probe: hands all it is told on, and keeps who asks waiting for ``reply``.

    When it ends, whoever still waits is told ActorDeadError.
    """

    def __init__(self, take: Callable[["_Arrival"], None]) -> None:
        super().__init__()
        self._take = take
        self._asks: list[_Arrival] = []

    def on_receive(self, message: Any) -> None:
        if isinstance(message, _Watch):
            self.watch(message.ref)
            return
        arrival = _Arrival(message)
        if self.ref.cell.current[1] is not None:
            arrival.answer = self.defer_reply()
            self._asks = [ask for ask in self._asks if ask.answer is not None]
            self._asks.append(arrival)
        self._take(arrival)

    def on_stop(self) -> None:
        for ask in self._asks:
            if ask.answer is not None:
                ask.reply(pykka.ActorDeadError(f"{self.ref} ended without a reply"))


@dataclass(eq=False, slots=True)
class _Arrival:
    """A message that came, and how to answer whoever asks and has no answer yet."""

    message: Any
    answer: Callable[[Any], None] | None = None

    def reply(self, value: Any) -> None:
        answer, self.answer = self.answer, None
        if answer is not None:
            answer(value)


@dataclass(frozen=True, slots=True)
class _Watch:
    """To a probe: watch ``ref``."""

    ref: ActorRef[Any]

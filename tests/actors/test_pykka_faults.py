"""Faults of Pykka 4.5 that must not be ours: a test for each, with what Pykka does in its docstring."""

import asyncio
import contextlib
import gc
import threading
import weakref

import pytest

from apex_actors.actors import (
    ActorDeadError,
    ActorRegistry,
    ActorStartError,
    DeadLetterReason,
    LoopActor,
    PoolActor,
    StopReason,
    ThreadActor,
    lifecycle,
)

pytestmark = pytest.mark.usefixtures("expected_failures_are_quiet")

ACTOR_TYPES = [LoopActor, PoolActor, ThreadActor]


@pytest.fixture(params=ACTOR_TYPES, ids=lambda kind: kind.__name__)
def actor_type(request):
    return request.param


def echo(actor_type):
    class Echo(actor_type):
        def on_receive(self, message):
            if isinstance(message, BaseException):
                # A new one: a frame that holds what it raises is a cycle of the handler's own.
                raise type(message)(*message.args)
            return message() if callable(message) else message

    return Echo


async def test_an_asker_that_resolves_the_reply_first_leaves_no_zombie(system, actor_type):
    """Pykka: ``reply_to.set`` raises queue.Full, the loop dies and the registry still lists it."""
    ref = system.start(echo(actor_type))
    entered, gate = threading.Event(), threading.Event()
    ref.tell(lambda: (entered.set(), gate.wait(5) if actor_type is not LoopActor else None))
    futures = [ref.ask(message, block=False) for message in ("reply", ValueError("error"))]
    for future in futures:
        future.set("the asker has given up")
    gate.set()
    assert await ref.ask_async("still here", timeout=5) == "still here"
    assert ref.is_alive()
    assert ref in ActorRegistry.get_all()


@pytest.mark.parametrize("error", [BaseException, SystemExit, KeyboardInterrupt, GeneratorExit])
async def test_a_base_exception_ends_the_one_actor_that_raised_it(system, actor_type, error):
    """Pykka: ``ActorRegistry.stop_all()``, whoever else there is."""
    bystander, ref = system.start(echo(actor_type)), system.start(echo(actor_type))
    ref.tell(error("not for others"))
    await asyncio.wait_for(ref.stopped(), 5)
    assert not ref.is_alive()
    assert await bystander.ask_async("unharmed", timeout=5) == "unharmed"


@pytest.mark.parametrize("error", [BaseException, SystemExit, KeyboardInterrupt])
async def test_who_asked_for_what_ended_in_a_base_exception_is_told(system, actor_type, error):
    """Pykka: the reply is never set, the asker waits for ever."""
    ref = system.start(echo(actor_type))
    with pytest.raises(ActorDeadError) as raised:
        await ref.ask_async(error("x"), timeout=5)
    assert isinstance(raised.value.__cause__, error)


async def test_stopping_all_actors_on_a_base_exception_can_be_switched_on(system):
    """Pykka's way, for who relies on it."""

    class Strict(LoopActor):
        stops_all_on_base_exception = True

        def on_receive(self, message):
            raise BaseException(message)  # noqa: TRY002 - what this is about

    bystander, ref = system.start(echo(LoopActor)), system.start(Strict)
    ref.tell("x")
    await asyncio.wait_for(bystander.stopped(), 5)


async def test_a_message_put_while_the_actor_ends_is_answered(system, monkeypatch):
    """Pykka: put behind the teardown it stays in the queue, and its asker waits for ever."""
    ref = system.start(echo(LoopActor))
    await ref.started()
    envelope_of = ref.envelope

    def end_between_look_and_put(*args):
        # What another thread does between is_alive() and put().
        monkeypatch.setattr(ref, "envelope", envelope_of)
        lifecycle.begin_stop(ref.cell, StopReason.KILLED)
        return envelope_of(*args)

    monkeypatch.setattr(ref, "envelope", end_between_look_and_put)
    with pytest.raises(ActorDeadError):
        await asyncio.wait_for(ref.ask("late", block=False), 5)
    assert system.dead_letters.counts()[DeadLetterReason.STOPPED] >= 1


async def test_no_asker_is_left_waiting_however_sends_and_stops_race(
    system, actor_type, eventually
):
    """As above, from threads that send as fast as they can while the actor stops."""
    for _ in range(20):
        ref = system.start(echo(actor_type))
        futures = []

        def send(ref=ref, futures=futures):
            for _ in range(200):
                futures.append(ref.ask("x", block=False))
                ref.cell.mailbox.push(("told", None, None, 0.0))

        threads = [threading.Thread(target=send) for _ in range(3)]
        for thread in threads:
            thread.start()
        await eventually(lambda futures=futures: len(futures) >= 30)
        ref.stop(block=False)
        for thread in threads:
            await asyncio.to_thread(thread.join)
        for future in futures:
            with contextlib.suppress(ActorDeadError):
                assert await asyncio.wait_for(future, 5) == "x"
        await asyncio.wait_for(ref.stopped(), 5)


async def test_what_lies_behind_a_stop_is_a_dead_letter(system, actor_type):
    """Pykka: a tell behind a stop vanishes without a trace."""
    letters = []
    unsubscribe = system.dead_letters.subscribe(letters.append)
    ref = system.start(echo(actor_type))
    entered, gate = threading.Event(), threading.Event()
    ref.tell(lambda: entered.set() or (None if actor_type is LoopActor else gate.wait(5)))
    stopping = ref.stop(block=False)
    for number in range(3):
        ref.tell(number)
    gate.set()
    assert await asyncio.wait_for(stopping, 5) is True
    unsubscribe()
    assert [letter.message for letter in letters] == [0, 1, 2]
    assert {letter.reason for letter in letters} == {DeadLetterReason.STOPPED}
    assert {letter.recipient for letter in letters} == {ref}


async def test_awaiting_a_reply_does_not_block_the_loop(system, actor_type):
    """Pykka: ``await future`` calls ``get()`` and stands still with the loop."""
    ref = system.start(echo(PoolActor if actor_type is LoopActor else actor_type))
    gate = threading.Event()
    future = ref.ask(lambda: gate.wait(5), block=False)
    ticks = 0

    async def tick():
        nonlocal ticks
        while ticks < 3:
            await asyncio.sleep(0.001)
            ticks += 1
        gate.set()

    ticking = asyncio.create_task(tick())
    assert await asyncio.wait_for(future, 5) is True
    assert ticks == 3
    await ticking


async def test_awaiting_a_mapped_and_joined_reply_does_not_block_the_loop(system):
    """Pykka: as above, for every future made from another."""
    ref = system.start(echo(LoopActor))
    first, second = (ref.ask(number, block=False) for number in (1, 2))
    joined = first.join(second).map(sum)
    assert await asyncio.wait_for(joined, 5) == 3


async def test_a_failed_start_can_be_seen(system, actor_type):
    """Pykka: ``start()`` returns a ref, and that ``on_start`` raised is in the log alone."""

    class Failing(actor_type):
        def on_start(self):
            raise ValueError("no such file")

    ref = system.start(Failing)
    with pytest.raises(ActorStartError, match="ValueError: no such file"):
        await asyncio.wait_for(ref.started(), 5)
    await asyncio.wait_for(ref.stopped(), 5)
    with pytest.raises(ActorStartError, match="no such file"):
        await asyncio.wait_for(ref.started(), 5)


async def test_start_async_raises_what_on_start_raised():
    """As above, in one call."""

    class Failing(LoopActor):
        async def on_start(self):
            await asyncio.sleep(0)
            raise ValueError("no such file")

    with pytest.raises(ActorStartError) as raised:
        await Failing.start_async()
    assert isinstance(raised.value.__cause__, ValueError)


def test_a_failed_start_can_be_seen_from_a_thread_without_a_loop():
    """As above."""

    class Failing(LoopActor):
        def on_start(self):
            raise ValueError("no such file")

    with pytest.raises(ActorStartError):
        Failing.start().started().get(timeout=5)


class CountingRef:
    """Counts how often it is compared: what a linear search does for every entry."""

    comparisons = 0

    def __init__(self, kind):
        self.actor_class = kind

    def __eq__(self, other):
        CountingRef.comparisons += 1
        return self is other

    __hash__ = object.__hash__


def test_leaving_the_registry_does_not_look_at_all_others():
    """Pykka: a list, searched for each look-up and each end; n actors end in n² steps."""
    refs = [CountingRef(LoopActor) for _ in range(1000)]
    for ref in refs:
        ActorRegistry.register(ref)
    CountingRef.comparisons = 0
    for ref in refs:
        ActorRegistry.unregister(ref)
    assert CountingRef.comparisons < 3 * len(refs)


def test_a_urn_is_looked_up_without_looking_at_all_actors():
    """Pykka: compares the URN with that of every actor."""
    made = []

    class Counted(LoopActor.ref_class):
        @property
        def actor_urn(self):
            made.append(self)
            return super().actor_urn

    class Plain(LoopActor):
        ref_class = Counted

    refs = [Plain.start() for _ in range(20)]
    urn = refs[7].actor_urn
    made.clear()
    assert ActorRegistry.get_by_urn(urn) is refs[7]
    assert made == []
    assert all(ref.stop(timeout=5) for ref in refs)


async def failed(asked):
    """Whether a ValueError was the reply; nothing here holds on to it."""
    try:
        await asked
    except ValueError:
        return True
    return False


@pytest.mark.parametrize(
    "end", ["stop", "kill", "failure", "failed start", "failed ask, then stop"]
)
async def test_a_dead_actor_is_freed_at_once_without_the_garbage_collector(
    system, actor_type, eventually, end
):
    """Pykka: tracebacks and futures refer to each other, and dead actors wait for a collection."""
    instances = []

    class Big(echo(actor_type)):
        def __init__(self):
            super().__init__()
            instances.append(weakref.ref(self))

        def on_start(self):
            if end == "failed start":
                raise ValueError("x")

    gc.collect()
    gc.disable()
    try:
        ref = system.start(Big)
        if end == "stop":
            ref.stop(block=False)
        elif end == "kill":
            ref.kill()
        elif end == "failure":
            ref.tell(ValueError("x"))
        elif end == "failed ask, then stop":
            with pytest.raises(ValueError, match="x"):
                await ref.ask_async(ValueError("x"))
            with pytest.raises(ValueError, match="y"):
                await ref.ask(ValueError("y"), block=False)
            ref.stop(block=False)
        await asyncio.wait_for(ref.stopped(), 5)
        await eventually(lambda: instances[0]() is None)  # a thread lets go in its own time
    finally:
        gc.enable()


async def test_the_async_handlers_actor_is_freed_at_once_too(system):
    """As above, for what waited in a task."""
    instances = []

    class Slow(LoopActor):
        def __init__(self):
            super().__init__()
            instances.append(weakref.ref(self))

        async def on_receive(self, message):
            await asyncio.sleep(0)
            if isinstance(message, Exception):
                raise type(message)(*message.args)
            return message

    gc.collect()
    gc.disable()
    try:
        for failing in (False, True):
            ref = system.start(Slow)
            assert await ref.ask_async("x") == "x"
            if failing:
                ref.tell(ValueError("x"))
            else:
                ref.stop(block=False)
            await asyncio.wait_for(ref.stopped(), 5)
            await asyncio.sleep(0)
            assert instances[-1]() is None
    finally:
        gc.enable()

"""Actors among broken hooks, impatient askers and cancelled waits: one of them, never all."""

import asyncio

import pytest

from apex_actors.actors import ActorDeadError, ActorSystem, ChildFailed, LoopActor

pytestmark = pytest.mark.usefixtures("expected_failures_are_quiet")


async def cancelled_wait():
    """What a handler sees that awaits something which somebody else cancels."""
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


class Echo(LoopActor):
    def on_receive(self, message):
        if isinstance(message, Exception):
            raise message
        return message


class Parent(LoopActor):
    """Tells the test what it is told of its children."""

    def __init__(self, told):
        super().__init__()
        self.told = told

    def on_receive(self, message):
        if isinstance(message, ChildFailed):
            self.told.append(message)
            return None
        return self.start_child(message)


async def stop(ref):
    ref.kill()
    await asyncio.wait_for(ref.stopped(), 5)
    assert ActorSystem.current().alive() == []


async def test_an_asker_that_has_given_up_does_not_take_the_dispatcher_with_it():
    ref, other = Echo.start(), Echo.start()
    await ref.ask_async("ready")
    for message in ("reply", ValueError("error")):
        future = ref.ask(message, block=False)
        future.set("I gave up")
    assert await other.ask_async("the other", timeout=5) == "the other"
    assert await ref.ask_async("still here", timeout=5) == "still here"
    other.kill()
    await other.stopped()
    await stop(ref)


async def test_an_on_start_whose_wait_is_cancelled_ends_the_actor_and_its_askers_know(eventually):
    class Unlucky(Echo):
        async def on_start(self):
            await cancelled_wait()

    told = []
    parent = Parent.start(told)
    ref = await parent.ask_async(Unlucky)
    with pytest.raises(ActorDeadError):
        await ref.ask_async("anybody there?", timeout=5)
    await asyncio.wait_for(ref.stopped(), 5)
    await eventually(lambda: [failure.child for failure in told] == [ref])
    await stop(parent)


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
async def test_a_broken_on_stop_still_ends_the_actor(error):
    class Clinging(Echo):
        async def on_stop(self):
            raise error

    ref = Clinging.start()
    await ref.ask_async("ready")
    await stop(ref)


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
async def test_a_broken_on_failure_still_ends_the_actor(eventually, error):
    class Clinging(Echo):
        async def on_failure(self, *_):
            raise error

    told = []
    parent = Parent.start(told)
    ref = await parent.ask_async(Clinging)
    ref.tell(KeyError("first"))
    await asyncio.wait_for(ref.stopped(), 5)
    await eventually(lambda: told)
    assert isinstance(told[0].error, KeyError)
    await stop(parent)


async def test_a_kill_from_its_own_handler_ends_the_actor():
    class Tired(LoopActor):
        async def on_receive(self, _message):
            self.ref.kill()
            await asyncio.Event().wait()

    ref = Tired.start()
    asked = ref.ask("x", block=False)
    await asyncio.wait_for(ref.stopped(), 5)
    with pytest.raises(ActorDeadError):
        await asked
    assert ActorSystem.current().alive() == []


async def test_a_parent_is_not_told_of_the_child_that_it_killed():
    told = []
    parent = Parent.start(told)
    ref = await parent.ask_async(Echo)
    ref.kill()
    await ref.stopped()
    assert await parent.ask_async(Echo) is not ref
    assert told == []
    await stop(parent)


async def test_a_handler_that_ends_although_it_was_cancelled_delays_the_stop_and_no_more():
    finished = []

    class Stubborn(LoopActor):
        async def on_receive(self, _message):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await asyncio.sleep(0.01)
                finished.append("cleaned up")

    ref = Stubborn.start()
    ref.tell("first")
    ref.tell("second")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await stop(ref)
    assert finished in (["cleaned up"], [])


async def test_a_turn_that_breaks_does_not_cost_others_theirs():
    class Broken:
        queued = False

        def take_turn(self, _throughput):
            raise ValueError("a bug of the runtime")

    reported = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: reported.append(context["exception"]))
    ref = Echo.start()
    await ref.ask_async("ready")
    ActorSystem.current().loop_dispatcher.schedule(Broken())
    assert await ref.ask_async("behind it", timeout=5) == "behind it"
    assert [str(error) for error in reported] == ["a bug of the runtime"]
    await stop(ref)

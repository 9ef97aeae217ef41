"""Threads on the clock of the test, and time that waits for their work."""

import asyncio
import threading

import pytest

from apex_actors.actors import (
    LoopActor,
    MessageExpiredError,
    PoolActor,
    ReceiveTimeout,
    ThreadActor,
)
from apex_actors.actors.testing import run

KINDS = [PoolActor, ThreadActor]


def blocking(kind):
    """An actor class of that kind whose handler waits for an event."""

    class Blocking(kind):
        def on_receive(self, message):
            return message.wait(10) if isinstance(message, threading.Event) else message

    return Blocking


@pytest.mark.parametrize("kind", KINDS)
def test_time_does_not_jump_over_the_work_of_a_thread(kind):
    async def scenario(kit):
        ref = blocking(kind).start()
        done = threading.Event()
        releasing = threading.Timer(0.02, done.set)
        answer = ref.ask_async(done, timeout=3600)
        releasing.start()
        assert await answer is True
        releasing.join()
        return kit.now()

    assert run(scenario) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_receive_timeout_of_a_thread_comes_on_virtual_time(kind):
    class Waiting(kind):
        def __init__(self, to):
            super().__init__()
            self.to = to

        def on_start(self):
            self.set_receive_timeout(3600)

        def on_receive(self, message):
            self.to.tell((type(message), self.system.loop_dispatcher.clock()))

    async def scenario(kit):
        probe = kit.probe()
        Waiting.start(probe.ref)
        await probe.expect((ReceiveTimeout, 3600), within_s=3600)

    run(scenario)


@pytest.mark.parametrize("kind", KINDS)
def test_the_time_limit_of_a_message_to_a_thread_is_on_virtual_time(kind):
    async def scenario():
        ref = blocking(kind).start()
        first, second = threading.Event(), threading.Event()
        busy = ref.ask_async(first)
        late = ref.ask_async("too late", expires_in_s=60)
        first.set()
        await busy
        assert await late == "too late", "no time has passed"
        busy = ref.ask_async(second)
        late = ref.ask_async("too late", expires_in_s=0.01)
        await asyncio.sleep(0.02)
        second.set()
        await busy
        with pytest.raises(MessageExpiredError):
            await late

    run(scenario)


def test_a_pool_that_waits_for_an_answer_in_virtual_time_gets_it():
    class SlowAnswer(LoopActor):
        def on_receive(self, message):
            if callable(message):
                message("at last")
            else:
                self.tell_later(3600, self.defer_reply())

    class Asking(PoolActor):
        def on_receive(self, other):
            return other.ask("please")

    async def scenario(kit):
        answer = await Asking.start().ask_async(SlowAnswer.start(), timeout=7200)
        return answer, kit.now()

    assert run(scenario) == ("at last", 3600)

"""The contract of an actor on the loop: order, one message at a time, life and death."""

import asyncio
import logging
import threading

import pykka
import pytest

from apex_actors.actors import (
    ActorDeadError,
    ActorSystem,
    BlockingCallError,
    ChildFailed,
    LoopActor,
)


class Recorder(LoopActor):
    def __init__(self, log):
        super().__init__()
        self.log = log

    async def on_start(self):
        await asyncio.sleep(0)
        self.log.append("start")

    async def on_stop(self):
        await asyncio.sleep(0)
        self.log.append("stop")

    def on_receive(self, message):
        match message:
            case ("slow", name, seconds):
                return self.slow(name, seconds)
            case ("fail", text):
                raise ValueError(text)
            case _:
                self.log.append(message)
                return message
        return None

    async def slow(self, name, seconds):
        self.log.append(f"{name} begins")
        await asyncio.sleep(seconds)
        self.log.append(f"{name} ends")
        return name


@pytest.fixture
def log():
    return []


async def test_messages_wait_for_an_async_on_start_and_are_handled_in_order(log):
    ref = Recorder.start(log)
    for number in range(200):
        ref.tell(number)
    assert await ref.ask_async("last") == "last"
    assert log == ["start", *range(200), "last"]
    await ref.stop(block=False)


async def test_one_message_at_a_time_also_across_await(log):
    ref = Recorder.start(log)
    ref.tell(("slow", "a", 0.01))
    ref.tell(("slow", "b", 0))
    await ref.ask_async("c")
    assert log == ["start", "a begins", "a ends", "b begins", "b ends", "c"]
    ref.kill()
    await ref.stopped()


async def test_tell_from_many_threads_loses_nothing_and_keeps_each_threads_order(log):
    ref = Recorder.start(log)

    def talk(thread):
        for number in range(500):
            ref.tell((thread, number))

    threads = [threading.Thread(target=talk, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    await ref.ask_async("end")
    for name in range(4):
        said = [
            number
            for item in log
            if isinstance(item, tuple)
            for thread, number in [item]
            if thread == name
        ]
        assert said == list(range(500))
    ref.kill()
    await ref.stopped()


async def test_ask_returns_the_exception_and_the_actor_lives_on(log):
    ref = Recorder.start(log)
    with pytest.raises(ValueError, match="no"):
        await ref.ask_async(("fail", "no"))
    assert await ref.ask_async("alive") == "alive"
    ref.kill()
    await ref.stopped()


async def test_an_exception_on_a_tell_ends_the_actor_and_its_parent_is_told(caplog):
    caplog.set_level(logging.CRITICAL, logger="apex_actors.actors")
    told = asyncio.get_running_loop().create_future()

    class Parent(LoopActor):
        def on_receive(self, message):
            if message == "go":
                self.start_child(Recorder, []).tell(("fail", "child"))
            elif isinstance(message, ChildFailed):
                told.set_result(message)

    ref = Parent.start()
    ref.tell("go")
    failure = await asyncio.wait_for(told, 5)
    assert isinstance(failure.error, ValueError)
    assert not failure.child.is_alive()
    ref.kill()
    await ref.stopped()


async def test_stop_lets_earlier_messages_pass_and_refuses_later_ones(log):
    ref = Recorder.start(log)
    ref.tell("before")
    stopping = ref.ask(pykka.messages._ActorStop(), block=False)
    after = ref.ask("after", block=False)
    await stopping
    assert log == ["start", "before", "stop"]
    with pytest.raises(ActorDeadError):
        await after
    with pytest.raises(ActorDeadError):
        await ref.ask_async("dead")
    with pytest.raises(ActorDeadError):
        ref.tell("dead")


async def test_kill_cancels_the_handler_in_flight_and_answers_its_asker(log, eventually):
    ref = Recorder.start(log)
    asked = ref.ask(("slow", "a", 60), block=False)
    await eventually(lambda: "a begins" in log)
    ref.kill()
    await asyncio.wait_for(ref.stopped(), 5)
    with pytest.raises(ActorDeadError):
        await asked
    assert log == ["start", "a begins", "stop"]


async def test_children_stop_before_their_parent(log):
    class Parent(LoopActor):
        def on_start(self):
            self.start_child(Recorder, log)

        def on_stop(self):
            log.append("parent stop")

    ref = Parent.start()
    await ref.started()
    ref.kill()
    await ref.stopped()
    assert log[-2:] == ["stop", "parent stop"]
    assert ActorSystem.current().alive() == []


async def test_a_blocking_get_on_the_loop_is_refused_with_words(log):
    ref = Recorder.start(log)
    with pytest.raises(BlockingCallError):
        ref.ask("x")
    ref.kill()
    await ref.stopped()


async def test_a_thread_may_ask_and_block(log):
    ref = Recorder.start(log)
    assert await asyncio.to_thread(ref.ask, "from a thread", timeout=5) == "from a thread"
    ref.kill()
    await ref.stopped()


async def test_ask_async_gives_up_after_its_time(log):
    ref = Recorder.start(log)
    with pytest.raises(TimeoutError):
        await ref.ask_async(("slow", "a", 60), timeout=0.01)
    ref.kill()
    await ref.stopped()


async def test_a_busy_actor_does_not_starve_another(log):
    class Spinner(LoopActor):
        def on_receive(self, message):
            self.ref.tell(message)

    spinner = Spinner.start()
    spinner.tell("again")
    ref = Recorder.start(log)
    assert await ref.ask_async("my turn", timeout=5) == "my turn"
    for actor in (spinner, ref):
        actor.kill()
        await actor.stopped()


async def test_timers_tell_later_and_die_with_the_actor(log, eventually):
    class Timed(Recorder):
        def on_receive(self, message):
            if message == "set":
                self.tell_later(0.001, "tick")
                self.tell_later(0.001, "cancelled").cancel()
                self.tell_later(60, "never")
            else:
                super().on_receive(message)

    ref = Timed.start(log)
    ref.tell("set")
    await eventually(lambda: "tick" in log)
    assert "cancelled" not in log
    ref.kill()
    await ref.stopped()

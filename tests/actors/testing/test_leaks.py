"""What a test leaves behind is named."""

import asyncio
import threading

import pytest
import uvloop

from apex_actors.actors import (
    ActorSystem,
    Backoff,
    Directive,
    LoopActor,
    Options,
    PoolActor,
    Supervision,
    ThreadActor,
)
from apex_actors.actors.testing import ActorTestKit, LeakCheck, assert_nothing_left, run


class Idle(LoopActor):
    def on_receive(self, message):
        return message


class Ticking(LoopActor):
    def on_start(self):
        self.timers.every("tick", 60, "tick")
        self.set_receive_timeout(300)


async def left(check):
    with pytest.raises(AssertionError) as raised:
        await check.assert_nothing_left()
    return str(raised.value).splitlines()[1:]


def test_nothing_is_left_where_all_has_been_stopped():
    async def scenario():
        system = ActorSystem.current()
        check = LeakCheck(system)
        ref = Ticking.start()
        await ref.started()
        await asyncio.gather(asyncio.sleep(1), asyncio.to_thread(lambda: None))
        ref.kill()
        await ref.stopped()
        await check.assert_nothing_left()
        assert check.left() == []

    run(scenario)


def test_living_actors_are_named_and_so_are_their_timers():
    async def scenario(kit):
        check = LeakCheck(kit.system)
        ref = Ticking.start_with(Options(name="clock"))
        await ref.started()
        lines = await left(check)
        assert lines == [
            "  actor Ticking 'clock'",
            "  timer Timer._fire of Ticking 'clock', due in 60 s",
            "  timer IdleTimer._look of Ticking 'clock', due in 300 s",
        ]

    run(scenario)


def test_an_actor_without_a_name_is_told_by_class_and_urn():
    async def scenario(kit):
        ref = Idle.start()
        lines = await left(LeakCheck(kit.system))
        assert lines == [f"  actor {ref}"]

    run(scenario)


def test_pending_tasks_are_named_with_the_line_in_which_they_wait():
    async def forgotten():
        await asyncio.sleep(3600)

    async def scenario(kit):
        check = LeakCheck(kit.system)
        task = asyncio.create_task(forgotten(), name="the forgotten one")
        (line,) = await left(check)
        assert line.startswith("  task the forgotten one: ")
        assert "forgotten at " in line
        assert "test_leaks.py:" in line
        task.cancel()

    run(scenario)


def test_a_handler_that_waits_is_named_by_its_own_line():
    class Waiting(LoopActor):
        async def on_receive(self, _message):
            await asyncio.sleep(3600)

    async def scenario(kit):
        check = LeakCheck(kit.system)
        Waiting.start().tell("wait")
        _, task = await left(check)
        assert "Waiting.on_receive at " in task
        assert "test_leaks.py:" in task

    run(scenario)


def test_what_was_there_before_is_not_of_this_test():
    async def scenario(kit):
        earlier = asyncio.create_task(asyncio.sleep(3600))
        ticking = Ticking.start()
        await ticking.started()
        check = LeakCheck(kit.system)
        ticking.kill()
        await ticking.stopped()
        await check.assert_nothing_left()
        earlier.cancel()

    run(scenario)


def test_without_a_check_made_before_all_tasks_and_timers_count():
    async def scenario(kit):
        earlier = asyncio.create_task(asyncio.sleep(3600), name="earlier")
        with pytest.raises(AssertionError, match="task earlier"):
            await assert_nothing_left(kit.system)
        earlier.cancel()
        await assert_nothing_left(kit.system)

    run(scenario)


def test_tasks_that_are_being_cancelled_have_time_to_end():
    async def slow_to_go():
        try:
            await asyncio.sleep(3600)
        finally:
            for _ in range(10):
                await asyncio.sleep(0)

    async def scenario(kit):
        check = LeakCheck(kit.system)
        task = asyncio.create_task(slow_to_go())
        await asyncio.sleep(0)
        task.cancel()
        await check.assert_nothing_left()

    run(scenario)


def test_threads_are_named_and_have_time_to_end():
    async def scenario(kit):
        check = LeakCheck(kit.system)
        ending = threading.Timer(0.01, lambda: None)
        ending.start()
        await check.assert_nothing_left()
        stop = threading.Event()
        staying = threading.Thread(target=stop.wait, name="the one that stays")
        staying.start()
        assert check.left() == ["thread the one that stays"]
        stop.set()
        await check.assert_nothing_left()

    run(scenario)


@pytest.mark.parametrize("kind", [PoolActor, ThreadActor])
def test_an_actors_own_thread_is_left_as_long_as_the_actor_a_pools_is_its_own_affair(kind):
    class Blocking(kind):
        def on_receive(self, message):
            return message

    async def scenario(kit):
        check = LeakCheck(kit.system)
        ref = Blocking.start()
        assert await ref.ask_async("x") == "x"
        actor, *threads = await left(check)
        assert actor == f"  actor {ref}"
        assert len(threads) == (1 if kind is ThreadActor else 0)
        ref.kill()
        await ref.stopped()
        await check.assert_nothing_left()

    run(scenario)


def test_the_pause_before_a_restart_is_a_timer_of_its_actor():
    class Failing(LoopActor):
        def on_receive(self, message):
            raise ValueError(message)

    pause = Supervision(default=Directive.RESTART, backoff=Backoff(first_s=20, jitter=0))

    async def scenario(kit):
        check = LeakCheck(kit.system)
        ref = Failing.start_with(Options(name="failing", supervision=pause))
        ref.tell("x")
        await kit.run_until_idle()
        actor, timer = check.left()
        assert actor == "actor Failing 'failing'"
        assert timer.endswith("of Failing 'failing', due in 20 s")
        await asyncio.sleep(20)

    run(scenario)


def test_on_uvloop_idle_threads_of_executors_are_left_alone_too():
    class Blocking(PoolActor):
        def on_receive(self, message):
            return message

    async def scenario():
        async with ActorTestKit() as kit:
            check = LeakCheck(kit.system)
            ref = Blocking.start()
            assert await ref.ask_async("x") == "x"
            assert await asyncio.to_thread(lambda: "y") == "y"
            ref.kill()
            await ref.stopped()
            await check.assert_nothing_left()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())

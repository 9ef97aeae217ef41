"""Time that passes only when there is nothing else to do."""

import asyncio
import socket
import threading
import time

import pytest

from apex_actors.actors.testing import DeadlockError, VirtualClock, VirtualTimeLoop, run


def play(coroutine, **options):
    """Run ``coroutine`` on a VirtualTimeLoop; returns its result and the virtual time it took."""
    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(**options)) as runner:
        return runner.run(coroutine), runner.get_loop().time()


async def nothing_ever():
    await asyncio.get_running_loop().create_future()


def test_a_sleep_of_a_year_takes_a_year_of_virtual_time_and_none_of_ours():
    year_s = 365 * 24 * 3600
    assert play(asyncio.sleep(year_s, "awake")) == ("awake", year_s)


def test_time_begins_where_it_is_told_to():
    async def scenario():
        await asyncio.sleep(1)
        return VirtualClock().now()

    assert play(scenario(), start_s=1_000.0) == (1_001.0, 1_001.0)


def test_timers_fire_in_order_of_time_and_those_of_one_moment_in_the_order_of_their_making():
    async def scenario():
        loop, fired = asyncio.get_running_loop(), []
        for name, delay_s in [("c", 2), ("a", 1), ("d", 2), ("b", 1), ("e", 2)]:
            loop.call_later(delay_s, lambda name=name: fired.append((loop.time(), name)))
        await asyncio.sleep(3)
        return fired

    fired, _ = play(scenario())
    assert fired == [(1, "a"), (1, "b"), (2, "c"), (2, "d"), (2, "e")]


def test_a_cancelled_timer_does_not_move_the_time():
    async def scenario():
        asyncio.get_running_loop().call_later(5, pytest.fail, "was cancelled").cancel()
        await asyncio.sleep(10)

    assert play(scenario()) == (None, 10)


def test_a_timeout_comes_at_its_time():
    async def scenario():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.sleep(31)

    assert play(scenario()) == (None, 30)


def test_time_stands_still_while_anything_runs():
    async def scenario():
        for _ in range(100):
            await asyncio.sleep(0)

    assert play(scenario()) == (None, 0)


def test_work_on_a_thread_is_waited_for_instead_of_jumping_over_it():
    async def scenario():
        release = threading.Event()

        def work():
            release.wait(10)
            return "done"

        working = asyncio.ensure_future(asyncio.to_thread(work))
        asyncio.get_running_loop().call_soon(release.set)
        async with asyncio.timeout(3600):
            return await working

    assert play(scenario()) == ("done", 0)


def test_a_timeout_of_work_on_a_thread_comes_when_it_has_passed_for_real():
    async def scenario():
        release = threading.Event()
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(release.wait, 10), 0.05)
        release.set()
        return time.monotonic() - began

    took_s, virtual_s = play(scenario())
    assert virtual_s == 0.05
    assert took_s >= 0.05


def test_a_thread_may_call_in_while_its_work_is_under_way():
    async def scenario():
        loop, heard = asyncio.get_running_loop(), []
        await asyncio.to_thread(lambda: loop.call_soon_threadsafe(heard.append, "hello"))
        await asyncio.sleep(1)
        return heard

    assert play(scenario()) == (["hello"], 1)


def test_work_that_gives_no_sign_of_its_end_is_asked_for():
    async def scenario():
        answers = iter([True, True, True])
        unwatch = asyncio.get_running_loop().watch_work(lambda: next(answers, False))
        await asyncio.sleep(60)
        unwatch()
        return next(answers, "all asked for")

    assert play(scenario()) == ("all asked for", 60)


def test_no_jump_within_real_time():
    async def scenario():
        began = time.monotonic()
        with VirtualClock().real_time():
            await asyncio.sleep(0.05)
        took_s = time.monotonic() - began
        await asyncio.sleep(60)
        return took_s

    took_s, virtual_s = play(scenario())
    assert took_s >= 0.05
    assert virtual_s == 60.05


def test_sockets_have_time_for_their_bytes_before_it_jumps():
    async def scenario():
        async def echo(reader, writer):
            writer.write(await reader.readline())
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with server:
            async with asyncio.timeout(1):
                reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
                writer.write(b"hello\n")
                line = await reader.readline()
                writer.close()
                await writer.wait_closed()
            await asyncio.sleep(5)
        return line

    assert play(scenario()) == (b"hello\n", 5)


def test_where_a_socket_is_open_and_nothing_due_it_waits_for_the_socket():
    async def scenario():
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with ours, theirs:
            sender = threading.Timer(0.05, theirs.send, [b"late"])
            sender.start()
            received = await asyncio.get_running_loop().sock_recv(ours, 10)
            sender.join()
        return received

    assert play(scenario(), io_grace_s=0, patience_s=0) == (b"late", 0)


def test_a_deadlock_is_told_with_the_tasks_and_the_lines_in_which_they_wait():
    async def forgotten():
        await nothing_ever()

    async def scenario():
        waiting = asyncio.create_task(forgotten(), name="the forgotten one")
        await waiting

    with pytest.raises(DeadlockError) as raised:
        play(scenario())
    told = str(raised.value)
    assert "nothing is due any more" in told
    assert "the forgotten one" in told
    assert "nothing_ever at " in told
    assert "test_virtual_clock.py:" in told


def test_a_thread_that_might_call_in_is_waited_for_before_a_deadlock_is_told():
    async def scenario():
        loop = asyncio.get_running_loop()
        arrived = loop.create_future()
        caller = threading.Timer(
            0.05, loop.call_soon_threadsafe, [arrived.set_result, "just in time"]
        )
        caller.start()
        return await arrived

    assert play(scenario()) == ("just in time", 0)


def test_a_thread_that_never_calls_in_hides_a_deadlock_for_as_long_as_patience_lasts():
    async def scenario():
        await nothing_ever()

    stop = threading.Event()
    bystander = threading.Thread(target=stop.wait)
    bystander.start()
    try:
        with pytest.raises(DeadlockError):
            play(scenario(), patience_s=0.01)
    finally:
        stop.set()
        bystander.join()


def test_without_auto_advance_a_wait_for_a_timer_is_a_deadlock_that_says_why():
    async def scenario():
        await asyncio.sleep(1)

    with pytest.raises(DeadlockError, match="1 timers are due later, but auto_advance is off"):
        play(scenario(), auto_advance=False)


def test_advance_runs_all_that_falls_due_on_the_way_in_order_and_to_its_end():
    async def scenario():
        clock, seen = VirtualClock(), []

        async def every(seconds):
            while True:
                await asyncio.sleep(seconds)
                await asyncio.sleep(0)
                seen.append((clock.now(), seconds))

        tasks = [asyncio.create_task(every(seconds)) for seconds in (2, 3)]
        await clock.advance(6)
        for task in tasks:
            task.cancel()
        return seen, clock.now()

    seen, now = play(scenario(), auto_advance=False)[0]
    assert seen == [(2, 2), (3, 3), (4, 2), (6, 3), (6, 2)]
    assert now == 6


def test_advance_stops_short_of_what_is_due_later():
    async def scenario():
        clock = VirtualClock()
        sleeping = asyncio.create_task(asyncio.sleep(10))
        await clock.advance(9.5)
        early = sleeping.done()
        await clock.advance(0.5)
        return early, sleeping.done()

    assert play(scenario(), auto_advance=False) == ((False, True), 10)


def test_two_who_advance_at_once_each_get_their_own_moment():
    async def scenario():
        clock, reached = VirtualClock(), []

        async def advance(seconds):
            await clock.advance(seconds)
            reached.append((seconds, clock.now()))

        await asyncio.gather(advance(5), advance(2), advance(5))
        return reached

    assert play(scenario(), auto_advance=False) == ([(2, 2), (5, 5), (5, 5)], 5)


def test_an_advance_that_is_cancelled_moves_no_time():
    async def scenario():
        clock = VirtualClock()
        advancing = asyncio.create_task(clock.advance(1))
        await asyncio.sleep(0)
        advancing.cancel()
        await clock.settle()
        still = clock.now()
        await clock.advance(5)
        return still, clock.now()

    assert play(scenario(), auto_advance=False) == ((0, 5), 5)


def test_settle_runs_all_that_can_run_now():
    async def scenario():
        done = []

        async def work():
            for _ in range(20):
                await asyncio.sleep(0)
            done.append("work")

        working = asyncio.create_task(work())
        await VirtualClock().settle()
        return done, working.done()

    assert play(scenario()) == ((["work"], True), 0)


def test_settle_waits_for_work_on_threads():
    async def scenario():
        working = asyncio.ensure_future(asyncio.to_thread(time.sleep, 0.01))
        await VirtualClock().settle()
        return working.done()

    assert play(scenario()) == (True, 0)


def test_settle_does_not_wait_for_ever_for_work_that_waits_for_the_test():
    async def scenario():
        release = threading.Event()
        working = asyncio.ensure_future(asyncio.to_thread(release.wait, 10))
        await VirtualClock().settle()
        done_before = working.done()
        release.set()
        return done_before, await working

    assert play(scenario(), patience_s=0.01) == ((False, True), 0)


def test_auto_advance_is_switched_in_the_middle():
    async def scenario():
        clock = VirtualClock()
        before = clock.auto_advance
        clock.auto_advance = False
        sleeping = asyncio.create_task(asyncio.sleep(10))
        await clock.settle()
        still = clock.now()
        clock.auto_advance = True
        await sleeping
        return before, still, clock.now()

    assert play(scenario())[0] == (True, 0, 10)


def test_time_does_not_run_backwards():
    async def scenario():
        with pytest.raises(ValueError, match="forwards only"):
            await VirtualClock().advance(-1)

    play(scenario())


def test_a_clock_needs_a_loop_of_virtual_time():
    async def scenario():
        with pytest.raises(TypeError, match="on real time"):
            VirtualClock()

    run(scenario, virtual_time=False)


def test_a_closed_loop_takes_no_timer():
    loop = VirtualTimeLoop()
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        loop.call_later(1, print)


def test_files_are_watched_as_on_any_loop():
    async def scenario():
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            readable, writable = loop.create_future(), loop.create_future()
            loop.add_reader(ours, lambda: readable.done() or readable.set_result("readable"))
            loop.add_writer(ours, lambda: writable.done() or writable.set_result("writable"))
            theirs.send(b"x")
            outcome = await asyncio.gather(readable, writable)
            loop.remove_reader(ours)
            loop.remove_writer(ours)
        return outcome

    assert play(scenario()) == (["readable", "writable"], 0)

"""The end in phases: in order, side by side within one, and nothing holds it up."""

import asyncio
import logging
import threading

import pytest

from apex_actors.actors import LoopActor, PoolActor, StopTimeoutError, ThreadActor
from apex_actors.actors.shutdown import Shutdown, ShutdownPhase

LOGGER = "apex_actors.actors"


class Stopping(LoopActor):
    def __init__(self, log):
        super().__init__()
        self.log = log

    def on_receive(self, message):
        self.log.append(message)

    async def on_stop(self):
        await asyncio.sleep(0)
        self.log.append("actors stop")


class Working(LoopActor):
    """Never ends the work that it has; lets itself be cancelled."""

    def __init__(self, log):
        super().__init__()
        self.log = log

    async def on_receive(self, _message):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.log.append("killed")
            raise


@pytest.fixture
def log():
    return []


@pytest.fixture
def shutdown(system):
    """One with so much time that a machine in use does not matter."""
    return Shutdown(system, limits_s=dict.fromkeys(ShutdownPhase, 30.0), kill_s=30.0)


def noting(log, what):
    async def step():
        await asyncio.sleep(0)
        log.append(what)

    return step


def steps(report):
    return [(step.phase, step.name, type(step.error)) for step in report.steps]


ACTORS = (ShutdownPhase.STOP, "actors", type(None))


# Order.


async def test_phases_come_one_after_the_other_whatever_the_order_of_adding(shutdown, log):
    Stopping.start(log)
    for phase in (
        ShutdownPhase.RELEASE,
        ShutdownPhase.DRAIN,
        ShutdownPhase.REFUSE,
    ):
        shutdown.add(phase, phase.name, noting(log, phase.name))
    report = await shutdown.run()
    assert log == ["REFUSE", "DRAIN", "actors stop", "RELEASE"]
    assert steps(report) == [
        (ShutdownPhase.REFUSE, "REFUSE", type(None)),
        (ShutdownPhase.DRAIN, "DRAIN", type(None)),
        ACTORS,
        (ShutdownPhase.RELEASE, "RELEASE", type(None)),
    ]
    assert report.is_clean
    assert all(step.took_s >= 0 for step in report.steps)


async def test_steps_of_one_phase_run_side_by_side(shutdown, log):
    together = asyncio.Barrier(3)

    async def meets():
        await together.wait()
        log.append("met")

    for number in range(3):
        shutdown.add(ShutdownPhase.DRAIN, f"step {number}", meets)
    shutdown.add(ShutdownPhase.RELEASE, "after", noting(log, "after"))
    assert (await shutdown.run()).is_clean
    assert log == ["met", "met", "met", "after"]


async def test_steps_of_stop_run_beside_the_actors_end(shutdown, log):
    class Waiting(LoopActor):
        async def on_stop(self):
            await together.wait()

    together = asyncio.Barrier(2)
    await Waiting.start_async()
    shutdown.add(ShutdownPhase.STOP, "beside", together.wait)
    report = await shutdown.run()
    assert report.is_clean
    assert {step.name for step in report.steps} == {"beside", "actors"}
    assert log == []


async def test_the_actors_handle_what_they_were_sent_first(shutdown, log):
    ref = Stopping.start(log)
    for number in range(100):
        ref.tell(number)
    assert (await shutdown.run()).is_clean
    assert log == [*range(100), "actors stop"]


async def test_all_kinds_of_actors_are_stopped_children_before_parents(shutdown, system, log):
    class Child(PoolActor):
        def on_stop(self):
            log.append("child")

    class Parent(ThreadActor):
        def on_start(self):
            self.start_child(Child)

        def on_stop(self):
            log.append("parent")

    await Parent.start_async()
    assert (await shutdown.run()).is_clean
    assert log == ["child", "parent"]
    assert system.alive() == []


async def test_a_system_without_actors_shuts_down(shutdown):
    assert steps(await shutdown.run()) == [ACTORS]


async def test_a_step_may_add_one_to_a_later_phase(shutdown, log):
    async def adds():
        shutdown.add(ShutdownPhase.RELEASE, "added", noting(log, "added"))

    shutdown.add(ShutdownPhase.REFUSE, "adds", adds)
    assert (await shutdown.run()).is_clean
    assert log == ["added"]


# Trouble.


async def test_a_failing_step_is_reported_and_holds_nothing_up(shutdown, log, caplog):
    caplog.set_level(logging.WARNING, logger=LOGGER)

    async def fails():
        raise ValueError("broken step")

    shutdown.add(ShutdownPhase.REFUSE, "fails", fails)
    shutdown.add(ShutdownPhase.REFUSE, "beside it", noting(log, "beside it"))
    shutdown.add(ShutdownPhase.RELEASE, "behind it", noting(log, "behind it"))
    report = await shutdown.run()
    assert log == ["beside it", "behind it"]
    assert not report.is_clean
    assert [(step.name, str(step.error)) for step in report.steps if step.error] == [
        ("fails", "broken step")
    ]
    assert "fails" in caplog.text


async def test_a_step_that_is_no_coroutine_is_reported(shutdown, log, caplog):
    caplog.set_level(logging.CRITICAL, logger=LOGGER)

    def raises_at_once():
        raise ValueError("at once")

    shutdown.add(ShutdownPhase.REFUSE, "raises", raises_at_once)
    shutdown.add(ShutdownPhase.REFUSE, "plain", lambda: log.append("called"))
    shutdown.add(ShutdownPhase.RELEASE, "behind", noting(log, "behind"))
    report = await shutdown.run()
    assert [type(step.error) for step in report.steps if step.error] == [ValueError, TypeError]
    assert log == ["called", "behind"]


async def test_a_hanging_step_is_reported_when_the_time_of_its_phase_is_up(system, log, caplog):
    caplog.set_level(logging.CRITICAL, logger=LOGGER)
    shutdown = Shutdown(system, limits_s=dict.fromkeys(ShutdownPhase, 30.0))
    shutdown.limits_s[ShutdownPhase.DRAIN] = 0.01

    async def hangs():
        try:
            await asyncio.Event().wait()
        finally:
            log.append("given up")

    shutdown.add(ShutdownPhase.DRAIN, "hangs", hangs)
    shutdown.add(ShutdownPhase.RELEASE, "behind", noting(log, "behind"))
    report = await shutdown.run()
    assert log == ["given up", "behind"]
    assert [(step.name, type(step.error)) for step in report.steps if step.error] == [
        ("hangs", TimeoutError)
    ]


async def test_actors_that_will_not_stop_are_killed(system, log, caplog):
    caplog.set_level(logging.CRITICAL, logger=LOGGER)
    shutdown = Shutdown(system, limits_s={ShutdownPhase.STOP: 0.01}, kill_s=30.0)
    ref = Working.start(log)
    ref.tell("work without end")
    shutdown.add(ShutdownPhase.RELEASE, "behind", noting(log, "behind"))
    report = await shutdown.run()
    assert log == ["killed", "behind"]
    assert report.is_clean
    assert not ref.is_alive()
    assert system.alive() == []


async def test_actors_that_cannot_be_killed_are_reported(system, log, eventually, caplog):
    caplog.set_level(logging.CRITICAL, logger=LOGGER)

    class Blocked(PoolActor):
        def on_receive(self, _message):
            begun.set()
            gate.wait(30)

    begun, gate = threading.Event(), threading.Event()
    ref = Blocked.start()
    ref.tell("block")
    await eventually(begun.is_set)
    shutdown = Shutdown(system, limits_s={ShutdownPhase.STOP: 0.01}, kill_s=0.01)
    shutdown.add(ShutdownPhase.RELEASE, "behind", noting(log, "behind"))
    report = await shutdown.run()
    assert [type(step.error) for step in report.steps] == [StopTimeoutError, type(None)]
    assert "Blocked" in str(report.steps[0].error)
    assert log == ["behind"]
    gate.set()
    await asyncio.wait_for(ref.stopped(), 10)


# Several who want it.


async def test_whoever_runs_it_awaits_the_one_shutdown(shutdown, log):
    shutdown.add(ShutdownPhase.REFUSE, "once", noting(log, "once"))
    first, second = await asyncio.gather(shutdown.run(), shutdown.run())
    assert first is second is await shutdown.run()
    assert log == ["once"]


async def test_who_no_longer_awaits_it_does_not_end_it(shutdown, log):
    gate = asyncio.Event()
    shutdown.add(ShutdownPhase.REFUSE, "waits", gate.wait)
    shutdown.add(ShutdownPhase.RELEASE, "behind", noting(log, "behind"))
    gives_up = asyncio.ensure_future(shutdown.run())
    await asyncio.sleep(0)
    gives_up.cancel()
    await asyncio.wait({gives_up})
    gate.set()
    assert (await shutdown.run()).is_clean
    assert log == ["behind"]
    assert gives_up.cancelled()


# stop_all.


async def test_stop_all_ends_all_trees_at_once(system):
    class Meeting(LoopActor):
        async def on_stop(self):
            await together.wait()

    together = asyncio.Barrier(5)
    for _ in range(5):
        await Meeting.start_async()
    await system.stop_all(30)
    assert system.alive() == []


async def test_stop_all_says_who_is_still_alive(system, log):
    ref = Working.start(log)
    ref.tell("work without end")
    await Stopping.start_async(log)
    with pytest.raises(StopTimeoutError, match=r"1 actors .* Working"):
        await system.stop_all(0.01)
    assert system.alive() == [ref]
    await system.stop_all(30, kill=True)
    assert log == ["actors stop", "killed"]


async def test_stop_all_may_be_called_by_several_and_again(system, log):
    for _ in range(3):
        Stopping.start(log)
    await asyncio.gather(system.stop_all(30), system.stop_all(30), system.stop_all(30, kill=True))
    await system.stop_all(30)
    assert log == ["actors stop"] * 3


async def test_a_step_that_is_cancelled_is_reported_and_the_next_phase_comes(shutdown, log, caplog):
    async def awaits_what_is_cancelled():
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    shutdown.add(ShutdownPhase.REFUSE, "cancelled", awaits_what_is_cancelled)
    shutdown.add(ShutdownPhase.RELEASE, "release", noting(log, "released"))
    report = await shutdown.run()
    assert log == ["released"]
    assert not report.is_clean
    assert (ShutdownPhase.REFUSE, "cancelled", asyncio.CancelledError) in steps(report)
    assert caplog.records


async def test_a_step_that_swallows_its_cancellation_holds_nothing_up(system, log, caplog):
    async def swallows():
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                log.append("swallowed")

    let_go = asyncio.Event()
    shutdown = Shutdown(system, limits_s=dict.fromkeys(ShutdownPhase, 0.02), kill_s=0.02)
    shutdown.add(ShutdownPhase.REFUSE, "swallows", swallows)
    shutdown.add(ShutdownPhase.RELEASE, "release", noting(log, "released"))
    report = await asyncio.wait_for(shutdown.run(), 10)
    let_go.set()
    assert "released" in log
    assert not report.is_clean
    assert caplog.records


async def test_stop_all_ends_whom_an_on_stop_started(system, log):
    class Starting(LoopActor):
        def on_stop(self):
            born.append(Stopping.start(log))

    born = []
    Starting.start()
    await system.stop_all(10)
    assert len(born) == 1
    assert not born[0].is_alive()
    assert system.alive() == []

"""Timers: single, periodic, keyed; gone when replaced, cancelled, or with their instance."""

import asyncio
import functools
import gc
import threading
import weakref

import pytest

from apex_actors.actors import (
    ActorSystem,
    Bound,
    Directive,
    LoopActor,
    LoopDispatcher,
    Options,
    PoolActor,
    ReceiveTimeout,
    Supervision,
    ThreadActor,
)

pytestmark = pytest.mark.usefixtures("expected_failures_are_quiet")

RESTARTED = Options(supervision=Supervision(default=Directive.RESTART, max_restarts=None))
SOON_S = 0.001
NEVER_S = 3600.0


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Timed(LoopActor):
    """Does what it is told as a function of itself, and notes every other message."""

    def __init__(self, log):
        super().__init__()
        self.log = log

    def on_receive(self, message):
        if callable(message):
            return message(self)
        if isinstance(message, Exception):
            raise message
        self.log.append(message)
        return None


@pytest.fixture
def log():
    return []


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def standing_still(clock):
    """A system whose clock stands still until the test moves it."""
    loop = asyncio.get_running_loop()
    dispatcher = functools.partial(LoopDispatcher, clock=clock)
    system = ActorSystem(loop=loop, dispatcher=dispatcher).install(loop)
    yield system
    await system.stop_all(5, kill=True)


def waits(ref):
    """Have a message wait in the mailbox while the actor is at another one.

    Returns what ends that other message.
    """
    gate = asyncio.Event()

    async def hold(_actor):
        await gate.wait()

    ref.tell(hold)
    return gate


# Single and periodic.


@pytest.mark.usefixtures("system")
async def test_a_single_timer_tells_once(log, eventually):
    ref = Timed.start(log)

    def set_timer(actor):
        actor.timers.once("key", SOON_S, "tick")
        return ("key" in actor.timers, len(actor.timers))

    assert await ref.ask_async(set_timer) == (True, 1)
    await eventually(lambda: log == ["tick"])
    assert await ref.ask_async(lambda actor: ("key" in actor.timers, len(actor.timers))) == (
        False,
        0,
    )


@pytest.mark.usefixtures("system")
async def test_timers_of_no_delay_tell_behind_what_waits(log, eventually):
    ref = Timed.start(log)
    ref.tell(lambda actor: actor.timers.once("key", 0, "tick"))
    ref.tell("waits already")
    await eventually(lambda: log == ["waits already", "tick"])


@pytest.mark.usefixtures("system")
async def test_a_periodic_timer_tells_again_and_again(log, eventually):
    ref = Timed.start(log)
    await ref.ask_async(lambda actor: actor.timers.every("key", SOON_S, "tick") and None)
    await eventually(lambda: len(log) >= 3)
    await ref.ask_async(lambda actor: actor.timers.cancel("key"))
    assert set(log) == {"tick"}


@pytest.mark.usefixtures("system")
async def test_a_periodic_timer_may_begin_sooner_or_later(log, eventually):
    ref = Timed.start(log)
    await ref.ask_async(
        lambda actor: actor.timers.every("key", NEVER_S, "tick", first_s=0) and None
    )
    await eventually(lambda: log == ["tick"])
    assert await ref.ask_async(lambda actor: "key" in actor.timers)


@pytest.mark.usefixtures("system")
async def test_a_busy_actor_is_not_flooded_by_a_periodic_timer(log, eventually):
    ref = Timed.start(log)
    await ref.ask_async(lambda actor: actor.timers.every("key", SOON_S, "tick") and None)
    gate = waits(ref)
    await eventually(lambda: ref.statistics().depth == 1)
    # Many intervals later there is still but the one: the next begins when it is handled.
    await asyncio.sleep(20 * SOON_S)
    assert ref.statistics().depth == 1
    gate.set()
    await eventually(lambda: len(log) >= 2)


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize("interval_s", [0, -1])
async def test_an_interval_of_nothing_is_refused(log, interval_s):
    ref = Timed.start(log)
    with pytest.raises(ValueError, match="interval"):
        await ref.ask_async(lambda actor: actor.timers.every("key", interval_s, "tick"))
    assert await ref.ask_async(lambda actor: len(actor.timers)) == 0


@pytest.mark.usefixtures("system")
async def test_tell_later_needs_no_key(log, eventually):
    ref = Timed.start(log)

    def set_timers(actor):
        for name in ("a", "b"):
            actor.tell_later(SOON_S, name)
        actor.tell_later(SOON_S, "cancelled").cancel()

    await ref.ask_async(set_timers)
    await eventually(lambda: sorted(log) == ["a", "b"])


@pytest.mark.usefixtures("system")
async def test_a_full_mailbox_refuses_no_timer(log, eventually):
    ref = Timed.start_with(Options(mailbox=Bound(1)), log)
    await ref.ask_async(lambda actor: actor.timers.once("key", 0, "tick") and None)
    gate = waits(ref)
    await eventually(lambda: ref.statistics().depth == 1)
    gate.set()
    await eventually(lambda: log == ["tick"])


# Keys.


@pytest.mark.usefixtures("system")
async def test_setting_a_key_anew_replaces_its_timer(log, eventually):
    ref = Timed.start(log)

    def set_timers(actor):
        actor.timers.once("key", 0, "old")
        actor.timers.once("key", SOON_S, "new")
        actor.timers.once("other", NEVER_S, "other")
        return len(actor.timers)

    assert await ref.ask_async(set_timers) == 2
    await eventually(lambda: log == ["new"])


@pytest.mark.usefixtures("system")
async def test_the_message_of_a_replaced_timer_is_not_handled_where_it_lay_already(log, eventually):
    ref = Timed.start(log)
    await ref.ask_async(lambda actor: actor.timers.once("key", 0, "old") and None)
    gate = asyncio.Event()

    async def replace(actor):
        await gate.wait()
        actor.timers.once("key", 0, "new")

    ref.tell(replace)
    await eventually(lambda: ref.statistics().depth == 1)
    gate.set()
    await eventually(lambda: log == ["new"])


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize("kind", ["once", "every"])
async def test_the_message_of_a_cancelled_timer_is_not_handled_where_it_lay_already(
    log, eventually, kind
):
    ref = Timed.start(log)
    await ref.ask_async(lambda actor: getattr(actor.timers, kind)("key", SOON_S, "tick") and None)
    gate = asyncio.Event()

    async def cancel(actor):
        await gate.wait()
        actor.timers.cancel("key")

    ref.tell(cancel)
    await eventually(lambda: ref.statistics().depth == 1)
    gate.set()
    await ref.ask_async("end")
    assert log == ["end"]
    assert await ref.ask_async(lambda actor: len(actor.timers)) == 0


@pytest.mark.usefixtures("system")
async def test_a_periodic_timer_may_be_cancelled_or_replaced_by_its_own_message(log, eventually):
    class Counting(Timed):
        def on_start(self):
            self.timers.every("cancelled", SOON_S, "a")
            self.timers.every("replaced", SOON_S, "b")

        def on_receive(self, message):
            if message == "a":
                self.timers.cancel("cancelled")
            elif message == "b":
                self.timers.once("replaced", SOON_S, "c")
            return super().on_receive(message)

    ref = Counting.start(log)
    await eventually(lambda: sorted(log) == ["a", "b", "c"])
    assert await ref.ask_async(lambda actor: len(actor.timers)) == 0


@pytest.mark.usefixtures("system")
async def test_cancelling_once_too_often_does_no_harm(log, eventually):
    ref = Timed.start(log)

    def cancel_often(actor):
        timer = actor.timers.once("key", 0, "never")
        timer.cancel()
        actor.timers.once("key", 0, "tick")
        timer.cancel()
        actor.timers.cancel("unknown")

    await ref.ask_async(cancel_often)
    await eventually(lambda: log == ["tick"])


@pytest.mark.usefixtures("system")
async def test_a_message_that_looks_like_a_timers_may_be_a_stop_as_well(log):
    ref = Timed.start(log)

    def stop_later(actor):
        actor.tell_later(0, lambda timed: timed.stop())

    ref.tell(stop_later)
    await asyncio.wait_for(ref.stopped(), 5)


# With the instance.


@pytest.mark.usefixtures("system")
async def test_timers_are_gone_with_the_actor(log, system):
    letters, made = [], []
    system.dead_letters.subscribe(letters.append)
    ref = Timed.start(log)

    def set_timers(actor):
        made.append(actor.timers.once("single", NEVER_S, "never"))
        made.append(actor.timers.every("periodic", NEVER_S, "never"))
        actor.set_receive_timeout(NEVER_S)

    await ref.ask_async(set_timers)
    ref.kill()
    await ref.stopped()
    assert [timer._handle.cancelled() for timer in made] == [True, True]
    assert (log, letters) == ([], [])


@pytest.mark.usefixtures("system")
async def test_a_timer_set_by_the_last_hook_is_gone_as_well(log):
    made = []

    class Late(Timed):
        def on_stop(self):
            made.append(self.timers.once("key", NEVER_S, "never"))

    ref = await Late.start_async(log)
    ref.kill()
    await ref.stopped()
    assert made[0]._handle.cancelled()


@pytest.mark.usefixtures("system")
async def test_a_dead_actor_is_not_kept_alive_by_its_timers(log):
    ref = Timed.start(log)
    await ref.ask_async(lambda actor: actor.timers.once("key", NEVER_S, "never") and None)
    instance = weakref.ref(ref.cell.actor)
    ref.kill()
    await ref.stopped()
    gc.collect()
    assert instance() is None


@pytest.mark.usefixtures("system")
async def test_timers_are_gone_with_a_restart(log, eventually):
    ref = Timed.start_with(RESTARTED, log)
    await ref.ask_async(lambda actor: actor.timers.every("key", 0.01, "old") and None)
    first = ref.cell.actor
    ref.tell(ValueError("restart"))
    await eventually(lambda: ref.cell.actor not in {None, first})
    assert await ref.ask_async(lambda actor: len(actor.timers)) == 0
    await ref.ask_async(lambda actor: actor.timers.once("later", 0.05, "new") and None)
    await eventually(lambda: "new" in log)
    assert log == ["new"]


@pytest.mark.usefixtures("system")
async def test_a_timers_message_that_lay_in_the_mailbox_is_gone_with_a_restart(log, eventually):
    ref = Timed.start_with(RESTARTED, log)
    await ref.ask_async(lambda actor: actor.timers.once("key", 0, "old") and None)
    gate = asyncio.Event()

    async def fail(_actor):
        await gate.wait()
        raise ValueError("restart")

    ref.tell(fail)
    await eventually(lambda: ref.statistics().depth == 1)
    gate.set()
    await ref.ask_async("end")
    assert log == ["end"]


@pytest.mark.usefixtures("system")
async def test_a_restarted_actor_sets_its_timers_itself(log, eventually):
    class Ticking(Timed):
        def on_start(self):
            self.timers.every("key", SOON_S, "tick")

    ref = Ticking.start_with(RESTARTED, log)
    await eventually(lambda: log)
    ref.tell(ValueError("restart"))
    await ref.ask_async(lambda _: log.clear())
    await eventually(lambda: len(log) >= 2)


# Actors on threads.


class Threaded:
    """What Timed does, for actors of which each handler may be on another thread."""

    def __init__(self, log):
        super().__init__()
        self.log = log

    def on_receive(self, message):
        if callable(message):
            return message(self)
        self.log.append((message, threading.get_ident()))
        return None


class PoolTimed(Threaded, PoolActor):
    pass


class ThreadTimed(Threaded, ThreadActor):
    pass


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize("kind", [PoolTimed, ThreadTimed])
async def test_actors_on_threads_have_timers_too(log, eventually, kind):
    ref = kind.start(log)

    def set_timers(actor):
        actor.timers.once("replaced", SOON_S, "old")
        actor.timers.once("replaced", SOON_S, "new")
        actor.timers.once("cancelled", SOON_S, "never")
        actor.timers.cancel("cancelled")
        actor.timers.every("periodic", SOON_S, "tick")

    await ref.ask_async(set_timers)
    await eventually(lambda: [item[0] for item in log].count("tick") >= 3)
    await ref.stop(block=False)
    messages = [message for message, _ in log]
    assert messages.count("new") == 1
    assert set(messages) == {"new", "tick"}
    assert threading.get_ident() not in {thread for _, thread in log}


@pytest.mark.usefixtures("system")
async def test_an_actor_on_the_pool_is_told_that_nothing_came(log, eventually):
    ref = PoolTimed.start(log)
    await ref.ask_async(lambda actor: actor.set_receive_timeout(SOON_S))
    await eventually(lambda: log)
    assert isinstance(log[0][0], ReceiveTimeout)
    await ref.ask_async(lambda actor: actor.set_receive_timeout(None))


# Receive timeout.


@pytest.mark.usefixtures("standing_still")
async def test_nothing_for_a_while_is_told_each_time(log, clock, eventually):
    ref = Timed.start(log)
    await ref.ask_async(lambda actor: actor.set_receive_timeout(SOON_S))
    for times in (1, 2, 3):
        clock.now += 1
        await eventually(lambda times=times: log == [ReceiveTimeout()] * times)


@pytest.mark.usefixtures("standing_still")
async def test_nothing_is_told_before_the_time_is_up(log, clock, eventually):
    ref = Timed.start(log)
    await ref.ask_async(lambda actor: actor.set_receive_timeout(2))
    looked = []
    timer = ref.cell.idle_timer
    handle = timer._handle
    clock.now += 1
    timer._look()
    handle.cancel()
    looked.append(list(log))
    await ref.ask_async("something")
    clock.now += 1.5
    timer._look()
    await ref.ask_async("more")
    assert looked == [[]]
    assert log == ["something", "more"]
    clock.now += 2
    timer._look()
    await eventually(lambda: log == ["something", "more", ReceiveTimeout()])


@pytest.mark.usefixtures("standing_still")
async def test_an_actor_at_work_or_with_work_before_it_is_not_idle(log, clock, eventually):
    ref = Timed.start(log)
    await ref.ask_async(lambda actor: actor.set_receive_timeout(SOON_S))
    gate = waits(ref)
    await eventually(lambda: ref.statistics().processed == 2)
    clock.now += 5
    timer = ref.cell.idle_timer
    await eventually(lambda: timer._active_at == clock.now)
    gate.set()
    await ref.ask_async("behind the long one")
    assert log == ["behind the long one"]


@pytest.mark.usefixtures("standing_still")
async def test_it_can_be_ended_and_set_anew(log, clock, eventually):
    ref = Timed.start(log)
    await ref.ask_async(lambda actor: actor.set_receive_timeout(NEVER_S))
    await ref.ask_async(lambda actor: actor.set_receive_timeout(SOON_S))
    clock.now += 1
    await eventually(lambda: log == [ReceiveTimeout()])
    timer = ref.cell.idle_timer
    await ref.ask_async(lambda actor: actor.set_receive_timeout(None))
    clock.now += NEVER_S
    timer._look()
    await ref.ask_async("end")
    assert log == [ReceiveTimeout(), "end"]


@pytest.mark.usefixtures("standing_still")
async def test_it_is_gone_with_the_actor_and_with_a_restart(log, clock):
    ref = Timed.start_with(RESTARTED, log)
    await ref.ask_async(lambda actor: actor.set_receive_timeout(1))
    timer = ref.cell.idle_timer
    ref.tell(ValueError("restart"))
    await ref.ask_async("restarted")
    clock.now += 5
    timer._look()
    await ref.ask_async("end")
    assert log == ["restarted", "end"]
    assert ref.cell.idle_timer is None


# Timers and the message at hand.


@pytest.mark.usefixtures("system")
async def test_the_message_of_a_timer_may_be_stashed_and_comes_again(log, eventually):
    class Stashing(Timed):
        ready = False

        def on_receive(self, message):
            if message == "tick" and not self.ready:
                self.ready = True
                self.stash()
                self.log.append("stashed")
                return None
            return super().on_receive(message)

    ref = Stashing.start(log)
    ref.tell(lambda actor: actor.timers.once("key", 0, "tick"))
    await eventually(lambda: log == ["stashed"])
    await ref.ask_async(lambda actor: actor.unstash_all())
    await ref.ask_async("end")
    assert log == ["stashed", "tick", "end"]


@pytest.mark.usefixtures("system")
async def test_the_message_of_a_timer_may_be_forwarded(log, eventually):
    class Forwarding(Timed):
        def on_receive(self, message):
            if message == "tick":
                self.forward(target)
                return None
            return super().on_receive(message)

    target = Timed.start(log)
    Forwarding.start([]).tell(lambda actor: actor.timers.once("key", 0, "tick"))
    await eventually(lambda: log == ["tick"])


@pytest.mark.usefixtures("system")
async def test_a_timer_that_the_next_instance_set_does_not_let_an_old_message_through(
    log, eventually
):
    class Keyed(Timed):
        made = 0

        def on_start(self):
            Keyed.made += 1
            self.timers.once("key", 0 if Keyed.made == 1 else NEVER_S, f"tick of {Keyed.made}")

        async def on_receive(self, message):
            if message == "fail":
                await gate.wait()
                raise ValueError("restart")
            return super().on_receive(message)

    gate = asyncio.Event()
    ref = Keyed.start_with(RESTARTED, log)
    ref.tell("fail")
    await eventually(lambda: ref.statistics().depth == 1)
    gate.set()
    await ref.ask_async("end")
    assert Keyed.made == 2
    assert log == ["end"]

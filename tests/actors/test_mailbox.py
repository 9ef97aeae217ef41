"""The mailbox: lanes, bounds with each overflow policy, waiting senders, time limits, statistics."""

import asyncio
import dataclasses
import functools
import logging
import threading
from contextlib import suppress

import pykka
import pytest
from pykka._envelope import Envelope

from apex_actors.actors import (
    ActorDeadError,
    ActorSystem,
    BlockingCallError,
    Bound,
    DeadLetter,
    DeadLetterReason,
    Directive,
    Lane,
    LoopActor,
    LoopDispatcher,
    MailboxFullError,
    MailboxStatistics,
    MessageExpiredError,
    Options,
    Overflow,
    PoolActor,
    Supervision,
    Terminated,
)


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Gated(LoopActor):
    """Notes a message, and is at it until the gate is open."""

    def __init__(self, log, gate):
        super().__init__()
        self.log = log
        self.gate = gate

    async def on_receive(self, message):
        self.log.append(message)
        await self.gate.wait()
        return message


class Noting(LoopActor):
    """Notes each message at once."""

    def __init__(self, log):
        super().__init__()
        self.log = log

    def on_receive(self, message):
        self.log.append(message)
        return message


class Blocking(PoolActor):
    """Notes a message, and blocks its thread until the gate is open."""

    def __init__(self, log, gate):
        super().__init__()
        self.log = log
        self.gate = gate

    def on_receive(self, message):
        self.log.append(message)
        self.gate.wait(10)
        return message


@pytest.fixture
def log():
    return []


@pytest.fixture
def gate():
    return asyncio.Event()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(autouse=True)
async def system(clock):
    """The system of this test's loop, whose time stands still; nobody is left in it afterwards."""
    loop = asyncio.get_running_loop()
    dispatcher = functools.partial(LoopDispatcher, clock=clock)
    system = ActorSystem(loop=loop, dispatcher=dispatcher).install(loop)
    yield system
    await system.stop_all(5, kill=True)


@pytest.fixture
def letters(system):
    published = []
    system.dead_letters.subscribe(published.append)
    return published


@pytest.fixture
def busy(log, gate, eventually):
    """Start an actor that is at its first message until the gate opens."""

    async def start(bound=None):
        ref = Gated.start_with(Options(mailbox=bound), log, gate)
        ref.tell("first")
        await eventually(lambda: log == ["first"])
        return ref

    return start


async def tell(ref, message):
    ref.tell(message)


async def tell_from_a_thread(ref, message):
    await asyncio.to_thread(ref.tell, message)


async def tell_async(ref, message):
    await ref.tell_async(message)


async def ask(ref, message):
    return await ref.ask(message, block=False)


async def ask_from_a_thread(ref, message):
    return await asyncio.to_thread(ref.ask, message, timeout=10)


async def ask_async(ref, message):
    return await ref.ask_async(message)


TELLS = [tell, tell_from_a_thread, tell_async]
ASKS = [ask, ask_from_a_thread, ask_async]
every_tell = pytest.mark.parametrize("way", TELLS)
every_ask = pytest.mark.parametrize("way", ASKS)
every_way = pytest.mark.parametrize("way", TELLS + ASKS)
every_way_that_can_wait = pytest.mark.parametrize(
    "way", [tell_from_a_thread, tell_async, ask_from_a_thread, ask_async]
)


def waiting_senders(ref):
    return ref.statistics().waiting_senders


# Lanes.


async def test_all_of_the_control_lane_goes_before_any_of_the_normal_one(
    busy, log, gate, eventually
):
    ref = await busy()
    ref.tell("normal 1")
    ref.tell("control 1", lane=Lane.CONTROL)
    ref.tell("normal 2", lane=Lane.NORMAL)
    ref.tell("control 2", lane=Lane.CONTROL)
    gate.set()
    await eventually(lambda: len(log) == 5)
    assert log == ["first", "control 1", "control 2", "normal 1", "normal 2"]


async def test_a_control_message_sent_by_a_handler_goes_before_what_waited_already(log):
    class Urgent(Noting):
        def on_receive(self, message):
            if message == "first":
                self.ref.tell("urgent", lane=Lane.CONTROL)
            return super().on_receive(message)

    ref = Urgent.start(log)
    ref.tell("first")
    await ref.ask_async("second")
    assert log == ["first", "urgent", "second"]


async def test_control_messages_from_a_thread_wake_an_idle_actor(log, eventually):
    ref = Noting.start(log)
    await ref.started()
    await asyncio.to_thread(ref.tell, "control", lane=Lane.CONTROL)
    await eventually(lambda: log == ["control"])


async def test_the_system_lane_goes_before_both(busy, log, letters):
    ref = await busy()
    ref.tell("normal")
    ref.tell("control", lane=Lane.CONTROL)
    ref.kill()
    await ref.stopped()
    assert log == ["first"]
    assert {letter.message for letter in letters} == {"normal", "control"}


async def test_a_stop_is_an_ordinary_message_behind_all_that_was_sent_before(busy, log, gate):
    ref = await busy()
    ref.tell("before")
    stopping = ref.stop(block=False)
    ref.tell("behind")
    ref.tell("control", lane=Lane.CONTROL)
    gate.set()
    assert await stopping is True
    assert log == ["first", "control", "before"]


async def test_the_control_lane_of_a_dead_actor_refuses(log):
    ref = Noting.start(log)
    ref.kill()
    await ref.stopped()
    with pytest.raises(ActorDeadError):
        ref.tell("late", lane=Lane.CONTROL)


# Bounds.


@pytest.mark.parametrize("capacity", [0, -1])
def test_a_bound_without_room_is_refused(capacity):
    with pytest.raises(ValueError, match="at least one"):
        Bound(capacity)


async def test_a_class_has_a_bound_for_all_its_actors_and_options_go_before_it(log):
    class Small(Noting):
        mailbox_bound = Bound(3)

    assert Small.start(log).statistics().capacity == 3
    own = Small.start_with(Options(mailbox=Bound(7)), log)
    assert own.statistics().capacity == 7
    assert Noting.start(log).statistics().capacity is None


async def test_the_message_under_way_takes_no_room(busy):
    ref = await busy(Bound(2))
    ref.tell("second")
    ref.tell("third")
    with pytest.raises(MailboxFullError):
        ref.tell("fourth")


async def test_the_control_lane_is_neither_counted_nor_refused(busy, log, gate, eventually):
    ref = await busy(Bound(1))
    for number in range(3):
        ref.tell(number, lane=Lane.CONTROL)
    ref.tell("normal")
    for number in range(3, 6):
        ref.tell(number, lane=Lane.CONTROL)
    gate.set()
    await eventually(lambda: log == ["first", *range(6), "normal"])


async def test_a_full_mailbox_can_be_stopped(busy, log, gate):
    ref = await busy(Bound(1))
    ref.tell("second")
    stopping = ref.stop(block=False)
    gate.set()
    assert await stopping is True
    assert log == ["first", "second"]


async def test_a_full_mailbox_takes_what_the_runtime_tells(log, gate, eventually):
    class Parent(Gated):
        def on_start(self):
            self.watch(other)

    other = Noting.start([])
    ref = Parent.start_with(Options(mailbox=Bound(1)), log, gate)
    ref.tell("first")
    await eventually(lambda: log == ["first"])
    ref.tell("second")
    other.kill()
    await other.stopped()
    gate.set()
    await eventually(lambda: len(log) == 3)
    assert log[2].ref is other


@every_way
async def test_fail_refuses_the_message_too_many_and_keeps_the_others(
    busy, log, gate, letters, eventually, way
):
    ref = await busy(Bound(1))
    ref.tell("second")
    with pytest.raises(MailboxFullError):
        await way(ref, "too many")
    gate.set()
    await eventually(lambda: log == ["first", "second"])
    assert await ref.ask_async("there is room again") == "there is room again"
    assert log == ["first", "second", "there is room again"]
    assert letters == []


@every_tell
async def test_drop_new_makes_a_dead_letter_of_the_message_too_many(busy, log, gate, letters, way):
    ref = await busy(Bound(1, Overflow.DROP_NEW))
    ref.tell("second")
    await way(ref, "too many")
    assert letters == [DeadLetter("too many", ref, DeadLetterReason.OVERFLOW)]
    gate.set()
    await ref.stop(block=False)
    assert log == ["first", "second"]


@every_ask
async def test_drop_new_tells_the_asker(busy, log, gate, letters, way):
    ref = await busy(Bound(1, Overflow.DROP_NEW))
    ref.tell("second")
    with pytest.raises(MailboxFullError):
        await way(ref, "too many")
    assert letters == [DeadLetter("too many", ref, DeadLetterReason.OVERFLOW)]
    gate.set()
    await ref.stop(block=False)
    assert log == ["first", "second"]


@every_way
async def test_drop_old_makes_room_for_the_new_one_and_tells_who_asked_for_the_old(
    busy, log, gate, letters, eventually, way
):
    ref = await busy(Bound(2, Overflow.DROP_OLD))
    oldest = ref.ask_async("oldest")
    ref.tell("second")
    sending = asyncio.ensure_future(way(ref, "new"))
    with pytest.raises(MailboxFullError):
        await oldest
    gate.set()
    await sending
    assert letters == [DeadLetter("oldest", ref, DeadLetterReason.OVERFLOW)]
    await eventually(lambda: log == ["first", "second", "new"])


# Back-pressure.


@every_way_that_can_wait
async def test_back_pressure_lets_the_sender_wait_for_room(busy, log, gate, eventually, way):
    ref = await busy(Bound(1, Overflow.BACK_PRESSURE))
    ref.tell("second")
    sending = asyncio.ensure_future(way(ref, "third"))
    await eventually(lambda: waiting_senders(ref) == 1)
    assert not sending.done()
    assert ref.statistics().depth == 1
    gate.set()
    assert await sending in {None, "third"}
    await eventually(lambda: log == ["first", "second", "third"])


async def test_a_tell_that_would_block_the_loop_is_refused_and_nobody_waits(busy):
    ref = await busy(Bound(1, Overflow.BACK_PRESSURE))
    ref.tell("second")
    with pytest.raises(BlockingCallError):
        ref.tell("third")
    with pytest.raises(BlockingCallError):
        await ref.ask("third", block=False)
    assert waiting_senders(ref) == 0
    assert ref.statistics().depth == 1


async def test_waiting_senders_are_served_in_their_order(busy, log, gate, eventually):
    ref = await busy(Bound(2, Overflow.BACK_PRESSURE))
    ref.tell("a")
    ref.tell("b")
    senders = []
    for count, name in enumerate("cdefgh", start=1):
        senders.append(asyncio.ensure_future(ref.tell_async(name)))
        await eventually(lambda count=count: waiting_senders(ref) == count)
    gate.set()
    await asyncio.gather(*senders)
    await eventually(lambda: log == ["first", *"abcdefgh"])


async def test_a_waiting_sender_that_is_cancelled_sends_nothing_and_holds_nobody_up(
    busy, log, gate, eventually
):
    ref = await busy(Bound(1, Overflow.BACK_PRESSURE))
    ref.tell("second")
    gives_up, patient = (asyncio.ensure_future(ref.tell_async(name)) for name in "ab")
    await eventually(lambda: waiting_senders(ref) == 2)
    gives_up.cancel()
    await asyncio.wait({gives_up})
    assert waiting_senders(ref) == 1
    gate.set()
    await patient
    await eventually(lambda: log == ["first", "second", "b"])


async def test_a_sender_cancelled_when_there_was_room_for_it_passes_the_room_on(
    busy, log, gate, eventually
):
    ref = await busy(Bound(1, Overflow.BACK_PRESSURE))
    ref.tell("second")
    gives_up, patient = (asyncio.ensure_future(ref.tell_async(name)) for name in "ab")
    await eventually(lambda: waiting_senders(ref) == 2)
    ref.actor_inbox.queue._waiting[0].add_done_callback(gives_up.cancel)
    gate.set()
    await asyncio.wait_for(patient, 5)
    assert gives_up.cancelled()
    await eventually(lambda: log == ["first", "second", "b"])


async def test_an_ask_gives_up_waiting_for_room_when_its_time_is_up(busy, log, gate):
    ref = await busy(Bound(1, Overflow.BACK_PRESSURE))
    ref.tell("second")
    with pytest.raises(TimeoutError):
        await ref.ask_async("late", timeout=0.01)
    assert waiting_senders(ref) == 0
    gate.set()
    await ref.stop(block=False)
    assert log == ["first", "second"]


@every_way_that_can_wait
async def test_waiting_senders_are_released_when_the_actor_ends(busy, log, eventually, way):
    ref = await busy(Bound(1, Overflow.BACK_PRESSURE))
    ref.tell("second")
    sending = asyncio.ensure_future(way(ref, "third"))
    await eventually(lambda: waiting_senders(ref) == 1)
    ref.kill()
    await ref.stopped()
    # A tell may have become a dead letter; an ask is always answered.
    with suppress(ActorDeadError):
        assert await asyncio.wait_for(sending, 5) is None
    assert log == ["first"]


async def test_a_dead_actor_lets_nobody_wait(log):
    ref = Noting.start_with(Options(mailbox=Bound(1, Overflow.BACK_PRESSURE)), log)
    ref.kill()
    await ref.stopped()
    for way in (tell, tell_from_a_thread, tell_async, ask, ask_from_a_thread, ask_async):
        with pytest.raises(ActorDeadError):
            await asyncio.wait_for(way(ref, "late"), 5)


async def test_a_handler_on_the_pool_may_wait_for_room(busy, log, gate, eventually):
    target = await busy(Bound(1, Overflow.BACK_PRESSURE))
    target.tell("second")

    class Sender(PoolActor):
        def on_receive(self, message):
            target.tell(message)
            return "sent"

    sent = Sender.start().ask("third", block=False)
    await eventually(lambda: waiting_senders(target) == 1)
    gate.set()
    assert await asyncio.wait_for(sent, 5) == "sent"
    await eventually(lambda: log == ["first", "second", "third"])


async def test_an_actor_on_the_pool_makes_its_senders_wait(log, eventually):
    gate = threading.Event()
    ref = Blocking.start_with(Options(mailbox=Bound(1, Overflow.BACK_PRESSURE)), log, gate)
    ref.tell("first")
    await eventually(lambda: log == ["first"])
    ref.tell("second")
    sending = asyncio.ensure_future(ref.tell_async("third"))
    await eventually(lambda: waiting_senders(ref) == 1)
    gate.set()
    await asyncio.wait_for(sending, 5)
    await eventually(lambda: log == ["first", "second", "third"])


# Time limits.


async def test_a_message_whose_time_passed_while_it_waited_is_not_handled(
    busy, log, gate, letters, clock
):
    ref = await busy()
    ref.tell("short-lived", expires_in_s=5)
    ref.tell("patient", expires_in_s=60)
    clock.now += 6
    gate.set()
    await ref.stop(block=False)
    assert log == ["first", "patient"]
    assert letters == [DeadLetter("short-lived", ref, DeadLetterReason.EXPIRED)]


async def test_who_asked_for_an_expired_message_is_told(busy, log, gate, clock):
    ref = await busy()
    asked = ref.ask_async("short-lived", expires_in_s=5)
    clock.now += 6
    gate.set()
    with pytest.raises(MessageExpiredError):
        await asked
    assert log == ["first"]


async def test_a_message_that_began_in_time_may_take_longer(busy, log, gate, clock, eventually):
    ref = await busy()
    asked = ref.ask_async("second", expires_in_s=5)
    first_gate, ref.cell.actor.gate = gate, asyncio.Event()
    first_gate.set()
    await eventually(lambda: log == ["first", "second"])
    clock.now += 6
    ref.cell.actor.gate.set()
    assert await asked == "second"


async def test_control_and_awaited_tells_have_time_limits_too(busy, log, gate, letters, clock):
    ref = await busy(Bound(10, Overflow.BACK_PRESSURE))
    ref.tell("control", lane=Lane.CONTROL, expires_in_s=5)
    await ref.tell_async("awaited", expires_in_s=5)
    clock.now += 6
    gate.set()
    await ref.stop(block=False)
    assert log == ["first"]
    assert [letter.message for letter in letters] == ["control", "awaited"]


async def test_an_actor_on_the_pool_drops_expired_messages(log, letters, eventually):
    gate = threading.Event()
    ref = Blocking.start(log, gate)
    ref.tell("first")
    await eventually(lambda: log == ["first"])
    ref.tell("expired", expires_in_s=-1)
    gate.set()
    await ref.stop(block=False)
    assert log == ["first"]
    assert letters == [DeadLetter("expired", ref, DeadLetterReason.EXPIRED)]


# Statistics.


async def test_statistics_count_what_waits_in_both_lanes_and_how_long(busy, gate, clock, log):
    ref = await busy(Bound(5))
    clock.now += 1
    ref.tell("normal")
    clock.now += 2
    ref.tell("control", lane=Lane.CONTROL)
    clock.now += 3
    waiting = ref.statistics()
    assert (waiting.depth, waiting.oldest_age_s, waiting.capacity) == (2, 5.0, 5)
    gate.set()
    await ref.ask_async("last")
    assert ref.statistics() == MailboxStatistics(
        depth=0, oldest_age_s=0.0, processed=4, dropped=0, capacity=5, waiting_senders=0
    )
    assert log == ["first", "control", "normal", "last"]


async def test_statistics_count_what_was_dropped_for_any_reason(busy, log, gate, clock):
    ref = await busy(Bound(2, Overflow.DROP_NEW))
    ref.tell("expires", expires_in_s=1)
    ref.tell("in time", expires_in_s=5)
    ref.tell("too many")
    clock.now += 2
    assert ref.statistics().dropped == 1
    gate.set()
    stopping = ref.stop(block=False)
    ref.tell("goes first", lane=Lane.CONTROL)
    assert await stopping is True
    assert ref.statistics().dropped == 2
    assert log == ["first", "goes first", "in time"]


async def test_statistics_of_the_dead_can_be_read_and_a_snapshot_does_not_change(busy):
    ref = await busy()
    before = ref.statistics()
    ref.kill()
    await ref.stopped()
    assert ref.statistics().depth == 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        before.depth = 3


async def test_a_restart_goes_on_counting(log, caplog):
    caplog.set_level(logging.CRITICAL, logger="apex_actors.actors")

    class Fragile(Noting):
        def on_receive(self, message):
            if message == "fail":
                raise ValueError(message)
            return super().on_receive(message)

    ref = Fragile.start_with(Options(supervision=Supervision(default=Directive.RESTART)), log)
    await ref.ask_async("one")
    ref.tell("fail")
    await ref.ask_async("two")
    assert ref.statistics().processed == 3


# Pykka's inbox interface.


async def test_an_envelope_of_pykkas_is_delivered_and_answered(log):
    ref = Noting.start(log)
    reply = pykka.ThreadingFuture()
    ref.actor_inbox.put(Envelope("hello", reply_to=reply))
    assert await asyncio.to_thread(reply.get, timeout=5) == "hello"
    assert ref.actor_inbox.empty()


async def test_the_inbox_of_an_actor_made_by_hand_is_a_queue(log):
    inbox = Noting(log).actor_inbox
    assert inbox.empty()
    inbox.put(Envelope("one"))
    inbox.put(Envelope("two"))
    assert len(inbox) == 2
    assert [inbox.get().message, inbox.get().message] == ["one", "two"]
    assert inbox.empty()


# Threads.


async def test_many_threads_fill_a_bounded_mailbox_and_each_is_heard_in_order(log):
    ref = Noting.start_with(Options(mailbox=Bound(10_000)), log)

    def talk(name):
        for number in range(300):
            ref.tell((name, number))
            ref.tell((name, number), lane=Lane.CONTROL)

    await asyncio.gather(*(asyncio.to_thread(talk, name) for name in range(4)))
    await ref.ask_async("end")
    assert len(log) == 2401
    for name in range(4):
        # Each message twice, once a lane: the first of each in order, and the second as well.
        said = [item[1] for item in log if item[0] == name]
        firsts = list(dict.fromkeys(said))
        assert firsts == list(range(300))
        assert sorted(said) == sorted([*range(300), *range(300)])


# What the runtime tells is outside of all bounds.


async def test_drop_old_never_drops_a_stop(busy, log, gate):
    ref = await busy(Bound(1, Overflow.DROP_OLD))
    stopping = ref.stop(block=False)
    for number in range(3):
        ref.tell(number)
    gate.set()
    assert await asyncio.wait_for(stopping, 5) is True
    assert log == ["first"]


@pytest.mark.parametrize("overflow", [Overflow.DROP_OLD, Overflow.DROP_NEW, Overflow.FAIL])
async def test_what_the_runtime_tells_is_neither_dropped_nor_counted(
    log, gate, eventually, overflow, letters
):
    class Told(Gated):
        def on_start(self):
            self.watch(other)
            self.timers.once("key", 0.001, "tick")

    other = Noting.start([])
    ref = Told.start_with(Options(mailbox=Bound(1, overflow)), log, gate)
    ref.tell("first")
    await eventually(lambda: log == ["first"])
    other.kill()
    await eventually(lambda: ref.statistics().depth == 2)
    ref.tell("second")
    gate.set()
    await eventually(lambda: len(log) == 4)
    assert {type(message) for message in log} == {str, Terminated}
    assert {"tick", "second"} < set(log)
    assert letters == []


async def test_handlers_that_wait_release_waiting_senders_one_after_the_other(log, eventually):
    class Waiting(Noting):
        async def on_receive(self, message):
            await asyncio.sleep(0)
            return super().on_receive(message)

    ref = Waiting.start_with(Options(mailbox=Bound(2, Overflow.BACK_PRESSURE)), log)
    async with asyncio.timeout(5):
        for number in range(10):
            await ref.tell_async(number)
    await eventually(lambda: log == list(range(10)))


async def test_a_limit_counts_from_the_send_also_in_a_handler_that_takes_long(log, clock):
    class Long(Noting):
        def on_receive(self, message):
            clock.now += 60
            other.tell(message, expires_in_s=5)

    other = Noting.start(log)
    await Long.start([]).ask_async("fresh")
    await other.ask_async("end")
    assert log == ["fresh", "end"]


# Held back from outside.


async def test_a_suspended_actor_is_given_nothing_until_it_is_resumed(log):
    ref = Noting.start(log)
    await ref.started()
    ref.suspend()
    ref.tell("waits", lane=Lane.CONTROL)
    asked = ref.ask("waits too", block=False)
    for _ in range(5):
        await asyncio.sleep(0)
    assert log == []
    ref.resume()
    assert await asked == "waits too"
    assert log == ["waits", "waits too"]


async def test_a_stop_waits_for_the_end_of_a_suspension_and_a_kill_does_not(log):
    stopped, killed = Noting.start(log), Noting.start(log)
    for ref in (stopped, killed):
        await ref.started()
        ref.suspend()
    stopping = stopped.stop(block=False)
    killed.kill()
    await killed.stopped()
    assert not stopping.done()
    stopped.resume()
    assert await stopping is True


async def test_resuming_who_is_not_suspended_does_nothing(log):
    ref = Noting.start(log)
    ref.resume()
    assert await ref.ask_async("x") == "x"


async def test_try_tell_says_whether_the_actor_was_alive(log):
    ref = Noting.start(log)
    assert ref.try_tell("told") is True
    assert await ref.stop_async(5) is True
    assert ref.try_tell("late") is False
    assert await ref.stop_async(5) is False
    assert log == ["told"]


async def test_stop_async_gives_up_when_its_time_is_up_and_the_stop_stays(busy, gate):
    ref = await busy()
    with pytest.raises(TimeoutError):
        await ref.stop_async(0.01)
    gate.set()
    await asyncio.wait_for(ref.stopped(), 5)


async def test_a_ref_is_printed_with_the_name_of_its_actor(log):
    named = Noting.start_with(Options(name="the one"), log)
    assert str(named) == f"Noting 'the one' ({named.actor_urn})"
    other = Noting.start(log)
    assert str(other) == f"Noting ({other.actor_urn})"


# Senders that meet the end.


@pytest.mark.parametrize("meets", ["before its turn", "behind its turn"])
async def test_who_asks_is_answered_though_an_earlier_sender_met_the_end(log, eventually, meets):
    ref = Noting.start(log)
    ref.kill()
    await ref.stopped()
    mailbox, answer = ref.actor_inbox, asyncio.get_running_loop().create_future()
    envelope = ("late", answer, None, mailbox.dispatcher.clock())
    # A sender that found the mailbox open, and was held up until now, goes on like this.
    mailbox.idle = False
    if meets == "before its turn":
        mailbox.push(envelope)
    mailbox.dispatcher.schedule(mailbox.cell)
    if meets == "behind its turn":
        await eventually(lambda: mailbox.idle)
        mailbox.push(envelope)
    with pytest.raises(ActorDeadError):
        await asyncio.wait_for(answer, 5)

"""Dead letters: every message that nobody will handle, with its reason, and no other."""

import asyncio
import logging
import threading

import pytest

from apex_actors.actors import (
    ActorDeadError,
    Bound,
    DeadLetter,
    DeadLetterReason,
    DeadLetters,
    Lane,
    LoopActor,
    MailboxFullError,
    MessageExpiredError,
    Options,
    Overflow,
    PoolActor,
    ThreadActor,
)

LOGGER = "apex_actors.actors"


class Gated(LoopActor):
    """Is at each message until the gate is open."""

    def __init__(self, gate):
        super().__init__()
        self.gate = gate

    async def on_receive(self, message):
        await self.gate.wait()
        return message


class Stashing(LoopActor):
    def on_receive(self, _message):
        self.stash()


@pytest.fixture
def gate():
    return asyncio.Event()


@pytest.fixture
def busy(gate, eventually):
    """Start an actor that is at a message until the gate opens."""

    async def start(options=None):
        ref = Gated.start_with(options or Options(), gate)
        ref.tell("first")
        await eventually(lambda: ref.statistics().processed == 1)
        return ref

    return start


def letter(number=0, recipient=None):
    return DeadLetter(number, recipient, DeadLetterReason.STOPPED)


# The reasons.


async def test_messages_behind_a_stop_are_dead_letters_and_their_askers_know(
    busy, gate, letters, system
):
    ref = await busy()
    stopping = ref.stop(block=False)
    ref.tell("told")
    asked = [ref.ask("asked", block=False), ref.ask_async("asked on the loop")]
    gate.set()
    assert await stopping is True
    for reply in asked:
        with pytest.raises(ActorDeadError):
            await reply
    expected = ["told", "asked", "asked on the loop"]
    assert letters == [DeadLetter(one, ref, DeadLetterReason.STOPPED) for one in expected]
    assert system.dead_letters.counts() == {DeadLetterReason.STOPPED: 3}


async def test_messages_that_a_kill_leaves_in_both_lanes_are_dead_letters(busy, letters):
    ref = await busy()
    ref.tell("normal")
    ref.tell("control", lane=Lane.CONTROL)
    ref.kill()
    await ref.stopped()
    assert {(one.message, one.reason) for one in letters} == {
        ("normal", DeadLetterReason.STOPPED),
        ("control", DeadLetterReason.STOPPED),
    }


async def test_messages_that_a_failure_leaves_are_dead_letters(letters, caplog):
    caplog.set_level(logging.CRITICAL, logger=LOGGER)

    class Failing(LoopActor):
        def on_receive(self, message):
            raise ValueError(message)

    ref = Failing.start()
    ref.tell("fails")
    ref.tell("behind it")
    await ref.stopped()
    assert [one.message for one in letters] == ["behind it"]


@pytest.mark.parametrize("kind", [PoolActor, ThreadActor])
async def test_messages_to_actors_on_threads_die_there(kind, letters, eventually):
    class Blocked(kind):
        def on_receive(self, _message):
            begun.set()
            gate.wait(10)

    begun, gate = threading.Event(), threading.Event()
    ref = Blocked.start()
    ref.tell("first")
    await eventually(begun.is_set)
    ref.stop(block=False)
    ref.tell("behind the stop")
    gate.set()
    await ref.stopped()
    assert letters == [DeadLetter("behind the stop", ref, DeadLetterReason.STOPPED)]


async def test_a_message_too_many_is_a_dead_letter_where_the_policy_drops(busy, letters, system):
    new = await busy(Options(mailbox=Bound(1, Overflow.DROP_NEW)))
    old = await busy(Options(mailbox=Bound(1, Overflow.DROP_OLD)))
    for ref in (new, old):
        ref.tell("one")
        ref.tell("two")
    assert letters == [
        DeadLetter("two", new, DeadLetterReason.OVERFLOW),
        DeadLetter("one", old, DeadLetterReason.OVERFLOW),
    ]
    assert system.dead_letters.counts() == {DeadLetterReason.OVERFLOW: 2}


async def test_a_message_refused_to_its_sender_is_no_dead_letter(busy, letters):
    ref = await busy(Options(mailbox=Bound(1)))
    ref.tell("one")
    with pytest.raises(MailboxFullError):
        ref.tell("two")
    ref.kill()
    await ref.stopped()
    with pytest.raises(ActorDeadError):
        ref.tell("three")
    with pytest.raises(ActorDeadError):
        await ref.ask_async("four")
    assert [one.message for one in letters] == ["one"]


async def test_a_message_that_waited_too_long_is_a_dead_letter(busy, gate, letters):
    ref = await busy()
    ref.tell("told", expires_in_s=-1)
    asked = ref.ask_async("asked", expires_in_s=-1)
    gate.set()
    with pytest.raises(MessageExpiredError):
        await asked
    assert letters == [
        DeadLetter("told", ref, DeadLetterReason.EXPIRED),
        DeadLetter("asked", ref, DeadLetterReason.EXPIRED),
    ]


async def test_what_is_stashed_when_the_actor_ends_is_a_dead_letter_once(letters, eventually):
    ref = Stashing.start()
    ref.tell("told")
    asked = ref.ask("asked", block=False)
    await eventually(lambda: ref.statistics().processed == 2)
    ref.kill()
    with pytest.raises(ActorDeadError):
        await asked
    await ref.stopped()
    assert [one.message for one in letters] == ["told", "asked"]
    assert {one.recipient for one in letters} == {ref}


# What is none.


async def test_the_message_under_way_when_the_actor_is_killed_is_no_dead_letter(busy, letters):
    ref = await busy()
    ref.kill()
    await ref.stopped()
    assert letters == []


async def test_what_the_runtime_tells_is_no_dead_letter(letters, gate, eventually):
    class Watching(Gated):
        def on_start(self):
            self.watch(other)
            self.timers.once("timer", 0, "tick")
            self.start_child(LoopActor)

    other = LoopActor.start()
    ref = Watching.start(gate)
    ref.tell("first")
    await eventually(lambda: ref.statistics().processed == 1)
    other.kill()
    await other.stopped()
    await eventually(lambda: ref.statistics().depth == 2)
    stops = [ref.stop(block=False) for _ in range(2)]
    ref.kill()
    await ref.stopped()
    assert [await stop for stop in stops] == [True, True]
    assert letters == []


async def test_a_handled_message_is_no_dead_letter_also_when_its_asker_has_gone(letters):
    ref = LoopActor.start()
    ref.ask_async("x").cancel()
    ref.ask("y", block=False)
    await ref.stop(block=False)
    assert letters == []


# Listeners.


def test_listeners_are_told_until_they_unsubscribe():
    dead_letters, first, second = DeadLetters(), [], []
    end_first = dead_letters.subscribe(first.append)
    dead_letters.subscribe(second.append)
    dead_letters.publish(letter(1))
    end_first()
    end_first()
    dead_letters.publish(letter(2))
    assert first == [letter(1)]
    assert second == [letter(1), letter(2)]


def test_a_listener_that_raises_is_logged_and_keeps_nothing_from_the_others(caplog):
    caplog.set_level(logging.ERROR, logger=LOGGER)
    dead_letters, told = DeadLetters(), []

    def broken(_letter):
        raise ValueError("broken listener")

    dead_letters.subscribe(broken)
    dead_letters.subscribe(told.append)
    dead_letters.publish(letter())
    assert told == [letter()]
    assert "listener" in caplog.text
    assert dead_letters.counts() == {DeadLetterReason.STOPPED: 1}


async def test_an_actor_ends_whatever_its_dead_letters_do_to_listeners(busy, system, caplog):
    caplog.set_level(logging.CRITICAL, logger=LOGGER)

    def broken(_letter):
        raise ValueError("broken listener")

    system.dead_letters.subscribe(broken)
    ref = await busy()
    ref.tell("behind it")
    asked = ref.ask("asked", block=False)
    ref.kill()
    with pytest.raises(ActorDeadError):
        await asked
    await asyncio.wait_for(ref.stopped(), 5)


def test_a_listener_may_unsubscribe_while_it_is_told():
    dead_letters, told = DeadLetters(), []

    def once(one):
        told.append(one)
        end()

    end = dead_letters.subscribe(once)
    dead_letters.subscribe(told.append)
    dead_letters.publish(letter(1))
    dead_letters.publish(letter(2))
    assert told == [letter(1), letter(1), letter(2)]


async def test_a_listener_may_tell_an_actor(busy, system):
    class Collector(LoopActor):
        def on_receive(self, message):
            collected.append(message)

    collected = []
    collector = Collector.start()
    system.dead_letters.subscribe(collector.tell)
    ref = await busy()
    ref.tell("dies")
    ref.kill()
    await ref.stopped()
    await collector.ask_async("end")
    assert collected == [DeadLetter("dies", ref, DeadLetterReason.STOPPED), "end"]


def test_counts_are_exact_under_threads_and_a_snapshot_does_not_change():
    dead_letters = DeadLetters()

    def publish():
        for _ in range(500):
            dead_letters.publish(letter())

    before = dead_letters.counts()
    threads = [threading.Thread(target=publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert dead_letters.counts() == {DeadLetterReason.STOPPED: 2000}
    assert before == {}


def test_the_log_names_the_type_of_a_dead_letter_and_never_its_content(caplog):
    caplog.set_level(logging.DEBUG, logger=LOGGER)
    DeadLetters().publish(letter("something private"))
    assert "str" in caplog.text
    assert "private" not in caplog.text

"""An actor that stands in for others, and what is said when its expectations fail."""

import asyncio

import pytest

from apex_actors.actors import ActorDeadError, LoopActor, StopReason, Terminated
from apex_actors.actors.testing import VirtualClock, run


class Sender(LoopActor):
    """Tells ``to`` a message after each of some delays in seconds."""

    def __init__(self, to, *script):
        super().__init__()
        self.to = to
        self.script = script

    def on_start(self):
        for delay_s, message in self.script:
            self.tell_later(delay_s, message)

    def on_receive(self, message):
        self.to.tell(message)


async def failure_of(expecting):
    """What is said when an expectation fails."""
    with pytest.raises(AssertionError) as raised:
        await expecting
    return str(raised.value)


def test_messages_are_expected_in_their_order_by_value_type_or_function():
    async def scenario(kit):
        probe = kit.probe()
        for message in ("hello", 7, [1, 2, 3]):
            probe.ref.tell(message)
        assert await probe.expect("hello") == "hello"
        assert await probe.expect(int) == 7
        assert await probe.expect(lambda message: len(message) == 3) == [1, 2, 3]

    run(scenario)


def test_a_message_may_take_as_long_as_it_is_given_to_the_very_moment():
    async def scenario(kit):
        probe = kit.probe()
        Sender.start(probe.ref, (3600, "in an hour"))
        await probe.expect("in an hour", within_s=3600)
        return kit.now()

    assert run(scenario) == 3600


def test_a_message_that_does_not_come_fails_at_the_deadline_and_says_how_long_it_waited():
    async def scenario(kit):
        probe = kit.probe("p")
        Sender.start(probe.ref, (6, "too late"))
        said = await failure_of(probe.expect("too late", within_s=5))
        return said, kit.now()

    said, now = run(scenario)
    assert said == (
        "<Probe ProbeActor 'p'> expected 'too late' within 5 s, but nothing came in 5 s; "
        "nothing had come before"
    )
    assert now == 5


def test_another_message_fails_at_once_and_says_what_came_when_and_before():
    async def scenario(kit):
        probe = kit.probe("p")
        Sender.start(probe.ref, (1, "first"), (3, 42))
        await probe.expect("first")
        said = await failure_of(probe.expect(str, within_s=5))
        return said, kit.now()

    assert run(scenario) == (
        "<Probe ProbeActor 'p'> expected a str, but after 2 s came 42; before it had come: 'first'",
        3,
    )


def test_a_failure_tells_the_last_messages_only():
    async def scenario(kit):
        probe = kit.probe()
        for number in range(8):
            probe.ref.tell(number)
            await probe.expect(number)
        return await failure_of(probe.expect(8))

    assert run(scenario).endswith("before it had come: 3, 4, 5, 6, 7 (3 more before them)")


def test_no_message_is_expected_for_a_while():
    async def scenario(kit):
        probe = kit.probe("p")
        Sender.start(probe.ref, (10, "x"))
        await probe.expect_no_message(9)
        said = await failure_of(probe.expect_no_message(9))
        return said, kit.now()

    said, now = run(scenario)
    assert said.startswith(
        "<Probe ProbeActor 'p'> expected no message for 9 s, but after 1 s came 'x'"
    )
    assert now == 10


def test_a_message_that_came_earlier_and_was_not_expected_is_one_too_many():
    async def scenario(kit):
        probe = kit.probe()
        probe.ref.tell("unread")
        await kit.run_until_idle()
        return await failure_of(probe.expect_no_message(1))

    assert "came 'unread'" in run(scenario)


def test_several_messages_are_expected_in_whatever_order_they_come():
    async def scenario(kit):
        probe = kit.probe()
        Sender.start(probe.ref, (1, 5), (2, "b"), (3, 1))
        return await probe.expect_all_of("b", int, 5, within_s=3)

    assert run(scenario) == ["b", 1, 5]


def test_of_several_messages_the_missing_ones_are_told():
    async def scenario(kit):
        probe = kit.probe()
        Sender.start(probe.ref, (1, 5))
        late = await failure_of(probe.expect_all_of("b", int, within_s=3))
        assert kit.now() == 3
        probe.ref.tell(6)
        probe.ref.tell(7)
        return late, await failure_of(probe.expect_all_of("b", int))

    late, other = run(scenario)
    assert "expected 'b' within 3 s, but nothing came in 3 s" in late
    assert "expected 'b', but after 0 s came 7" in other


def test_the_end_of_an_actor_is_expected_whether_it_was_watched_before_or_not():
    async def scenario(kit):
        probe = kit.probe()
        first, second, dead = (Sender.start(probe.ref) for _ in range(3))
        probe.watch(first)
        first.kill()
        assert await probe.expect_terminated(first) == Terminated(first, StopReason.KILLED)
        second.stop(block=False)
        assert await probe.expect_terminated(second) == Terminated(second, StopReason.STOPPED)
        dead.kill()
        await dead.stopped()
        await probe.expect_terminated(dead)
        await probe.expect_no_message(1)

    run(scenario)


def test_an_actor_that_lives_fails_the_expectation_of_its_end():
    async def scenario(kit):
        probe = kit.probe()
        ref, other = Sender.start(probe.ref), Sender.start(probe.ref)
        said = await failure_of(probe.expect_terminated(ref))
        assert f"expected Terminated of {ref} within 1 s, but nothing came" in said
        probe.watch(other)
        other.kill()
        said = await failure_of(probe.expect_terminated(ref))
        assert f"expected Terminated of {ref}, but after 0 s came Terminated(" in said

    run(scenario)


def test_a_probe_answers_the_ask_that_was_expected_last():
    async def scenario(kit):
        probe = kit.probe()
        first, second = probe.ref.ask_async("first"), probe.ref.ask_async("second")
        await probe.expect("first")
        probe.reply(1)
        assert await first == 1
        await probe.expect("second")
        probe.reply(ValueError("no"))
        with pytest.raises(ValueError, match="no"):
            await second

    run(scenario)


def test_a_probe_answers_the_last_ask_where_none_was_expected():
    async def scenario(kit):
        probe = kit.probe()
        asks = [probe.ref.ask_async(number) for number in range(2)]
        probe.ref.tell("no ask")
        await kit.run_until_idle()
        probe.reply("for 1")
        probe.reply("for 0")
        return [await ask for ask in asks]

    assert run(scenario) == ["for 0", "for 1"]


def test_a_reply_that_nobody_asked_for_is_a_failure():
    async def scenario(kit):
        probe = kit.probe("p")
        probe.ref.tell("told")
        await probe.expect("told")
        with pytest.raises(AssertionError) as raised:
            probe.reply(1)
        return str(raised.value)

    assert run(scenario) == (
        "<Probe ProbeActor 'p'> has no ask to reply to; before it had come: 'told'"
    )


def test_who_asked_a_probe_that_ends_without_a_reply_is_told():
    async def scenario(kit):
        probe = kit.probe()
        answered, unanswered = probe.ref.ask_async(1), probe.ref.ask_async(2)
        await probe.expect(1)
        probe.reply("one")
        await probe.expect(2)
        probe.ref.kill()
        assert await answered == "one"
        with pytest.raises(ActorDeadError, match="ended without a reply"):
            await unanswered

    run(scenario)


def test_received_are_all_messages_expected_or_not():
    async def scenario(kit):
        probe = kit.probe()
        for message in ("a", "b"):
            probe.ref.tell(message)
        await probe.expect("a")
        assert probe.received == ["a", "b"]

    run(scenario)


def test_where_time_stands_still_expect_waits_for_what_can_happen_now():
    async def scenario(kit):
        probe = kit.probe()
        Sender.start(probe.ref, (0, "now"), (5, "later"))
        await probe.expect("now", within_s=100)
        said = await failure_of(probe.expect("later", within_s=100))
        assert "nothing came in 0 s (time stands still: auto_advance is off)" in said
        await VirtualClock().advance(5)
        await probe.expect("later")

    run(scenario, auto_advance=False)


def test_where_time_stands_still_expecting_no_message_lets_its_time_pass():
    async def scenario(kit):
        probe = kit.probe()
        Sender.start(probe.ref, (5, "later"))
        await probe.expect_no_message(4)
        assert kit.now() == 4
        await failure_of(probe.expect_no_message(1))
        assert kit.now() == 5

    run(scenario, auto_advance=False)


def test_on_real_time_deadlines_are_real():
    async def scenario(kit):
        probe = kit.probe()
        asyncio.get_running_loop().call_later(0.01, probe.ref.tell, "soon")
        await probe.expect("soon", within_s=10)
        await probe.expect_no_message(0.01)
        assert "nothing came" in await failure_of(probe.expect("never", within_s=0.01))

    run(scenario, virtual_time=False)

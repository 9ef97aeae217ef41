"""What the kit shows of the runtime itself: its clock, its lives, its orders."""

import asyncio
import logging

import pytest

from apex_actors.actors import (
    ActorDeadError,
    Backoff,
    ChildFailed,
    Directive,
    LoopActor,
    Options,
    ReceiveTimeout,
    Scope,
    StopReason,
    Supervision,
    Terminated,
)
from apex_actors.actors.testing import explore, run


@pytest.fixture(autouse=True)
def expected_failures_are_quiet(caplog):
    caplog.set_level(logging.CRITICAL, logger="apex_actors.actors")


class Worker(LoopActor):
    """Tells ``to`` of its life and its messages, and when that was."""

    def __init__(self, to):
        super().__init__()
        self.to = to

    def say(self, what):
        self.to.tell((self.system.loop_dispatcher.clock(), what))

    def on_start(self):
        self.say("starts")

    def on_stop(self):
        self.say("stops")

    def on_failure(self, *_error):
        self.say("failed")

    def on_receive(self, message):
        match message:
            case "fail":
                raise ValueError(message)
            case ("wait", seconds):
                return self.wait(seconds)
            case ("idle", seconds):
                self.set_receive_timeout(seconds)
                return None
        self.say(message)
        return message

    async def wait(self, seconds):
        try:
            await asyncio.sleep(seconds)
            self.say("waited")
        except asyncio.CancelledError:
            self.say("interrupted")
            raise


def doubling(max_restarts=None, within_s=None):
    return Supervision(
        default=Directive.RESTART,
        max_restarts=max_restarts,
        within_s=within_s,
        backoff=Backoff(first_s=1, factor=2, longest_s=8, jitter=0),
    )


# Supervision with a pause.


def test_the_pause_before_a_restart_doubles_up_to_its_longest():
    async def scenario(kit):
        probe = kit.probe()
        ref = Worker.start_with(Options(supervision=doubling()), probe.ref)
        await probe.expect((0, "starts"))
        at = 0
        for pause_s in (1, 2, 4, 8, 8):
            ref.tell("fail")
            await probe.expect((at, "failed"))
            at += pause_s
            await probe.expect((at, "starts"), within_s=pause_s)

    run(scenario)


def test_messages_of_the_pause_are_handled_behind_it():
    async def scenario(kit):
        probe = kit.probe()
        ref = Worker.start_with(Options(supervision=doubling()), probe.ref)
        ref.tell("fail")
        ref.tell("in the pause")
        await probe.expect((0, "starts"))
        await probe.expect((0, "failed"))
        await probe.expect((1, "starts"))
        await probe.expect((1, "in the pause"))

    run(scenario)


def test_restarts_that_are_long_ago_are_forgiven():
    async def scenario(kit):
        probe = kit.probe()
        policy = doubling(max_restarts=2, within_s=60)
        ref = Worker.start_with(Options(supervision=policy), probe.ref)
        probe.watch(ref)
        for _ in range(5):
            ref.tell("fail")
            await asyncio.sleep(31)
        assert ref.is_alive()
        for _ in range(3):
            ref.tell("fail")
        await kit.run_until_idle()
        await asyncio.sleep(10)
        assert probe.received[-1] == Terminated(ref, StopReason.FAILED)

    run(scenario)


# Silence.


def test_a_receive_timeout_counts_from_the_last_message_and_comes_each_time_again():
    async def scenario(kit):
        probe = kit.probe()
        ref = Worker.start(probe.ref)
        ref.tell(("idle", 10))
        await probe.expect((0, "starts"))
        await asyncio.sleep(7)
        ref.tell("still here")
        await probe.expect((7, "still here"))
        await probe.expect((17, ReceiveTimeout()), within_s=10)
        await probe.expect((27, ReceiveTimeout()), within_s=10)

    run(scenario)


def test_a_handler_that_waits_is_no_silence():
    async def scenario(kit):
        probe = kit.probe()
        ref = Worker.start(probe.ref)
        ref.tell(("idle", 10))
        ref.tell(("wait", 25))
        await probe.expect((0, "starts"))
        await probe.expect((25, "waited"), within_s=25)
        await probe.expect((35, ReceiveTimeout()), within_s=10)

    run(scenario)


def test_a_restarted_actor_has_no_receive_timeout_of_its_predecessor():
    async def scenario(kit):
        probe = kit.probe()
        ref = Worker.start_with(Options(supervision=doubling()), probe.ref)
        ref.tell(("idle", 10))
        ref.tell("fail")
        for expected in ((0, "starts"), (0, "failed"), (1, "starts")):
            await probe.expect(expected)
        await probe.expect_no_message(60)

    run(scenario)


# The end, at any moment and in any order.


class Parent(LoopActor):
    """Starts the children that it is told to, and tells ``to`` of those that failed."""

    def __init__(self, to, supervision):
        super().__init__()
        self.to = to
        self.supervision = supervision

    def on_receive(self, message):
        match message:
            case ("start", count):
                return [self.start_child(Worker, self.to) for _ in range(count)]
            case ChildFailed():
                self.to.tell(message)
        return None


def test_terminated_comes_exactly_once_however_watch_and_kill_meet():
    class Watcher(LoopActor):
        def __init__(self, to):
            super().__init__()
            self.to = to

        def on_receive(self, message):
            if isinstance(message, Terminated):
                self.to.tell(("ended", message.ref, message.reason))
            else:
                self.watch(message)

    async def scenario(kit):
        probe = kit.probe()
        ref = Worker.start(kit.probe().ref)
        watchers = [Watcher.start(probe.ref) for _ in range(3)]
        for watcher in watchers:
            watcher.tell(ref)
        ref.kill()
        for watcher in watchers:
            watcher.tell(ref)
        await kit.run_until_idle()
        # Told of twice where the second watch came behind the first end: that is another watch.
        assert len(watchers) <= len(probe.received) <= 2 * len(watchers)
        assert set(probe.received) == {("ended", ref, StopReason.KILLED)}

    assert explore(scenario).schedules > 50


def test_a_kill_at_any_moment_answers_each_ask_and_interrupts_what_waits():
    async def scenario(kit):
        probe = kit.probe()
        ref = Worker.start(probe.ref)
        asks = [ref.ask_async(("wait", seconds)) for seconds in (0, 1, 2)]
        asks.append(ref.ask_async("hello"))
        killer = kit.probe()

        class Killer(LoopActor):
            def on_receive(self, _message):
                ref.kill()

        Killer.start().tell("now")
        await killer.expect_terminated(ref)
        for ask in asks:
            try:
                await ask
            except ActorDeadError:
                continue
        await kit.run_until_idle()
        said = [what for _, what in probe.received]
        assert said.count("starts") <= 1
        assert said.count("stops") == 1
        assert said[-1] == "stops", "nothing behind the end"

    assert explore(scenario).schedules > 10


def test_a_restart_while_a_handler_of_a_sibling_waits_interrupts_it_and_loses_no_message():
    async def scenario(kit):
        probe = kit.probe()
        policy = Supervision(default=Directive.RESTART, scope=Scope.ONE_FOR_ALL)
        failing, waiting = await Parent.start(probe.ref, policy).ask_async(("start", 2))
        interrupted = waiting.ask_async(("wait", 3600))
        await asyncio.sleep(1)
        behind = waiting.ask_async("behind it")
        failing.tell("fail")
        with pytest.raises(ActorDeadError, match="restarted"):
            await interrupted
        assert await behind == "behind it"
        assert kit.now() == 1
        await kit.run_until_idle()
        said = [what for _, what in probe.received]
        assert sorted(said[2:]) == sorted(
            ["failed", "interrupted", "stops", "starts", "starts", "behind it"]
        )

    assert explore(scenario).schedules > 10


def test_children_end_before_their_parent_in_any_order():
    async def scenario():
        ended = []

        class Node(LoopActor):
            def __init__(self, depth):
                super().__init__()
                self.depth = depth

            def on_start(self):
                for _ in range(self.depth):
                    self.start_child(Node, self.depth - 1).tell("wait")

            async def on_receive(self, _message):
                await asyncio.sleep(3600)

            async def on_stop(self):
                assert self.children == []
                await asyncio.sleep(0)
                ended.append(self.depth)

        root = Node.start(2)
        await root.started()
        root.kill()
        await root.stopped()
        assert ended[-1] == 2
        assert sorted(ended) in ([0] * n + [1, 1, 2] for n in range(3))

    assert explore(scenario).schedules > 20

"""Actors with a thread of their own: one, named after their class, which ends with them."""

import asyncio
import threading

import pytest

from apex_actors.actors import (
    ActorDeadError,
    AsyncHandlerError,
    Directive,
    LoopActor,
    Options,
    PoolActor,
    StopReason,
    Supervision,
    Terminated,
    ThreadActor,
)

pytestmark = pytest.mark.usefixtures("expected_failures_are_quiet", "system")


class Own(ThreadActor):
    """Notes on which thread everything happens."""

    def __init__(self, log=None):
        super().__init__()
        self.log = log if log is not None else []

    def note(self, what):
        self.log.append((what, threading.current_thread()))

    def on_start(self):
        self.note("start")

    def on_stop(self):
        self.note("stop")

    def on_failure(self, *_):
        self.note("failure")

    def on_receive(self, message):
        self.note(message)
        if isinstance(message, type) and issubclass(message, BaseException):
            raise message
        return threading.current_thread()


class Watcher(LoopActor):
    def __init__(self, told):
        super().__init__()
        self.told = told

    def on_receive(self, message):
        if isinstance(message, Terminated):
            self.told.append(message)
        else:
            self.watch(message)


@pytest.fixture
def log():
    return []


async def test_all_of_an_actors_life_is_on_one_thread_of_its_own(log):
    ref = Own.start(log)
    ref.tell("told")
    thread = await ref.ask_async("asked")
    await ref.stop(block=False)
    assert [what for what, _ in log] == ["start", "told", "asked", "stop"]
    assert {where for _, where in log} == {thread}
    assert thread is not threading.current_thread()


async def test_each_actor_has_another_thread_named_after_its_class():
    threads = [await Own.start().ask_async("x") for _ in range(3)]
    assert len(set(threads)) == 3
    assert len({thread.name for thread in threads}) == 3
    assert all(thread.name.startswith("Own-") for thread in threads)


@pytest.mark.parametrize("daemon", [False, True])
async def test_a_class_says_whether_its_threads_keep_the_program_alive(daemon):
    class Daemon(Own):
        use_daemon_thread = daemon

    assert (await Daemon.start().ask_async("x")).daemon is daemon


@pytest.mark.parametrize("way", ["stop", "kill", "failure", "exit"])
async def test_the_thread_ends_with_the_actor(log, way):
    ref = Own.start(log)
    thread = await ref.ask_async("x")
    match way:
        case "stop":
            ref.stop(block=False)
        case "kill":
            ref.kill()
        case "failure":
            ref.tell(ValueError)
        case "exit":
            ref.tell(SystemExit)
    await asyncio.wait_for(ref.stopped(), 10)
    await asyncio.to_thread(thread.join, 10)
    assert not thread.is_alive()
    assert log[-1] == ("stop" if way in {"stop", "kill"} else "failure", thread)


async def test_an_actor_that_ends_from_its_own_handler_ends_its_thread():
    class Tired(Own):
        def on_receive(self, message):
            self.stop()
            return super().on_receive(message)

    ref = Tired.start()
    thread = await ref.ask_async("x")
    await asyncio.wait_for(ref.stopped(), 10)
    await asyncio.to_thread(thread.join, 10)
    assert not thread.is_alive()


async def test_a_restart_stays_on_the_thread(log):
    options = Options(supervision=Supervision(default=Directive.RESTART))
    ref = Own.start_with(options, log)
    before = await ref.ask_async("before")
    ref.tell(ValueError)
    assert await ref.ask_async("after") is before
    assert [what for what, _ in log] == [
        "start",
        "before",
        ValueError,
        "failure",
        "start",
        "after",
    ]


async def test_a_handler_may_block_without_holding_anybody_up():
    class Holding(Own):
        def on_receive(self, message):
            message.wait(10)
            return "let go"

    gate = threading.Event()
    held = Holding.start().ask(gate, block=False)
    assert await Own.start().ask_async("x") is not threading.current_thread()
    assert not held.done()
    gate.set()
    assert await asyncio.wait_for(held, 10) == "let go"


async def test_actors_on_threads_ask_each_other_and_the_loop():
    class Relay(ThreadActor):
        def __init__(self, target):
            super().__init__()
            self.target = target

        def on_receive(self, message):
            return self.target.ask(message, timeout=10)

    class Echo(LoopActor):
        def on_receive(self, message):
            return message

    ref = Relay.start(Relay.start(Relay.start(Echo.start())))
    assert await asyncio.wait_for(ref.ask("x", block=False), 10) == "x"


async def test_many_threads_may_send_and_one_handles():
    class Careful(ThreadActor):
        heard = 0
        inside = 0

        def on_receive(self, _message):
            self.inside += 1
            assert self.inside == 1, "two handlers at a time"
            self.heard += 1
            self.inside -= 1
            return self.heard

    ref = Careful.start()

    def talk():
        for number in range(300):
            ref.tell(number)

    await asyncio.gather(*(asyncio.to_thread(talk) for _ in range(4)))
    assert await ref.ask_async("end") == 1201


async def test_an_async_handler_is_refused():
    class Async(ThreadActor):
        async def on_receive(self, message):
            return message

    with pytest.raises(AsyncHandlerError):
        await Async.start().ask_async("x")


async def test_children_on_other_threads_end_first():
    order = []

    class Child(PoolActor):
        def on_stop(self):
            order.append("child")

    class Parent(ThreadActor):
        def on_start(self):
            self.start_child(Child)
            self.start_child(Own)

        def on_stop(self):
            order.append("parent")

    ref = await Parent.start_async()
    ref.kill()
    await asyncio.wait_for(ref.stopped(), 10)
    assert order == ["child", "parent"]


# The dead.


async def test_what_is_asked_of_a_dead_actor_is_answered_though_its_thread_is_gone(eventually):
    ref = Own.start()
    thread = await ref.ask_async("x")
    await ref.stop(block=False)
    await asyncio.to_thread(thread.join, 10)
    told = []
    watcher = Watcher.start(told)
    watcher.tell(ref)
    await eventually(lambda: told == [Terminated(ref, StopReason.STOPPED)])
    await asyncio.wait_for(ref.stopped(), 10)
    assert await ref.stop(block=False) is False
    with pytest.raises(ActorDeadError):
        await ref.ask_async("x")
    with pytest.raises(ActorDeadError):
        ref.tell("x")
    ref.kill()
    ref.cancel()
    assert ref.statistics().depth == 0


async def test_a_watcher_is_told_once_however_the_watch_and_the_end_meet(eventually):
    told = []
    watchers = [Watcher.start(told) for _ in range(3)]
    refs = [Own.start() for _ in range(20)]
    for ref in refs:
        watchers[0].tell(ref)
        ref.kill()
        watchers[1].tell(ref)
    for ref in refs:
        await asyncio.wait_for(ref.stopped(), 10)
        watchers[2].tell(ref)
    await eventually(lambda: len(told) == 60)
    for watcher in watchers:
        await watcher.ask_async(refs[0])
    await eventually(lambda: len(told) == 63)
    assert {message.ref for message in told} == set(refs)


async def test_every_asker_is_answered_in_whatever_moment_the_actor_ends():
    for _ in range(20):
        ref = Own.start()
        go = threading.Barrier(3)

        def ask_often(ref=ref, go=go):
            go.wait(10)
            return [ref.ask(number, block=False) for number in range(50)]

        def kill(ref=ref, go=go):
            go.wait(10)
            ref.kill()

        *asked, _ = await asyncio.gather(
            asyncio.to_thread(ask_often), asyncio.to_thread(ask_often), asyncio.to_thread(kill)
        )
        await asyncio.wait_for(ref.stopped(), 10)
        for reply in (reply for replies in asked for reply in replies):
            try:
                assert await asyncio.wait_for(reply, 10) is not threading.current_thread()
            except ActorDeadError:
                continue

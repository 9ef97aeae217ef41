"""The pool: blocking handlers side by side, waits that starve nobody, threads that come and go."""

import asyncio
import contextvars
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from apex_actors.actors import (
    ActorSystem,
    AsyncHandlerError,
    Future,
    LoopActor,
    PoolActor,
    Timeout,
    blocking,
)
from apex_actors.actors import pool_dispatcher as pool_module
from apex_actors.actors.pool_dispatcher import PoolDispatcher

pytestmark = pytest.mark.usefixtures("expected_failures_are_quiet")

#: A deadline for what must happen at once: long enough for a machine that others use as well.
SOON_S = 10


class Echo(PoolActor):
    def on_receive(self, message):
        return message


class Meeting(PoolActor):
    """Is at a message until as many others are as the barrier waits for."""

    def __init__(self, barrier):
        super().__init__()
        self.barrier = barrier

    def on_receive(self, message):
        self.barrier.wait(SOON_S)
        return message


class Hold(PoolActor):
    """Says that it has begun, and blocks its thread until it is let go."""

    def __init__(self, wait=lambda event: event.wait(SOON_S)):
        super().__init__()
        self.wait = wait

    def on_receive(self, message):
        begun, gate = message
        begun.set()
        self.wait(gate)


def wait_as_blocking(event):
    with blocking():
        event.wait(SOON_S)


@pytest.fixture
def make_system():
    """Systems with pools of a size; closed at the end."""
    made = []

    def make(pool_size):
        system = ActorSystem(pool_size=pool_size)
        made.append(system)
        return system

    yield make
    for system in made:
        system.close(SOON_S)


def wait_until(condition):
    """As ``eventually``, in tests without a loop."""
    deadline = time.monotonic() + SOON_S
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"condition not met within {SOON_S} s")
        time.sleep(0.001)


# Side by side.


def test_blocking_handlers_do_not_block_each_other(make_system):
    system = make_system(4)
    barrier = threading.Barrier(4)
    refs = [system.start(Meeting, barrier) for _ in range(4)]
    replies = [ref.ask(number, block=False) for number, ref in enumerate(refs)]
    assert [reply.get(timeout=SOON_S) for reply in replies] == [0, 1, 2, 3]


def test_no_more_handlers_run_at_once_than_the_pool_has_threads(make_system):
    system = make_system(3)
    running, most, lock = [0], [0], threading.Lock()

    class Counting(PoolActor):
        def on_receive(self, _message):
            with lock:
                running[0] += 1
                most[0] = max(most[0], running[0])
            pause.wait(0.001)
            with lock:
                running[0] -= 1

    pause = threading.Event()
    replies = [
        ref.ask("x", block=False)
        for ref in [system.start(Counting) for _ in range(12)]
        for _ in range(5)
    ]
    for reply in replies:
        reply.get(timeout=SOON_S)
    assert most[0] == 3
    assert system.pool_dispatcher.statistics().threads <= 3


def test_a_pool_without_threads_is_refused(make_system):
    with pytest.raises(ValueError, match="at least one thread"):
        PoolDispatcher(make_system(1), 0)


def test_one_handler_at_a_time_under_many_senders(make_system):
    system = make_system(4)

    class Careful(PoolActor):
        def __init__(self):
            super().__init__()
            self.inside = 0
            self.heard = []

        def on_receive(self, message):
            self.inside += 1
            assert self.inside == 1, "two handlers at a time"
            self.heard.append(message)
            self.inside -= 1
            return len(self.heard)

    ref = system.start(Careful)
    heard = ref.cell.actor.heard

    def talk(name):
        for number in range(500):
            if number % 10:
                ref.tell((name, number))
            else:
                ref.ask((name, number), timeout=SOON_S)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(talk, range(6)))
    assert ref.ask("end", timeout=SOON_S) == 3001
    for name in range(6):
        assert [item[1] for item in heard if item[0] == name] == list(range(500))


def test_what_one_thread_wrote_the_next_one_reads(make_system):
    system = make_system(4)

    class Counter(PoolActor):
        def __init__(self):
            super().__init__()
            self.count = 0
            self.threads = set()

        def on_receive(self, message):
            self.threads.add(threading.get_ident())
            self.count += message
            return self.count

    ref = system.start(Counter)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: [ref.ask(1, timeout=SOON_S) for _ in range(100)], range(4)))
    assert ref.ask(0, timeout=SOON_S) == 400


def test_a_busy_actor_does_not_keep_the_only_thread(make_system):
    system = make_system(1)

    class Spinning(PoolActor):
        def on_receive(self, message):
            self.ref.tell(message)

    spinning = system.start(Spinning)
    spinning.tell("again")
    assert system.start(Echo).ask("my turn", timeout=SOON_S) == "my turn"
    spinning.kill()
    spinning.stopped().get(timeout=SOON_S)


# Waiting.


class Asking(PoolActor):
    """Asks its helper, in the way that it is given, before it answers."""

    def __init__(self, ask):
        super().__init__()
        self.ask = ask

    def on_receive(self, message):
        return self.ask(message)


@pytest.mark.parametrize(
    "ask",
    [
        lambda ref, message: ref.ask(message),
        lambda ref, message: ref.ask(message, block=False).get(),
        lambda ref, message: ref.ask(message, block=False).map(lambda reply: reply).get(),
        lambda ref, message: ref.ask(message, block=False).join(ref.ask("x", block=False)).get()[0],
        lambda ref, message: ref.proxy().on_receive(message).get(),
    ],
    ids=["ask", "get", "map", "join", "proxy"],
)
def test_actors_that_ask_helpers_on_the_same_single_thread_do_not_starve_it(make_system, ask):
    system = make_system(1)
    helpers = [system.start(Echo) for _ in range(2)]
    first = system.start(Asking, lambda message: ask(helpers[1], message))
    second = system.start(Asking, lambda message: ask(helpers[0], message))
    replies = [ref.ask(number, block=False) for number, ref in enumerate([first, second])]
    assert [reply.get(timeout=SOON_S) for reply in replies] == [0, 1]


def test_a_chain_of_asks_longer_than_the_pool_comes_to_its_end(make_system):
    system = make_system(2)
    ref = system.start(Echo)
    for _ in range(20):
        ref = system.start(Asking, lambda message, ref=ref: ref.ask(message))
    assert ref.ask("through all", timeout=SOON_S) == "through all"
    assert system.pool_dispatcher.statistics().blocked == 0


def test_actors_of_the_loop_may_be_asked_from_the_only_thread_and_ask_back(make_system):
    system = make_system(1)

    class OnLoop(LoopActor):
        async def on_receive(self, message):
            return await echo.ask_async(message)

    echo = system.start(Echo)
    on_loop = system.start(OnLoop)
    assert system.start(Asking, on_loop.ask).ask("there and back", timeout=SOON_S) == (
        "there and back"
    )


def test_a_stop_that_is_waited_for_is_a_wait_as_well(make_system):
    system = make_system(1)
    other = system.start(Echo)
    stopping = system.start(Asking, lambda _: other.stop())
    assert stopping.ask("stop the other", timeout=SOON_S) is True
    assert not other.is_alive()


def test_a_handler_that_says_it_blocks_lets_another_one_run(make_system):
    system = make_system(1)
    begun, gate = threading.Event(), threading.Event()
    holding = system.start(Hold, wait_as_blocking)
    held = holding.ask((begun, gate), block=False)
    assert begun.wait(SOON_S)
    assert system.start(Echo).ask("meanwhile", timeout=SOON_S) == "meanwhile"
    assert not held.done()
    gate.set()
    held.get(timeout=SOON_S)


def test_work_that_was_there_before_the_wait_began_is_done_meanwhile(make_system):
    system = make_system(1)
    begun, may_wait, gate = (threading.Event() for _ in range(3))

    def first_computes_then_waits(event):
        may_wait.wait(SOON_S)
        wait_as_blocking(event)

    echo = system.start(Echo)
    held = system.start(Hold, first_computes_then_waits).ask((begun, gate), block=False)
    assert begun.wait(SOON_S)
    waiting = echo.ask("waits for a thread", block=False)
    wait_until(lambda: echo.cell in system.pool_dispatcher._ready)
    may_wait.set()
    assert waiting.get(timeout=SOON_S) == "waits for a thread"
    gate.set()
    held.get(timeout=SOON_S)


def test_the_pool_counts_who_waits_and_who_has_work(make_system):
    system = make_system(1)
    begun, gate = threading.Event(), threading.Event()
    held = system.start(Hold, wait_as_blocking).ask((begun, gate), block=False)
    assert begun.wait(SOON_S)
    wait_until(lambda: system.pool_dispatcher.statistics().blocked == 1)
    gate.set()
    held.get(timeout=SOON_S)
    wait_until(lambda: system.pool_dispatcher.statistics().blocked == 0)
    wait_until(lambda: system.pool_dispatcher.statistics().idle == 1)


def test_a_wait_that_ends_in_an_error_is_over(make_system):
    system = make_system(1)

    def gives_up(_message):
        with blocking():
            raise ValueError("no")

    def runs_out_of_time(_message):
        Future().get(timeout=0.001)

    with pytest.raises(ValueError, match="no"):
        system.start(Asking, gives_up).ask("x", timeout=SOON_S)
    with pytest.raises(Timeout):
        system.start(Asking, runs_out_of_time).ask("x", timeout=SOON_S)
    wait_until(lambda: system.pool_dispatcher.statistics().blocked == 0)


def test_blocking_elsewhere_than_on_a_pool_does_nothing():
    with blocking(), blocking():
        pass


# Threads.


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(pool_module, "IDLE_S", 0.01)


@pytest.mark.usefixtures("impatient")
def test_threads_go_when_there_is_nothing_to_do_and_come_back(make_system):
    system = make_system(3)
    barrier = threading.Barrier(3)
    refs = [system.start(Meeting, barrier) for _ in range(3)]
    for _ in range(2):
        replies = [ref.ask("x", block=False) for ref in refs]
        assert [reply.get(timeout=SOON_S) for reply in replies] == ["x"] * 3
        wait_until(lambda: system.pool_dispatcher.statistics().threads == 0)
    assert all(ref.is_alive() for ref in refs)


@pytest.mark.usefixtures("impatient")
def test_threads_that_stood_in_for_waiting_ones_go_when_these_go_on(make_system):
    system = make_system(2)
    gate = threading.Event()
    begun = [threading.Event() for _ in range(6)]
    held = [system.start(Hold, wait_as_blocking).ask((event, gate), block=False) for event in begun]
    for event in begun:
        assert event.wait(SOON_S)
    assert system.pool_dispatcher.statistics().threads >= 6
    gate.set()
    for reply in held:
        reply.get(timeout=SOON_S)
    wait_until(lambda: system.pool_dispatcher.statistics().threads <= 2)


def test_a_pool_has_no_thread_before_there_is_work(make_system):
    system = make_system(4)
    assert system.pool_dispatcher.statistics().threads == 0
    system.start(Echo).ask("x", timeout=SOON_S)
    assert 1 <= system.pool_dispatcher.statistics().threads <= 2


def test_an_actor_started_by_a_handler_on_the_pool_belongs_to_its_system(make_system):
    system = make_system(1)
    child = system.start(Asking, lambda _: Echo.start()).ask("start one", timeout=SOON_S)
    assert child in system.alive()
    assert child.ask("x", timeout=SOON_S) == "x"


# What a pool refuses, and what it survives.


def test_an_async_handler_is_refused_with_words(make_system):
    system = make_system(1)

    class Async(PoolActor):
        async def on_receive(self, message):
            return message

    ref = system.start(Async)
    with pytest.raises(AsyncHandlerError, match="plain"):
        ref.ask("x", timeout=SOON_S)
    ref.tell("x")
    ref.stopped().get(timeout=SOON_S)


@pytest.mark.parametrize("hook", ["on_start", "on_stop"])
def test_async_hooks_are_refused_and_the_actor_ends(make_system, hook):
    system = make_system(1)

    async def on_hook(_self):
        ran.append(hook)

    ran = []
    ref = system.start(type("Async", (Echo,), {hook: on_hook}))
    ref.kill()
    ref.stopped().get(timeout=SOON_S)
    assert ran == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_no_exception_of_a_handler_costs_the_pool_its_thread(make_system, error):
    system = make_system(1)

    class Failing(PoolActor):
        def on_receive(self, _message):
            raise error

    failing, other = system.start(Failing), system.start(Echo)
    failing.tell("x")
    failing.stopped().get(timeout=SOON_S)
    assert other.ask("lives on", timeout=SOON_S) == "lives on"
    assert system.pool_dispatcher.statistics().threads == 1


@pytest.mark.parametrize("hook", ["on_start", "on_stop", "on_failure"])
def test_no_exception_of_a_hook_costs_the_pool_its_thread(make_system, hook):
    system = make_system(1)

    def on_hook(*_):
        raise KeyboardInterrupt

    class Failing(PoolActor):
        def on_receive(self, _message):
            raise ValueError

    failing = system.start(type("Hooked", (Failing,), {hook: on_hook}))
    other = system.start(Echo)
    if hook == "on_stop":
        failing.kill()
    else:
        failing.tell("x") if hook == "on_failure" else None
    failing.stopped().get(timeout=SOON_S)
    assert other.ask("lives on", timeout=SOON_S) == "lives on"


async def test_a_loop_asks_the_pool_without_waiting_for_it(make_system, eventually):
    system = make_system(1)
    begun, gate = threading.Event(), threading.Event()
    asked = system.start(Hold).ask_async((begun, gate))
    await eventually(begun.is_set)
    gate.set()
    await asyncio.wait_for(_awaited(asked), SOON_S)


async def _awaited(future):
    return await future


def test_nested_waits_count_as_one(make_system):
    class Nested(PoolActor):
        def on_receive(self, _message):
            with blocking(), blocking():
                return system.pool_dispatcher.statistics().blocked

    system = make_system(1)
    assert system.start(Nested).ask("x", timeout=SOON_S) == 1
    assert system.pool_dispatcher.statistics().blocked == 0


def test_a_variable_set_in_a_handler_is_not_seen_by_another_actor_on_the_same_thread(make_system):
    class Setting(PoolActor):
        def on_receive(self, message):
            seen = variable.get()
            variable.set(message)
            return seen

    variable = contextvars.ContextVar("variable", default="nothing")
    system = make_system(1)
    first, second = system.start(Setting), system.start(Setting)
    assert first.ask("first's", timeout=SOON_S) == "nothing"
    assert second.ask("second's", timeout=SOON_S) == "nothing"

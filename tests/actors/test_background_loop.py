"""Actors started where no event loop runs: the runtime keeps one for them in a thread."""

import asyncio
import threading

import pytest

from apex_actors.actors import (
    ActorDeadError,
    ActorRegistry,
    ActorStartError,
    ActorSystem,
    BlockingCallError,
    LoopActor,
    NameTakenError,
    NoEventLoopError,
    Options,
    PoolActor,
    StopTimeoutError,
    ThreadActor,
)
from apex_actors.actors.background_loop import BackgroundLoop

pytestmark = pytest.mark.usefixtures("expected_failures_are_quiet")

SOON_S = 10


class Echo(LoopActor):
    def __init__(self, log=None):
        super().__init__()
        self.log = log if log is not None else []

    async def on_start(self):
        await asyncio.sleep(0)
        self.log.append("start")

    async def on_stop(self):
        await asyncio.sleep(0)
        self.log.append("stop")

    async def on_receive(self, message):
        await asyncio.sleep(0)
        if isinstance(message, Exception):
            raise message
        self.log.append(message)
        return (message, threading.current_thread())


@pytest.fixture
def log():
    return []


@pytest.fixture
def system():
    system = ActorSystem()
    yield system
    if not system.loop_dispatcher.is_closed:
        system.close(SOON_S)


@pytest.fixture
def system_of_the_process():
    """The one that ``Actor.start`` uses here; a fresh one, closed at the end."""
    if ActorSystem._of_process is not None:
        ActorSystem._of_process.close(SOON_S)
    system = ActorSystem.current()
    yield system
    if not system.loop_dispatcher.is_closed:
        system.close(SOON_S)


# Actors without a loop of the caller's.


def test_an_actor_is_started_asked_and_stopped_as_pykkas_are(system_of_the_process, log):
    ref = Echo.start(log)
    ref.tell("told")
    reply, thread = ref.ask("asked", timeout=SOON_S)
    assert reply == "asked"
    assert thread is not threading.current_thread()
    assert ref.stop(timeout=SOON_S) is True
    assert ref.stop(timeout=SOON_S) is False
    assert log == ["start", "told", "asked", "stop"]
    assert ref.cell.system is system_of_the_process


@pytest.mark.usefixtures("system_of_the_process")
def test_all_started_without_a_loop_share_one_loop():
    threads = {Echo.start().ask("x", timeout=SOON_S)[1] for _ in range(3)}
    assert len(threads) == 1
    assert threads.pop().daemon


@pytest.mark.usefixtures("system_of_the_process")
def test_many_threads_find_the_same_system():
    systems, together = [], threading.Barrier(8)

    def look():
        together.wait(SOON_S)
        systems.append(ActorSystem.current())

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON_S)
    assert len(set(map(id, systems))) == 1


@pytest.mark.usefixtures("system_of_the_process")
def test_what_an_actor_there_starts_belongs_to_the_same_system():
    class Pool(PoolActor):
        def on_receive(self, kind):
            return kind.start()

    class Thread(ThreadActor):
        def on_receive(self, kind):
            return kind.start()

    for kind in (Pool, Thread):
        child = kind.start().ask(Echo, timeout=SOON_S)
        assert child in ActorSystem.current().alive()
        assert child.ask("x", timeout=SOON_S)[0] == "x"


def test_errors_come_through_from_the_loop_to_the_thread(system):
    ref = system.start(Echo)
    with pytest.raises(ValueError, match="no"):
        ref.ask(ValueError("no"), timeout=SOON_S)
    with pytest.raises(ValueError, match="no"):
        ref.ask(ValueError("no"), block=False).get(timeout=SOON_S)
    assert ref.is_alive()


def test_a_failed_start_is_told_to_who_waits_for_it(system):
    class Unborn(LoopActor):
        async def on_start(self):
            raise ValueError("no")

    ref = system.start(Unborn)
    with pytest.raises(ActorStartError, match="no"):
        ref.started().get(timeout=SOON_S)
    ref.stopped().get(timeout=SOON_S)
    with pytest.raises(ActorDeadError):
        ref.ask("x", timeout=SOON_S)


def test_a_blocking_call_within_such_an_actor_is_refused(system):
    class Blocking(LoopActor):
        def on_receive(self, message):
            return other.ask(message)

    other = system.start(Echo)
    with pytest.raises(BlockingCallError):
        system.start(Blocking).ask("x", timeout=SOON_S)


async def test_a_loop_of_the_callers_may_ask_actors_of_another_loop(log):
    system = await asyncio.to_thread(ActorSystem)
    ref = system.start(Echo, log)
    reply, thread = await asyncio.wait_for(ref.ask("x", block=False), SOON_S)
    assert reply == "x"
    assert thread is not threading.current_thread()
    assert (await asyncio.wait_for(_awaited(ref.ask_async("y")), SOON_S))[0] == "y"
    await ref.tell_async("z")
    await asyncio.wait_for(ref.stop(block=False), SOON_S)
    assert log == ["start", "x", "y", "z", "stop"]
    await asyncio.to_thread(system.close, SOON_S)


async def _awaited(future):
    return await future


# Names.


def test_a_name_is_unique_among_the_living_of_a_system(system):
    named = Options(name="the one")
    ref = system.start_with(named, Echo)
    assert system.named("the one") is ref
    assert ref.name == "the one"
    with pytest.raises(NameTakenError, match="the one"):
        system.start_with(named, Echo)
    assert system.alive() == [ref]
    ref.stop(timeout=SOON_S)
    assert system.named("the one") is None
    assert system.start_with(named, Echo) is not ref


def test_a_name_is_free_again_when_the_constructor_raised(system):
    class Unborn(Echo):
        def __init__(self):
            raise ValueError("no")

    named = Options(name="the one")
    with pytest.raises(ValueError, match="no"):
        system.start_with(named, Unborn)
    assert system.named("the one") is None
    assert system.start_with(named, Echo).is_alive()


def test_of_many_threads_one_gets_the_name(system):
    together, outcomes = threading.Barrier(8), []

    def start():
        together.wait(SOON_S)
        try:
            outcomes.append(system.start_with(Options(name="the one"), Echo))
        except NameTakenError:
            outcomes.append(None)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON_S)
    assert outcomes.count(None) == 7
    assert system.alive() == [ref for ref in outcomes if ref is not None]


# Closing.


def test_close_stops_all_actors_and_the_thread(log):
    system = ActorSystem()
    refs = [system.start(Echo, log) for _ in range(3)]
    thread = refs[0].ask("x", timeout=SOON_S)[1]
    pool = system.start(PoolActor)
    own = system.start(ThreadActor)
    for ref in (*refs, pool, own):
        ref.started().get(timeout=SOON_S)
    system.close(SOON_S)
    assert log.count("stop") == 3
    assert not thread.is_alive()
    assert system.alive() == []
    assert not {*refs, pool, own} & set(ActorRegistry.get_all())
    for ref in (*refs, pool, own):
        with pytest.raises(ActorDeadError):
            ref.tell("late")
        with pytest.raises(ActorDeadError):
            ref.ask("late", timeout=SOON_S)


def test_close_lets_the_actors_handle_what_they_were_sent(log):
    system = ActorSystem()
    ref = system.start(Echo, log)
    for number in range(100):
        ref.tell(number)
    system.close(SOON_S)
    assert log == ["start", *range(100), "stop"]


def test_an_empty_system_can_be_closed():
    ActorSystem().close(SOON_S)


def test_the_system_of_the_process_is_made_anew_after_it_was_closed(system_of_the_process):
    Echo.start().ask("x", timeout=SOON_S)
    system_of_the_process.close(SOON_S)
    assert ActorSystem.current() is not system_of_the_process
    assert Echo.start().ask("y", timeout=SOON_S)[0] == "y"
    ActorSystem.current().close(SOON_S)


def test_close_says_who_did_not_stop_in_time_and_ends_the_loop_all_the_same():
    class Clinging(LoopActor):
        async def on_stop(self):
            await asyncio.Event().wait()

    system = ActorSystem()
    ref = system.start(Clinging)
    ref.started().get(timeout=SOON_S)
    with pytest.raises(StopTimeoutError, match="Clinging"):
        system.close(0.01)
    assert system.loop_dispatcher.is_closed


def test_a_stop_timeout_names_a_few_and_counts_the_rest():
    class Clinging(LoopActor):
        async def on_stop(self):
            await asyncio.Event().wait()

    system = ActorSystem()
    for _ in range(7):
        system.start(Clinging).started().get(timeout=SOON_S)
    with pytest.raises(StopTimeoutError, match=r"7 actors .* and 2 more"):
        system.close(0.01)


async def test_a_system_on_a_loop_of_the_callers_is_not_closed_but_stopped():
    system = ActorSystem.current()
    ref = Echo.start()
    with pytest.raises(NoEventLoopError, match="stop_all"):
        system.close()
    assert ref.is_alive()
    await system.stop_all(SOON_S)
    assert not ref.is_alive()


# The loop itself.


def test_a_background_loop_calls_and_runs_on_its_thread():
    loop = BackgroundLoop(lambda: None)

    async def where():
        return threading.current_thread()

    here = threading.current_thread()
    assert loop.call(lambda _: threading.current_thread()) is loop.run(where()) is not here
    with pytest.raises(ValueError, match="no"):
        loop.call(lambda _: (_ for _ in ()).throw(ValueError("no")))
    loop.stop()


def test_what_still_runs_on_a_background_loop_is_cancelled_when_it_stops():
    ended = []

    async def forever():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def begin():
        tasks.append(asyncio.create_task(forever()))
        await asyncio.sleep(0)

    tasks = []
    loop = BackgroundLoop(lambda: None)
    loop.run(begin())
    loop.stop()
    assert ended == ["cancelled"]


# One system, from wherever it is used.


def test_what_a_handler_starts_belongs_to_the_system_of_its_loop(system):
    class Starting(LoopActor):
        def on_receive(self, kind):
            return kind.start()

    child = system.start(Starting).ask(Echo, timeout=SOON_S)
    assert child.cell.system is system
    system.close(SOON_S)
    assert not child.is_alive()


async def test_a_close_on_a_loop_is_refused_and_changes_nothing():
    system = await asyncio.to_thread(ActorSystem)
    ref = system.start(Echo)
    with pytest.raises(BlockingCallError):
        system.close(SOON_S)
    assert not system.loop_dispatcher.is_closed
    assert (await ref.ask("x", block=False))[0] == "x"
    await asyncio.to_thread(system.close, SOON_S)


def test_a_system_may_be_closed_twice():
    system = ActorSystem()
    system.close(SOON_S)
    system.close(SOON_S)
    assert system.loop_dispatcher.is_closed


def test_a_system_may_be_made_on_another_thread_than_its_loops():
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    system = ActorSystem(loop=loop)
    assert system.start(Echo).ask("x", timeout=SOON_S) == ("x", thread)
    asyncio.run_coroutine_threadsafe(system.stop_all(SOON_S), loop).result(SOON_S)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(SOON_S)
    loop.close()

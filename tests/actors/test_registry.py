"""The registry of all actors of the process: Pykka's interface, without its linear searches."""

import asyncio
import threading
from types import SimpleNamespace

import pykka
import pytest

from apex_actors.actors import (
    ActorDeadError,
    ActorRegistry,
    ActorSystem,
    BlockingCallError,
    LoopActor,
    PoolActor,
    ThreadActor,
)
from apex_actors.actors import registry as registry_module


class Noting(LoopActor):
    def __init__(self, log):
        super().__init__()
        self.log = log

    def on_receive(self, message):
        self.log.append(message)
        return message


class Special(Noting):
    pass


class Other(LoopActor):
    pass


@pytest.fixture
def log():
    return []


@pytest.fixture(autouse=True)
def an_empty_registry():
    """Whom other tests left behind is not looked at here."""
    for ref in ActorRegistry.get_all():
        ActorRegistry.unregister(ref)


# Entering, leaving, looking up.


@pytest.mark.usefixtures("system")
async def test_actors_are_found_in_the_order_of_their_start(log):
    first, second, third = Noting.start(log), Special.start(log), Other.start()
    assert ActorRegistry.get_all() == [first, second, third]
    assert ActorRegistry.get_by_class(Noting) == [first, second]
    assert ActorRegistry.get_by_class(Special) == [second]
    assert ActorRegistry.get_by_class(LoopActor) == [first, second, third]
    assert ActorRegistry.get_by_class(pykka.Actor) == [first, second, third]
    assert ActorRegistry.get_by_class_name("Noting") == [first]
    assert ActorRegistry.get_by_class_name("Nobody") == []
    assert ActorRegistry.get_by_class(ThreadActor) == []


@pytest.mark.usefixtures("system")
async def test_an_actor_is_found_by_its_urn(log):
    ref = Noting.start(log)
    assert ActorRegistry.get_by_urn(ref.actor_urn) is ref
    assert ActorRegistry.get_by_urn("urn:uuid:nobody") is None
    ref.kill()
    await ref.stopped()
    assert ActorRegistry.get_by_urn(ref.actor_urn) is None


@pytest.mark.usefixtures("system")
async def test_an_actor_leaves_when_its_end_begins(eventually):
    class Slow(LoopActor):
        async def on_stop(self):
            await gate.wait()

    gate = asyncio.Event()
    ref = await Slow.start_async()
    assert ActorRegistry.get_all() == [ref]
    ref.kill()
    await eventually(lambda: not ref.is_alive())
    assert ActorRegistry.get_all() == []
    gate.set()
    await ref.stopped()


@pytest.mark.usefixtures("system")
async def test_an_actor_whose_constructor_raised_never_entered():
    class Unborn(LoopActor):
        def __init__(self):
            super().__init__()
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        Unborn.start()
    assert ActorRegistry.get_all() == []
    assert ActorSystem.current().alive() == []


@pytest.mark.usefixtures("system")
async def test_entering_and_leaving_once_too_often_does_no_harm(log):
    ref = Noting.start(log)
    ActorRegistry.register(ref)
    assert ActorRegistry.get_all() == [ref]
    assert ActorRegistry.get_by_class(Noting) == [ref]
    ActorRegistry.unregister(ref)
    ActorRegistry.unregister(ref)
    assert ActorRegistry.get_all() == []
    assert ActorRegistry.get_by_class(Noting) == []
    assert await ref.ask_async("I live on") == "I live on"


@pytest.mark.usefixtures("system")
async def test_what_was_asked_for_is_a_list_of_its_own(log):
    Noting.start(log)
    ActorRegistry.get_all().clear()
    ActorRegistry.get_by_class(Noting).clear()
    assert len(ActorRegistry.get_all()) == len(ActorRegistry.get_by_class(Noting)) == 1


@pytest.mark.usefixtures("system")
async def test_a_broadcast_reaches_all_or_those_of_a_class(log):
    logs = [[], [], []]
    noting, special, other = (
        kind.start(one) for kind, one in zip((Noting, Special, Noting), logs, strict=True)
    )
    ActorRegistry.broadcast("to all")
    ActorRegistry.broadcast("to special ones", target_class=Special)
    ActorRegistry.broadcast("to noting ones", target_class="Noting")
    for ref in (noting, special, other):
        await ref.ask_async("end")
    assert logs == [
        ["to all", "to noting ones", "end"],
        ["to all", "to special ones", "end"],
        ["to all", "to noting ones", "end"],
    ]
    assert log == []


@pytest.mark.usefixtures("system")
async def test_threads_enter_leave_and_look_at_the_same_time():
    class Brief(PoolActor):
        pass

    def live_and_die():
        for _ in range(30):
            ref = Brief.start()
            assert ref in ActorRegistry.get_all()
            assert ActorRegistry.get_by_urn(ref.actor_urn) is ref
            assert ref in ActorRegistry.get_by_class(Brief)
            assert ref.stop(timeout=10)
            assert ref not in ActorRegistry.get_all()

    system = ActorSystem.current()

    def with_system():
        system.adopt_thread()
        live_and_die()

    threads = [threading.Thread(target=with_system) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join, 30)
    assert ActorRegistry.get_all() == []


# How much work it is.


class CountingRef:
    """As much of a ref as the registry looks at; counts the comparisons it takes part in."""

    compared = 0
    looked_at = 0

    def __init__(self, actor_class=Noting):
        self.actor_class = actor_class

    def __eq__(self, other):
        type(self).compared += 1
        return self is other

    def __hash__(self):
        return id(self)

    @property
    def actor_urn(self):
        type(self).looked_at += 1
        return "urn:uuid:counted"


@pytest.fixture
def counting(monkeypatch):
    monkeypatch.setattr(CountingRef, "compared", 0)
    monkeypatch.setattr(CountingRef, "looked_at", 0)
    return CountingRef


@pytest.mark.parametrize("size", [1, 2000])
def test_leaving_takes_no_search_however_many_there_are(counting, size):
    refs = [counting() for _ in range(size)]
    for ref in refs:
        ActorRegistry.register(ref)
    assert len(ActorRegistry.get_all()) == size
    for ref in reversed(refs):
        ActorRegistry.unregister(ref)
    # An ordered list would have compared each with all before it.
    assert counting.compared == 0
    assert ActorRegistry.get_all() == []


def test_looking_up_a_urn_takes_no_search(counting):
    refs = [counting() for _ in range(1000)]
    for number, ref in enumerate(refs):
        ActorRegistry.register(ref)
        ActorRegistry.note_urn(f"urn:uuid:{number}", ref)
    assert ActorRegistry.get_by_urn("urn:uuid:999") is refs[999]
    assert (counting.compared, counting.looked_at) == (0, 0)


def test_looking_up_a_class_looks_at_each_class_and_not_at_each_actor():
    class Meta(type):
        asked = 0

        def __subclasscheck__(cls, kind):
            Meta.asked += 1
            return super().__subclasscheck__(kind)

    class Wanted(metaclass=Meta):
        pass

    for kind in (Wanted, Noting, Other):
        for _ in range(200):
            ActorRegistry.register(CountingRef(kind))
    assert len(ActorRegistry.get_by_class(Wanted)) == 200
    assert Meta.asked == 3


# Stopping all.


@pytest.mark.usefixtures("system")
async def test_stop_all_is_refused_on_a_loop():
    ref = Other.start()
    with pytest.raises(BlockingCallError):
        ActorRegistry.stop_all()
    assert ref.is_alive()


@pytest.mark.usefixtures("system")
async def test_stop_all_without_blocking_returns_futures(log):
    refs = [Noting.start(log) for _ in range(3)]
    futures = ActorRegistry.stop_all(block=False)
    assert [await future for future in futures] == [True] * 3
    assert not any(ref.is_alive() for ref in refs)


@pytest.mark.usefixtures("system")
async def test_stop_all_asks_in_the_reverse_order_of_the_starts():
    class Leaving(LoopActor):
        def __init__(self, name):
            super().__init__()
            self.name = name

        def on_stop(self):
            order.append(self.name)

    order = []
    for name in "abc":
        await Leaving.start_async(name)
    assert await asyncio.to_thread(ActorRegistry.stop_all, timeout=10) == [True] * 3
    assert order == ["c", "b", "a"]


@pytest.mark.usefixtures("system")
async def test_stop_all_ends_all_kinds_of_actors_side_by_side():
    together = threading.Barrier(3)
    on_the_loop = asyncio.Event()

    class Pool(PoolActor):
        def on_stop(self):
            together.wait(10)

    class Thread(ThreadActor):
        def on_stop(self):
            together.wait(10)

    class First(LoopActor):
        async def on_stop(self):
            await asyncio.to_thread(together.wait, 10)
            await on_the_loop.wait()

    class Second(LoopActor):
        def on_stop(self):
            on_the_loop.set()

    # Each waits for the others: one after the other, none would end.
    for kind in (Pool, Thread, First, Second):
        await kind.start_async()
    assert await asyncio.to_thread(ActorRegistry.stop_all, timeout=20) == [True] * 4
    assert ActorRegistry.get_all() == []


@pytest.mark.usefixtures("system")
async def test_stop_all_says_which_ones_did_not_stop_in_time(eventually):
    class Busy(PoolActor):
        def on_receive(self, _message):
            begun.set()
            gate.wait(10)

    begun, gate = threading.Event(), threading.Event()
    await Other.start_async()
    busy = Busy.start()
    busy.tell("work")
    await Other.start_async()
    await eventually(begun.is_set)
    assert await asyncio.to_thread(ActorRegistry.stop_all, timeout=0.05) == [True, False, True]
    assert ActorRegistry.get_all() == [busy]
    gate.set()
    await busy.stopped()


def test_stop_all_waits_one_time_for_all_of_them_together(monkeypatch):
    now = [0.0]

    class Never(pykka.Future):
        def get(self, *, timeout=None):
            given.append(timeout)
            now[0] += min(timeout, 3)
            raise pykka.Timeout

    class Stuck:
        actor_class = Other

        def stop(self, *, block):
            assert not block
            return Never()

    given = []
    monkeypatch.setattr(registry_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    for _ in range(5):
        ActorRegistry.register(Stuck())
    assert ActorRegistry.stop_all(timeout=7) == [False] * 5
    assert given == [7, 4, 1, 0, 0]


def test_stop_all_has_nothing_to_do_where_nobody_is():
    assert ActorRegistry.stop_all() == []
    assert ActorRegistry.stop_all(block=False) == []


def test_actors_of_a_closed_loop_are_forgotten(log):
    async def settle():
        ref = Noting.start(log)
        await ref.ask_async("settled")
        return ref

    loop = asyncio.new_event_loop()
    ref = loop.run_until_complete(settle())
    loop.close()
    assert ActorRegistry.get_all() == [ref]
    assert ActorRegistry.stop_all(timeout=10) == [True]
    assert ActorRegistry.get_all() == []


async def test_actors_of_other_systems_are_stopped_as_well():
    own, other = ActorSystem.current(), ActorSystem()
    refs = [own.start(Other), other.start(Other)]
    stopped = await asyncio.to_thread(ActorRegistry.stop_all, timeout=10)
    assert stopped == [True, True]
    await asyncio.to_thread(other.close, 10)
    for ref in refs:
        with pytest.raises(ActorDeadError):
            ref.tell("late")

"""The receptionist: who offers what, who is of which kind, and who is told of changes."""

import asyncio
import logging

import pytest

from apex_actors.actors import (
    ActorSystem,
    Bound,
    Directive,
    Listing,
    LoopActor,
    Options,
    Overflow,
    PoolActor,
    Supervision,
)


class Worker(LoopActor):
    def on_receive(self, message):
        if isinstance(message, Exception):
            raise message
        return message


class Special(Worker):
    pass


class Subscriber(LoopActor):
    """Notes the listings it is told."""

    def __init__(self, told):
        super().__init__()
        self.told = told

    def on_receive(self, message):
        if isinstance(message, Listing):
            self.told.append(message)


@pytest.fixture
def desk(system):
    return system.receptionist


async def end(ref):
    ref.kill()
    await ref.stopped()


# By key.


async def test_those_who_offer_a_key_are_found_in_the_order_of_registration(desk):
    first, second = Worker.start(), Worker.start()
    assert desk.find("key") == ()
    desk.register("key", second)
    desk.register("key", first)
    desk.register("other", first)
    assert desk.find("key") == (second, first)
    assert desk.find("other") == (first,)


async def test_who_registers_twice_is_listed_once_in_its_place(desk):
    first, second = Worker.start(), Worker.start()
    for ref in (first, second, first):
        desk.register("key", ref)
    assert desk.find("key") == (first, second)
    desk.unregister("key", first)
    assert desk.find("key") == (second,)


async def test_an_actor_may_leave_one_key_and_keep_another(desk):
    ref = Worker.start()
    desk.register("kept", ref)
    desk.register("left", ref)
    desk.unregister("left", ref)
    desk.unregister("left", ref)
    desk.unregister("never had", ref)
    assert (desk.find("left"), desk.find("kept")) == ((), (ref,))


async def test_who_ends_leaves_all_its_keys_by_itself(desk):
    ends, stays = Worker.start(), Worker.start()
    for key in ("a", "b"):
        desk.register(key, ends)
        desk.register(key, stays)
    await end(ends)
    assert (desk.find("a"), desk.find("b")) == ((stays,), (stays,))


async def test_who_is_ending_is_not_found_any_more(desk, eventually):
    class Slow(LoopActor):
        async def on_stop(self):
            await gate.wait()

    gate = asyncio.Event()
    ref = Slow.start()
    desk.register("key", ref)
    ref.kill()
    await eventually(lambda: not ref.is_alive())
    assert desk.find("key") == ()
    assert desk.of_kind(Slow) == ()
    gate.set()
    await ref.stopped()


async def test_the_dead_cannot_register(desk):
    ref = Worker.start()
    await end(ref)
    desk.register("key", ref)
    assert desk.find("key") == ()


async def test_a_restarted_actor_keeps_its_keys(desk, caplog):
    caplog.set_level(logging.CRITICAL, logger="apex_actors.actors")
    ref = Worker.start_with(Options(supervision=Supervision(default=Directive.RESTART)))
    desk.register("key", ref)
    before = ref.cell.actor
    ref.tell(ValueError("fail"))
    assert await ref.ask_async("back") == "back"
    assert ref.cell.actor is not before
    assert desk.find("key") == (ref,)


async def test_actors_on_threads_register_themselves(desk):
    class Pool(PoolActor):
        def on_start(self):
            self.system.receptionist.register("pool", self.ref)

    refs = [Pool.start() for _ in range(20)]
    for ref in refs:
        await ref.started()
    assert set(desk.find("pool")) == set(refs)
    await asyncio.gather(*(ref.stop(block=False) for ref in refs))
    assert desk.find("pool") == ()


# By kind.


async def test_actors_are_found_by_their_class_and_its_subclasses(desk):
    plain, special, told = Worker.start(), Special.start(), Subscriber.start([])
    assert desk.of_kind(Worker) == (plain, special)
    assert desk.of_kind(Special) == (special,)
    assert desk.of_kind(LoopActor) == (plain, special, told)
    assert desk.of_kind(PoolActor) == ()
    await end(plain)
    assert desk.of_kind(Worker) == (special,)


async def test_each_system_has_a_desk_of_its_own(desk):
    other = await asyncio.to_thread(ActorSystem)
    ref = other.start(Worker)
    assert desk.of_kind(Worker) == ()
    assert other.receptionist.of_kind(Worker) == (ref,)
    await asyncio.to_thread(other.close, 10)
    assert other.receptionist.of_kind(Worker) == ()


# Subscriptions.


async def test_a_subscriber_is_told_at_once_and_after_each_change(desk, eventually):
    told = []
    worker, other = Worker.start(), Worker.start()
    desk.subscribe("key", Subscriber.start(told))
    desk.register("key", worker)
    desk.register("key", other)
    desk.register("unrelated", other)
    desk.unregister("key", worker)
    await end(other)
    await eventually(lambda: len(told) == 5)
    assert [listing.refs for listing in told] == [
        (),
        (worker,),
        (worker, other),
        (other,),
        (),
    ]
    assert {listing.key for listing in told} == {"key"}


async def test_who_subscribes_late_is_told_who_is_there(desk, eventually):
    told = []
    worker = Worker.start()
    desk.register("key", worker)
    desk.subscribe("key", Subscriber.start(told))
    await eventually(lambda: told == [Listing("key", (worker,))])


async def test_who_unsubscribes_is_told_nothing_more(desk):
    told = []
    subscriber = Subscriber.start(told)
    desk.subscribe("key", subscriber)
    desk.unsubscribe("key", subscriber)
    desk.unsubscribe("never", subscriber)
    desk.register("key", Worker.start())
    await subscriber.ask_async("all that was told has been handled")
    assert told == [Listing("key", ())]


async def test_a_dead_subscriber_holds_nobody_up(desk, eventually):
    told = []
    dead, alive = Subscriber.start([]), Subscriber.start(told)
    desk.subscribe("key", dead)
    desk.subscribe("key", alive)
    await end(dead)
    desk.subscribe("key", dead)
    worker = Worker.start()
    desk.register("key", worker)
    await eventually(lambda: told == [Listing("key", ()), Listing("key", (worker,))])


async def test_an_actor_that_offers_what_it_looks_for_may_end(desk):
    told = []
    subscriber = Subscriber.start(told)
    desk.register("key", subscriber)
    desk.subscribe("key", subscriber)
    await end(subscriber)
    assert desk.find("key") == ()
    assert desk.of_kind(Subscriber) == ()


# Subscribers that take no more.


@pytest.fixture
async def full(desk, eventually):
    """Subscribe an actor to "key" whose mailbox then is full; it handles nothing until it ends."""

    async def subscribe(overflow):
        ref = Subscriber.start_with(Options(mailbox=Bound(1, overflow)), [])
        await ref.started()
        desk.subscribe("key", ref)
        await eventually(lambda: ref.statistics().depth == 0)
        ref.suspend()
        ref.tell("fills it")
        return ref

    return subscribe


every_overflow = pytest.mark.parametrize("overflow", list(Overflow))


@every_overflow
async def test_a_full_subscriber_keeps_nobody_from_registering(desk, full, overflow):
    subscriber, ref = await full(overflow), Worker.start()
    desk.register("key", ref)
    assert desk.find("key") == (ref,)
    await end(subscriber)


@every_overflow
async def test_a_full_subscriber_keeps_nobody_from_ending(desk, full, overflow):
    ref = Worker.start()
    desk.register("key", ref)
    subscriber = await full(overflow)
    ended = ref.stopped()
    ref.kill()
    await asyncio.wait_for(ended, 5)
    assert desk.find("key") == ()
    await end(subscriber)

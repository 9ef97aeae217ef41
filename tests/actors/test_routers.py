"""Routers: who of several actors gets a message, and what becomes of one that nobody gets."""

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_actors.actors import (
    Directive,
    LoopActor,
    NoRouteeError,
    Options,
    PoolActor,
    Supervision,
)
from apex_actors.actors.routers import Broadcast, ConsistentHash, RoundRobin, Router

pytestmark = pytest.mark.usefixtures("system")


class Worker(LoopActor):
    def __init__(self, name="worker"):
        super().__init__()
        self.name = name
        self.heard = []

    def on_receive(self, message):
        if message == "heard":
            return self.heard
        if isinstance(message, Exception):
            raise message
        self.heard.append(message)
        return (self.name, message)


@pytest.fixture
def workers():
    return [Worker.start(name) for name in "abc"]


async def heard(refs):
    return [await ref.ask_async("heard") for ref in refs]


async def end(ref):
    ref.kill()
    await ref.stopped()


# Round robin.


async def test_round_robin_gives_each_its_turn(workers):
    router = Router(RoundRobin(), workers)
    for number in range(7):
        router.tell(number)
    assert await heard(workers) == [[0, 3, 6], [1, 4], [2, 5]]


async def test_an_ask_is_answered_by_who_was_picked(workers):
    router = Router(RoundRobin(), workers)
    assert await router.ask_async("x") == ("a", "x")
    assert await router.ask("y", block=False) == ("b", "y")
    assert await asyncio.to_thread(router.ask, "z", timeout=10) == ("c", "z")


async def test_an_error_of_who_was_picked_reaches_the_asker(workers):
    router = Router(RoundRobin(), workers)
    with pytest.raises(ValueError, match="no"):
        await router.ask_async(ValueError("no"))


async def test_threads_may_share_a_router(workers):
    router = Router(RoundRobin(), workers)

    def talk(name):
        for number in range(300):
            router.tell((name, number))

    await asyncio.gather(*(asyncio.to_thread(talk, name) for name in range(4)))
    shares = await heard(workers)
    assert [len(share) for share in shares] == [400, 400, 400]
    everything = {message for share in shares for message in share}
    assert everything == {(name, number) for name in range(4) for number in range(300)}


async def test_actors_of_the_pool_may_be_routees_and_use_routers(workers):
    class Relay(PoolActor):
        def on_receive(self, message):
            return inner.ask(message, timeout=10)

    inner = Router(RoundRobin(), workers)
    outer = Router(RoundRobin(), [Relay.start() for _ in range(2)])
    answers = await asyncio.gather(*(outer.ask_async(number) for number in range(6)))
    assert sorted(number for _, number in answers) == list(range(6))


# Broadcast.


async def test_a_broadcast_reaches_everybody(workers):
    Router(Broadcast(), workers).tell("all")
    assert await heard(workers) == [["all"]] * 3


async def test_a_broadcast_ask_is_answered_by_a_list_in_the_order_of_the_routees(workers):
    router = Router(Broadcast(), workers)
    replies = [("a", "x"), ("b", "x"), ("c", "x")]
    assert await router.ask_async("x") == replies
    assert await asyncio.to_thread(router.ask, "x", timeout=10) == replies


async def test_one_error_among_the_replies_is_raised(workers):
    class Broken(LoopActor):
        def on_receive(self, _message):
            raise ValueError("no")

    router = Router(Broadcast(), [workers[0], Broken.start(), workers[2]])
    with pytest.raises(ValueError, match="no"):
        await router.ask_async("x")


async def test_a_broadcast_to_one_is_still_answered_by_a_list(workers):
    assert await Router(Broadcast(), workers[:1]).ask_async("x") == [("a", "x")]


# Consistent hash.


@dataclass(frozen=True)
class Named:
    """As much of a ref as the ring looks at."""

    name: str


names = st.text("abcdefgh", min_size=1, max_size=4)
rings = st.lists(names, min_size=1, max_size=12, unique=True)
KEYS = [f"key {number}" for number in range(500)]


def owners(routing, routees):
    return {key: routing.pick(key, routees)[0] for key in KEYS}


@given(rings)
def test_a_routee_that_comes_takes_about_its_share_and_moves_no_other_key(ring):
    *before, newcomer = [Named(name) for name in [*ring, "newcomer"]]
    routing = ConsistentHash(lambda key: key)
    old, new = owners(routing, before), owners(routing, [*before, newcomer])
    moved = {key for key in KEYS if old[key] != new[key]}
    assert {new[key] for key in moved} <= {newcomer}
    # A share of 1/n, give or take what a hundred points a routee leave to chance.
    assert len(moved) <= len(KEYS) * 1.6 / (len(before) + 1) + 10
    assert moved, "a newcomer must get something to do"


@given(rings.filter(lambda ring: len(ring) > 1), st.data())
def test_a_routee_that_goes_moves_its_own_keys_and_no_other(ring, data):
    before = [Named(name) for name in ring]
    gone = data.draw(st.sampled_from(before))
    routing = ConsistentHash(lambda key: key)
    old = owners(routing, before)
    new = owners(routing, [one for one in before if one != gone])
    assert all(new[key] == old[key] for key in KEYS if old[key] != gone)
    assert gone not in new.values()


@given(rings, st.randoms(use_true_random=False))
def test_the_order_of_the_routees_does_not_matter(ring, random):
    before = [Named(name) for name in ring]
    shuffled = random.sample(before, len(before))
    assert owners(ConsistentHash(str), before) == owners(ConsistentHash(str), shuffled)


def test_the_keys_are_spread_over_all():
    routees = [Named(name) for name in "abcde"]
    shares = Counter(owners(ConsistentHash(str), routees).values())
    assert len(shares) == 5
    assert min(shares.values()) > len(KEYS) / 5 / 2
    assert max(shares.values()) < len(KEYS) / 5 * 2


async def test_messages_of_one_key_go_to_the_same_actor(workers):
    router = Router(ConsistentHash(lambda message: message[0]), workers)
    for number in range(10):
        for key in ("x", "y", 3, b"bytes", None):
            router.tell((key, number))
    shares = await heard(workers)
    for key in ("x", "y", 3, b"bytes", None):
        having = [share for share in shares if any(message[0] == key for message in share)]
        assert len(having) == 1
        assert [number for of, number in having[0] if of == key] == list(range(10))


async def test_keys_of_a_dead_routee_go_to_others_and_the_rest_stay(workers):
    router = Router(ConsistentHash(lambda key: key), workers)
    before = {key: (await router.ask_async(key))[0] for key in KEYS[:100]}
    await end(workers[1])
    after = {key: (await router.ask_async(key))[0] for key in KEYS[:100]}
    assert "b" in before.values()
    assert all(after[key] == before[key] for key in before if before[key] != "b")
    assert "b" not in after.values()


async def test_a_key_that_cannot_be_taken_is_the_senders_error(workers):
    router = Router(ConsistentHash(lambda message: message["key"]), workers)
    with pytest.raises(KeyError):
        router.tell({})
    assert await heard(workers) == [[], [], []]


# Who is a routee.


@pytest.mark.parametrize("routing", [RoundRobin, Broadcast])
async def test_dead_routees_are_passed_over_and_forgotten(workers, routing):
    router = Router(routing(), workers)
    await end(workers[1])
    for number in range(4):
        router.tell(number)
    assert router.routees == (workers[0], workers[2])
    told = sum(map(len, await heard([workers[0], workers[2]])))
    assert told == {RoundRobin: 4, Broadcast: 8}[routing]


async def test_a_restarted_routee_keeps_its_place(caplog):
    caplog.set_level(logging.CRITICAL, logger="apex_actors.actors")
    options = Options(supervision=Supervision(default=Directive.RESTART))
    refs = [Worker.start_with(options, name) for name in "ab"]
    router = Router(RoundRobin(), refs)
    router.tell(ValueError("restart"))
    assert [(await router.ask_async("x"))[0] for _ in range(3)] == ["b", "a", "b"]
    assert router.routees == tuple(refs)


async def test_routees_come_and_go(workers):
    router = Router(RoundRobin(), workers[:1])
    router.add(workers[1])
    router.add(workers[1])
    router.remove(workers[0])
    router.remove(workers[2])
    assert router.routees == (workers[1],)
    router.tell("x")
    assert workers[0].is_alive()
    assert await heard(workers) == [[], ["x"], []]


async def test_who_dies_may_be_replaced(workers):
    router = Router(RoundRobin(), workers[:1])
    await end(workers[0])
    router.add(workers[1])
    assert await router.ask_async("x") == ("b", "x")


# Nobody.


@pytest.mark.parametrize("routing", [RoundRobin, Broadcast, lambda: ConsistentHash(str)])
async def test_where_nobody_is_left_the_sender_knows(routing):
    last = Worker.start()
    router = Router(routing(), [last])
    await end(last)
    with pytest.raises(NoRouteeError):
        router.tell("told")
    with pytest.raises(NoRouteeError):
        await router.ask_async("asked")
    with pytest.raises(NoRouteeError):
        await router.ask("asked", block=False)


async def test_a_router_that_never_had_anybody_says_the_same():
    with pytest.raises(NoRouteeError):
        Router(RoundRobin()).tell("x")

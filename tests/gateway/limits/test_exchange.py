"""Processes that share limits through one Valkey: all of their buckets become one."""

import asyncio
import time

import pytest

from apex_actors.gateway.limits import Limits, TooManyConnectionsError
from apex_actors.gateway.limits.exchange import LimitsExchange
from apex_actors.gateway.settings import LimitSettings
from apex_actors.storage import shared_limits
from apex_actors.storage.shared_limits import CONNECTION_LIFE_S, SharedLimits

#: Nothing to speak of comes in while a test runs: what passes is what was there.
SLOW = {"messages_per_s": 0.001, "bytes_per_s": 0.001, "handshakes_per_s": 0.001}


class Process:
    """One process of several: its limits, and its side of the exchange."""

    def __init__(self, name, cache, *, clock=time.monotonic, cap_grace_s=0.0, **settings):
        self.closed = []
        self.limits = Limits(LimitSettings(**settings), clock=clock, cap_grace_s=cap_grace_s)
        self.shared = SharedLimits(cache, process=name, life_s=60)
        self.exchange = LimitsExchange(
            limits=self.limits,
            shared=self.shared,
            close_newest=lambda key, count: self.closed.append((key, count)),
            clock=clock,
        )

    async def join(self):
        self.limits.know(len((await self.shared.register()).processes))
        self.limits.go_shared()
        self.exchange.begin()
        await self.exchange.run()

    def takes(self, count, key="ada", *, size_bytes=1):
        """How many of ``count`` messages pass."""
        user = self.limits.user(key)
        passed = sum(user.take(size_bytes) == 0 for _ in range(count))
        user.release()
        return passed

    def connect(self, count, key="ada"):
        for _ in range(count):
            self.limits.connect(key)


@pytest.fixture
def start(cache):
    """That many processes which know each other."""

    async def start(count, **settings):
        processes = [Process(f"p{number}", cache, **settings) for number in range(count)]
        for process in [*processes, *processes]:
            await process.join()
        return processes

    return start


async def test_what_passes_here_is_missing_there_after_an_exchange(start):
    a, b = await start(2, **SLOW, messages_burst=100)
    assert a.takes(60) == 60
    await a.exchange.run()
    # B has not heard of it; the first message lets it ask.
    assert b.takes(1) == 1
    await b.exchange.run()
    assert b.takes(100) == 39


async def test_bytes_and_handshakes_are_shared_as_messages_are(start):
    a, b = await start(2, **SLOW, bytes_burst=10_000, handshakes_burst=10)
    assert a.takes(1, size_bytes=9000) == 1
    assert [a.limits.handshake("2001:db8::1") for _ in range(9)] == [0] * 9
    await a.exchange.run()
    assert b.takes(1) == 1
    assert b.limits.handshake("2001:db8::2") == 0
    await b.exchange.run()
    assert b.takes(1, size_bytes=1000) == 0
    assert b.takes(1, size_bytes=900) == 1
    assert b.limits.handshake("2001:db8::3") > 0
    assert b.limits.handshake("2001:db8:0:1::3") == 0


async def test_five_processes_spend_at_most_a_burst_each_before_they_hear_of_it(start):
    processes = await start(5, **SLOW, messages_burst=100)
    passed = [process.takes(1000) for process in processes]
    assert passed == [100] * 5
    for process in processes:
        await process.exchange.run()
    assert [process.takes(1000) for process in processes[1:]] == [0] * 4
    # Told and heard all round, the debt is everybody's.
    for process in processes:
        process.limits.connect("ada")
        await process.exchange.run()
    waits = [process.limits.user("ada").take(1) for process in processes]
    assert min(waits) > 390 * 1e6 * 0.99  # 400 and one, at one in a thousand seconds


async def test_in_turns_five_processes_let_through_what_one_would(start):
    processes = await start(5, **SLOW, messages_burst=100)
    for process in processes:
        process.connect(1)
    passed = 0
    for _ in range(10):
        for process in processes:
            passed += process.takes(7)
            await process.exchange.run()
            for other in processes:
                other.limits.user("ada").note()
                await other.exchange.run()
    assert passed == 100


async def test_however_greedy_five_processes_keep_the_bound_that_is_promised(start):
    """N * burst + rate * (t + N * I), with the longest time between two exchanges as I."""
    rate, burst = 500, 50
    processes = await start(5, messages_per_s=rate, messages_burst=burst, bytes_burst=10**9)
    passed, longest_s, exchanges = 0, 0.0, 0
    began = time.monotonic()
    last = dict.fromkeys(processes, began)
    while exchanges < 200:
        for process in processes:
            passed += process.takes(20)
        process = processes[exchanges % 5]
        await process.exchange.run()
        exchanges += 1
        now = time.monotonic()
        longest_s = max(longest_s, now - last[process])
        last[process] = now
    for process in processes:
        passed += process.takes(1000)
    lasted_s = time.monotonic() - began
    assert passed <= 5 * burst + rate * (lasted_s + 5 * longest_s)
    assert passed >= burst


async def test_a_user_who_comes_to_a_new_process_finds_what_is_left(start, cache):
    a, b = await start(2, **SLOW, messages_burst=100)
    a.takes(100)
    await a.exchange.run()
    c = Process("c", cache, **SLOW, messages_burst=100)
    c.connect(1)
    await c.join()
    assert c.takes(10) == 0
    assert b.takes(10) == 10


async def test_what_was_let_through_alone_is_told_when_another_comes(cache):
    alone = Process("alone", cache, **SLOW, messages_burst=100)
    assert alone.takes(70) == 70
    await alone.join()
    other = Process("other", cache, **SLOW, messages_burst=100)
    other.connect(1)
    await other.join()
    assert other.takes(100) == 30


async def test_an_exchange_without_news_says_nothing(start, cache):
    a, _ = await start(2)
    before = (await cache.client.info("commandstats"))["cmdstat_evalsha"]["calls"]
    await a.exchange.run()
    assert (await cache.client.info("commandstats"))["cmdstat_evalsha"]["calls"] == before


async def test_a_user_who_is_idle_and_gone_leaves_nothing(start, cache, eventually):
    a, b = await start(2, messages_per_s=1000, bytes_per_s=1e6)
    for process in (a, b):
        process.connect(1)
        process.takes(50)
        await process.exchange.run()
        process.limits.disconnect("ada")
        await process.exchange.run()
    async with asyncio.timeout(10):
        while await cache.client.keys("apex:limit:*user*"):  # noqa: ASYNC110 - only the server knows
            await asyncio.sleep(0.01)

    def swept():
        for process in (a, b):
            process.limits.sweep()
        return a.limits.statistics().users == b.limits.statistics().users == 0

    await eventually(swept)


async def test_many_users_are_told_in_pages(start):
    a, b = await start(2, **SLOW, messages_burst=10)
    count = shared_limits.SUBJECTS_PER_PIPELINE * 2 + 1
    for number in range(count):
        assert a.takes(number % 10, f"user {number}") == number % 10
    await a.exchange.run()
    assert len(a.limits.active_users) == 0
    for number in range(count):
        b.takes(0, f"user {number}")
    await b.exchange.run()
    assert [b.takes(20, f"user {number}") for number in range(count)] == [
        10 - number % 10 for number in range(count)
    ]


# Connections.


async def test_connections_elsewhere_count(start):
    a, b = await start(2, connections_per_user=5)
    a.connect(3)
    await a.exchange.run()
    b.connect(2)
    await b.exchange.run()
    with pytest.raises(TooManyConnectionsError) as refused:
        b.limits.connect("ada")
    assert refused.value.of_user
    b.limits.connect("bob")


async def test_a_refusal_asks_anew_what_there_is_elsewhere(start):
    a, b = await start(2, connections_per_user=5)
    a.connect(4)
    await a.exchange.run()
    b.connect(1)
    await b.exchange.run()
    a.limits.disconnect("ada")
    await a.exchange.run()
    with pytest.raises(TooManyConnectionsError):
        b.limits.connect("ada")
    await b.exchange.run()
    b.limits.connect("ada")


async def test_whoever_brings_a_user_over_the_cap_closes_the_newest(start):
    a, b = await start(2, connections_per_user=5)
    a.connect(4)
    b.connect(3)
    await a.exchange.run()
    await b.exchange.run()
    assert (a.closed, b.closed) == ([], [("ada", 2)])
    assert (a.limits.excess("ada"), b.limits.excess("ada")) == (0, 2)
    # One of them has closed, the other one takes its time: it is still to be closed, and no more.
    b.limits.disconnect("ada")
    await b.exchange.run()
    assert b.closed == [("ada", 2), ("ada", 1)]
    b.limits.disconnect("ada")
    await b.exchange.run()
    await b.exchange.run()
    assert b.closed == [("ada", 2), ("ada", 1)]
    assert b.limits.statistics().connections_closed == 2
    assert b.limits.statistics().connections == 1


async def test_all_at_once_on_five_processes_end_with_the_cap(start):
    processes = await start(5, connections_per_user=5)
    for process in processes:
        process.connect(5)
    for _ in range(3):
        for process in processes:
            await process.exchange.run()
            for _ in range(process.limits.excess("ada")):
                process.limits.disconnect("ada")
    assert sum(process.limits.statistics().connections for process in processes) == 5


async def test_connections_over_the_cap_are_left_alone_for_a_while(cache, clock):
    a, b = (
        Process(name, cache, clock=clock, cap_grace_s=10, connections_per_user=5) for name in "ab"
    )
    for process in (a, b):
        await process.join()
    a.connect(5)
    b.connect(2)
    await a.exchange.run()
    await b.exchange.run()
    clock.go(9)
    await b.exchange.run()
    assert b.closed == []
    # A's had closed a moment before B's came: A tells of it late, and nobody has to go.
    for _ in range(3):
        a.limits.disconnect("ada")
    await a.exchange.run()
    clock.go(2)
    await b.exchange.run()
    assert b.closed == []
    b.connect(1)
    with pytest.raises(TooManyConnectionsError):
        b.limits.connect("ada")


async def test_connections_that_are_idle_are_told_again_before_they_are_forgotten(cache, clock):
    a = Process("a", cache, clock=clock)
    a.connect(2)
    await a.join()
    (key,) = await cache.client.keys("apex:limit:*user*")
    for _ in range(10):
        await cache.client.pexpire(key, 1000)
        clock.go(CONNECTION_LIFE_S / 2.9)
        await a.exchange.run()
        assert await cache.client.ttl(key) > CONNECTION_LIFE_S - 10


async def test_withdrawn_a_process_counts_for_nothing(start):
    a, b = await start(2, connections_per_user=5)
    a.connect(5)
    a.takes(10)
    await a.exchange.run()
    await a.exchange.withdraw()
    b.connect(5)
    await b.exchange.run()
    assert b.closed == []


# What fails.


async def test_what_could_not_be_told_is_told_later(start, cache, redis_url, unused_tcp_port):
    a, b = await start(2, **SLOW, messages_burst=100, handshakes_burst=10)
    a.takes(60)
    a.limits.handshake("192.0.2.1")
    await cache.use(f"redis://127.0.0.1:{unused_tcp_port}/0")
    with pytest.raises(Exception, match="away"):
        await a.exchange.run()
    await cache.use(redis_url)
    await a.exchange.run()
    b.connect(1)
    await b.exchange.run()
    assert b.takes(100) == 40


async def test_handshakes_of_an_attack_are_told_a_bounded_number_at_a_time(start, monkeypatch):
    a, _ = await start(2, **SLOW)
    monkeypatch.setattr("apex_actors.gateway.limits.exchange.SUBJECTS_PER_PIPELINE", 10)
    for number in range(100):
        a.limits.handshake(f"192.0.2.{number}")
    await a.exchange.run()
    assert len(a.limits.active_addresses) == 60
    await a.exchange.run()
    await a.exchange.run()
    assert len(a.limits.active_addresses) == 0

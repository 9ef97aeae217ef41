"""The actor of the limits: company is found, lost and found again, and each change is said once."""

import asyncio
import logging
import os
import sys

import pytest
import redis

from apex_actors.gateway.limits import REGISTRATION_LIFE_S, Limits, LimitsSync, Mode
from apex_actors.gateway.limits.limits import CAP_GRACE_S
from apex_actors.gateway.settings import LimitSettings
from apex_actors.storage.cache import Cache
from apex_actors.storage.shared_limits import CLOCK_SKEW_S, SharedLimits

SLOW = {"messages_per_s": 0.001, "bytes_per_s": 0.001, "handshakes_per_s": 0.001}


class Process:
    """A process with its own way to the server, and a running LimitsSync."""

    def __init__(self, name, url, *, life_s=60.0, alone_after_s=60.0, **settings):
        self.closed = []
        self.cache = Cache(url, timeout_s=0.1)
        self.limits = Limits(LimitSettings(**settings), cap_grace_s=0.0)
        self.shared = SharedLimits(self.cache, process=name, life_s=life_s, clock_skew_s=0.0)
        self.sync = LimitsSync.start(
            limits=self.limits,
            shared=self.shared,
            close_newest=lambda key, count: self.closed.append((key, count)),
            sync_interval_s=0.01,
            registration_interval_s=0.02,
            alone_after_s=alone_after_s,
        )

    async def stop(self):
        self.sync.kill()
        await self.sync.stopped()
        await self.cache.close()

    @property
    def mode(self):
        return self.limits.mode

    @property
    def processes(self):
        return self.limits.statistics().processes

    def takes(self, count, key="ada"):
        user = self.limits.user(key)
        passed = sum(user.take(1) == 0 for _ in range(count))
        user.release()
        return passed


@pytest.fixture
def url(private_valkey):
    with redis.Redis.from_url(private_valkey) as client:
        client.flushall()
    return private_valkey


@pytest.fixture
async def start(url, relay, eventually):  # noqa: ARG001 - the relay ends after the processes
    """Start processes that know each other."""
    started = []

    async def start(count, *, by=url, **settings):
        processes = [Process(f"p{number}", by, **settings) for number in range(count)]
        started.extend(processes)
        await eventually(lambda: all(process.processes == count for process in processes))
        return processes

    yield start
    for process in started:
        await process.stop()


@pytest.fixture
def heard(eventually):
    """Wait until what these processes know now is told, and the answer heard."""

    async def wait(*processes):
        # One exchange may be under way, and know less.
        goals = {process: process.limits.statistics().exchanges + 2 for process in processes}
        await eventually(
            lambda: all(
                process.limits.statistics().exchanges >= goal for process, goal in goals.items()
            )
        )

    return wait


@pytest.fixture
def away(unused_tcp_port):
    return f"redis://127.0.0.1:{unused_tcp_port}/0"


def lines_about(caplog, words):
    return [record for record in caplog.records if words in record.getMessage()]


async def test_a_process_without_company_tells_nobody_anything(start, eventually, url):
    (alone,) = await start(1)
    alone.limits.connect("ada")
    alone.takes(10)
    with redis.Redis.from_url(url) as client:

        def scripts():
            return client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]

        before = scripts()
        # It goes on to register, and does nothing else.
        await eventually(lambda: scripts() > before + 3)
        assert client.keys("apex:limit:*") == [b"apex:limit:processes"]
    assert alone.mode is Mode.ALONE
    assert alone.limits.statistics().exchanges == 0


async def test_two_processes_find_each_other_and_share(start, eventually, heard):
    a, b = await start(2, **SLOW, messages_burst=100)
    await eventually(lambda: a.mode is b.mode is Mode.SHARED)
    b.limits.connect("ada")
    assert a.takes(60) == 60
    await heard(a)
    b.takes(1)
    await heard(b)
    assert b.takes(100) == 39


async def test_five_processes_come_to_the_same_bucket(start, eventually, heard):
    processes = await start(5, **SLOW, messages_burst=100)
    await eventually(lambda: all(process.mode is Mode.SHARED for process in processes))
    assert [process.takes(15) for process in processes] == [15] * 5
    await heard(*processes)
    for process in processes:
        process.limits.connect("ada")
    await heard(*processes)
    # One hundred less what all of them have let through; each sees the same.
    assert processes[0].takes(26) == 25
    await heard(processes[0])
    for process in processes[1:]:
        process.limits.user("ada").note()
    await heard(*processes)
    assert [process.takes(5) for process in processes] == [0] * 5


async def test_away_each_goes_on_with_its_share_and_back_with_the_whole(
    start, eventually, relay, caplog, heard
):
    caplog.set_level(logging.INFO)
    processes = await start(5, by=relay.url, **SLOW, messages_burst=100, connections_per_user=10)
    await eventually(lambda: all(process.mode is Mode.SHARED for process in processes))
    await relay.cut()
    await eventually(lambda: all(process.mode is Mode.AWAY for process in processes))
    assert [process.takes(100) for process in processes] == [20] * 5
    failures = [process.limits.statistics().failures for process in processes]
    await eventually(
        lambda: all(
            process.limits.statistics().failures > before + 2
            for process, before in zip(processes, failures, strict=True)
        )
    )
    assert [process.takes(100) for process in processes] == [0] * 5
    assert len(lines_about(caplog, "1/5 of the whole")) == 5
    await relay.mend()
    await eventually(lambda: all(process.mode is Mode.SHARED for process in processes))
    assert len(lines_about(caplog, "whole again")) == 5
    await heard(*processes)
    # All of them together have used up the whole, and all of them know it.
    for process in processes:
        process.limits.connect("ada")
    await heard(*processes)
    assert [process.takes(100) for process in processes] == [0] * 5
    assert processes[0].takes(200, key="bob") == 100


async def test_a_server_that_is_frozen_is_away_and_is_back_when_it_goes_on(start, eventually, url):
    (a, b) = await start(2, **SLOW, messages_burst=100)
    with redis.Redis.from_url(url) as client:
        client.client_pause(1000)
        await eventually(lambda: a.mode is b.mode is Mode.AWAY)
        assert a.takes(100) == 50
        await eventually(lambda: a.mode is b.mode is Mode.SHARED)


async def test_a_connection_that_is_cut_is_no_change(start, eventually, url, caplog):
    caplog.set_level(logging.INFO)
    a, b = await start(2)
    await eventually(lambda: a.mode is b.mode is Mode.SHARED)
    caplog.clear()
    exchanges = a.limits.statistics().exchanges
    with redis.Redis.from_url(url) as client:
        client.client_kill_filter(_type="normal", skipme=True)
    await eventually(lambda: a.limits.statistics().exchanges > exchanges + 3)
    assert lines_about(caplog, "of the whole") == []


async def test_a_server_that_has_lost_everything_is_told_again(start, eventually, url, heard):
    a, b = await start(2, connections_per_user=5)
    await eventually(lambda: a.mode is b.mode is Mode.SHARED)
    for _ in range(3):
        a.limits.connect("ada")
    await heard(a)
    with redis.Redis.from_url(url) as client:
        client.flushall()
        await eventually(lambda: client.keys("apex:limit:{*"))
    b.limits.connect("ada")
    await eventually(lambda: b.limits.user("ada").connections_everywhere == 4)


async def test_users_over_the_cap_are_named(start, eventually):
    a, b = await start(2, connections_per_user=3)
    await eventually(lambda: a.mode is b.mode is Mode.SHARED)
    for process in (a, b):
        for _ in range(3):
            process.limits.connect("ada")
    await eventually(lambda: a.closed or b.closed)
    assert {*a.closed, *b.closed} == {("ada", 3)}
    assert not (a.closed and b.closed)


async def test_a_process_that_stops_leaves_no_connection_and_no_registration(
    start, eventually, url, heard
):
    a, b = await start(2)
    await eventually(lambda: a.mode is b.mode is Mode.SHARED)
    a.limits.connect("ada")
    await heard(a)
    with redis.Redis.from_url(url) as client:
        assert client.keys("apex:limit:{*")
        await a.stop()
        assert client.keys("apex:limit:{*") == []
    await eventually(lambda: b.processes == 1)


async def test_left_alone_for_long_a_process_tells_nobody_anything_any_more(
    start, eventually, url, caplog, heard
):
    caplog.set_level(logging.INFO)
    a, b = await start(2, alone_after_s=0.05)
    await eventually(lambda: a.mode is b.mode is Mode.SHARED)
    b.limits.connect("ada")
    await heard(b)
    await a.stop()
    await eventually(lambda: b.mode is Mode.ALONE)
    assert len(lines_about(caplog, "this process's alone")) == 1
    with redis.Redis.from_url(url) as client:
        assert client.keys("apex:limit:{*") == []
    c = Process("c", url, connections_per_user=1)
    await eventually(lambda: c.mode is b.mode is Mode.SHARED)
    await heard(b)
    c.limits.connect("ada")
    await eventually(lambda: c.closed == [("ada", 1)] or len(c.closed) > 1)
    assert b.closed == []
    await c.stop()


KILLED = """
import asyncio, os
from apex_actors.gateway.limits import Limits, LimitsSync
from apex_actors.storage.cache import Cache
from apex_actors.storage.shared_limits import SharedLimits

async def main():
    limits = Limits()
    shared = SharedLimits(Cache(os.environ["LIMITS_URL"]), process="killed", life_s=0.5)
    for _ in range(7):
        limits.connect("ada")
    LimitsSync.start(
        limits=limits, shared=shared, close_newest=print,
        sync_interval_s=0.01, registration_interval_s=0.02,
    )
    while limits.mode != "shared" or limits.active_users:
        await asyncio.sleep(0.01)
    print("told", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_a_killed_process_is_missed_and_its_connections_count_no_more(start, eventually, url):
    (a,) = await start(1)
    killed = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        KILLED,
        env=os.environ | {"LIMITS_URL": url},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(30):
            assert await killed.stdout.readline() == b"told\n"
        await eventually(lambda: (a.processes, a.mode) == (2, Mode.SHARED))
        a.limits.connect("ada")
        user = a.limits.user("ada")
        await eventually(lambda: user.connections_everywhere == 8)
    finally:
        killed.kill()
        await killed.wait()
    await eventually(lambda: a.processes == 1)
    user.note()
    await eventually(lambda: user.connections_everywhere == 1)


async def test_an_answer_that_nobody_foresaw_does_not_end_the_actor(eventually, caplog):
    class Odd:
        answers = 0

        async def register(self):
            self.answers += 1
            raise KeyError("odd")

    odd, limits = Odd(), Limits()
    sync = LimitsSync.start(
        limits=limits,
        shared=odd,
        close_newest=lambda *_: None,
        sync_interval_s=0.01,
        registration_interval_s=0.01,
    )
    await eventually(lambda: odd.answers > 2)
    assert sync.is_alive()
    assert limits.mode is Mode.AWAY
    assert len(lines_about(caplog, "1/1 of the whole")) == 1
    sync.kill()
    await sync.stopped()


async def test_a_process_whose_server_is_never_there_starts_and_stops(away, eventually):
    process = Process("p", away)
    await eventually(lambda: process.mode is Mode.AWAY)
    assert process.takes(200) == 100
    await process.stop()


def test_nobody_is_closed_for_what_a_dead_process_had():
    assert CAP_GRACE_S > REGISTRATION_LIFE_S + CLOCK_SKEW_S


@pytest.mark.parametrize("wrong", ["sync_interval_s", "registration_interval_s"])
async def test_intervals_of_nothing_are_refused(wrong):
    intervals = {"sync_interval_s": 1.0, "registration_interval_s": 1.0} | {wrong: 0.0}
    with pytest.raises(ValueError, match="intervals"):
        LimitsSync(limits=Limits(), shared=None, close_newest=None, **intervals)

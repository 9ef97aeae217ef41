"""The cache: whatever becomes of Redis or Valkey is one error, soon, and never an answer lost."""

import asyncio
import json
import time

import pytest
import redis

from apex_actors.storage.cache import (
    OPERATION_TIMEOUT_S,
    RESULT_LIFE_S,
    Cache,
    ResultCache,
)
from apex_actors.storage.errors import CacheUnavailableError
from apex_actors.storage.wake_ups import WakeUps

#: The architecture's bound: with the cache away an operation costs a second, and no more.
BOUND_S = 1.0

#: One operation is tried twice, because a connection may have died while it was idle.
TRIES = 2

#: What a busy machine adds.
SLACK_S = 0.4


@pytest.fixture
def redis_url(private_valkey):
    with redis.Redis.from_url(private_valkey) as client:
        client.flushall()
    return private_valkey


@pytest.fixture(params=["frozen", "gone"])
async def away_url(request):
    """A server that accepts and never answers, or a port on which nobody listens."""
    writers = []

    async def swallow(_reader, writer):
        writers.append(writer)

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    if request.param == "gone":
        server.close()
        await server.wait_closed()
    yield f"redis://127.0.0.1:{port}/0"
    server.close()
    for writer in writers:
        writer.close()
    await server.wait_closed()


OPERATIONS = {
    "get": lambda cache: ResultCache(cache).get("key"),
    "put": lambda cache: ResultCache(cache).put("key", {"a": 1}),
    "wake": lambda cache: WakeUps(cache, node="a").wake([1, 2], work=True),
    "listen": lambda cache: WakeUps(cache, node="a").listen(
        on_user=lambda _user: None, on_work=lambda: None
    ),
}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
async def test_every_failure_is_one_error_and_comes_soon(away_url, operation):
    cache = Cache(away_url, timeout_s=0.1)
    started = time.monotonic()
    with pytest.raises(CacheUnavailableError):
        await operation(cache)
    assert time.monotonic() - started < TRIES * 0.1 + SLACK_S
    await cache.close()


async def test_a_cache_that_is_away_costs_a_second_at_most_and_is_not_up(away_url):
    assert TRIES * OPERATION_TIMEOUT_S <= BOUND_S
    cache = Cache(away_url)
    started = time.monotonic()
    assert not await cache.is_up()
    assert time.monotonic() - started < BOUND_S + SLACK_S
    await cache.close()


@pytest.mark.parametrize("wrong", ["redis://:wrong-password@", "redis://nobody:wrong@"])
async def test_a_wrong_password_is_that_error_too_and_is_not_in_its_words(redis_url, wrong):
    address = redis_url.rsplit("@", 1)[-1].removeprefix("redis://")
    cache = Cache(wrong + address)
    with pytest.raises(CacheUnavailableError) as refused:
        await ResultCache(cache).get("key")
    assert "wrong" not in str(refused.value)
    await cache.close()


async def test_results_come_back_and_do_not_live_for_ever(cache):
    await ResultCache(cache).put("key", {"saving": "1.5"})
    assert await ResultCache(cache).get("key") == {"saving": "1.5"}
    assert await ResultCache(cache).get("other") is None
    lives = {key: await cache.client.ttl(key) for key in await cache.client.keys("*")}
    assert sorted(lives.values()) == pytest.approx([RESULT_LIFE_S], abs=5)
    assert all(key.startswith("apex:") for key in lives)


async def test_whoever_is_cancelled_leaves_no_answer_for_the_next_one(cache):
    """An answer that is still on its way must not become that of another question."""
    results = ResultCache(cache)
    for name in ("a", "b"):
        await results.put(name, {"of": name})
    for turns in range(1, 12):
        task = asyncio.create_task(results.get("a"))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert await results.get("b") == {"of": "b"}, f"cancelled after {turns} turns"


async def test_promise_11_what_others_have_put_there_counts_as_nothing(cache):
    await cache.client.set("apex:result:key", '{"half": ')
    await cache.client.set("apex:result:list", json.dumps([1]))
    await cache.client.set("apex:result:bytes", b"\xff\xfe")
    for key in ("key", "list", "bytes"):
        assert await ResultCache(cache).get(key) is None


async def test_a_cache_without_a_url_says_what_to_do():
    with pytest.raises(ValueError, match="APEX_REDIS_URL"):
        Cache("")

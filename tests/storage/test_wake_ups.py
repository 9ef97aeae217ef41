"""Wake-ups: they reach the others, and whoever is cut off says so."""

import asyncio
import logging
import time

import pytest
import redis

from apex_actors.storage.cache import OPERATION_TIMEOUT_S, Cache
from apex_actors.storage.errors import CacheUnavailableError
from apex_actors.storage.wake_ups import CHANNEL, USERS_PER_MESSAGE, WakeUps


@pytest.fixture
def redis_url(private_valkey):
    with redis.Redis.from_url(private_valkey) as client:
        client.flushall()
    return private_valkey


class Ears:
    """Listens, as a node does, and remembers."""

    def __init__(self, cache, node="b"):
        self.users = []
        self.works = 0
        self.task = asyncio.create_task(
            WakeUps(cache, node=node).listen(on_user=self.users.append, on_work=self._work)
        )

    def _work(self):
        self.works += 1

    async def stop(self):
        # redis-py swallows a cancellation that meets it at connecting.
        while not self.task.done():
            self.task.cancel()
            await asyncio.wait([self.task], timeout=0.1)


async def listening(cache, count=1):
    async with asyncio.timeout(5):
        while (await cache.client.pubsub_numsub(CHANNEL))[0][1] != count:  # noqa: ASYNC110 - only the server knows
            await asyncio.sleep(0.01)


@pytest.fixture
async def ears(cache):
    ears = Ears(cache)
    await listening(cache)
    yield ears
    await ears.stop()


async def test_wake_ups_reach_other_nodes_and_not_the_own(cache, ears, eventually):
    await WakeUps(cache, node="b").wake([5], work=True)
    await WakeUps(cache, node="a").wake([1, 2], work=True)
    await eventually(lambda: ears.works)
    assert (ears.users, ears.works) == ([1, 2], 1)


async def test_an_idle_listener_is_not_cut_by_the_time_limit_of_commands(cache, ears, eventually):
    quiet_until = time.monotonic() + 2.5 * OPERATION_TIMEOUT_S
    await eventually(lambda: time.monotonic() > quiet_until)
    assert not ears.task.done()
    await WakeUps(cache, node="a").wake([1], work=False)
    await eventually(lambda: ears.users)


async def test_a_wake_up_that_nobody_can_read_is_passed_over(cache, ears, eventually, caplog):
    caplog.set_level(logging.CRITICAL)
    for nonsense in ("", "x", "node user", b"\xff 1", "a 99999999999999999999999"):
        await cache.client.publish(CHANNEL, nonsense)
    await WakeUps(cache, node="a").wake([3], work=False)
    await eventually(lambda: 3 in ears.users)
    assert not ears.task.done()


async def test_a_listener_whose_connection_is_cut_hears_again(cache, ears, eventually):
    await cache.client.client_kill_filter(_type="pubsub")
    if ears.task.done():
        assert isinstance(ears.task.exception(), CacheUnavailableError)
        return
    await listening(cache)
    await WakeUps(cache, node="a").wake([3], work=False)
    await eventually(lambda: ears.users == [3])


async def test_a_listener_whose_server_is_gone_says_so_and_the_next_one_uses_the_new_server(
    redis_url, relay, eventually
):
    cache = Cache(relay.url)
    ears = Ears(cache)
    await listening(cache)
    await relay.cut()
    await eventually(ears.task.done)
    assert isinstance(ears.task.exception(), CacheUnavailableError)
    await cache.use(redis_url)
    again = Ears(cache)
    await listening(cache)
    await again.stop()
    await cache.close()


async def test_many_users_are_named_by_few_messages_and_work_once(cache, ears, eventually):
    users = list(range(1, 3 * USERS_PER_MESSAGE))
    await WakeUps(cache, node="a").wake(users, work=True)
    await eventually(lambda: len(ears.users) == len(users))
    assert (ears.users, ears.works) == (users, 1)

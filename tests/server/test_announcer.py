"""Announcing: what one node commits, clients of another see; a lost wake-up costs a poll."""

import asyncio
import json
import logging
from contextlib import AsyncExitStack

import pytest
from websockets.asyncio.client import connect

from apex_actors.actors import ActorSystem, LoopActor
from apex_actors.execution.worker import WorkAvailable
from apex_actors.gateway.metrics import GatewayMetrics
from apex_actors.gateway.registry_messages import EventsCommitted, LogAdvanced
from apex_actors.protocol import Event, LogCheck, RunGrammar, is_event
from apex_actors.server.announcer import NodeAnnouncer, WakeUpRelay, WakeUser, WakeWorkers
from apex_actors.server.node import Node, Part
from apex_actors.storage.errors import CacheUnavailableError
from apex_actors.storage.wake_ups import CHANNEL

QUESTION = json.dumps({"type": "user_message", "text": "Analyze my AI costs"})


class Recorder(LoopActor):
    def __init__(self, told):
        super().__init__()
        self.told = told

    def on_receive(self, message):
        self.told.append(message)


class FakeWakeUps:
    """Remembers what is published; what is heard comes from the test."""

    def __init__(self):
        self.published = []
        self.publishing = asyncio.Event()
        self.publishing.set()
        self.listeners = []
        self.failures = []

    async def wake(self, user_ids, *, work):
        self.published.append((sorted(user_ids), work))
        await self.publishing.wait()
        if self.failures:
            raise self.failures.pop(0)

    async def listen(self, *, on_user, on_work):
        self.listeners.append((on_user, on_work))
        if self.failures:
            raise self.failures.pop(0)
        await asyncio.Event().wait()


@pytest.fixture
async def relay_of():
    refs = []

    def start(wake_ups, announcer=None):
        ref = WakeUpRelay.start(
            wake_ups=wake_ups, announcer=announcer or NodeAnnouncer(GatewayMetrics())
        )
        refs.append(ref)
        return ref

    yield start
    before = asyncio.all_tasks()
    for ref in refs:
        ref.kill()
        await ref.stopped()
    assert ActorSystem.current().alive() == []
    assert asyncio.all_tasks() <= before


async def test_many_wake_ups_during_a_publication_become_one_each(relay_of, eventually):
    wake_ups = FakeWakeUps()
    ref = relay_of(wake_ups)
    wake_ups.publishing.clear()
    ref.tell(WakeUser(1))
    await eventually(lambda: wake_ups.published)
    for _ in range(50):
        ref.tell(WakeUser(2))
        ref.tell(WakeUser(3))
        ref.tell(WakeWorkers())
    wake_ups.publishing.set()
    await eventually(lambda: len(wake_ups.published) == 2)
    assert wake_ups.published == [([1], False), ([2, 3], True)]


async def test_a_cache_that_is_away_costs_the_wake_up_and_nothing_else(relay_of, eventually):
    wake_ups = FakeWakeUps()
    ref = relay_of(wake_ups)
    await eventually(lambda: wake_ups.listeners)
    wake_ups.failures = [CacheUnavailableError("away")]
    ref.tell(WakeUser(1))
    await eventually(lambda: wake_ups.published)
    ref.tell(WakeUser(2))
    await eventually(lambda: len(wake_ups.published) == 2)


@pytest.mark.parametrize("error", [CacheUnavailableError("away"), ValueError("odd")])
async def test_a_listener_that_breaks_listens_again(
    relay_of, eventually, monkeypatch, caplog, error
):
    caplog.set_level(logging.CRITICAL)
    monkeypatch.setattr("apex_actors.server.announcer.LISTEN_AGAIN_S", 0.01)
    wake_ups = FakeWakeUps()
    wake_ups.failures = [error]
    relay_of(wake_ups)
    await eventually(lambda: len(wake_ups.listeners) == 2)


async def test_what_other_nodes_commit_is_told_on_to_registry_and_worker(eventually):
    announcer, registry, worker, relay = NodeAnnouncer(GatewayMetrics()), [], [], []
    refs = [Recorder.start(told) for told in (registry, worker, relay)]
    announcer.attach(registry=refs[0], worker=refs[1], relay=refs[2])
    announcer.events_committed(7, [])
    announcer.log_advanced(8)
    announcer.work_available()
    announcer.work_elsewhere()
    await eventually(lambda: len(worker) == 2 and len(registry) == 2 and len(relay) == 2)
    assert registry == [EventsCommitted(7, ()), LogAdvanced(8)]
    assert worker == [WorkAvailable(), WorkAvailable()]
    # What another node has told is not told to it again.
    assert relay == [WakeUser(7), WakeWorkers()]
    for ref in refs:
        ref.kill()
        await ref.stopped()


async def test_an_announcer_of_a_stopping_node_raises_nothing():
    announcer = NodeAnnouncer(GatewayMetrics())
    ref = Recorder.start([])
    announcer.attach(registry=ref, worker=ref, relay=ref)
    ref.kill()
    await ref.stopped()
    announcer.events_committed(1, [])
    announcer.work_available()


# Two nodes on the same servers.


@pytest.fixture
async def nodes(sample_settings):
    """Starts nodes; afterwards nothing of them is left."""
    async with AsyncExitStack() as stack:

        async def start(part, **gateway):
            limits = sample_settings.gateway.model_copy(update=gateway)
            settings = sample_settings.model_copy(update={"gateway": limits})
            return await stack.enter_async_context(Node(settings, part=part))

        yield start
    assert ActorSystem.current().alive() == []


def open_socket(node, query=""):
    token, _ = node.authority.issue(sub="ann", org="demo", lifetime_s=600)
    url = node.url.replace("http", "ws", 1) + "/ws" + query
    return connect(url, additional_headers={"Authorization": f"Bearer {token}"})


async def events_until_end(socket):
    events = []
    async with asyncio.timeout(20):
        async for raw in socket:
            frame = json.loads(raw)
            if is_event(frame):
                events.append(Event.from_wire(frame))
                if frame["type"] == "run_finished":
                    return events
    raise AssertionError("the connection ended before the run")


async def listeners(node, count):
    """Wait until so many nodes listen."""
    client = node.stores.cache.client
    async with asyncio.timeout(5):
        while (await client.pubsub_numsub(CHANNEL))[0][1] < count:  # noqa: ASYNC110 - only the server knows
            await asyncio.sleep(0.01)


async def test_promise_4_a_client_of_one_node_sees_live_what_another_node_executes(nodes):
    # With a poll in a minute, only wake-ups can bring the events.
    gateway = await nodes(Part.GATEWAY, poll_interval_s=60)
    other = await nodes(Part.GATEWAY, poll_interval_s=60)
    await nodes(Part.WORKER)
    await listeners(gateway, 3)
    async with open_socket(gateway) as asking, open_socket(other) as watching:
        await asking.send(QUESTION)
        seen = await asyncio.gather(events_until_end(asking), events_until_end(watching))
    for events in seen:
        assert RunGrammar().check(events) == []
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [e.encode() for e in seen[0]] == [e.encode() for e in seen[1]]
    log = await gateway.stores.log.read(1, after=0, limit=1000)
    assert [e.encode() for e in log] == [e.encode() for e in seen[0]]


async def test_without_wake_ups_the_poll_brings_the_events_of_another_node(nodes, monkeypatch):
    async def deaf(*_, **__):
        await asyncio.Event().wait()

    monkeypatch.setattr("apex_actors.storage.wake_ups.WakeUps.listen", deaf)
    gateway = await nodes(Part.GATEWAY, poll_interval_s=0.2)
    await nodes(Part.WORKER)
    async with open_socket(gateway) as socket:
        await socket.send(QUESTION)
        events = await events_until_end(socket)
    assert RunGrammar().check(events) == []


async def test_promise_4_a_client_that_moves_from_node_to_node_receives_the_log(nodes):
    homes = [await nodes(Part.GATEWAY), await nodes(Part.ALL)]
    check, received, query = LogCheck(0), [], ""
    finished = False
    for hop in range(40):
        async with open_socket(homes[hop % 2], query) as socket:
            welcome = json.loads(await socket.recv())
            if hop == 0:
                await socket.send(QUESTION)
            else:
                assert welcome["recovered"] is True
            async with asyncio.timeout(20):
                count = 0
                async for raw in socket:
                    frame = json.loads(raw)
                    if is_event(frame):
                        received.append(Event.from_wire(frame))
                        count += 1
                        finished = frame["type"] == "run_finished"
                        if finished or count == 3:
                            break
            after = received[-1].seq
            query = f"?after={after}&epoch={welcome['epoch']}"
        if finished:
            break
    assert finished
    for event in received:
        check.feed(event)
    assert check.violations == []
    assert [event.seq for event in received] == list(range(1, len(received) + 1))

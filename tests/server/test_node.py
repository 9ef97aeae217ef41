"""A node as a whole: it drains, and it ends when a vital part of it dies."""

import asyncio
import os
import signal

import pytest

from apex_actors.actors import ActorSystem
from apex_actors.server.node import Node, NodeFailedError, Part


async def run(node):
    ready = asyncio.Event()
    running = asyncio.create_task(node.run_until_signal(on_ready=ready.set))
    await asyncio.wait_for(ready.wait(), 30)
    return running


async def test_a_signal_ends_a_node_in_order(settings):
    running = await run(Node(settings))
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(running, 30)
    assert ActorSystem.current().alive() == []


@pytest.mark.parametrize("name", ["ConnectionRegistry", "Worker"])
async def test_a_node_ends_when_a_vital_actor_dies(settings, name):
    running = await run(Node(settings))
    [ref] = [r for r in ActorSystem.current().alive() if r.actor_class.__name__ == name]
    ref.kill()
    with pytest.raises(NodeFailedError, match=name):
        await asyncio.wait_for(running, 30)
    assert ActorSystem.current().alive() == []


async def test_a_node_that_fails_to_start_leaves_nothing(settings):
    first = Node(settings)
    await first.start()
    taken = settings.model_copy(update={"mode": "production", "port": first.port})
    with pytest.raises(Exception, match="--port"):
        await Node(taken).start()
    await first.stop()
    assert ActorSystem.current().alive() == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("part", [Part.GATEWAY, Part.WORKER])
async def test_a_part_of_a_node_runs_alone(settings, part):
    async with Node(settings, part=part) as node:
        kinds = {ref.actor_class.__name__ for ref in ActorSystem.current().alive()}
        assert ("Worker" in kinds) == part.works
        assert ("ConnectionRegistry" in kinds) == part.serves
        assert bool(node.port) == part.serves

"""A node whose agents cannot be made, as its clients live it: the socket stays, the next run is answered."""

import asyncio
import json
import logging

import httpx
import pytest
from websockets.asyncio.client import connect

from apex_actors.execution import UserExecutionEngine
from apex_actors.server.node import DEVELOPMENT_ORG


async def until(socket, frames, condition):
    """The first frame so far, or to come, that meets the condition."""
    async with asyncio.timeout(30):
        while not (found := [frame for frame in frames if condition(frame)]):
            frames.append(json.loads(await socket.recv()))
    return found[0]


@pytest.mark.parametrize("part", ["engine", "supervisor"])
async def test_agents_that_cannot_be_made_close_no_socket(sample_node, monkeypatch, caplog, part):
    caplog.set_level(logging.CRITICAL, logger="apex_actors")

    def broken(*_, **__):
        raise MemoryError("no room")

    token = sample_node.authority.issue(sub="ann", org=DEVELOPMENT_ORG, lifetime_s=600)[0]
    url = sample_node.url.replace("http", "ws", 1) + "/ws"
    frames = []
    async with connect(url, additional_headers={"Authorization": f"Bearer {token}"}) as socket:
        with monkeypatch.context() as patch:
            if part == "engine":
                patch.setattr(UserExecutionEngine, "__init__", broken)
            else:
                patch.setattr("apex_actors.agents.CostPipeline.start_supervisor", broken)
            await socket.send(json.dumps({"type": "user_message", "text": "What did I pay?"}))
            degraded = await until(socket, frames, lambda f: f["type"] == "service_degraded")
            assert degraded["components"] == ["agents"]
            assert "agents" in degraded["message"]
            async with httpx.AsyncClient() as client:
                ready = await client.get(f"{sample_node.url}/readyz")
            assert (ready.status_code, ready.json()["components"]["agents"]) == (200, "down")
            failed = await until(socket, frames, lambda f: f["type"] == "run_finished")
        assert failed["payload"]["status"] == "failed"
        async with sample_node.stores.database.connection() as connection:
            cursor = await connection.execute("select id, kind from apex.error_reports")
            [report] = await cursor.fetchall()
        assert report["kind"] == "MemoryError"
        assert str(report["id"]) == failed["payload"]["error"]["report_id"]

        await socket.send(json.dumps({"type": "user_message", "text": "And now?"}))
        done = await until(
            socket,
            frames,
            lambda f: f["type"] == "run_finished" and f["run_id"] != failed["run_id"],
        )
        assert done["payload"]["status"] == "completed"
        recovered = await until(socket, frames, lambda f: f["type"] == "service_recovered")
        assert recovered["components"] == ["agents"]

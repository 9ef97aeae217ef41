"""Nodes that stop while they work: what they had goes on elsewhere, and an operator reads of it."""

import asyncio
import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import pytest
from websockets.asyncio.client import connect

from apex_actors.agents.cost_tools import BuildSavingsPlan
from apex_actors.protocol import Event, LogCheck, is_event
from apex_actors.server.node import DEVELOPMENT_ORG, Node, Part

HANDOVERS = 3
MESSAGES = 8


@pytest.fixture
def slow_plan(monkeypatch):
    """The savings plan takes until it is stopped; set the event to let it be built."""
    build, free = BuildSavingsPlan.run, asyncio.Event()

    async def slow(tool, arguments, context):
        await free.wait()
        return await build(tool, arguments, context)

    monkeypatch.setattr(BuildSavingsPlan, "run", slow)
    return free


@pytest.fixture
def impatient(sample_settings):
    """No grace, one attempt, and a lease that nobody waits out."""
    execution = sample_settings.execution.model_copy(update={"max_attempts": 1, "lease_s": 600})
    return sample_settings.model_copy(update={"grace_period_s": 0.0, "execution": execution})


async def collect(socket, frames, condition):
    async with asyncio.timeout(60):
        while not frames or not condition(frames):
            frames.append(json.loads(await socket.recv()))


async def test_a_run_goes_on_at_once_from_node_to_node_however_often_they_stop(
    impatient, slow_plan, caplog
):
    caplog.set_level(logging.INFO, logger="apex_actors.server.node")
    frames = []

    def building(number):
        return lambda frames: (
            (
                [f.get("payload", {}).get("tool") for f in frames if f["type"] == "tool_executing"]
            ).count("build_savings_plan")
            == number
        )

    async with Node(impatient, part=Part.GATEWAY) as gateway:
        token, _ = gateway.authority.issue(sub="ann", org=DEVELOPMENT_ORG, lifetime_s=600)
        url = gateway.url.replace("http", "ws", 1) + "/ws"
        headers = {"Authorization": f"Bearer {token}"}
        async with connect(url, additional_headers=headers) as socket:
            await socket.send(json.dumps({"type": "user_message", "text": "Analyze my AI costs"}))
            for number in range(1, HANDOVERS + 1):
                async with Node(impatient, part=Part.WORKER):
                    await collect(socket, frames, building(number))
            slow_plan.set()
            async with Node(impatient, part=Part.WORKER):
                await collect(socket, frames, lambda frames: frames[-1]["type"] == "run_finished")
            await gateway.stop()
            await asyncio.wait_for(socket.wait_closed(), 10)
            assert socket.close_code == 1012
    assert frames[-1]["payload"] == {"status": "completed", "partial": False}
    resumed = [frame["attempt"] for frame in frames if frame["type"] == "run_resumed"]
    assert resumed == [2, 3, 4]
    checking = LogCheck(frames[0]["seq"])
    for frame in frames:
        if is_event(frame):
            checking.feed(Event.from_wire(frame))
    assert checking.close() == []
    audits = [re.sub("node [0-9a-f]+ ", "", line) for line in caplog.messages if "stopped" in line]
    assert audits == [
        *["stopped: 0 runs finished, 1 handed over, 0 connections told"] * HANDOVERS,
        "stopped: 0 runs finished, 0 handed over, 0 connections told",
        "stopped: 0 runs finished, 0 handed over, 1 connections told",
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_a_process_at_once_and_loses_nothing(
    sample_database_url, redis_url, tmp_path, number, development_server
):
    environment = {
        "APEX_DATABASE_URL": sample_database_url,
        "APEX_REDIS_URL": redis_url,
        "APEX_DATA_DIR": str(tmp_path),
        "APEX_EXECUTION__LEASE_S": "2",
        "APEX_GRACE_PERIOD_S": "600",
        # One at a time: it cannot be done with all of them before the second signal comes.
        "APEX_EXECUTION__RUNS_PER_USER": "1",
    }
    with development_process(environment) as process:
        url = (await asyncio.to_thread(process.stdout.readline)).split("/#token=")[0]
        async with httpx.AsyncClient() as client:
            answer = await client.post(f"{url}/dev/token", json={"sub": "ann", "org": None})
        headers = {"Authorization": f"Bearer {answer.json()['token']}"}
        frames = []
        async with connect(url.replace("http", "ws", 1) + "/ws", additional_headers=headers) as ws:
            for index in range(MESSAGES):
                text = f"Analyze my AI costs, {index}"
                await ws.send(json.dumps({"type": "user_message", "text": text}))
            await collect(ws, frames, lambda frames: len(accepted(frames)) == MESSAGES)
            process.send_signal(number)
            # It drains, and would do so for long: a run is under way.
            await asyncio.to_thread(wait_until_draining, url)
            process.send_signal(number)
            assert await asyncio.to_thread(process.wait, 30) == -number
    run_ids = accepted(frames)
    with development_server(**environment | {"APEX_GRACE_PERIOD_S": "5"}) as server:
        after, epoch = frames[0]["seq"], frames[0]["epoch"]
        headers = {"Authorization": f"Bearer {server.token('ann')}"}
        again = f"{server.url.replace('http', 'ws', 1)}/ws?after={after}&epoch={epoch}"
        replayed = []
        async with connect(again, additional_headers=headers) as ws:
            await collect(ws, replayed, lambda frames: len(finished(frames)) == MESSAGES)
    assert sorted(finished(replayed)) == sorted((run_id, "completed") for run_id in run_ids)
    seen = [frame for frame in frames if is_event(frame)]
    assert [frame for frame in replayed if is_event(frame)][: len(seen)] == seen


def accepted(frames):
    return [frame["run_id"] for frame in frames if frame["type"] == "message_accepted"]


def finished(frames):
    return [(f["run_id"], f["payload"]["status"]) for f in frames if f["type"] == "run_finished"]


@contextmanager
def development_process(environment):
    """``apex up`` with these variables, for a test that ends it."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("APEX_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "apex_actors", "up", "--port", "0"],
        env=own | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process.stdout:
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def wait_until_draining(url):
    deadline = time.monotonic() + 30
    while httpx.get(f"{url}/readyz").status_code != 503:
        assert time.monotonic() < deadline
        time.sleep(0.01)

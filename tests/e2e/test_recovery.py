"""What was acknowledged survives the death of the database, of the cache and of the server itself."""

import asyncio
import os
import signal

import psutil
import pytest

from apex_actors.client import ApexClient
from apex_actors.protocol import LogCheck


def kill(data_dir, program):
    """Kill -9 the server ``program`` of this data folder."""
    for process in psutil.process_iter(["name", "cmdline", "cwd"]):
        parent = process.parent() if process.info["name"] == program else None
        if parent is None or parent.name() == program:
            continue
        where = " ".join([*(process.info["cmdline"] or ()), process.info["cwd"] or ""])
        if str(data_dir) in where:
            process.send_signal(signal.SIGKILL)
            return
    raise AssertionError(f"no {program} runs for this folder")


async def finish(client, check, run_id):
    """Follow the user's events until the run has finished."""
    async with asyncio.timeout(60):
        async for event in client.events():
            check.feed(event)
            if event.type == "run_finished" and event.run_id == run_id:
                return event
    raise AssertionError("the stream ended")


@pytest.fixture
def start(data_dir, development_server):
    def start_server():
        return development_server(APEX_DATA_DIR=str(data_dir), APEX_EXECUTION__LEASE_S="2")

    return start_server


async def test_a_run_survives_kill_9_of_postgresql_and_of_valkey(start, data_dir):
    with start() as server:
        async with ApexClient(server.url, token=server.token("ann")) as client:
            check = LogCheck(client.welcome.seq)
            for program in ("postgres", "valkey-server"):
                accepted = await client.send_message("Analyze my AI costs")
                check.accepted(accepted.message_id, accepted.run_id)
                kill(data_dir, program)
                finished = await finish(client, check, accepted.run_id)
                assert finished.payload["status"] == "completed"
            assert check.close() == []


async def test_a_server_killed_in_a_run_finishes_it_after_its_restart(start):
    with start() as server:
        token = server.token("ann")
        async with ApexClient(server.url, token=token) as client:
            check = LogCheck(client.welcome.seq)
            accepted = await client.send_message("Analyze my AI costs")
            check.accepted(accepted.message_id, accepted.run_id)
            async for event in client.events():
                check.feed(event)
                if event.type == "tool_executing":
                    break
            position = client.position
            os.kill(server.process.pid, signal.SIGKILL)
            server.process.wait()
    with start() as server:
        async with ApexClient(server.url, token=token, position=position) as client:
            assert client.welcome.recovered is True
            finished = await finish(client, check, accepted.run_id)
    assert finished.payload["status"] == "completed"
    assert check.close() == []

"""Stopping over a real socket: cancel, interrupt and retry, as a client lives them."""

import asyncio
import json
from collections import Counter

import pytest
from websockets.asyncio.client import connect

from apex_actors.protocol import Event, LogCheck, is_event
from apex_actors.server.node import DEVELOPMENT_ORG


class Client:
    """Sends, and reads on until what it waits for has come."""

    def __init__(self, socket):
        self._socket = socket
        self.frames = []

    async def send(self, kind, **fields):
        await self._socket.send(json.dumps({"type": kind, **fields}))

    async def until(self, condition):
        """The first frame from here on that meets the condition."""
        async with asyncio.timeout(30):
            while True:
                self.frames.append(json.loads(await self._socket.recv()))
                if condition(self.frames[-1]):
                    return self.frames[-1]

    async def reply(self, kind, **fields):
        """Send, and wait for the frame that echoes the request."""
        request_id = f"r{len(self.frames)}"
        await self.send(kind, request_id=request_id, **fields)
        return await self.until(lambda frame: frame.get("request_id") == request_id)

    async def finished(self, run_id):
        def ends(frame):
            return frame["type"] == "run_finished" and frame["run_id"] == run_id

        known = [frame for frame in self.frames if ends(frame)]
        return (known[0] if known else await self.until(ends))["payload"]

    async def building(self, run_id):
        """Wait until the run is at the tool that the test has slowed down."""
        await self.until(
            lambda frame: (
                frame["type"] == "tool_executing"
                and frame["run_id"] == run_id
                and frame["payload"]["tool"] == "build_savings_plan"
            )
        )

    def check(self):
        """The promises, of all that has come; a retried run begins without a message."""
        checking = LogCheck(self.frames[0]["seq"])
        for frame in self.frames:
            if is_event(frame):
                checking.feed(Event.from_wire(frame))
        assert checking.close() == []
        ends = Counter(f["run_id"] for f in self.frames if f["type"] == "run_finished")
        assert set(ends.values()) == {1}


@pytest.fixture
async def client(sample_node):
    token = sample_node.authority.issue(sub="ann", org=DEVELOPMENT_ORG, lifetime_s=600)[0]
    url = sample_node.url.replace("http", "ws", 1) + "/ws"
    async with connect(url, additional_headers={"Authorization": f"Bearer {token}"}) as socket:
        yield Client(socket)


async def test_a_cancelled_run_answers_with_what_it_has_and_a_retry_completes_it(client, slow_plan):
    accepted = await client.reply("user_message", text="Analyze my AI costs")
    run_id = accepted["run_id"]
    await client.building(run_id)
    reply = await client.reply("cancel_run", run_id=run_id)
    assert (reply["type"], reply["run_id"]) == ("run_cancelling", run_id)
    assert await client.finished(run_id) == {"status": "cancelled", "partial": True}
    reply = await client.reply("stop_agent", run_id=run_id)
    assert (reply["type"], reply["status"]) == ("run_status", "cancelled")
    slow_plan.set()
    retried = await client.reply("retry_run", run_id=run_id)
    assert retried["message_id"] == accepted["message_id"]
    assert await client.finished(retried["run_id"]) == {"status": "completed", "partial": False}
    client.check()


async def test_an_interrupt_stops_the_run_at_work_and_is_answered_next(client, slow_plan):
    first = await client.reply("user_message", text="Analyze my AI costs")
    await client.building(first["run_id"])
    waiting = await client.reply("user_message", text="And then?")
    interrupt = await client.reply("user_message", text="Stop, this first", if_busy="interrupt")
    assert interrupt["queue_position"] == 1
    assert (await client.finished(first["run_id"]))["status"] == "cancelled"
    await client.building(interrupt["run_id"])
    slow_plan.set()
    assert (await client.finished(waiting["run_id"]))["status"] == "completed"
    ends = [frame["run_id"] for frame in client.frames if frame["type"] == "run_finished"]
    assert ends == [first["run_id"], interrupt["run_id"], waiting["run_id"]]
    client.check()


@pytest.mark.usefixtures("slow_plan")
async def test_stopping_a_thread_ends_all_of_it(client):
    first = await client.reply("user_message", text="Analyze my AI costs")
    waiting = await client.reply("user_message", text="And then?")
    await client.building(first["run_id"])
    reply = await client.reply("stop_agent", thread_id=first["thread_id"])
    assert (reply["type"], reply["run_id"]) == ("run_cancelling", first["run_id"])
    for run_id in (first["run_id"], waiting["run_id"]):
        assert (await client.finished(run_id))["status"] == "cancelled"
    client.check()

"""Threads and preferences over real sockets: what changes in one tab reaches the other."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import connect

from apex_actors.protocol import LogCheck, is_event
from apex_actors.protocol.events import Event
from apex_actors.server.node import DEVELOPMENT_ORG


class Tab:
    """One connection; remembers all frames."""

    def __init__(self, socket):
        self.socket = socket
        self.frames = []
        self.asked = 0

    async def until(self, condition):
        async with asyncio.timeout(30):
            while True:
                for frame in self.frames:
                    if condition(frame):
                        return frame
                self.frames.append(json.loads(await self.socket.recv()))
                if condition(self.frames[-1]):
                    return self.frames[-1]

    async def event(self, kind):
        return await self.until(lambda frame: is_event(frame) and frame["type"] == kind)

    async def ask(self, message_type, **fields):
        self.asked += 1
        request_id = f"r{self.asked}"
        message = {"type": message_type, "request_id": request_id, **fields}
        await self.socket.send(json.dumps(message))
        return await self.until(lambda frame: frame.get("request_id") == request_id)


@pytest.fixture
def open_tab(sample_node):
    token, _ = sample_node.authority.issue(sub="ann", org=DEVELOPMENT_ORG, lifetime_s=600)

    @asynccontextmanager
    async def open_tab(query=""):
        url = sample_node.url.replace("http", "ws", 1) + "/ws" + query
        headers = {"Authorization": f"Bearer {token}"}
        async with connect(url, additional_headers=headers) as socket:
            tab = Tab(socket)
            await tab.until(lambda frame: frame["type"] == "connection_ready")
            yield tab

    return open_tab


async def test_a_new_title_and_new_preferences_reach_the_other_tab(open_tab):
    async with open_tab() as one, open_tab() as other:
        accepted = await one.ask("user_message", text="Analyze my AI costs")
        assert (await one.ask("list_threads"))["threads"][0]["title"] == "Analyze my AI costs"
        renamed = await one.ask("rename_thread", thread_id=accepted["thread_id"], title="Costs")
        assert renamed["type"] == "ok"
        event = await other.event("thread_updated")
        assert (event["thread_id"], event["payload"]) == (accepted["thread_id"], {"title": "Costs"})
        reply = await other.ask("set_preferences", preferences={"time_zone": "Europe/Berlin"})
        event = await one.event("preferences_updated")
        assert event["payload"]["preferences"] == reply["preferences"]
        assert (await one.ask("get_preferences"))["preferences"] == reply["preferences"]
        await one.event("run_finished")


async def test_the_thread_switched_to_is_the_one_of_the_next_connection(open_tab):
    async with open_tab() as one:
        first = await one.ask("user_message", text="Analyze my AI costs")
        assert (await one.ask("switch_thread", thread_id=first["thread_id"]))["type"] == (
            "thread_data"
        )
        await one.event("run_finished")
        run = await one.ask("get_run", run_id=first["run_id"])
        assert (run["status"], len(run["steps"])) == ("completed", 3)
        assert run["accepted_at"] <= run["started_at"] <= run["finished_at"]
    async with open_tab() as later:
        assert later.frames[0]["thread_id"] == first["thread_id"]


async def test_a_thread_whose_run_is_under_way_is_stopped_deleted_and_only_numbers_are_left(
    open_tab, sample_node
):
    async with open_tab() as one, open_tab() as other:
        accepted = await one.ask("user_message", text="Analyze my AI costs")
        await one.ask("user_message", text="And again", thread_id=accepted["thread_id"])
        await one.event("agent_started")
        assert (await one.ask("delete_thread", thread_id=accepted["thread_id"]))["type"] == "ok"
        refused = await other.ask("switch_thread", thread_id=accepted["thread_id"])
        assert refused["code"] == "thread_not_found"
        assert (await other.ask("list_threads"))["threads"] == []
        for tab in (one, other):
            assert (await tab.event("thread_deleted"))["thread_id"] == accepted["thread_id"]
            check = LogCheck(0)
            for frame in filter(is_event, tab.frames):
                check.feed(Event.from_wire(frame))
            assert check.violations == []
        end = (await one.event("thread_deleted"))["seq"]
        epoch = one.frames[0]["epoch"]
    async with open_tab(f"?after=0&epoch={epoch}") as later:
        assert later.frames[0]["thread_id"] is None
        await later.event("thread_deleted")
        events = list(filter(is_event, later.frames))
        assert [event["seq"] for event in events] == list(range(1, end + 1))
        assert {event["type"] for event in events[:-1]} == {"event_redacted"}
        answered = await later.ask("user_message", text="Analyze my AI costs")
        assert answered["thread_id"] != accepted["thread_id"]
        await later.event("run_finished")
    async with sample_node.stores.database.connection() as connection:
        cursor = await connection.execute(
            "select (select count(*) from apex.runs) as runs,"
            " (select count(*) from absurd.t_runs) as tasks"
        )
        assert await cursor.fetchone() == {"runs": 1, "tasks": 1}

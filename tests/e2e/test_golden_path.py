"""The golden path over a real socket: question in, agents seen, answer stored, nothing left."""

import asyncio
import gc
import json
import os
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import httpx
import psutil
import pytest
from websockets.asyncio.client import connect

from apex_actors.actors import ActorSystem
from apex_actors.protocol import Event, LogCheck, RunGrammar, is_event
from apex_actors.server.node import DEVELOPMENT_ORG, Node

QUESTION = {"type": "user_message", "text": "Analyze my AI costs", "client_message_id": "q1"}


def open_socket(node, token, query=""):
    url = node.url.replace("http", "ws", 1) + "/ws" + query
    return connect(url, additional_headers={"Authorization": f"Bearer {token}"})


async def frames_until(socket, kind):
    frames = []
    async with asyncio.timeout(30):
        async for raw in socket:
            frames.append(json.loads(raw))
            if frames[-1]["type"] == kind:
                return frames
    raise AssertionError(f"the connection ended before {kind}")


@pytest.fixture
async def node(sample_node):
    return sample_node


@pytest.fixture
def token(node):
    return node.authority.issue(sub="ann", org=DEVELOPMENT_ORG, lifetime_s=600)[0]


async def rows(node, query):
    async with node.stores.database.connection() as connection:
        return await (await connection.execute(query)).fetchall()


async def test_promise_6_a_run_follows_the_grammar_and_each_steps_result_is_stored_once(
    node, token
):
    async with open_socket(node, token) as socket:
        await socket.send(json.dumps(QUESTION))
        frames = await frames_until(socket, "run_finished")

    welcome = frames[0]
    assert welcome["type"] == "connection_ready"
    assert (welcome["mode"], welcome["org"], welcome["user_id"]) == ("full", "demo", "ann")
    accepted = next(frame for frame in frames if frame["type"] == "message_accepted")
    assert accepted["client_message_id"] == "q1"
    events = [Event.from_wire(frame) for frame in frames if is_event(frame)]
    assert RunGrammar().check(events) == []
    assert [event.seq for event in events] == list(range(1, len(events) + 1))

    steps = await rows(node, "select agent, status from apex.step_results order by step")
    assert [(step["agent"], step["status"]) for step in steps] == [
        ("data", "ok"),
        ("optimization", "ok"),
        ("report", "ok"),
    ]
    messages = await rows(node, "select role, content from apex.messages order by created_at")
    assert [message["role"] for message in messages] == ["user", "assistant"]
    final = next(event for event in events if event.type == "final_response")
    assert messages[1]["content"] == final.payload["content"]
    [run] = await rows(node, "select status, partial, attempt, finished_at from apex.runs")
    assert (run["status"], run["partial"], run["attempt"]) == ("completed", False, 1)
    assert run["finished_at"] is not None


async def test_the_figures_of_the_answer_are_those_of_the_records(node, token):
    async with open_socket(node, token) as socket:
        await socket.send(json.dumps(QUESTION))
        frames = await frames_until(socket, "run_finished")
    report = next(f for f in frames if f["type"] == "final_response")["payload"]["report"]
    [records] = await rows(
        node,
        "select sum(computed_cost)::text as cost, sum(request_count)::int as requests "
        "from apex.usage_records where tenant = 'demo'",
    )
    assert float(report["totals"]["cost"]) == pytest.approx(float(records["cost"]), abs=0)
    assert report["totals"]["requests"] == records["requests"]
    assert report["sample"] is True
    plan = report["plan"]
    assert sum(float(lever["saving"]) for lever in plan["levers"]) == pytest.approx(
        float(plan["baseline"]) - float(plan["final"])
    )


async def test_recommendations_are_cached_and_read_by_the_next_run(node, token):
    tools = []
    for number in range(2):
        async with open_socket(node, token) as socket:
            await socket.send(json.dumps(QUESTION | {"client_message_id": str(number)}))
            frames = await frames_until(socket, "run_finished")
        tools.append([f["payload"]["tool"] for f in frames if f["type"] == "tool_executing"])
    assert "build_savings_plan" in tools[0]
    assert "build_savings_plan" not in tools[1]
    assert "read_cached_plan" in tools[1]


async def test_promise_11_emptying_the_cache_changes_nothing(node, token):
    reports = []
    for number in range(2):
        async with open_socket(node, token) as socket:
            await socket.send(json.dumps(QUESTION | {"client_message_id": str(number)}))
            frames = await frames_until(socket, "run_finished")
        final = next(f for f in frames if f["type"] == "final_response")
        reports.append(final["payload"]["report"]["plan"])
        async with node.stores.cache.guarded() as client:
            await client.flushall()
    assert reports[0] == reports[1]


async def test_promise_4_what_a_client_receives_across_reconnects_equals_the_log(node, token):
    check = LogCheck(0)
    async with open_socket(node, token) as socket:
        welcome = json.loads(await socket.recv())
        await socket.send(json.dumps(QUESTION))
        first = await frames_until(socket, "agent_thinking")
    live = [frame for frame in first if is_event(frame)]
    query = f"?after={live[-1]['seq']}&epoch={welcome['epoch']}"
    async with open_socket(node, token, query) as socket:
        again = await frames_until(socket, "run_finished")
    assert again[0]["recovered"] is True
    accepted = next(frame for frame in first if frame["type"] == "message_accepted")
    check.accepted(UUID(accepted["message_id"]), UUID(accepted["run_id"]))
    for frame in live + [frame for frame in again if is_event(frame)]:
        check.feed(Event.from_wire(frame))
    assert check.close() == []
    async with open_socket(node, token, f"?after=0&epoch={welcome['epoch']}") as socket:
        replayed = await frames_until(socket, "run_finished")
    assert [f for f in replayed if is_event(f)] == live + [f for f in again if is_event(f)]


async def test_a_foreign_epoch_or_a_position_beyond_the_end_is_not_recovered(node, token):
    async with open_socket(node, token) as socket:
        epoch = json.loads(await socket.recv())["epoch"]
    for query in ("?after=0&epoch=other", f"?after=5&epoch={epoch}"):
        async with open_socket(node, token, query) as socket:
            welcome = json.loads(await socket.recv())
        assert (welcome["recovered"], welcome["seq"]) == (False, 0)


async def test_the_run_goes_on_when_the_client_leaves(node, token):
    async with open_socket(node, token) as socket:
        await socket.send(json.dumps(QUESTION))
        await frames_until(socket, "message_accepted")
    statuses = []

    async def completed():
        while "completed" not in statuses:
            statuses[:] = [
                row["status"] for row in await rows(node, "select status from apex.runs")
            ]
            await asyncio.sleep(0.02)

    await asyncio.wait_for(completed(), 20)


async def test_every_connection_of_a_user_gets_each_event_and_nobody_elses(node, token):
    stranger, _ = node.authority.issue(sub="bob", org=DEVELOPMENT_ORG, lifetime_s=600)
    async with (
        open_socket(node, token) as asking,
        open_socket(node, token) as watching,
        open_socket(node, stranger) as apart,
    ):
        await asking.send(json.dumps(QUESTION))
        seen = await asyncio.gather(
            frames_until(asking, "run_finished"), frames_until(watching, "run_finished")
        )
        await apart.send('{"type":"ping"}')
        alone = await frames_until(apart, "pong")
    events = [[frame for frame in frames if is_event(frame)] for frames in seen]
    assert events[0] == events[1]
    assert {frame["type"] for frame in alone} == {"connection_ready", "ping", "pong"}


async def test_history_shows_the_thread_and_its_runs(node, token):
    async with open_socket(node, token) as socket:
        await socket.send(json.dumps(QUESTION))
        finished = (await frames_until(socket, "run_finished"))[-1]
        request = {"type": "get_thread_history", "thread_id": finished["thread_id"]}
        await socket.send(json.dumps(request | {"request_id": "h"}))
        history = (await frames_until(socket, "thread_history"))[-1]
    assert history["request_id"] == "h"
    assert [message["role"] for message in history["messages"]] == ["user", "assistant"]
    [run] = history["runs"]
    assert run["status"] == "completed"
    assert [step["agent"] for step in run["steps"]] == ["data", "optimization", "report"]
    assert all(step["tools"] and step["thinking"] and step["result"] for step in run["steps"])
    assert history["seq"] == finished["seq"]


async def test_reports_are_downloadable_by_their_owner_alone(node, token):
    async with open_socket(node, token) as socket:
        await socket.send(json.dumps(QUESTION))
        frames = await frames_until(socket, "run_finished")
    final = next(frame for frame in frames if frame["type"] == "final_response")
    stranger, _ = node.authority.issue(sub="bob", org=DEVELOPMENT_ORG, lifetime_s=600)
    async with httpx.AsyncClient(base_url=node.url) as http:
        path = f"/api/runs/{final['run_id']}/report"
        mine = {"Authorization": f"Bearer {token}"}
        assert (await http.get(f"{path}.md", headers=mine)).text == final["payload"]["content"]
        assert (await http.get(f"{path}.json", headers=mine)).json() == final["payload"]["report"]
        page = await http.get(f"{path}.html", headers=mine)
        assert '<article class="report">' in page.text
        assert "sandbox" in page.headers["content-security-policy"]
        theirs = {"Authorization": f"Bearer {stranger}"}
        assert (await http.get(f"{path}.md", headers=theirs)).status_code == 404
        assert (await http.get(f"{path}.md")).status_code == 401


async def test_the_links_of_an_answer_are_signed_for_its_own_report(node, token):
    async with open_socket(node, token) as socket:
        await socket.send(json.dumps(QUESTION))
        frames = await frames_until(socket, "run_finished")
    final = next(frame for frame in frames if frame["type"] == "final_response")
    links = [urlsplit(artifact["url"]) for artifact in final["payload"]["artifacts"]]
    base = f"/api/runs/{final['run_id']}"
    reports = {f"{base}/report.{form}" for form in ("html", "md", "csv", "json")}
    charts = {link.path for link in links} - reports
    assert reports <= {link.path for link in links}
    assert charts
    assert all(path.startswith(f"{base}/charts/") for path in charts)
    async with httpx.AsyncClient(base_url=node.url) as http:
        for link in links:
            query = dict(parse_qsl(link.query, strict_parsing=True))
            assert node.links.verify(link.path, query["expires"], query["signature"])
            # As an image or a link of a page does: without a header.
            assert (await http.get(f"{link.path}?{link.query}", timeout=30)).status_code == 200


async def test_without_usage_the_answer_says_so(node):
    token, _ = node.authority.issue(sub="new", lifetime_s=600)
    async with open_socket(node, token) as socket:
        await socket.send(json.dumps(QUESTION))
        frames = await frames_until(socket, "run_finished")
    assert RunGrammar().check(Event.from_wire(f) for f in frames if is_event(f)) == []
    assert (
        "There is no usage"
        in next(f for f in frames if f["type"] == "final_response")["payload"]["content"]
    )


async def test_nothing_is_left_of_a_node_after_it_has_stopped(sample_settings, eventually):
    process = psutil.Process(os.getpid())
    tasks = asyncio.all_tasks()
    async with Node(sample_settings) as node:
        token, _ = node.authority.issue(sub="ann", org=DEVELOPMENT_ORG, lifetime_s=600)
        children = process.children(recursive=True)
        async with open_socket(node, token) as socket:
            await socket.send(json.dumps(QUESTION))
            await frames_until(socket, "run_finished")

            def kinds():
                return {ref.actor_class.__name__ for ref in ActorSystem.current().alive()}

            standing = {
                "BringUp",
                "ComponentWatch",
                "ConnectionActor",
                "ConnectionRegistry",
                "Greeter",
                "LimitsSync",
                "LogLookout",
                "RetentionJanitor",
                "RevocationWatch",
                "RunSweeper",
                "SavingsKeeper",
                "SessionKeeper",
                "ThreadJanitor",
                "WakeUpRelay",
                "Worker",
            }
            await eventually(lambda: kinds() == standing)
        port = node.port
    gc.collect()
    assert ActorSystem.current().alive() == []
    assert asyncio.all_tasks() == tasks
    assert set(process.children(recursive=True)) <= set(children)
    sockets = [c for c in process.net_connections() if c.laddr and c.laddr.port == port]
    assert [c for c in sockets if c.status != "TIME_WAIT"] == []

"""Each way out of a run, forced at every point of its work: what is stored, said, and left behind."""

import asyncio
import json
import re
from dataclasses import dataclass, field

import httpx
import pytest
from websockets.asyncio.client import connect

from apex_actors.agents import CostPipeline, StepOutcome
from apex_actors.protocol import is_event
from apex_actors.protocol.payloads import SUB_AGENTS, AgentName, AgentStatus, RunStatus
from apex_actors.server.node import Node

DATA, OPTIMIZATION, REPORT = SUB_AGENTS


@dataclass
class Point:
    """Where a run is held: an agent, and how far it has come."""

    agent: AgentName
    phase: str
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    free: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def completed_before(self):
        return list(SUB_AGENTS[: SUB_AGENTS.index(self.agent)])

    def script(self, scene):
        """The first try of the agent is held there until it is free, every other one works."""

        async def hold(*_):
            self.reached.set()
            await self.free.wait()

        async def held(agent, results):
            if self.phase == "before its first word":
                await hold()
            agent.think("I think.", 0.5)
            if self.phase == "thinking":
                await hold()
            if self.phase == "in a tool":
                await scene.use(agent, hold)
            if self.phase == "in two tools":
                await asyncio.gather(scene.use(agent, hold), scene.use(agent, hold))
            await scene.use(agent)
            if self.phase == "behind its tools":
                await hold()
            return StepOutcome(AgentStatus.OK, "done", {"before": sorted(results)})

        scene.script(**{self.agent: [held, scene.good_work]})


PHASES = ["before its first word", "thinking", "in a tool", "in two tools", "behind its tools"]


@pytest.fixture(params=PHASES)
def phase(request):
    return request.param


@pytest.fixture(params=SUB_AGENTS)
def point(request, phase, scene):
    point = Point(request.param, phase)
    point.script(scene)
    return point


class Breaks:
    """A message that no actor can even look at."""

    @property
    def __class__(self):
        raise ValueError("the supervisor breaks")


async def hold(scene, point):
    """Begin a run, and have it held at the point; its id and its first worker."""
    accepted = await scene.accept()
    worker = scene.start_worker()
    await asyncio.wait_for(point.reached.wait(), 10)
    return accepted.run_id, worker


async def check(scene, point, *, status, reports):
    """What holds for each early end."""
    finished = await scene.finish()
    scene.check_grammar()
    answers = bool(point.completed_before)
    assert (finished["status"], finished["partial"]) == (status, answers)
    [run] = await scene.rows("select status, partial, error from apex.runs")
    assert (run["status"], run["partial"]) == (status, answers)
    assert (run["error"] is None) == (status is RunStatus.CANCELLED)
    steps = await scene.rows("select agent from apex.step_results order by step")
    assert [step["agent"] for step in steps] == point.completed_before
    stored = await scene.rows("select report from apex.results")
    assert stored == [{"report": {"of": sorted(point.completed_before)}}] * answers
    assert len(scene.of_type("final_response")) == answers
    assert len(await scene.rows("select 1 from apex.error_reports")) == reports
    assert scene.pipeline.completed_with == []
    await check_nothing_is_left(scene)


async def check_nothing_is_left(scene):
    """No task in the database, no transaction; actors and tasks are the fixture's to look for."""
    live = "select state from absurd.r_runs where state in ('pending', 'running', 'sleeping')"
    assert await scene.rows(live) == []
    transactions = """
        select query from pg_stat_activity
        where datname = current_database() and state like 'idle in transaction%'
    """
    assert await scene.rows(transactions) == []


async def test_promise_2_a_run_is_cancelled_at_any_point(scene, point):
    run_id, _ = await hold(scene, point)
    assert (await scene.cancel(run_id)).cancelling
    await check(scene, point, status=RunStatus.CANCELLED, reports=0)


async def test_promise_2_a_run_fails_at_any_point(scene, point, monkeypatch):
    supervisors = []
    start = scene.pipeline.start_supervisor
    monkeypatch.setattr(
        scene.pipeline,
        "start_supervisor",
        lambda *given: supervisors.append(start(*given)) or supervisors[-1],
    )
    await hold(scene, point)
    supervisors[0].tell(Breaks())
    await check(scene, point, status=RunStatus.FAILED, reports=1)


async def test_promise_10_a_run_times_out_at_any_point(scene, point):
    scene.limit(run_limit_s=1, tool_limit_s=1)
    await hold(scene, point)
    await check(scene, point, status=RunStatus.TIMED_OUT, reports=0)


async def test_promise_7_a_run_goes_on_elsewhere_from_any_point_when_its_worker_stops(scene, point):
    _, first = await hold(scene, point)
    first.kill()
    await first.stopped()
    scene.start_worker()
    finished = await scene.finish()
    scene.check_grammar()
    assert finished == {"status": "completed", "partial": False}
    [resumed] = scene.of_type("run_resumed")
    assert resumed.payload["next_agent"] == point.agent
    steps = await scene.rows("select agent, attempt from apex.step_results order by step")
    assert [step["agent"] for step in steps] == list(SUB_AGENTS)
    first_of_all = len(point.completed_before)
    assert [step["attempt"] for step in steps] == [1] * first_of_all + [2] * (3 - first_of_all)
    assert await scene.rows("select 1 from apex.error_reports") == []
    await check_nothing_is_left(scene)


async def connections(node):
    async with httpx.AsyncClient() as client:
        metrics = (await client.get(f"{node.url}/metrics")).text
    return float(re.search(r"^apex_connections (\S+)$", metrics, re.MULTILINE)[1])


class StagedNode(Node):
    """A node whose agents do what the test says."""

    def stage(self, pipeline):
        self._staged = pipeline
        return self

    def _pipelines(self):
        return {CostPipeline.name: self._staged}


async def test_promise_4_a_client_that_leaves_at_any_point_has_it_all_when_it_comes_back(
    scene, point, settings
):
    gateway = settings.gateway.model_copy(update={"session_interval_s": 0.1})
    settings = settings.model_copy(update={"gateway": gateway})
    async with StagedNode(settings).stage(scene.pipeline) as node:
        token, _ = node.authority.issue(sub="ann", org="acme", lifetime_s=600)
        url = node.url.replace("http", "ws", 1) + "/ws"
        headers = {"Authorization": f"Bearer {token}"}
        async with connect(url, additional_headers=headers) as socket:
            welcome = json.loads(await socket.recv())
            await socket.send(json.dumps({"type": "user_message", "text": "How much?"}))
            await asyncio.wait_for(point.reached.wait(), 10)
            socket.transport.abort()  # without a word
        # The session that it comes back to is stored.
        threads = "select id as thread_id from apex.threads"
        sessions = "select thread_id from apex.sessions"
        await scene.eventually(lambda: scene.rows(sessions))
        assert await scene.rows(sessions) == await scene.rows(threads)
        assert await connections(node) == 0
        point.free.set()
        ended = "select status, partial from apex.runs where finished_at is not null"
        await scene.eventually(lambda: scene.rows(ended))
        assert await scene.rows(ended) == [{"status": "completed", "partial": False}]
        back = f"{url}?after={welcome['seq']}&epoch={welcome['epoch']}"
        async with connect(back, additional_headers=headers) as socket:
            frames = [json.loads(await socket.recv())]
            while frames[-1]["type"] != "run_finished":
                frames.append(json.loads(await asyncio.wait_for(socket.recv(), 10)))
    assert frames[0]["recovered"] is True
    received = [frame["seq"] for frame in frames if is_event(frame)]
    log = await scene.rows("select seq from apex.events order by seq")
    assert received == [row["seq"] for row in log]
    steps = await scene.rows("select agent from apex.step_results order by step")
    assert [step["agent"] for step in steps] == list(SUB_AGENTS)
    await check_nothing_is_left(scene)

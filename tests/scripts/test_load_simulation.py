"""The load simulation: its figures against the live server, and its eye for a server that lies."""

import asyncio
import importlib.util
import json
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import jwt
import pytest
from websockets.asyncio.server import serve

from apex_actors.protocol import (
    SUB_AGENTS,
    AgentCompleted,
    AgentName,
    AgentStarted,
    AgentStatus,
    AgentThinking,
    ChatMessage,
    Event,
    FinalResponse,
    MessageCreated,
    MessageRole,
    RunFinished,
    RunStatus,
    ToolCompleted,
    ToolExecuting,
    ToolStatus,
)

SCRIPT = Path(__file__).parents[2] / "scripts" / "load_simulation.py"
KEYS = [
    "users",
    "runs",
    "runs_per_s",
    "connect_ms",
    "accept_ms",
    "first_event_ms",
    "complete_ms",
    "errors",
    "violations",
]


@pytest.fixture(scope="module")
def simulation():
    spec = importlib.util.spec_from_file_location("load_simulation", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["load_simulation"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["load_simulation"]


# -- the live server -------------------------------------------------------------------------


async def run_script(*arguments):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        SCRIPT,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(120):
        out, errors = await process.communicate()
    return process.returncode, out.decode(), errors.decode()


async def test_a_wave_of_users_finds_every_promise_kept(live_server):
    code, out, errors = await run_script(
        "--url", live_server.url, "--users", "4", "--runs", "2", "--json"
    )

    assert code == 0, errors + out
    (line,) = out.splitlines()
    summary = json.loads(line)
    assert list(summary) == KEYS
    assert (summary["users"], summary["runs"]) == (4, 8)
    assert (summary["errors"], summary["violations"]) == (0, [])
    for name in ("connect_ms", "accept_ms", "first_event_ms", "complete_ms"):
        assert 0 < summary[name]["p50"] <= summary[name]["p99"] <= summary[name]["max"]
    assert summary["first_event_ms"]["p50"] < summary["complete_ms"]["p50"]


async def test_without_json_a_person_reads_a_table(live_server):
    code, out, errors = await run_script("--url", live_server.url, "--users", "1", "--runs", "1")

    assert code == 0, errors + out
    assert "first event" in out
    assert "errors: 0, violations: 0" in out


async def test_a_server_that_is_not_there_is_explained(unused_tcp_port):
    code, out, errors = await run_script("--url", f"http://127.0.0.1:{unused_tcp_port}")

    assert (code, out) == (1, "")
    assert "Is a development server running there?" in errors


# -- a server that lies ----------------------------------------------------------------------


class LyingServer:
    """Keeps a log like a real one; `spoil` changes what it sends of it."""

    def __init__(self, spoil: Callable[..., list[Event]]) -> None:
        self._spoil = spoil
        self._log: list[Event] = []
        self.status = RunStatus.COMPLETED
        self.drop = False

    async def handle(self, socket):
        resumes = "after=" in socket.request.path
        await socket.send(json.dumps(self._welcome(recovered=True if resumes else None)))
        if resumes:
            await self._send(socket, self._spoil(list(self._log), replaying=True))
        async for data in socket:
            asked = json.loads(data)
            if asked["type"] == "user_message":
                if self.drop:
                    socket.transport.abort()
                    return
                await self._run(socket, asked)

    async def _run(self, socket, asked):
        run = self._events(message_id := uuid4(), run_id := uuid4())
        await socket.send(
            json.dumps(
                {
                    "type": "message_accepted",
                    "request_id": asked["request_id"],
                    "client_message_id": asked["client_message_id"],
                    "message_id": str(message_id),
                    "thread_id": str(uuid4()),
                    "run_id": str(run_id),
                    "queue_position": 0,
                    "duplicate": False,
                }
            )
        )
        self._log += run
        await self._send(socket, self._spoil(run, replaying=False))

    async def _send(self, socket, events):
        for event in events:
            await socket.send(event.encode(), text=True)

    def _welcome(self, recovered):
        return {
            "type": "connection_ready",
            "connection_id": "c",
            "user_id": "u",
            "org": "u",
            "server_time": "2026-11-22T10:00:00.000Z",
            "protocol": "apex.v1",
            "mode": "full",
            "heartbeat_interval_s": 30,
            "max_message_bytes": 8192,
            "token_expires_at": "2026-11-22T11:00:00.000Z",
            "thread_id": None,
            "epoch": "e",
            "seq": 0,
            "recovered": recovered,
        }

    def _events(self, message_id, run_id):
        now = datetime.now(UTC)
        said = []

        def say(payload, agent=None):
            said.append((payload, agent))

        def message(role, identity):
            say(
                MessageCreated(
                    message=ChatMessage(id=identity, role=role, content="x", created_at=now)
                )
            )

        def start(agent):
            say(AgentStarted(message="m", step=1, total_steps=3), agent)

        def end(agent):
            say(AgentCompleted(status=AgentStatus.OK, result="r", duration_ms=1), agent)

        message(MessageRole.USER, message_id)
        start(AgentName.SUPERVISOR)
        for agent in SUB_AGENTS:
            call = {"tool_call_id": f"{agent}-1", "tool": "t"}
            start(agent)
            say(AgentThinking(reasoning="r", progress=1), agent)
            say(ToolExecuting(**call, arguments={}), agent)
            say(ToolCompleted(**call, status=ToolStatus.OK, result="r", duration_ms=1), agent)
            end(agent)
        end(AgentName.SUPERVISOR)
        message(MessageRole.ASSISTANT, uuid4())
        say(FinalResponse(content="c", report={}), AgentName.SUPERVISOR)
        failed = self.status is not RunStatus.COMPLETED
        say(RunFinished(status=self.status, partial=failed))
        return [
            Event.of(
                payload,
                seq=len(self._log) + number,
                event_id=uuid4(),
                ts=now,
                thread_id=run_id,
                run_id=run_id,
                agent=agent,
                attempt=1,
            )
            for number, (payload, agent) in enumerate(said, start=1)
        ]


async def simulated(simulation, server, *, timeout_s=10.0):
    """One user with two runs on the server."""
    make_token: Callable[[str], Awaitable[str]] = simulation.signed_tokens("s" * 32, None)
    async with serve(server.handle, "127.0.0.1", 0, close_timeout=1) as running:
        port = running.sockets[0].getsockname()[1]
        return await simulation.simulate(
            url=f"http://127.0.0.1:{port}",
            users=1,
            runs=2,
            make_token=make_token,
            timeout_s=timeout_s,
        )


def honest(events, *, replaying):  # noqa: ARG001 - as every spoiler is called
    return events


async def test_an_honest_server_passes(simulation):
    summary = await simulated(simulation, LyingServer(honest))

    assert (summary["runs"], summary["errors"], summary["violations"]) == (2, 0, [])


def replaced(place, other):
    """A lie told live: the event at `place` becomes what `other` makes of it."""

    def spoil(events, *, replaying):
        return events if replaying else [*events[:place], *other(events), *events[place + 1 :]]

    return spoil


LIES = {
    "an event left out": (replaced(4, lambda events: events[:0]), 3),
    "an event twice": (replaced(4, lambda events: [events[4], events[4]]), 4),
    "two events the wrong way round": (replaced(4, lambda events: [events[5], events[4]]), 4),
    "a user message nobody sent": (
        replaced(0, lambda events: [Event.from_wire(_with_other_message(events[0]))]),
        1,
    ),
    "a step off the grammar": (
        replaced(2, lambda events: [Event.from_wire(events[2].to_wire() | {"agent": "report"})]),
        6,
    ),
    "an event that the replay leaves out": (
        lambda events, replaying: [events[0], *events[2:]] if replaying else events,
        4,
    ),
}


def _with_other_message(event):
    wire = event.to_wire()
    return wire | {"payload": {"message": wire["payload"]["message"] | {"id": str(uuid4())}}}


@pytest.mark.parametrize("lie", LIES)
async def test_each_lie_is_found_under_its_promise(simulation, lie):
    spoil, promise = LIES[lie]

    summary = await simulated(simulation, LyingServer(spoil))

    assert promise in {found["promise"] for found in summary["violations"]}


async def test_a_replay_that_falls_short_breaks_promise_4(simulation):
    def short(events, *, replaying):
        return events[:-1] if replaying else events

    summary = await simulated(simulation, LyingServer(short), timeout_s=0.5)

    (found,) = summary["violations"]
    assert found["promise"] == 4
    assert "after 41 events" in found["detail"]


async def test_a_run_that_fails_is_an_error_and_still_counts(simulation):
    server = LyingServer(honest)
    server.status = RunStatus.FAILED

    summary = await simulated(simulation, server)

    assert (summary["runs"], summary["errors"], summary["violations"]) == (2, 2, [])


async def test_a_server_that_never_answers_is_an_error(simulation):
    server = LyingServer(honest)
    server.drop = True

    summary = await simulated(simulation, server, timeout_s=0.5)

    assert (summary["runs"], summary["errors"]) == (0, 1)
    assert summary["accept_ms"] == {"p50": None, "p99": None, "max": None}


# -- small parts -----------------------------------------------------------------------------


def test_percentiles_are_values_that_were_measured(simulation):
    """Nearest rank: p50 of four is the second, p99 of a hundred the ninety-ninth."""
    assert simulation.percentiles([4, 1, 3, 2]) == {"p50": 2, "p99": 4, "max": 4}
    assert simulation.percentiles(range(1, 101)) == {"p50": 50, "p99": 99, "max": 100}


@pytest.mark.parametrize(("org", "expected"), [(None, "load-1"), ("demo", "demo")])
async def test_signed_tokens_speak_for_one_user_of_the_tenant(simulation, org, expected):
    token = await simulation.signed_tokens("s" * 32, org)("load-1")

    claims = jwt.decode(token, "s" * 32, algorithms=["HS256"], audience="apex", issuer="apex")
    assert (claims["sub"], claims["org"]) == ("load-1", expected)

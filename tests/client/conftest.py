"""A server of real sockets that says what a test tells it to."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from http import HTTPStatus
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from apex_actors.client import ApexClient, Backoff
from apex_actors.protocol import Event, RunQueued

EPOCH = "epoch-1"


class Peer:
    """The server's end of one connection."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket

    async def say(self, **frame: Any) -> None:
        await self.socket.send(json.dumps(frame))

    async def hear(self) -> dict[str, Any]:
        return json.loads(await self.socket.recv())

    async def welcome(self, *, seq: int | None = 0, **changed: Any) -> None:
        frame = {
            "type": "connection_ready",
            "connection_id": "c",
            "user_id": "ann",
            "org": "ann",
            "server_time": "2026-11-22T10:00:00.000Z",
            "protocol": "apex.v1",
            "mode": "full",
            "heartbeat_interval_s": 30,
            "max_message_bytes": 8192,
            "token_expires_at": "2026-11-22T11:00:00.000Z",
            "thread_id": None,
            "epoch": EPOCH,
            "seq": seq,
            "recovered": None,
        }
        await self.say(**(frame | changed))

    async def event(self, *seqs: int) -> None:
        for seq in seqs:
            event = Event.of(RunQueued(position=1), seq=seq, event_id=uuid4(), ts=datetime.now(UTC))
            await self.socket.send(event.encode(), text=True)

    async def accept(self, asked: dict[str, Any], *, duplicate: bool = False) -> None:
        await self.say(
            type="message_accepted",
            request_id=asked["request_id"],
            client_message_id=asked["client_message_id"],
            message_id=str(uuid4()),
            thread_id=str(uuid4()),
            run_id=str(uuid4()),
            queue_position=0,
            duplicate=duplicate,
        )

    async def refuse(self, asked: dict[str, Any], code: str, **fields: Any) -> None:
        await self.say(
            type="error", code=code, message="No.", request_id=asked["request_id"], **fields
        )

    def cut(self) -> None:
        """Gone without a word, as after kill -9."""
        self.socket.transport.abort()

    async def stay(self) -> None:
        await self.socket.wait_closed()


Script = Callable[[Peer], Awaitable[None]]


class ScriptedServer:
    """Plays one script a connection; refuses handshakes where a status is queued."""

    def __init__(self) -> None:
        self.scripts: list[Script] = []
        self.refusals: list[tuple[HTTPStatus, dict[str, str], bytes]] = []
        self.requests: list[Request] = []
        self.errors: list[BaseException] = []
        self.url = ""

    async def handle(self, socket: ServerConnection) -> None:
        script = self.scripts.pop(0)
        try:
            await script(Peer(socket))
        except BaseException as error:
            self.errors.append(error)
            raise

    def decide(self, socket: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        if not self.refusals:
            return None
        status, headers, body = self.refusals.pop(0)
        response = socket.respond(status, body.decode())
        for name, value in headers.items():
            response.headers[name] = value
        return response


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    scripted = ScriptedServer()
    running: Server
    async with serve(
        scripted.handle, "127.0.0.1", 0, process_request=scripted.decide, close_timeout=1
    ) as running:
        port = running.sockets[0].getsockname()[1]
        scripted.url = f"http://127.0.0.1:{port}"
        yield scripted
    assert scripted.errors == []


@pytest.fixture
def client(server: ScriptedServer) -> Callable[..., ApexClient]:
    """Makes a client of the server that reconnects at once."""

    def make(**options: Any) -> ApexClient:
        quick = Backoff(base_s=0.001, cap_s=0.002, random=Random(1))  # noqa: S311 - repeatable
        usual = {"token": "t", "backoff": quick, "give_up_after_s": 5}
        return ApexClient(server.url, **(usual | options))

    return make


@pytest.fixture(autouse=True)
async def no_task_is_left() -> AsyncIterator[None]:
    """Whatever happened, the client cleans up behind itself."""
    yield
    names = {task.get_name() for task in asyncio.all_tasks()}
    assert not any(name.startswith("apex-client") for name in names)

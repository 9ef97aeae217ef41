"""The baselines: our protocol class without actors, and uvicorn's own class; both echo.

All that ties the benchmarks to the protocol class is in this module.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import uvicorn
from fastapi import FastAPI
from websockets.http11 import Request

from apex_actors.gateway.auth import VerifiedToken
from apex_actors.gateway.handshake import Admitted
from apex_actors.gateway.websocket_protocol import WebSocketProtocol
from apex_actors.protocol.identity import Identity
from apex_actors.server.uvicorn_server import UvicornServer, build_server, listen
from benchmarks.gateway.clients import HOST
from benchmarks.gateway.sides import Options, Running

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

HEARTBEAT: Final = b'{"type":"ping","server_time":"2026-11-22T10:00:00.000Z"}'
"""As long as one of ours, and never taken for an echo."""

WHEEL_SLOTS: Final = 30
"""The heartbeats of an interval are spread over so many moments, as ours are."""

UVICORNS_OWN: Final = "websockets-sansio"
"""The quickest of the classes that uvicorn has: it is built on the core that ours uses too."""

_ANYONE: Final = Admitted(
    VerifiedToken(
        Identity(org="anyone", sub="anyone"), datetime.now(UTC) + timedelta(days=1), None, None
    ),
    None,
)


class OpenDoor:
    """Admits everyone, without a look at the request."""

    def admit(self, _request: Request, _address: str) -> Admitted:
        """Come in."""
        return _ANYONE

    def enter(self, admitted: Admitted) -> None:
        """Nobody counts."""


@dataclass(slots=True, eq=False)
class Echo:
    """Sends each text frame back at once."""

    socket: WebSocketProtocol
    crowd: "set[WebSocketProtocol]"
    greets: bool = False

    def frame_received(self, text: str, _size_bytes: int) -> None:
        """Send it back."""
        self.socket.send(text.encode())
        self.socket.handled()

    def alive(self, _size_bytes: int) -> None:
        """Nobody counts."""

    def congested(self) -> None:
        """Nobody counts."""

    def socket_lost(self, _code: int) -> None:
        """Forget it."""
        self.crowd.discard(self.socket)


@dataclass(slots=True)
class BareServer:
    """A bare echo over the protocol class of the gateway."""

    options: Options
    crowd: set[WebSocketProtocol] = field(default_factory=set)

    def build(self) -> uvicorn.Server:
        """The server, not running yet."""
        return build_server(
            FastAPI(),
            doorkeeper=OpenDoor(),  # type: ignore[arg-type]  # nothing else of it is called
            welcome=self._welcome,
            settings=self.options.gateway(),
        )

    async def fan_out(self, frame: bytes) -> None:
        """Write a frame to everyone."""
        for socket in self.crowd:
            socket.send(frame)

    async def keep_alive(self) -> None:
        """Send everyone a message of the kind of a heartbeat once an interval."""
        while True:
            for slot in range(WHEEL_SLOTS):
                await asyncio.sleep(self.options.heartbeat_interval_s / WHEEL_SLOTS)
                for number, socket in enumerate(self.crowd):
                    if number % WHEEL_SLOTS == slot:
                        socket.send(HEARTBEAT)

    def _welcome(self, socket: WebSocketProtocol, _admitted: Admitted) -> Echo:
        self.crowd.add(socket)
        return Echo(socket, self.crowd)


@dataclass(slots=True)
class UvicornsServer:
    """The same with uvicorn's own protocol class and the smallest ASGI application there is."""

    options: Options
    crowd: set[Send] = field(default_factory=set)

    def build(self) -> uvicorn.Server:
        """The server, not running yet."""
        interval_s = self.options.heartbeat_interval_s
        return UvicornServer(
            uvicorn.Config(
                self._echo,
                interface="asgi3",
                http="httptools",
                ws=UVICORNS_OWN,
                lifespan="off",
                log_config=None,
                access_log=False,
                log_level="warning",
                proxy_headers=False,
                server_header=False,
                ws_per_message_deflate=False,
                ws_ping_interval=interval_s,
                ws_ping_timeout=2 * interval_s,
                timeout_graceful_shutdown=5,
            )
        )

    async def fan_out(self, frame: bytes) -> None:
        """Send a frame to everyone."""
        event = {"type": "websocket.send", "text": frame.decode()}
        for send in self.crowd:
            await send(event)

    async def keep_alive(self) -> None:
        """Nothing to do: uvicorn has a timer for each connection."""

    async def _echo(self, _scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        self.crowd.add(send)
        try:
            while (message := await receive())["type"] == "websocket.receive":
                with contextlib.suppress(OSError):
                    await send({"type": "websocket.send", "text": message["text"]})
        finally:
            self.crowd.discard(send)


@asynccontextmanager
async def serve_bare(options: Options) -> AsyncIterator[Running]:
    """Run the protocol class of the gateway with nothing behind it."""
    async with _serve(BareServer(options)) as running:
        yield running


@asynccontextmanager
async def serve_uvicorn(options: Options) -> AsyncIterator[Running]:
    """Run uvicorn as it comes."""
    async with _serve(UvicornsServer(options)) as running:
        yield running


@asynccontextmanager
async def _serve(baseline: BareServer | UvicornsServer) -> AsyncIterator[Running]:
    server = baseline.build()
    sock = listen(HOST, 0, any_free=True)
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    heart = asyncio.create_task(baseline.keep_alive())
    try:
        while not server.started:
            if serving.done():
                await serving
            await asyncio.sleep(0.005)
        yield Running(sock.getsockname()[1], {"fan_out": baseline.fan_out})
    finally:
        heart.cancel()
        server.should_exit = True
        await serving

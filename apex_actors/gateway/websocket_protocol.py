"""The WebSocket on the wire: the sans-I/O core of ``websockets``, and nothing between it and the actor."""

import asyncio
import logging
from http import HTTPStatus
from typing import Any, Final, Protocol

from websockets.datastructures import Headers
from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from apex_actors.gateway.handshake import Admitted, Doorkeeper, Refused
from apex_actors.gateway.settings import GatewaySettings
from apex_actors.protocol.codes import CloseCode

#: The core logs whole frames and headers at DEBUG, tokens included: its level never goes there.
_WIRE_LOGGER: Final = logging.getLogger("apex_actors.gateway.wire")
_WIRE_LOGGER.setLevel(logging.WARNING)


class Receiver(Protocol):
    """Who gets what comes in; called on the loop, must not block."""

    def frame_received(self, text: str) -> None: ...

    def alive(self) -> None: ...

    def socket_lost(self, code: int) -> None: ...


class Welcome(Protocol):
    """Makes the receiver of an admitted connection."""

    def __call__(self, socket: "WebSocketProtocol", admitted: Admitted) -> Receiver: ...


class WebSocketProtocol(asyncio.Protocol):
    """One WebSocket: handshake decided before the upgrade, frames handed on as they come.

    What is sent within one turn of the loop leaves in one write.
    """

    def __init__(
        self,
        *,
        doorkeeper: Doorkeeper,
        settings: GatewaySettings,
        welcome: Welcome,
        server_state: Any,
    ) -> None:
        self._doorkeeper = doorkeeper
        self._settings = settings
        self._welcome = welcome
        self._connections: set[Any] = server_state.connections
        self._loop = asyncio.get_running_loop()
        self._subprotocol: str | None = None
        self._core = ServerProtocol(
            max_size=settings.max_frame_bytes,
            logger=_WIRE_LOGGER,
            select_subprotocol=lambda *_: (
                None if self._subprotocol is None else Subprotocol(self._subprotocol)
            ),
        )
        self._receiver: Receiver | None = None
        self._fragments: list[bytes] = []
        self._flush_due = False
        self._closing = False
        self._close_timer: asyncio.TimerHandle | None = None
        self._congested = False
        self._drain_waiter: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")  # noqa: S101 - uvloop's own type
        self._transport = transport  # type: ignore[assignment]
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the transport's signature
        self._connections.discard(self)
        if self._close_timer is not None:
            self._close_timer.cancel()
        self.resume_writing()
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            received = self._core.close_rcvd
            receiver.socket_lost(received.code if received else 1006)

    def eof_received(self) -> None:
        """The peer writes no more: the transport closes itself."""

    def pause_writing(self) -> None:
        """The peer takes less than it is sent."""
        self._congested = True

    def resume_writing(self) -> None:
        """The operating system has taken most of it, or the connection is gone."""
        self._congested = False
        waiter, self._drain_waiter = self._drain_waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def data_received(self, data: bytes) -> None:
        core = self._core
        core.receive_data(data)
        for event in core.events_received():
            if isinstance(event, Frame):
                self._frame(event)
            elif isinstance(event, Request):
                self._handshake(event)
        self._flush()
        if core.state is not State.OPEN and core.eof_sent:
            # The core has said all that it will: a refusal, an error or the answer to a close.
            self._transport.close()

    def shutdown(self) -> None:
        """The server goes away (uvicorn calls this)."""
        self.close(CloseCode.RESTARTING)

    # What the connection's actor calls.

    def send(self, frame: bytes) -> None:
        """Send a text frame, together with all others of this turn of the loop."""
        if self._core.state is not State.OPEN:
            return
        self._core.send_text(frame)
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    async def drained(self) -> None:
        """Wait until the operating system has taken most of what was sent, or the socket is lost."""
        self._flush()
        if self._congested:
            self._drain_waiter = self._loop.create_future()
            await self._drain_waiter

    @property
    def is_open(self) -> bool:
        """Whether what is sent now still goes to the peer."""
        return self._core.state is State.OPEN

    @property
    def outbound_bytes(self) -> int:
        """What was sent and not yet taken by the operating system."""
        return self._transport.get_write_buffer_size()

    def close(self, code: CloseCode, reason: str = "") -> None:
        """Begin the closing handshake; the peer is cut when it does not end it in time."""
        if self._closing:
            return
        self._closing = True
        try:
            self._core.send_close(code, reason)
        except InvalidState:
            self._transport.close()
            return
        self._flush()
        self._close_timer = self._loop.call_later(
            self._settings.close_timeout_s, self._transport.abort
        )

    # What the core found.

    def _handshake(self, request: Request) -> None:
        try:
            admitted = self._doorkeeper.admit(request)
        except Refused as refused:
            self._refuse(refused)
            return
        self._subprotocol = admitted.subprotocol
        response = self._core.accept(request)
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            status = HTTPStatus(response.status_code)
            code = status.phrase.lower().replace(" ", "_")
            upgrade = (("Upgrade", "websocket"),) if status is HTTPStatus.UPGRADE_REQUIRED else ()
            self._refuse(Refused(status, code, "This is not a WebSocket handshake.", upgrade))
            return
        self._core.send_response(response)
        self._receiver = self._welcome(self, admitted)

    def _refuse(self, refused: Refused) -> None:
        body = refused.body()
        headers = Headers(
            [
                ("Content-Type", "application/json"),
                ("Content-Length", str(len(body))),
                ("Connection", "close"),
                *refused.headers,
            ]
        )
        self._core.send_response(Response(refused.status, refused.status.phrase, headers, body))

    def _frame(self, frame: Frame) -> None:
        receiver = self._receiver
        if receiver is None or self._closing:
            return
        if frame.opcode is Opcode.TEXT or frame.opcode is Opcode.CONT:
            self._fragments.append(bytes(frame.data))
            if frame.fin:
                self._message(receiver)
            elif len(self._fragments) > self._settings.max_fragments:
                self.close(CloseCode.POLICY_VIOLATION, "too many fragments")
        elif frame.opcode is Opcode.BINARY:
            self.close(CloseCode.BINARY_FRAME, "send text frames")
        elif frame.opcode is Opcode.PONG or frame.opcode is Opcode.PING:
            receiver.alive()

    def _message(self, receiver: Receiver) -> None:
        fragments, self._fragments = self._fragments, []
        data = fragments[0] if len(fragments) == 1 else b"".join(fragments)
        try:
            text = data.decode()
        except UnicodeDecodeError:
            self.close(CloseCode.BAD_UTF8, "text must be UTF-8")
            return
        receiver.frame_received(text)

    def _flush(self) -> None:
        self._flush_due = False
        data = b"".join(self._core.data_to_send())
        if data and not self._transport.is_closing():
            self._transport.write(data)

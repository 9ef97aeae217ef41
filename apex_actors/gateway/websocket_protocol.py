"""The WebSocket on the wire: the sans-I/O core of ``websockets``, and nothing between it and the actor."""

import asyncio
import logging
from collections.abc import Generator, Sequence
from http import HTTPStatus
from typing import Any, Final, Protocol

from websockets.datastructures import Headers
from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import Protocol as FrameProtocol
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from apex_actors.gateway.flusher import Flusher
from apex_actors.gateway.handshake import Admitted, Doorkeeper, KeysWanted, Refused
from apex_actors.gateway.settings import GatewaySettings
from apex_actors.protocol.codes import CloseCode, ErrorCode

logger = logging.getLogger(__name__)

#: The core logs whole frames and headers at DEBUG, tokens included: its level never goes there.
_WIRE_LOGGER: Final = logging.getLogger("apex_actors.gateway.wire")
_WIRE_LOGGER.setLevel(logging.WARNING)

#: Payloads up to here have a header of two bytes (RFC 6455, section 5.2); the next are longer.
_SHORT: Final = 126
_MEDIUM: Final = 65_536
#: A shorter payload is put behind its header at once: mostly it is all that is written.
_WORTH_A_COPY: Final = 4096
_SHORT_HEADERS: Final = tuple(bytes((0x81, size)) for size in range(_SHORT))

#: What a peer that ended without a close frame counts as (RFC 6455, section 7.1.5).
ABNORMAL_CLOSURE: Final = 1006


class Receiver(Protocol):
    """Who gets what comes in; called on the loop, must not block."""

    greets: bool
    """Whether it says something at once: the answer to the handshake then leaves with that."""

    def frame_received(self, text: str, size_bytes: int, /) -> None:
        """A whole text message; ``socket.handled()`` is owed for it."""

    def alive(self, size_bytes: int, /) -> None:
        """A protocol-level ping or pong."""

    def congested(self) -> None:
        """More than the high water mark is not taken yet."""

    def socket_lost(self, code: int, /) -> None:
        """The socket is closed, for good."""


class Welcome(Protocol):
    """Makes the receiver of an admitted connection; what it raises refuses the handshake."""

    def __call__(self, socket: "WebSocketProtocol", admitted: Admitted, /) -> Receiver: ...


class _Core(ServerProtocol):
    """The core from the request on: who has parsed its head hands it to ``accept``."""

    selected: str | None = None
    """The subprotocol that the handshake has chosen."""

    def parse(self) -> Generator[None]:
        # The base class would read the head first, again, and with limits of its own.
        yield from FrameProtocol.parse(self)

    def select_subprotocol(self, subprotocols: Sequence[Subprotocol]) -> Subprotocol | None:  # noqa: ARG002
        return None if self.selected is None else Subprotocol(self.selected)


class WebSocketProtocol(asyncio.Protocol):
    """One WebSocket: handshake decided before the upgrade, frames handed on as they come.

    What is sent within one turn of the loop leaves in one system call: a transport would make one
    of each frame. The queue to a peer that does not
    read is bounded: over ``outbound_limit_bytes`` it is closed 4408. So is the other one: while
    ``inbound_limit`` messages wait for the receiver, nothing more is read from the socket.
    """

    __slots__ = (
        "_close_timer",
        "_closing",
        "_congested",
        "_connections",
        "_core",
        "_deciding",
        "_doorkeeper",
        "_drain_waiter",
        "_flush_due",
        "_flusher",
        "_fragments",
        "_held",
        "_limit_bytes",
        "_loop",
        "_out",
        "_out_bytes",
        "_reading_paused",
        "_receiver",
        "_settings",
        "_transport",
        "_unhandled",
        "_welcome",
        "is_open",
    )

    def __init__(
        self,
        *,
        doorkeeper: Doorkeeper,
        settings: GatewaySettings,
        welcome: Welcome,
        flusher: Flusher,
        server_state: Any,
    ) -> None:
        self._doorkeeper = doorkeeper
        self._flusher = flusher
        self._settings = settings
        self._limit_bytes = settings.outbound_limit_bytes
        self._welcome = welcome
        self._connections: set[Any] = server_state.connections
        self._loop = asyncio.get_running_loop()
        self._core = _Core(max_size=settings.max_frame_bytes, logger=_WIRE_LOGGER)
        self._receiver: Receiver | None = None
        self._deciding: asyncio.Task[None] | None = None
        self._held: list[bytes] = []
        self._fragments: list[bytes] | None = None
        self._unhandled = 0
        self._reading_paused = False
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._flush_due = False
        self._closing = False
        self._close_timer: asyncio.TimerHandle | None = None
        self._congested = False
        self._drain_waiter: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport
        self.is_open = False
        """Whether what is sent now still goes to the peer."""

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")  # noqa: S101 - uvloop's own type
        self._transport = transport  # type: ignore[assignment]
        self._transport.set_write_buffer_limits(
            high=self._settings.outbound_high_water_bytes,
            low=self._settings.outbound_low_water_bytes,
        )
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the transport's signature
        self._connections.discard(self)
        self.is_open = False
        self._closing = True
        if self._close_timer is not None:
            self._close_timer.cancel()
        if self._deciding is not None:
            self._deciding.cancel()
        self.resume_writing()
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            received = self._core.close_rcvd
            receiver.socket_lost(received.code if received else ABNORMAL_CLOSURE)

    def eof_received(self) -> None:
        """The peer writes no more: the transport closes itself."""

    def pause_writing(self) -> None:
        """The peer takes less than it is sent."""
        self._congested = True
        if self._receiver is not None:
            self._receiver.congested()

    def resume_writing(self) -> None:
        """The operating system has taken most of it, or the connection is gone."""
        self._congested = False
        waiter, self._drain_waiter = self._drain_waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def data_received(self, data: bytes) -> None:
        if self._deciding is not None:
            # Little more than one segment: nothing is read while the handshake is decided.
            self._held.append(data)
            return
        core = self._core
        core.receive_data(data)
        for event in core.events_received():
            if isinstance(event, Frame):
                self._frame(event)
        self._answer()

    def request_received(self, request: Request) -> None:
        """The head of the handshake; comes before all data."""
        try:
            admitted = self._doorkeeper.admit(request, self.address)
        except Refused as refused:
            self._refuse(refused)
        except KeysWanted as wanted:
            self._transport.pause_reading()
            self._deciding = self._loop.create_task(self._decide_later(request, wanted))
        except Exception as error:  # noqa: BLE001 - a bug of ours refuses one handshake
            self._fail_handshake(error)
        else:
            self._let_in(request, admitted)
        self._answer()

    def shutdown(self) -> None:
        """The server goes away (uvicorn calls this)."""
        self.close(CloseCode.RESTARTING)

    # What the connection's actor calls.

    @property
    def id(self) -> str:
        """A name that no other connection has, on any node."""
        return self._core.id.hex

    @property
    def address(self) -> str:
        """The peer's address, without its port."""
        return _address(self._transport)

    @property
    def outbound_bytes(self) -> int:
        """What was sent and not yet taken by the operating system."""
        return self._out_bytes + self._transport.get_write_buffer_size()

    def send(self, frame: bytes) -> None:
        """Send a text frame, together with all others of this turn of the loop."""
        if not self.is_open:
            return
        size = len(frame)
        # What the core would write, without making a Frame of its own for each socket: a message
        # in one piece, unmasked.
        if size < _SHORT:
            header = _SHORT_HEADERS[size]
        elif size < _MEDIUM:
            header = b"\x81\x7e" + size.to_bytes(2, "big")
        else:
            header = b"\x81\x7f" + size.to_bytes(8, "big")
        if size < _WORTH_A_COPY:
            self._out.append(header + frame)
        else:
            self._out += (header, frame)
        self._out_bytes += size
        if self._out_bytes > self._settings.outbound_high_water_bytes:
            self.flush()
        elif not self._flush_due:
            self._flush_due = True
            self._flusher.add(self)

    def flush(self) -> None:
        """Write what was sent, and what the core has to say: pongs, closes, answers to handshakes."""
        self._flush_due = False
        out = self._out
        if self._core.writes:
            out += self._core.data_to_send()
        if not out:
            return
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        self._out_bytes = 0
        transport = self._transport
        if data and not transport.is_closing():
            transport.write(data)
            if self._congested and transport.get_write_buffer_size() > self._limit_bytes:
                self.close(CloseCode.TOO_SLOW, "too slow: reconnect with after")

    def handled(self) -> None:
        """The receiver is done with a message."""
        self._unhandled -= 1
        if self._reading_paused and self._unhandled * 2 <= self._settings.inbound_limit:
            self._read_again()

    async def drained(self) -> None:
        """Wait until the operating system has taken most of what was sent, or the socket is lost."""
        self.flush()
        if self._congested:
            self._drain_waiter = self._loop.create_future()
            await self._drain_waiter

    def close(self, code: CloseCode, reason: str = "") -> None:
        """Begin the closing handshake; the peer is cut when it does not end it in time."""
        if self._closing:
            return
        self._closing = True
        self.is_open = False
        try:
            self._core.send_close(code, reason)
        except InvalidState:
            # The peer was first, or the handshake is not over.
            self._end()
            return
        self.flush()
        self._cut_later()
        self._read_again()

    def _read_again(self) -> None:
        if self._reading_paused:
            self._reading_paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    # What the core found.

    def _answer(self) -> None:
        """Send what the core has to say to what it was given, and end with it."""
        core = self._core
        if core.writes:
            self.flush()
        if core.state is not State.OPEN:
            self.is_open = False
            if core.eof_sent:
                # The core has said all that it will: a refusal, an error or the answer to a close.
                self._end()

    def _end(self) -> None:
        self._closing = True
        self.flush()
        self._transport.close()
        # Closing waits for the peer to take what was written: a peer that does not is cut.
        self._cut_later()

    def _cut_later(self) -> None:
        if self._close_timer is None:
            self._close_timer = self._loop.call_later(
                self._settings.close_timeout_s, self._transport.abort
            )

    async def _decide_later(self, request: Request, wanted: KeysWanted) -> None:
        """Decide again, with the keys that a look has brought."""
        try:
            admitted = await wanted.admit_with_new_keys(request)
        except Refused as refused:
            self._refuse(refused)
        except Exception as error:  # noqa: BLE001 - as above
            self._fail_handshake(error)
        else:
            self._let_in(request, admitted)
        self._deciding = None
        held, self._held = self._held, []
        self._answer()
        if not self._transport.is_closing():
            self._transport.resume_reading()
            for data in held:
                self.data_received(data)

    def _let_in(self, request: Request, admitted: Admitted) -> None:
        self._core.selected = admitted.subprotocol
        response = self._core.accept(request)
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            status = HTTPStatus(response.status_code)
            code = status.phrase.lower().replace(" ", "_")
            upgrade = (("Upgrade", "websocket"),) if status is HTTPStatus.UPGRADE_REQUIRED else ()
            self._refuse(Refused(status, code, "This is not a WebSocket handshake.", upgrade))
            return
        try:
            self._doorkeeper.enter(admitted)
        except Refused as refused:
            self._refuse(refused)
            return
        try:
            receiver = self._welcome(self, admitted)
        except Exception as error:  # noqa: BLE001 - better no connection than one nobody serves
            self._doorkeeper.leave(admitted)
            self._fail_handshake(error)
            return
        self._core.send_response(response)
        if receiver.greets:
            self._out += self._core.data_to_send()
        self.is_open = True
        self._receiver = receiver

    def _fail_handshake(self, error: Exception) -> None:
        """A bug of ours: the client may try again, the log tells of it."""
        logger.error("a handshake could not be decided", exc_info=error)
        self._refuse(
            Refused(
                HTTPStatus.SERVICE_UNAVAILABLE,
                ErrorCode.SERVICE_DEGRADED,
                "The server cannot take connections now: try again in a moment.",
                (("Retry-After", "1"),),
            )
        )

    def _refuse(self, refused: Refused) -> None:
        self._doorkeeper.refused(refused)
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
        opcode = frame.opcode
        if opcode is Opcode.TEXT:
            if frame.fin:
                self._message(receiver, bytes(frame.data))
            else:
                self._fragments = [bytes(frame.data)]
        elif opcode is Opcode.CONT:
            self._fragment(receiver, frame)
        elif opcode is Opcode.BINARY:
            self.close(CloseCode.BINARY_FRAME, "send text frames")
        elif opcode is Opcode.PONG or opcode is Opcode.PING:
            receiver.alive(len(frame.data))

    def _fragment(self, receiver: Receiver, frame: Frame) -> None:
        fragments = self._fragments
        if fragments is None:  # of a binary message, which has closed the connection
            return
        fragments.append(bytes(frame.data))
        if len(fragments) > self._settings.max_fragments:
            self.close(CloseCode.POLICY_VIOLATION, "too many fragments")
        elif frame.fin:
            self._fragments = None
            self._message(receiver, b"".join(fragments))

    def _message(self, receiver: Receiver, data: bytes) -> None:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            self.close(CloseCode.BAD_UTF8, "text must be UTF-8")
            return
        self._unhandled += 1
        if self._unhandled > self._settings.inbound_limit and not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()
        receiver.frame_received(text, len(data))


def _address(transport: asyncio.Transport) -> str:
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) and peer else ""

"""A client that sends whatever it is told to, and reads what comes back byte by byte."""

import asyncio
import base64
import contextlib
import json
import os
import socket
import struct
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from websockets.frames import Frame, Opcode

#: Longer than any answer takes on a machine that is busy with other things.
PATIENCE_S = 20.0

#: Closing for a fault of the server itself: no input may bring it about.
INTERNAL_ERROR = 1011


class ServerFaultError(AssertionError):
    """The server said that it had failed itself."""


class CutError(Exception):
    """The connection ended where more was expected."""


@dataclass(frozen=True)
class Answer:
    """A plain HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str | None:
        """The error code of a JSON body."""
        with contextlib.suppress(ValueError, KeyError, TypeError):
            return json.loads(self.body)["error"]["code"]
        return None


@dataclass(frozen=True)
class Closed:
    """How a connection ended: with a close frame's code, or cut (None)."""

    code: int | None
    reason: str = ""


# -- what is sent --------------------------------------------------------------------------------

Header = tuple[str, str]


def request(
    line: str, headers: Iterable[Header] = (("Host", "x"),), body: bytes | str = b""
) -> bytes:
    """A request of this line and these headers, exactly as given."""
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    body = body.encode("latin-1") if isinstance(body, str) else body
    return f"{line}\r\n{head}\r\n".encode("latin-1") + body


def handshake(
    token: str | None = None,
    *,
    target: str = "/ws",
    line: str | None = None,
    extra: Iterable[Header] = (),
    **changes: str | None,
) -> bytes:
    """A WebSocket handshake; ``changes`` replace a header (``sec_websocket_key=…``) or drop it (None)."""
    headers: dict[str, str | None] = {
        "Host": "x",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Version": "13",
    }
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    names = {name.lower().replace("-", "_"): name for name in headers}
    for name, value in changes.items():
        headers[names[name]] = value
    kept = [(name, value) for name, value in headers.items() if value is not None]
    return request(line or f"GET {target} HTTP/1.1", [*kept, *extra])


def in_subprotocol(token: str | bytes) -> str:
    """The token as browsers send it."""
    token = token.encode() if isinstance(token, str) else token
    return "jwt." + base64.urlsafe_b64encode(token).rstrip(b"=").decode()


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = True,
    size_as: int | None = None,
    claimed: int | None = None,
) -> bytes:
    """A frame with whatever header: ``rsv`` are the three reserved bits, ``claimed`` is the size it
    says it has, ``size_as`` the width in which it says so (7, 16 or 64 bits)."""
    size = len(payload) if claimed is None else claimed
    width = size_as or (7 if size < 126 else 16 if size < 1 << 16 else 64)
    first = (fin << 7) | (rsv << 4) | opcode
    short = size if width == 7 else 126 if width == 16 else 127
    head = bytes([first, (masked << 7) | short])
    if width > 7:
        head += struct.pack("!H" if width == 16 else "!Q", size)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))


def text(payload: str | bytes, **options: Any) -> bytes:
    """A text frame."""
    payload = payload.encode() if isinstance(payload, str) else payload
    if not options:
        return Frame(Opcode.TEXT, payload).serialize(mask=True)
    return frame(Opcode.TEXT, payload, **options)


def message(kind: str, **fields: Any) -> bytes:
    """A frame with a message."""
    return text(json.dumps({"type": kind} | fields))


def close_frame(code: int | None = 1000, reason: bytes = b"") -> bytes:
    """A close frame."""
    return frame(Opcode.CLOSE, b"" if code is None else struct.pack("!H", code) + reason)


# -- what comes back -----------------------------------------------------------------------------


@dataclass
class Wire:
    """One connection to the server under attack."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    notices: list[Mapping[str, Any]] = field(default_factory=list)
    """What came unasked: heartbeats and events."""

    @classmethod
    async def open(cls, port: int, *, receive_buffer: int | None = None) -> Self:
        """Connect; ``receive_buffer`` bounds in the kernel what the client leaves unread."""
        if receive_buffer is None:
            return cls(*await asyncio.open_connection("127.0.0.1", port))
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        return cls(*await asyncio.open_connection(sock=sock, limit=receive_buffer))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leave()

    async def leave(self, *, reset: bool = False) -> None:
        """Hang up; with ``reset`` without any of TCP's politeness."""
        if reset:
            sock = self.writer.get_extra_info("socket")
            if sock is not None and sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.writer.transport.abort()
        else:
            self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    def send(self, *parts: bytes) -> None:
        """Send at once; a connection that the server has closed takes it and loses it."""
        self.writer.write(b"".join(parts))

    async def flushed(self) -> None:
        """Until the system has taken it all."""
        with contextlib.suppress(OSError):
            await self.writer.drain()

    async def answer(self) -> Answer:
        """The next HTTP answer; raises CutError when there is none."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                return await self._answer()
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                raise CutError("the connection was cut without a whole answer") from error

    async def _answer(self) -> Answer:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *fields = head.rstrip("\r\n").split("\r\n")
        protocol, status, *_ = line.split(" ", 2)
        assert protocol == "HTTP/1.1"
        headers = {
            name.lower(): value.strip()
            for name, _, value in (header.partition(":") for header in fields)
        }
        if int(status) < 200 or int(status) in {204, 304}:
            return Answer(int(status), headers, b"")
        if "content-length" in headers:
            body = await self.reader.readexactly(int(headers["content-length"]))
        elif headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(await self.reader.readline(), 16):
                body += await self.reader.readexactly(size)
                await self.reader.readline()
            await self.reader.readline()
        else:
            body = await self.reader.read()
        return Answer(int(status), headers, body)

    async def rest(self) -> bytes:
        """All that comes until the server hangs up."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    async def next_frame(self) -> tuple[int, bytes]:
        """Opcode and payload; raises CutError at the end of the connection."""
        try:
            head = await self.reader.readexactly(2)
            assert head[0] & 0xF0 == 0x80, "a server's frame is whole and without reserved bits"
            size = head[1]
            assert size < 0x80, "a server does not mask"
            if size >= 126:
                width, form = (2, "!H") if size == 126 else (8, "!Q")
                [size] = struct.unpack(form, await self.reader.readexactly(width))
            return head[0] & 0x0F, await self.reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise CutError("the connection was cut") from error

    async def next(self) -> Mapping[str, Any] | Closed:
        """The next JSON frame, or how the connection ended."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    opcode, payload = await self.next_frame()
                except CutError:
                    return Closed(None)
                if opcode == Opcode.CLOSE:
                    return _closed(payload)
                if opcode == Opcode.TEXT:
                    return json.loads(payload)

    async def until_closed(self) -> Closed:
        """Read on to the end of the connection."""
        while True:
            said = await self.next()
            if isinstance(said, Closed):
                return said
            self.notices.append(said)

    async def welcomed(self) -> Mapping[str, Any]:
        """The welcome of a handshake that was sent before."""
        answer = await self.answer()
        assert answer.status == 101, (answer.status, answer.body)
        welcome = await self.next()
        assert not isinstance(welcome, Closed), welcome
        assert welcome["type"] == "connection_ready", welcome
        return welcome

    async def replies(self) -> AsyncIterator[Mapping[str, Any] | Closed]:
        """Direct replies one by one, and the end."""
        while True:
            said = await self.next()
            if isinstance(said, Closed):
                yield said
                return
            if said.get("type") in _UNASKED or ("seq" in said and "event_id" in said):
                self.notices.append(said)
            else:
                yield said

    async def exchange(self, *frames: bytes) -> list[Mapping[str, Any] | Closed]:
        """Send frames; what is replied to them, up to the answer of a ping behind them or the end."""
        self.send(*frames, message("ping", request_id="the last"))
        replies: list[Mapping[str, Any] | Closed] = []
        async for reply in self.replies():
            if isinstance(reply, Mapping) and reply.get("request_id") == "the last":
                if reply["type"] != "pong":
                    replies.append(reply)
                break
            replies.append(reply)
        return replies


_UNASKED = {
    "ping",
    "service_degraded",
    "service_recovered",
    "resumed",
    "token_expiring",
    "server_shutdown",
}


def _closed(payload: bytes) -> Closed:
    if len(payload) < 2:
        return Closed(1005)
    [code] = struct.unpack("!H", payload[:2])
    if code == INTERNAL_ERROR:
        raise ServerFaultError("the server closed a connection with 1011")
    return Closed(code, payload[2:].decode())

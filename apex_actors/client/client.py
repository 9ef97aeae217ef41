"""The client: one user's connection that survives the loss of its socket."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID, uuid4

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from apex_actors.client.backoff import Backoff
from apex_actors.client.errors import (
    ConnectionLostError,
    HandshakeRefusedError,
    RequestFailedError,
)
from apex_actors.client.handshake import open_socket, read_frame, socket_url
from apex_actors.client.inbox import Inbox
from apex_actors.client.requests import PendingRequests
from apex_actors.protocol import CloseCode, ErrorCode, Event, MessageAccepted, is_event

RESEND_DELAY_S: Final = 1.0
"""Wait before a message is sent again that the server could not take and named no time for."""

STABLE_S: Final = 5.0
"""A connection that lived this long was a good one: the next delays begin short again."""

SILENT_INTERVALS: Final = 2
"""Heartbeat intervals without a frame after which the server is taken for gone."""

_NOT_NOW: Final = frozenset({ErrorCode.DRAINING, ErrorCode.SERVICE_DEGRADED})
ABNORMAL_CLOSURE: Final = 1006
"""What the library reports for a connection that ended without a close frame."""

_COME_BACK: Final = frozenset(
    {
        CloseCode.INTERNAL_ERROR,
        CloseCode.RESTARTING,
        CloseCode.TOO_SLOW,
        ABNORMAL_CLOSURE,
        1001,  # going away: a proxy or a browser's word for restarting
        1005,  # a close frame without a code
    }
)


@dataclass(frozen=True, slots=True)
class Statistics:
    """What happened so far; counts."""

    reconnects: int = 0
    recovered: int = 0
    """Reconnects after which the server replayed what was missed."""
    gaps: int = 0
    """Reconnects after which it could not: threads must be read afresh."""
    resent_messages: int = 0
    frames: int = 0
    events: int = 0


class ApexClient:
    """A user's connection to the server.

    ```python
    async with ApexClient("http://127.0.0.1:8000", token=token) as client:
        accepted = await client.send_message("Analyze my AI costs")
        async for event in client.events():
            ...
    ```

    A lost socket is replaced with backoff and resumed where the last one ended; messages that
    were not acknowledged are sent again under their `client_message_id`. Entering raises
    HandshakeRefusedError or ConnectionLostError when the FIRST connection cannot be made. After
    `give_up_after_s` seconds without a connection everything that waits gets ConnectionLostError.
    There is one stream of frames: consume either `events` or `frames`, in one task.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        token_provider: Callable[[], Awaitable[str]] | None = None,
        position: tuple[int, str] | None = None,
        backoff: Backoff | None = None,
        open_timeout_s: float = 10.0,
        give_up_after_s: float | None = 60.0,
        max_unread_frames: int = 10_000,
    ) -> None:
        """`position` is (`after`, `epoch`) of an earlier connection, to go on from there.

        `token_provider` is asked before each connection, so that it can give a fresh token.
        """
        if (token is None) == (token_provider is None):
            raise ValueError("give either token or token_provider")
        self._url = socket_url(url)
        self._token = token
        self._token_provider = token_provider
        self._after: int | None = None
        self._epoch: str | None = None
        if position is not None:
            self._after, self._epoch = position
        self._consumed = position
        self._backoff = backoff or Backoff()
        self._open_timeout_s = open_timeout_s
        self._give_up_after_s = give_up_after_s
        self._inbox = Inbox(max_unread_frames)
        self._requests = PendingRequests()
        self._socket: ClientConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._failure: Exception | None = None
        self._silence_s: float | None = None
        self._reconnect_hint_s: float | None = None
        self._opened_at = 0.0
        self._handed_seq = 0
        self.welcome: Mapping[str, Any] = {}
        """The last `connection_ready`."""
        self.statistics = Statistics()
        """A snapshot, replaced whenever something changes."""

    async def __aenter__(self) -> Self:
        socket = await self._open()
        # Whoever has entered knows where the log stands, before taking the welcome's frame.
        self._consume(self.welcome)
        self._task = asyncio.create_task(self._run(socket), name="apex-client")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def position(self) -> tuple[int, str] | None:
        """(`after`, `epoch`) to go on from, in another process too: what was consumed is behind it.

        None while the server has no log to speak of.
        """
        return self._consumed

    @property
    def _received(self) -> tuple[int, str] | None:
        if self._after is None or self._epoch is None:
            return None
        return self._after, self._epoch

    @property
    def is_connected(self) -> bool:
        """Whether there is a socket right now."""
        return self._socket is not None

    async def close(self) -> None:
        """Say goodbye; streams end, what waits for a reply gets ConnectionLostError."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
            # Not left to the task: cancelled before its first step it runs no line of its own.
            await self._end(None)

    # -- requests ------------------------------------------------------------------------

    async def send_message(
        self,
        text: str,
        *,
        thread_id: UUID | str | None = None,
        client_message_id: str | None = None,
    ) -> MessageAccepted:
        """Ask something; returns once message and run are durable.

        Waits through reconnects, and while the server drains or has no database. Raises
        RequestFailedError when the server refuses the message for another reason.
        """
        fields = {
            "type": "user_message",
            "text": text,
            "client_message_id": client_message_id or str(uuid4()),
        }
        if thread_id is not None:
            fields["thread_id"] = str(thread_id)
        while True:
            try:
                reply = await self._ask(fields, is_message=True)
            except RequestFailedError as error:
                if error.code not in _NOT_NOW:
                    raise
                retry_ms = error.retry_after_ms
                await asyncio.sleep(RESEND_DELAY_S if retry_ms is None else retry_ms / 1000)
            else:
                reply = {name: value for name, value in reply.items() if name != "request_id"}
                return MessageAccepted.model_validate(reply)

    async def request(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Send any other message and return its direct reply.

        Raises RequestFailedError, or ConnectionLostError when the socket goes before the reply:
        whether the server acted is then unknown.
        """
        return await self._ask({"type": kind, **fields}, is_message=False)

    async def _ask(self, fields: dict[str, Any], *, is_message: bool) -> dict[str, Any]:
        if self._task is None or self._failure is not None:
            raise ConnectionLostError("the client is not connected") from self._failure
        if self._socket is None and not is_message:
            raise ConnectionLostError("the client is reconnecting")
        request = self._requests.add(fields, is_message=is_message)
        try:
            request.sent_on = self._socket
            await self._send(request.frame)
            return await request.reply
        finally:
            self._requests.remove(request)

    async def _send(self, frame: str) -> None:
        if self._socket is not None:
            try:
                await self._socket.send(frame)
            except ConnectionClosed:
                # The reader sees it too, reconnects and sends again what has to be.
                return

    # -- the stream ----------------------------------------------------------------------

    async def frames(self) -> AsyncIterator[dict[str, Any]]:
        """Every frame as received, the welcomes too; ends when the client is closed.

        Raises HandshakeRefusedError or ConnectionLostError when there will be no more.
        """
        while (frame := await self._inbox.get()) is not None:
            self._consume(frame)
            yield frame

    def _consume(self, frame: Mapping[str, Any]) -> None:
        if is_event(frame):
            if self._consumed is not None:
                self._consumed = (max(frame["seq"], self._consumed[0]), self._consumed[1])
        elif frame.get("epoch") is not None and frame.get("recovered") is not True:
            self._consumed = (frame["seq"], frame["epoch"])

    async def events(self) -> AsyncIterator[Event]:
        """Durable events, each once and in order, across reconnects; ends as `frames` does."""
        async for frame in self.frames():
            if not is_event(frame):
                if frame.get("recovered") is False:
                    # Another log, or too far behind: what follows counts from here.
                    self._handed_seq = frame["seq"]
                continue
            event = Event.from_wire(frame)
            if event.seq > self._handed_seq:
                self._handed_seq = event.seq
                yield event

    # -- the connection ------------------------------------------------------------------

    async def _run(self, socket: ClientConnection) -> None:
        failure: Exception | None = None
        try:
            while await self._read(socket):
                self._requests.fail(ConnectionLostError("the connection was lost"), messages=False)
                socket = await self._reconnect()
        except Exception as error:  # noqa: BLE001 - handed to whoever consumes the stream
            failure = error
        await self._end(failure)

    async def _end(self, failure: Exception | None) -> None:
        if self._failure is None:
            self._failure = failure or ConnectionLostError("the connection was closed")
            self._requests.fail(self._failure, messages=True)
            await self._inbox.end(failure)
        if self._socket is not None:
            await self._socket.close()
            self._socket = None

    async def _read(self, socket: ClientConnection) -> bool:
        """Take frames until the socket ends; whether to connect again."""
        try:
            # Sent here and not where the socket is made: a failing send is the socket's end too.
            await self._resend()
            while True:
                # A server that is there pings in every heartbeat interval.
                async with asyncio.timeout(self._silence_s):
                    data = await socket.recv()
                await self._take(read_frame(data))
        except TimeoutError:
            return True
        except ConnectionClosed as closed:
            return self._wants_back(ABNORMAL_CLOSURE if closed.rcvd is None else closed.rcvd.code)
        finally:
            self._socket = None
            await socket.close()

    def _wants_back(self, code: int) -> bool:
        if code == CloseCode.BYE:
            return False
        if code in _COME_BACK or (code == CloseCode.TOKEN_EXPIRED and self._token_provider):
            return True
        raise ConnectionLostError(f"the server closed the connection with code {code}")

    async def _reconnect(self) -> ClientConnection:
        loop = asyncio.get_running_loop()
        started = loop.time()
        if started - self._opened_at > STABLE_S:
            self._backoff.reset()
        while True:
            delay_s = self._backoff.next_delay_s()
            if self._reconnect_hint_s is not None:
                delay_s, self._reconnect_hint_s = self._reconnect_hint_s, None
            await asyncio.sleep(delay_s)
            try:
                socket = await self._open()
            except HandshakeRefusedError as refused:
                if not refused.is_temporary:
                    raise
                self._reconnect_hint_s = refused.retry_after_s
            except ConnectionLostError:
                pass
            else:
                self._count(reconnects=1)
                return socket
            if self._give_up_after_s is not None and loop.time() - started > self._give_up_after_s:
                raise ConnectionLostError(
                    f"no connection for {self._give_up_after_s:g} s: is the server running?"
                )

    async def _open(self) -> ClientConnection:
        """Connect, and take the welcome."""
        token = self._token if self._token_provider is None else await self._token_provider()
        socket, welcome = await open_socket(
            self._url, token or "", position=self._received, timeout_s=self._open_timeout_s
        )
        self.welcome = welcome
        self._silence_s = SILENT_INTERVALS * welcome["heartbeat_interval_s"]
        self._adopt(welcome)
        self._count(frames=1)
        self._opened_at = asyncio.get_running_loop().time()
        self._socket = socket
        await self._inbox.put(welcome)
        return socket

    async def _take(self, frame: dict[str, Any]) -> None:
        kind = frame.get("type")
        if is_event(frame):
            self._after = max(frame["seq"], self._after or 0)
            self._count(events=1)
        elif kind == "ping":
            confirmed = {} if self._after is None else {"seq": self._after}
            await self._send(json.dumps({"type": "pong", **confirmed}))
        elif kind == "server_shutdown":
            self._reconnect_hint_s = frame["reconnect_after_ms"] / 1000
        elif kind == "resumed":
            self._adopt(frame)
        else:
            self._requests.settle(frame)
        self._count(frames=1)
        await self._inbox.put(frame)

    def _adopt(self, frame: Mapping[str, Any]) -> None:
        """Take over the position that a welcome, or the log's return, names."""
        if frame["epoch"] is None:
            return
        recovered = frame["recovered"]
        if recovered is not True:
            self._after = frame["seq"]
        self._epoch = frame["epoch"]
        self._count(recovered=recovered is True, gaps=recovered is False)

    async def _resend(self) -> None:
        for request in self._requests.messages():
            if request.sent_on is not self._socket:
                self._count(resent_messages=request.sent_on is not None)
                request.sent_on = self._socket
                await self._send(request.frame)

    def _count(self, **added: int) -> None:
        before = self.statistics
        self.statistics = replace(
            before, **{name: getattr(before, name) + count for name, count in added.items()}
        )

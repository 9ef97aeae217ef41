"""The connection underneath the client: one socket after the other, and what must outlive them."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from apex_actors.client.backoff import Backoff
from apex_actors.client.errors import ConnectionLostError, HandshakeRefusedError
from apex_actors.client.handshake import open_socket, read_frame, socket_url
from apex_actors.client.inbox import Inbox
from apex_actors.client.requests import PendingRequests
from apex_actors.protocol import CloseCode, ConnectionReady, is_event

STABLE_S: Final = 5.0
"""A connection that lived this long was a good one: the next delays begin short again."""

SILENT_INTERVALS: Final = 2
"""Heartbeat intervals without a frame after which the server is taken for gone."""

ABNORMAL_CLOSURE: Final = 1006
"""What the library reports for a connection that ended without a close frame."""

_COME_BACK: Final = frozenset(
    {
        CloseCode.INTERNAL_ERROR,
        CloseCode.RESTARTING,
        CloseCode.TOO_SLOW,
        CloseCode.FLOODING,
        ABNORMAL_CLOSURE,
        1001,  # going away: a proxy or a browser's word for restarting
        1005,  # a close frame without a code
    }
)


class Position(NamedTuple):
    """A place in a user's log: `seq` of the last event taken, and the log's `epoch`."""

    seq: int
    epoch: str


@dataclass(slots=True)
class Statistics:
    """What happened so far; counts."""

    reconnects: int = 0
    recovered: int = 0
    """Connections to which the server replayed what was missed."""
    gaps: int = 0
    """Connections to which it could not: threads must be read afresh."""
    resent: int = 0
    """Requests sent again on another socket."""
    frames: int = 0
    events: int = 0


class Link:
    """Opens sockets, resumes, answers pings, refreshes the token, sends again, gives up.

    One task reads; it ends when the server says goodbye, refuses us, or stays away too long, and
    then hands the reason to whoever waits for frames or replies.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None,
        token_provider: Callable[[], Awaitable[str]] | None,
        position: Position | None,
        backoff: Backoff,
        open_timeout_s: float,
        give_up_after_s: float | None,
        ack_interval_s: float,
        max_unread_frames: int,
    ) -> None:
        self._url = socket_url(url)
        self._token = token
        self._token_provider = token_provider
        self._backoff = backoff
        self._open_timeout_s = open_timeout_s
        self._give_up_after_s = give_up_after_s
        self._ack_interval_s = ack_interval_s
        self._received = position
        self._acknowledged: Position | None = None
        self._acknowledged_at = 0.0
        self._inbox = Inbox(max_unread_frames)
        self._requests = PendingRequests()
        self._socket: ClientConnection | None = None
        self._reading: asyncio.Task[None] | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._failure: Exception | None = None
        self._silence_s: float | None = None
        self._stay_away_s = 0.0
        self._opened_at = 0.0
        self.consumed = position
        """What was taken out of `frames`; None while the server has no log to speak of."""
        self.welcome: ConnectionReady
        self.degraded: Mapping[str, str] = {}
        self.statistics = Statistics()

    @property
    def is_connected(self) -> bool:
        """Whether there is a socket right now."""
        return self._socket is not None

    async def open(self) -> None:
        """Make the first connection; raises HandshakeRefusedError or ConnectionLostError."""
        socket, welcome = await self._open()
        # Whoever has entered knows where the log stands, before taking the welcome's frame.
        self._consume(welcome)
        self._acknowledged, self._acknowledged_at = self.consumed, self._opened_at
        self._reading = asyncio.create_task(self._read_all(socket), name="apex-client")

    async def close(self) -> None:
        """End everything; idempotent."""
        for task in (self._refreshing, self._reading):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        if self._reading is not None:
            # Not left to the task: cancelled before its first step it runs no line of its own.
            await self._end(None)

    # -- what goes out -------------------------------------------------------------------

    async def ask(self, fields: Mapping[str, Any], *, repeatable: bool) -> dict[str, Any]:
        """Send a request and return its direct reply; `repeatable` ones survive their socket."""
        if self._reading is None or self._failure is not None:
            raise ConnectionLostError("the client is not connected") from self._failure
        if self._socket is None and not repeatable:
            raise ConnectionLostError("the client is reconnecting")
        request = self._requests.add(fields, repeatable=repeatable)
        try:
            request.sent_on = self._socket
            await self._send(request.frame)
            return await request.reply
        finally:
            self._requests.remove(request)

    async def _send(self, frame: str) -> None:
        if self._socket is not None:
            # The reader sees a lost socket too, reconnects and sends again what has to be.
            with contextlib.suppress(ConnectionClosed):
                await self._socket.send(frame)

    async def _send_again(self) -> None:
        for request in self._requests.repeatable():
            if request.sent_on is not self._socket:
                self.statistics.resent += request.sent_on is not None
                request.sent_on = self._socket
                await self._send(request.frame)

    async def _acknowledge(self) -> None:
        """Confirm what was consumed, now and then; each `pong` confirms it too."""
        now_s = asyncio.get_running_loop().time()
        if (
            now_s - self._acknowledged_at >= self._ack_interval_s
            and self.consumed != self._acknowledged
            and self._is_of_this_log(self.consumed)
        ):
            self._acknowledged, self._acknowledged_at = self.consumed, now_s
            await self._send(json.dumps({"type": "ack", **self._confirmed()}))

    def _confirmed(self) -> dict[str, int]:
        consumed = self.consumed
        if consumed is None or not self._is_of_this_log(consumed):
            return {}
        return {"seq": consumed.seq}

    def _is_of_this_log(self, position: Position | None) -> bool:
        # The consumer may still be busy with a log that is no more.
        received = self._received
        return position is not None and received is not None and position.epoch == received.epoch

    async def _refresh_token(self) -> None:
        # Where it fails, the server ends the connection, and the provider is asked once more by
        # the reconnect, which tells whoever listens.
        with contextlib.suppress(Exception):
            fields = {"type": "refresh_token", "token": await self._fresh_token()}
            await self.ask(fields, repeatable=False)

    async def _fresh_token(self) -> str:
        return (self._token or "") if self._token_provider is None else await self._token_provider()

    # -- what comes in -------------------------------------------------------------------

    async def frames(self) -> AsyncIterator[dict[str, Any]]:
        """Each frame; ends when we close, raises what ended the connection otherwise."""
        while (frame := await self._inbox.get()) is not None:
            self._consume(frame)
            yield frame
            await self._acknowledge()

    def _consume(self, frame: Mapping[str, Any]) -> None:
        if is_event(frame):
            if self.consumed is not None:
                self.consumed = self.consumed._replace(seq=max(frame["seq"], self.consumed.seq))
        elif frame.get("epoch") is not None and frame.get("recovered") is not True:
            self.consumed = Position(frame["seq"], frame["epoch"])

    async def _take(self, frame: dict[str, Any]) -> None:
        self.statistics.frames += 1
        if is_event(frame):
            self.statistics.events += 1
            if self._received is not None:
                self._received = self._received._replace(seq=max(frame["seq"], self._received.seq))
        else:
            await self._take_notice(frame)
        await self._inbox.put(frame)

    async def _take_notice(self, frame: dict[str, Any]) -> None:
        match frame.get("type"):
            case "ping":
                await self._send(json.dumps({"type": "pong", **self._confirmed()}))
            case "resumed":
                self._adopt(frame)
            case "service_degraded":
                away = dict.fromkeys(frame["components"], frame["message"])
                self.degraded = {**self.degraded, **away}
            case "service_recovered":
                back = frame["components"]
                self.degraded = {
                    name: words for name, words in self.degraded.items() if name not in back
                }
            case "server_shutdown":
                self._stay_away_s = frame["reconnect_after_ms"] / 1000
            case "token_expiring" if self._token_provider is not None:
                if self._refreshing is None or self._refreshing.done():
                    self._refreshing = asyncio.create_task(
                        self._refresh_token(), name="apex-client-token"
                    )
            case _:
                self._requests.settle(frame)

    def _adopt(self, frame: Mapping[str, Any]) -> None:
        """Take over the position that a welcome, or the log's return, names."""
        if frame["epoch"] is None:
            return
        recovered = frame["recovered"]
        if recovered is not True or self._received is None:
            self._received = Position(frame["seq"], frame["epoch"])
        self.statistics.recovered += recovered is True
        self.statistics.gaps += recovered is False

    # -- one socket after the other ------------------------------------------------------

    async def _read_all(self, socket: ClientConnection) -> None:
        failure: Exception | None = None
        try:
            while await self._read(socket):
                self._requests.fail(ConnectionLostError("the connection was lost"))
                socket = await self._reconnect()
        except Exception as error:  # noqa: BLE001 - handed to whoever consumes the stream
            failure = error
        await self._end(failure)

    async def _read(self, socket: ClientConnection) -> bool:
        """Take frames until the socket ends; whether to connect again."""
        try:
            # Sent here and not where the socket is made: a failing send is the socket's end too.
            await self._send_again()
            while True:
                # A server that is there pings in every heartbeat interval.
                async with asyncio.timeout(self._silence_s):
                    data = await socket.recv()
                await self._take(read_frame(data))
        except (KeyError, TypeError) as error:
            raise ConnectionLostError("the server sent a frame that lacks a field") from error
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
        if code == CloseCode.TOKEN_EXPIRED and self._token_provider is None:
            raise ConnectionLostError(
                f"the token has expired or was revoked (close code {code}): give a token_provider"
            )
        if code not in _COME_BACK and code != CloseCode.TOKEN_EXPIRED:
            raise ConnectionLostError(f"the server closed the connection with code {code}")
        if code == CloseCode.FLOODING:
            self._stay_away_s = self._backoff.long_delay_s()
        return True

    async def _reconnect(self) -> ClientConnection:
        loop = asyncio.get_running_loop()
        started = loop.time()
        if started - self._opened_at > STABLE_S:
            self._backoff.reset()
        while True:
            # The server's word is kept, and spread: it may have told many the same.
            delay_s, self._stay_away_s = self._stay_away_s + self._backoff.next_delay_s(), 0.0
            await asyncio.sleep(delay_s)
            try:
                socket, _ = await self._open()
            except HandshakeRefusedError as refused:
                if not refused.is_temporary:
                    raise
                self._stay_away_s = refused.retry_after_s or 0.0
            except ConnectionLostError:
                pass
            else:
                self.statistics.reconnects += 1
                return socket
            if self._give_up_after_s is not None and loop.time() - started > self._give_up_after_s:
                raise ConnectionLostError(
                    f"no connection for {self._give_up_after_s:g} s: is the server running?"
                )

    async def _open(self) -> tuple[ClientConnection, dict[str, Any]]:
        """Connect, and take the welcome."""
        token = await self._fresh_token()
        socket, frame, self.welcome = await open_socket(
            self._url, token, position=self._received, timeout_s=self._open_timeout_s
        )
        self._silence_s = SILENT_INTERVALS * self.welcome.heartbeat_interval_s
        self._adopt(frame)
        # What is away is said anew to each connection.
        self.degraded = {}
        self.statistics.frames += 1
        self._opened_at = asyncio.get_running_loop().time()
        self._socket = socket
        await self._inbox.put(frame)
        return socket, frame

    async def _end(self, failure: Exception | None) -> None:
        if self._failure is None:
            self._failure = failure or ConnectionLostError("the connection was closed")
            self._requests.fail(self._failure, all_of_them=True)
            await self._inbox.end(failure)
        if self._socket is not None:
            await self._socket.close()
            self._socket = None

"""The events of a user on their way to one socket: a cursor in the log, pushed on or read on."""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from apex_actors.gateway.handshake import Resume
from apex_actors.gateway.metrics import GatewayMetrics
from apex_actors.gateway.settings import GatewaySettings
from apex_actors.protocol.codes import CloseCode
from apex_actors.protocol.events import Event
from apex_actors.storage.event_log import EventLog, LogPosition

#: A replay waits for its reader after so many bytes: what a socket's buffer holds.
REPLAY_CHUNK_BYTES: Final = 64 * 1024


class Socket(Protocol):
    """What a connection does with its socket."""

    @property
    def is_open(self) -> bool: ...

    def send(self, frame: bytes) -> None: ...

    async def drained(self) -> None: ...

    def close(self, code: CloseCode, reason: str = "") -> None: ...


class EventStream:
    """Sends each event behind the cursor once and in order; owned by one connection's actor.

    ``seq`` is the cursor: the number of the last event that was sent. It, ``user_id`` and
    ``epoch`` are None as long as the log has not been read (degraded mode).
    """

    __slots__ = ("_log", "_metrics", "_resume", "_settings", "_socket", "epoch", "seq", "user_id")

    def __init__(
        self,
        *,
        log: EventLog,
        socket: Socket,
        resume: Resume | None,
        metrics: GatewayMetrics,
        settings: GatewaySettings,
    ) -> None:
        self._log = log
        self._metrics = metrics
        self._socket = socket
        self._resume = resume
        self._settings = settings
        self.user_id: int | None = None
        self.seq: int | None = None
        self.epoch: str | None = None

    @property
    def cursor(self) -> int:
        """``seq``, once the log has been taken up."""
        return self.seq or 0

    def begin(self, position: LogPosition) -> bool | None:
        """Take up the log where the client left it: whether that could be; None: it asked for nothing.

        Until this, no event is sent; behind it, ``catch_up`` is owed.
        """
        resume, self._resume = self._resume, None
        self.user_id = position.user_id
        self.epoch = position.epoch
        self.seq = position.seq
        if resume is None:
            return None
        recovered = (
            resume.epoch == position.epoch
            and position.trimmed_seq <= resume.after <= position.seq
            and position.seq - resume.after <= self._settings.replay_limit
        )
        if recovered:
            self.seq = resume.after
        return recovered

    def push(self, events: Sequence[Event]) -> bool:
        """Send those that follow the cursor; False where something between has to be read."""
        began = seq = self.seq
        if seq is None or began is None:
            return False
        send, is_whole = self._socket.send, True
        for event in events:
            if event.seq == seq + 1:
                send(event.encode())
                seq = event.seq
            elif event.seq > seq:
                is_whole = False
                break
        self.seq = seq
        self._metrics.events_sent(seq - began)
        return is_whole

    async def catch_up(self) -> None:
        """Send what the log has behind the cursor, as fast as the client takes it.

        Raises StorageError where the log cannot be read.
        """
        if self.user_id is None or self.seq is None:
            return
        began = self.seq
        try:
            await self._replay(self.user_id, self.seq)
        finally:
            self._metrics.events_replayed(self.seq - began)

    async def _replay(self, user_id: int, seq: int) -> None:
        page, unsent_bytes = self._settings.replay_page, 0
        while self._socket.is_open:
            events = await self._log.read(user_id, after=seq, limit=page)
            for event in events:
                if event.seq != seq + 1:
                    # Trimmed while it was read: the client has to begin afresh.
                    self._socket.close(CloseCode.TOO_SLOW, "too slow: reconnect with after")
                    return
                frame = event.encode()
                self._socket.send(frame)
                self.seq = seq = event.seq
                unsent_bytes += len(frame)
                if unsent_bytes >= REPLAY_CHUNK_BYTES:
                    unsent_bytes = 0
                    await self._drained()
                    if not self._socket.is_open:
                        return
            if len(events) < page:
                return

    async def _drained(self) -> None:
        """Let the client take what it was sent: a replay is as fast as its reader.

        What it asked for must not make it too slow; one that takes nothing for a whole interval is.
        """
        try:
            async with asyncio.timeout(self._settings.heartbeat_interval_s):
                await self._socket.drained()
        except TimeoutError:
            self._socket.close(CloseCode.TOO_SLOW, "too slow: reconnect with after")

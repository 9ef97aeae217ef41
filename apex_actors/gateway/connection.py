"""One connection: an actor between a socket and the rest of the server."""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid4

from apex_actors.actors import ActorDeadError, ActorRef, LoopActor
from apex_actors.gateway.handshake import Admitted, Resume
from apex_actors.gateway.registry import (
    Behind,
    Connected,
    ConnectionRegistry,
    Disconnected,
    EventsCommitted,
    HeartbeatDue,
    LogAdvanced,
    Opened,
    Restarting,
)
from apex_actors.gateway.router import MessageRouter
from apex_actors.gateway.session import Session
from apex_actors.gateway.settings import GatewaySettings
from apex_actors.gateway.websocket_protocol import WebSocketProtocol
from apex_actors.protocol.codes import CloseCode, ErrorCode
from apex_actors.protocol.events import Event
from apex_actors.protocol.normalize import ParsedFrame, parse_frame
from apex_actors.protocol.notices import (
    ConnectionReady,
    Mode,
    Notice,
    PingNotice,
    Reply,
    Resumed,
    ServerShutdown,
)
from apex_actors.protocol.replies import PLAIN, ReplyTo, encode_reply
from apex_actors.protocol.violation import ProtocolViolation
from apex_actors.storage.cache import SessionCache
from apex_actors.storage.errors import CacheUnavailableError, StorageError
from apex_actors.storage.event_log import EventLog, LogPosition

logger = logging.getLogger(__name__)

#: Two intervals without a sign of life and the peer counts as dead.
SILENT_INTERVALS: Final = 2

#: A replay waits for its reader after so many bytes: what a socket's buffer holds.
REPLAY_CHUNK_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class FrameReceived:
    """A text frame of the client."""

    text: str


@dataclass(frozen=True, slots=True)
class SocketLost:
    """The socket is closed, for good."""

    code: int


@dataclass(frozen=True, slots=True)
class SignOfLife:
    """The peer is there, and has said nothing."""


@dataclass(frozen=True, slots=True)
class _CloseNow:
    pass


@dataclass(frozen=True, slots=True)
class SocketMessages:
    """Turns what a socket receives into messages to the connection's actor."""

    ref: "ActorRef[ConnectionActor]"

    def frame_received(self, text: str) -> None:
        """Queue a frame behind those before it."""
        self._tell(FrameReceived(text))

    def alive(self) -> None:
        """A protocol-level ping or pong counts as well."""
        self._tell(SignOfLife())

    def socket_lost(self, code: int) -> None:
        """The socket is closed; the runs of the user go on without it."""
        self._tell(SocketLost(code))

    def _tell(self, message: object) -> None:
        # A dead actor has closed its socket: what still comes from it concerns nobody.
        with contextlib.suppress(ActorDeadError):
            self.ref.tell(message)


@dataclass(frozen=True, slots=True)
class ConnectionServices:
    """What every connection of a node shares; none of it is a connection's own state."""

    log: EventLog
    sessions: SessionCache
    registry: ActorRef[ConnectionRegistry]
    router: MessageRouter
    settings: GatewaySettings


class ConnectionActor(LoopActor):
    """Owns one socket's state: identity, cursor, current thread, error count, sign of life.

    Receives FrameReceived, SignOfLife and SocketLost from its socket, EventsCommitted, LogAdvanced,
    HeartbeatDue and notices from the registry. Sends frames to its socket; tells the registry
    Opened, Connected, Disconnected. No message is handled before the welcome is sent: they wait
    behind ``on_start``. When it dies the socket is closed with 1011 and nothing else is touched.
    """

    def __init__(
        self, *, socket: WebSocketProtocol, admitted: Admitted, services: ConnectionServices
    ) -> None:
        super().__init__()
        self._socket = socket
        self._resume = admitted.resume
        self._services = services
        self._settings = services.settings
        self._errors = 0
        self._last_sign_of_life = asyncio.get_running_loop().time()
        self._session = Session(
            connection_id=uuid4().hex,
            identity=admitted.token.identity,
            token_expires_at=admitted.token.expires_at,
        )

    async def on_start(self) -> None:  # type: ignore[override]  # hooks of the loop may be async
        session = self._session
        registry = self._services.registry
        registry.tell(Opened(session.connection_id, self.ref))
        try:
            recovered = await self._follow_log()
        except StorageError:
            recovered = None
            self._wait_for_log()
            logger.warning("connection %s is greeted without its log", session.connection_id)
        session.thread_id = await self._current_thread()
        self._send(
            ConnectionReady(
                connection_id=session.connection_id,
                user_id=session.identity.sub,
                org=session.identity.org,
                server_time=datetime.now(UTC),
                mode=Mode.DEGRADED if session.seq is None else Mode.FULL,
                heartbeat_interval_s=self._settings.heartbeat_interval_s,
                max_message_bytes=self._settings.max_message_bytes,
                token_expires_at=session.token_expires_at,
                thread_id=session.thread_id,
                epoch=session.epoch,
                seq=session.seq,
                recovered=recovered,
            )
        )
        self._send(PingNotice(server_time=datetime.now(UTC)))
        await self._catch_up()

    def on_stop(self) -> None:
        self._sign_off()
        self._socket.close(CloseCode.RESTARTING)

    def on_failure(self, *_: object) -> None:
        self._sign_off()
        self._socket.close(CloseCode.INTERNAL_ERROR)

    def on_receive(self, message: object) -> object:
        match message:
            case FrameReceived(text):
                self._last_sign_of_life = asyncio.get_running_loop().time()
                return self._frame(text)
            case SignOfLife():
                self._last_sign_of_life = asyncio.get_running_loop().time()
            case EventsCommitted(_, events):
                return self._push(events)
            case HeartbeatDue():
                self._heartbeat()
            case LogAdvanced():
                return self._resume_log() if self._session.seq is None else self._catch_up()
            case Notice():
                self._send(message)
            case Restarting(close_after_s, reconnect_after_ms):
                notice = ServerShutdown(
                    reason="The server restarts.", reconnect_after_ms=reconnect_after_ms
                )
                self._send(notice)
                self.tell_later(close_after_s, _CloseNow())
            case _CloseNow():
                self._socket.close(CloseCode.RESTARTING, "the server restarts")
            case SocketLost():
                self.stop()
            case _:
                return super().on_receive(message)
        return None

    def _sign_off(self) -> None:
        # Without a registry the node is on its way out, and nobody needs to know.
        with contextlib.suppress(ActorDeadError):
            self._services.registry.tell(Disconnected(self._session.connection_id))

    # Frames of the client.

    def _frame(self, text: str) -> object:
        try:
            parsed = parse_frame(text, max_bytes=self._settings.max_message_bytes)
        except ProtocolViolation as violation:
            self._refuse(violation, violation.reply_to)
            return None
        try:
            result = self._services.router.route(parsed.message, self._session)
        except ProtocolViolation as violation:
            self._refuse(violation, parsed.reply_to)
            return None
        except Exception as error:  # noqa: BLE001 - a bug of ours is one message's, not the socket's
            self._refuse(_internal_error(error), parsed.reply_to)
            return None
        if asyncio.iscoroutine(result):
            return self._await_reply(result, parsed)
        self._reply(result, parsed.reply_to)
        return None

    async def _await_reply(
        self, handler: Coroutine[Any, Any, Reply | None], parsed: ParsedFrame
    ) -> None:
        before = self._session.thread_id
        try:
            reply = await handler
        except ProtocolViolation as violation:
            self._refuse(violation, parsed.reply_to)
        except StorageError:
            away = ProtocolViolation(
                ErrorCode.SERVICE_DEGRADED,
                "The database is away: nothing was stored. Send the message again.",
                retry_after_ms=1000,
            )
            self._refuse(away, parsed.reply_to)
        except Exception as error:  # noqa: BLE001 - as in _frame
            self._refuse(_internal_error(error), parsed.reply_to)
        else:
            self._reply(reply, parsed.reply_to)
        if self._session.thread_id != before:
            await self._remember_thread()

    def _reply(self, reply: Reply | None, to: ReplyTo) -> None:
        self._errors = 0
        if reply is not None:
            frame = encode_reply(reply, to)
            if frame is not None:
                self._send_frame(frame)

    def _refuse(self, violation: ProtocolViolation, to: ReplyTo = PLAIN) -> None:
        frame = encode_reply(violation.notice(), to)
        if frame is not None:
            self._send_frame(frame)
        self._errors += 1
        if self._errors >= self._settings.max_consecutive_errors:
            self._socket.close(CloseCode.POLICY_VIOLATION, "too many errors in a row")

    # Events of the user.

    async def _follow_log(self) -> bool | None:
        """Take up the log where the client left it; None where it asked for nothing."""
        session, services = self._session, self._services
        position = await services.log.open(session.identity)
        # Subscribed first and read then: what is committed in between comes as an event and
        # waits in the mailbox; what was committed before is behind the position read now.
        services.registry.tell(Connected(session.connection_id, position.user_id, self.ref))
        position = await services.log.open(session.identity)
        session.user_id = position.user_id
        session.epoch = position.epoch
        recovered = self._recovered(position, self._resume)
        session.seq = position.seq
        if recovered and self._resume is not None:
            session.seq = self._resume.after
        return recovered

    def _recovered(self, position: LogPosition, resume: Resume | None) -> bool | None:
        if resume is None:
            return None
        return (
            resume.epoch == position.epoch
            and position.trimmed_seq <= resume.after <= position.seq
            and position.seq - resume.after <= self._settings.replay_limit
        )

    def _push(self, events: Sequence[Event]) -> object:
        session = self._session
        if session.seq is None:
            return self._resume_log()
        for event in events:
            if event.seq == session.seq + 1:
                self._send_frame(event.encode())
                session.seq = event.seq
            elif event.seq > session.seq:
                # Something between was committed elsewhere: the log has all of it.
                return self._catch_up()
        return None

    async def _resume_log(self) -> None:
        """The log is back after a greeting without it."""
        try:
            recovered = await self._follow_log()
        except StorageError:
            self._wait_for_log()
            return
        session = self._session
        if session.epoch is not None and session.seq is not None:
            self._send(Resumed(epoch=session.epoch, seq=session.seq, recovered=recovered))
        await self._catch_up()

    async def _catch_up(self) -> None:
        session = self._session
        if session.user_id is None or session.seq is None:
            return
        page, unsent_bytes = self._settings.replay_page, 0
        while self._socket.is_open:
            try:
                events = await self._services.log.read(
                    session.user_id, after=session.seq, limit=page
                )
            except StorageError:
                self._wait_for_log()
                return
            for event in events:
                frame = event.encode()
                self._socket.send(frame)
                session.seq = event.seq
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

    def _wait_for_log(self) -> None:
        """The registry looks after the log and tells when it can be read again."""
        self._services.registry.tell(Behind(self._session.connection_id, self.ref))

    async def _remember_thread(self) -> None:
        """Tell the next connection of the user in which thread to begin."""
        session = self._session
        if session.user_id is None or session.thread_id is None:
            return
        try:
            await self._services.sessions.remember(session.user_id, session.thread_id)
        except CacheUnavailableError:
            logger.debug("the thread of connection %s was not cached", session.connection_id)

    async def _current_thread(self) -> UUID | None:
        if self._session.user_id is None:
            return None
        try:
            return await self._services.sessions.current_thread(self._session.user_id)
        except CacheUnavailableError:
            return None

    # Heartbeats, and what goes out.

    def _heartbeat(self) -> None:
        silent_s = asyncio.get_running_loop().time() - self._last_sign_of_life
        if silent_s >= SILENT_INTERVALS * self._settings.heartbeat_interval_s:
            self._socket.close(CloseCode.TOO_SLOW, "no sign of life: reconnect with after")
            return
        self._send(PingNotice(server_time=datetime.now(UTC)))

    def _send(self, notice: Notice) -> None:
        self._send_frame(notice.encode())

    def _send_frame(self, frame: bytes) -> None:
        self._socket.send(frame)
        if self._socket.outbound_bytes > self._settings.outbound_limit_bytes:
            self._socket.close(CloseCode.TOO_SLOW, "too slow: reconnect with after")


def _internal_error(error: Exception) -> ProtocolViolation:
    """What the client is told of a bug: no more than where the log has it."""
    report_id = uuid4().hex
    logger.error("a message could not be handled, report %s", report_id, exc_info=error)
    return ProtocolViolation(
        ErrorCode.INTERNAL_ERROR,
        "The server failed at this message: tell the operator the report id.",
        details={"report_id": report_id},
    )

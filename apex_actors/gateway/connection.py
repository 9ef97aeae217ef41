"""One connection: an actor between a socket and the rest of the server."""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from types import CoroutineType
from typing import Any, Final
from uuid import UUID, uuid4

from apex_actors.actors import ActorDeadError, ActorRef, LoopActor
from apex_actors.gateway.auth import InvalidTokenError, Revocations, VerifiedToken
from apex_actors.gateway.connection_info import ConnectionInfo
from apex_actors.gateway.errors import ConnectionEnded
from apex_actors.gateway.event_stream import EventStream
from apex_actors.gateway.greeter import Greeter, LogOpened, OpenLog
from apex_actors.gateway.handshake import Admitted
from apex_actors.gateway.limits import Limits, UserLimits
from apex_actors.gateway.metrics import GatewayMetrics
from apex_actors.gateway.registry import WHEEL_SLOTS, ConnectionRegistry
from apex_actors.gateway.registry_messages import (
    Behind,
    CheckAgain,
    CloseForCap,
    Connected,
    Describe,
    Disconnected,
    EventsCommitted,
    HeartbeatDue,
    LogAdvanced,
    Opened,
    Restarting,
    SessionChanged,
    TokenDue,
    TokenRenewed,
    TokensRevoked,
)
from apex_actors.gateway.router import MessageRouter
from apex_actors.gateway.session import Session
from apex_actors.gateway.session_keeper import SessionKeeper
from apex_actors.gateway.settings import GatewaySettings
from apex_actors.gateway.socket_messages import FrameReceived, SignOfLife, SocketLost
from apex_actors.gateway.token_life import TokenLife
from apex_actors.gateway.websocket_protocol import WebSocketProtocol
from apex_actors.protocol.codes import CloseCode, ErrorCode
from apex_actors.protocol.normalize import ParsedFrame, parse_frame
from apex_actors.protocol.notices import (
    ConnectionReady,
    Mode,
    Notice,
    PingNotice,
    Reply,
    Resumed,
    ServerShutdown,
    TokenExpiring,
)
from apex_actors.protocol.replies import PLAIN, ReplyTo, encode_reply
from apex_actors.protocol.violation import ProtocolViolation
from apex_actors.storage.errors import StorageError
from apex_actors.storage.event_log import EventLog, LogPosition

logger = logging.getLogger(__name__)

#: Two intervals without a sign of life and the peer counts as dead.
SILENT_INTERVALS: Final = 2

#: Faults of the client, which close a connection when too many follow each other. What is refused
#: for another reason (over a rate, busy, degraded, a bug of ours) may be right the next time.
FAULTS: Final = frozenset(
    {
        ErrorCode.INVALID_JSON,
        ErrorCode.MESSAGE_TOO_LARGE,
        ErrorCode.INVALID_MESSAGE,
        ErrorCode.UNKNOWN_MESSAGE_TYPE,
        ErrorCode.USER_MISMATCH,
        ErrorCode.THREAD_NOT_FOUND,
        ErrorCode.RUN_NOT_FOUND,
        ErrorCode.IDEMPOTENCY_CONFLICT,
        ErrorCode.FORBIDDEN,
        ErrorCode.UNAUTHORIZED,
    }
)


@dataclass(frozen=True, slots=True)
class _CloseNow:
    pass


#: All that is handled before the welcome; the rest waits for it.
_BEFORE_THE_WELCOME: Final = frozenset({LogOpened, SocketLost, Describe})


@dataclass(frozen=True, slots=True)
class ConnectionServices:
    """What every connection of a node shares; none of it is a connection's own state."""

    log: EventLog
    greeter: ActorRef[Greeter]
    registry: ActorRef[ConnectionRegistry]
    sessions: ActorRef[SessionKeeper]
    router: MessageRouter
    limits: Limits
    revocations: Revocations
    metrics: GatewayMetrics
    settings: GatewaySettings
    node: str


class ConnectionActor(LoopActor):
    """Owns one socket's state: identity, cursor, current thread, error count, sign of life.

    Receives FrameReceived, SignOfLife and SocketLost from its socket; EventsCommitted, LogAdvanced,
    HeartbeatDue, TokenDue, TokensRevoked, Describe, Restarting and notices from the registry. Sends
    frames to its socket; tells the registry Opened, Connected, Behind, CheckAgain, TokenRenewed and
    Disconnected, the keeper of sessions SessionChanged, the greeter OpenLog. Until LogOpened comes
    and the welcome is sent, messages are put off. When it dies the socket is closed with 1011 and
    nothing else is touched.
    """

    def __init__(
        self, *, socket: WebSocketProtocol, admitted: Admitted, services: ConnectionServices
    ) -> None:
        super().__init__()
        settings = services.settings
        self._socket = socket
        self._services = services
        self._settings = settings
        self._session = Session(connection_id=socket.id, token=admitted.token)
        self._stream = EventStream(
            log=services.log,
            socket=socket,
            resume=admitted.resume,
            metrics=services.metrics,
            settings=settings,
        )
        self._limits: UserLimits = services.limits.user(admitted.token.identity.key)
        self._address = admitted.address
        self._connected_at = datetime.now(UTC)
        self._time = asyncio.get_running_loop().time
        self._last_sign_of_life = self._time()
        self._stored: tuple[UUID | None, int] = (None, 0)
        self._errors = 0
        self._over_rate = 0
        self._token_life = self._life_of(admitted.token)
        self._is_greeted = False

    def on_start(self) -> None:
        session = self._session
        self._services.metrics.connection_opened()
        self._services.registry.tell(
            Opened(session.connection_id, session.identity, self.ref, self._token_life.due_s())
        )
        self._services.greeter.tell(OpenLog(session.identity, self.ref))

    def on_stop(self) -> None:
        self._sign_off()
        self._socket.close(CloseCode.RESTARTING)

    def on_failure(self, *_: object) -> None:
        self._sign_off()
        self._socket.close(CloseCode.INTERNAL_ERROR)

    def on_receive(self, message: object) -> object:
        if not self._is_greeted and type(message) not in _BEFORE_THE_WELCOME:
            self.stash()
            return None
        outcome: object = None
        match message:
            case FrameReceived():
                self._last_sign_of_life = self._time()
                outcome = self._frame(message)
            case EventsCommitted():
                if not self._stream.push(message.events):
                    outcome = self._read_on()
            case HeartbeatDue(ping):
                self._heartbeat(ping)
            case SignOfLife(size_bytes):
                self._sign_of_life(size_bytes)
            case LogAdvanced():
                outcome = self._read_on()
            case LogOpened(position):
                outcome = self._log_opened(position)
            case Notice():
                self._send(message)
            case SocketLost(code):
                self._services.metrics.connection_closed(code)
                self.stop()
            case _:
                outcome = self._serve_node(message)
        return outcome

    def _serve_node(self, message: object) -> object:
        match message:
            case TokenDue():
                self._token_due()
            case TokensRevoked():
                self._check_token()
            case Restarting(close_after_s, reconnect_after_ms):
                self._send(
                    ServerShutdown(
                        reason="The server restarts.", reconnect_after_ms=reconnect_after_ms
                    )
                )
                self.tell_later(close_after_s, _CloseNow())
            case _CloseNow():
                self._socket.close(CloseCode.RESTARTING, "the server restarts")
            case CloseForCap():
                self._socket.close(CloseCode.POLICY_VIOLATION, "too many connections of the user")
            case Describe():
                return self._describe()
            case _:
                return super().on_receive(message)
        return None

    def _sign_off(self) -> None:
        services, session = self._services, self._session
        self._limits.release()
        services.limits.disconnect(session.identity.key)
        self._store_session()
        # Without a registry the node is on its way out, and nobody needs to know.
        with contextlib.suppress(ActorDeadError):
            services.registry.tell(Disconnected(session.connection_id))

    # Frames of the client.

    def _frame(self, frame: FrameReceived) -> object:
        self._socket.handled()
        wait_ms = self._limits.take(frame.size_bytes)
        if wait_ms:
            self._refuse_over_rate(frame.text, wait_ms)
            return None
        self._over_rate = 0
        try:
            parsed = parse_frame(frame.text, max_bytes=self._settings.max_message_bytes)
        except ProtocolViolation as violation:
            self._refuse(violation, violation.reply_to)
            return None
        message = parsed.message
        try:
            result = self._services.router.route(message, self._session)
        except ProtocolViolation as violation:
            self._refuse(violation, parsed.reply_to, message.type)
            return None
        except Exception as error:  # noqa: BLE001 - a bug of ours is one message's, not the socket's
            self._refuse(_internal_error(error), parsed.reply_to, message.type)
            return None
        if type(result) is CoroutineType:
            return self._await_reply(result, parsed)
        self._reply(result, parsed)  # type: ignore[arg-type]  # all others are replies
        return None

    async def _await_reply(
        self, handler: Coroutine[Any, Any, Reply | None], parsed: ParsedFrame
    ) -> None:
        session, kind = self._session, parsed.message.type
        thread_id, token = session.thread_id, session.token
        try:
            reply = await handler
        except ProtocolViolation as violation:
            self._refuse(violation, parsed.reply_to, kind)
        except ConnectionEnded as ended:
            self._socket.close(ended.code, ended.reason)
        except StorageError:
            away = ProtocolViolation(
                ErrorCode.SERVICE_DEGRADED,
                "The database is away: nothing was stored. Send the message again.",
                retry_after_ms=1000,
            )
            self._refuse(away, parsed.reply_to, kind)
        except Exception as error:  # noqa: BLE001 - as in _frame
            self._refuse(_internal_error(error), parsed.reply_to, kind)
        else:
            self._reply(reply, parsed)
        if session.thread_id != thread_id:
            self._store_session()
        if session.token is not token:
            self._token_life = self._life_of(session.token)
            self._services.registry.tell(
                TokenRenewed(session.connection_id, self._token_life.due_s())
            )

    def _reply(self, reply: Reply | None, parsed: ParsedFrame) -> None:
        self._errors = 0
        self._services.metrics.message(parsed.message.type)
        if reply is not None:
            frame = encode_reply(reply, parsed.reply_to)
            if frame is not None:
                self._socket.send(frame)

    def _refuse(
        self, violation: ProtocolViolation, to: ReplyTo = PLAIN, kind: str | None = None
    ) -> None:
        self._services.metrics.message(kind, violation.code)
        frame = encode_reply(violation.notice(), to)
        if frame is not None:
            self._socket.send(frame)
        if violation.code not in FAULTS:
            return
        self._errors += 1
        if self._errors >= self._settings.max_consecutive_errors:
            self._socket.close(CloseCode.POLICY_VIOLATION, "too many errors in a row")

    def _refuse_over_rate(self, text: str, wait_ms: int) -> None:
        self._services.metrics.rate_limited("messages")
        if self._is_flooding():
            return
        to = PLAIN
        try:
            to = parse_frame(text, max_bytes=self._settings.max_message_bytes).reply_to
        except ProtocolViolation as violation:
            to = violation.reply_to
        over = ProtocolViolation(
            ErrorCode.RATE_LIMITED,
            "Too many messages: wait, and send this one again.",
            retry_after_ms=wait_ms,
        )
        self._refuse(over, to)

    def _is_flooding(self) -> bool:
        self._over_rate += 1
        if self._over_rate < self._settings.limits.flood_messages:
            return False
        self._socket.close(CloseCode.FLOODING, "too many messages over the rate")
        return True

    # Events of the user.

    def _begin(self, position: LogPosition) -> bool | None:
        """Take up the log; the registry hears of the cursor before anything more is read."""
        session = self._session
        recovered = self._stream.begin(position)
        session.user_id = position.user_id
        session.thread_id = position.thread_id
        session.acknowledged = position.acknowledged_seq
        self._stored = (session.thread_id, session.acknowledged)
        # Subscribed first and read then: what is committed from here on comes as an event, and
        # what was committed since the position was read is behind it in the log. The registry
        # looks for it, and so does whoever is pushed an event that does not follow its cursor.
        self._services.registry.tell(
            Connected(session.connection_id, position.user_id, position.seq, self.ref)
        )
        return recovered

    def _log_opened(self, position: LogPosition | None) -> object:
        if not self._is_greeted:
            return self._greet(position)
        if position is None:
            self._wait_for_log()
            return None
        if self._stream.seq is not None:  # it was asked for twice
            return None
        recovered = self._begin(position)
        self._send(Resumed(epoch=position.epoch, seq=self._stream.cursor, recovered=recovered))
        return self._catch_up()

    def _greet(self, position: LogPosition | None) -> object:
        session, stream, recovered = self._session, self._stream, None
        if position is None:
            self._wait_for_log()
            logger.warning("connection %s is greeted without its log", session.connection_id)
        else:
            recovered = self._begin(position)
        self._send(
            ConnectionReady(
                connection_id=session.connection_id,
                user_id=session.identity.sub,
                org=session.identity.org,
                server_time=datetime.now(UTC),
                mode=Mode.DEGRADED if position is None else Mode.FULL,
                heartbeat_interval_s=self._settings.heartbeat_interval_s,
                max_message_bytes=self._settings.max_message_bytes,
                token_expires_at=session.token.expires_at,
                thread_id=session.thread_id,
                epoch=stream.epoch,
                seq=stream.seq,
                recovered=recovered,
            )
        )
        self._send(PingNotice.now())
        self._is_greeted = True
        self.unstash_all()
        return self._catch_up() if recovered else None

    def _read_on(self) -> Coroutine[Any, Any, None] | None:
        if self._stream.seq is not None:
            return self._catch_up()
        # The log is back after a greeting without it.
        self._services.greeter.tell(OpenLog(self._session.identity, self.ref, is_back=True))
        return None

    async def _catch_up(self) -> None:
        try:
            await self._stream.catch_up()
        except StorageError:
            self._wait_for_log()

    def _wait_for_log(self) -> None:
        """The registry looks after the log and tells when it can be read again."""
        self._services.registry.tell(Behind(self._session.connection_id, self.ref))

    def _store_session(self) -> None:
        """Tell the next connection of the user where to begin, if that has changed."""
        session = self._session
        state = (session.thread_id, session.acknowledged)
        if session.user_id is None or state == self._stored:
            return
        soon = state[0] != self._stored[0]
        self._stored = state
        with contextlib.suppress(ActorDeadError):
            self._services.sessions.tell(SessionChanged(session.user_id, *state, soon=soon))

    # Heartbeats.

    def _sign_of_life(self, size_bytes: int) -> None:
        self._last_sign_of_life = self._time()
        # Protocol-level pings are answered before anybody can refuse them: they count all the same.
        if self._limits.take(size_bytes):
            self._is_flooding()

    def _heartbeat(self, ping: bytes | None) -> None:
        interval_s = self._settings.heartbeat_interval_s
        left_s = self._last_sign_of_life + SILENT_INTERVALS * interval_s - self._time()
        tolerance_s = interval_s / WHEEL_SLOTS
        if left_s <= tolerance_s:
            self._services.metrics.heartbeat_reaped()
            self._socket.close(CloseCode.TOO_SLOW, "no sign of life: reconnect with after")
            return
        if ping is None:
            return
        self._socket.send(ping)
        self._store_session()
        if left_s < interval_s - tolerance_s:
            # It will have been silent for two intervals before its next turn.
            self._services.registry.tell(CheckAgain(self._session.connection_id, left_s))

    # The token's life.

    def _life_of(self, token: VerifiedToken) -> TokenLife:
        settings = self._settings
        return TokenLife(
            token.expires_at, notice_s=settings.token_notice_s, grace_s=settings.token_grace_s
        )

    def _token_due(self) -> None:
        if self._token_life.is_over:
            self._socket.close(CloseCode.TOKEN_EXPIRED, "the token has expired")
            return
        if not self._token_life.is_announced:
            self._send(TokenExpiring(expires_in_s=self._token_life.announce()))
        self._services.registry.tell(
            TokenRenewed(self._session.connection_id, self._token_life.due_s())
        )

    def _check_token(self) -> None:
        try:
            self._services.revocations.check(self._session.token)
        except InvalidTokenError:
            self._socket.close(CloseCode.TOKEN_EXPIRED, "the token was revoked")

    # What it says of itself, and what goes out.

    def _describe(self) -> ConnectionInfo:
        session = self._session
        return ConnectionInfo(
            connection_id=session.connection_id,
            org=session.identity.org,
            sub=session.identity.sub,
            address=self._address,
            node=self._services.node,
            connected_at=self._connected_at,
            last_sign_of_life_s=self._time() - self._last_sign_of_life,
            seq=self._stream.seq,
            acknowledged=session.acknowledged,
            thread_id=session.thread_id,
            outbound_bytes=self._socket.outbound_bytes,
            token_expires_at=session.token.expires_at,
        )

    def _send(self, notice: Notice) -> None:
        self._socket.send(notice.encode())


def _internal_error(error: Exception) -> ProtocolViolation:
    """What the client is told of a bug: no more than where the log has it."""
    report_id = uuid4().hex
    logger.error("a message could not be handled, report %s", report_id, exc_info=error)
    return ProtocolViolation(
        ErrorCode.INTERNAL_ERROR,
        "The server failed at this message: tell the operator the report id.",
        details={"report_id": report_id},
    )

"""What the server does with each type of message."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from apex_actors.execution.acceptance import Acceptance, Accepted, MessageToAccept, Priority
from apex_actors.gateway.router import Handler
from apex_actors.gateway.session import Session
from apex_actors.protocol.codes import ErrorCode
from apex_actors.protocol.messages import (
    Ack,
    ClientMessage,
    GetThreadHistory,
    Heartbeat,
    IfBusy,
    Ping,
    Pong,
    StartAgent,
    UserMessage,
)
from apex_actors.protocol.notices import (
    HeartbeatAck,
    HistoryMessage,
    MessageAccepted,
    PongReply,
    ThreadHistory,
)
from apex_actors.protocol.payloads import MessageRole, RunStatus
from apex_actors.protocol.run_state import run_state
from apex_actors.protocol.violation import ProtocolViolation
from apex_actors.storage.errors import StorageUnavailableError
from apex_actors.storage.threads import ThreadStore

#: When a client of a draining server may try again, in milliseconds.
DRAINING_RETRY_MS: Final = 1000


class ChatHandlers:
    """Handlers of the chat's messages; they own nothing but what they are given."""

    def __init__(
        self,
        *,
        acceptance: Acceptance,
        threads: ThreadStore,
        pipeline: str,
        is_draining: Callable[[], bool] = lambda: False,
    ) -> None:
        self._is_draining = is_draining
        self._acceptance = acceptance
        self._threads = threads
        self._pipeline = pipeline

    def table(self) -> dict[type[ClientMessage], Handler]:
        """Handler by type of message."""
        return {
            UserMessage: self.user_message,
            StartAgent: self.start_agent,
            GetThreadHistory: self.get_thread_history,
            Ping: self.ping,
            Heartbeat: self.heartbeat,
            Pong: self.acknowledge,
            Ack: self.acknowledge,
        }

    async def user_message(self, message: UserMessage, session: Session) -> MessageAccepted:
        """Store the message and its run; reply once both are durable."""
        if message.if_busy is IfBusy.INTERRUPT:
            raise ProtocolViolation(
                ErrorCode.INVALID_MESSAGE,
                "if_busy: interrupt is not served yet, use enqueue or reject.",
                details={"field": "if_busy"},
            )
        return await self._accept(
            MessageToAccept(
                user_id=_user_id(session),
                text=message.text,
                pipeline=self._pipeline,
                thread_id=message.thread_id,
                client_message_id=message.client_message_id,
                if_busy=message.if_busy,
            ),
            session,
        )

    async def start_agent(self, message: StartAgent, session: Session) -> MessageAccepted:
        """As a user message, but before those that wait."""
        if message.pipeline not in (None, self._pipeline):
            raise ProtocolViolation(
                ErrorCode.INVALID_MESSAGE,
                "There is no such pipeline.",
                details={"field": "pipeline", "known": [self._pipeline]},
            )
        return await self._accept(
            MessageToAccept(
                user_id=_user_id(session),
                text=message.user_request,
                pipeline=self._pipeline,
                thread_id=message.thread_id,
                client_message_id=message.client_message_id,
                priority=Priority.START_AGENT,
            ),
            session,
        )

    async def get_thread_history(
        self, message: GetThreadHistory, session: Session
    ) -> ThreadHistory:
        """A page of the thread, with the state of its runs."""
        before = None if message.before is None else _message_id(message.before)
        history = await self._threads.history(
            _user_id(session), message.thread_id, limit=message.limit, before=before
        )
        if history is None:
            raise ProtocolViolation(ErrorCode.THREAD_NOT_FOUND, "There is no such thread.")
        return ThreadHistory(
            thread_id=history.thread_id,
            messages=tuple(
                HistoryMessage(
                    id=stored.id,
                    role=MessageRole(stored.role),
                    content=stored.content,
                    created_at=stored.created_at,
                    run_id=stored.run_id,
                )
                for stored in history.messages
            ),
            runs=tuple(
                run_state(run.run_id, RunStatus(run.status), run.events, seq=history.seq)
                for run in history.runs
            ),
            seq=history.seq,
        )

    def ping(self, _message: Ping, _session: Session) -> PongReply:
        """The server is there."""
        return PongReply(server_time=datetime.now(UTC))

    def heartbeat(self, _message: Heartbeat, _session: Session) -> HeartbeatAck:
        """As ping, in older clients' words."""
        return HeartbeatAck(server_time=datetime.now(UTC))

    def acknowledge(self, message: Pong | Ack, session: Session) -> None:
        """The client has taken all up to ``seq``."""
        if message.seq is not None:
            session.acknowledged = max(session.acknowledged, message.seq)

    async def _accept(self, message: MessageToAccept, session: Session) -> MessageAccepted:
        if self._is_draining():
            raise ProtocolViolation(
                ErrorCode.DRAINING,
                "The server restarts: send the message again after the reconnect.",
                retry_after_ms=DRAINING_RETRY_MS,
            )
        accepted = await self._accept_in_thread(message, session.thread_id)
        session.thread_id = accepted.thread_id
        return MessageAccepted(
            client_message_id=message.client_message_id,
            message_id=accepted.message_id,
            thread_id=accepted.thread_id,
            run_id=accepted.run_id,
            queue_position=accepted.queue_position,
            duplicate=accepted.duplicate,
        )

    async def _accept_in_thread(self, message: MessageToAccept, current: UUID | None) -> Accepted:
        """In the thread that the message names, else the current one, else a new one."""
        if message.thread_id is None and current is not None:
            try:
                return await self._acceptance.accept(replace(message, thread_id=current))
            except ProtocolViolation as violation:
                # The current thread may come from a cache that has outlived it; the client has
                # named none and must not be told that there is no such thread.
                if violation.code is not ErrorCode.THREAD_NOT_FOUND:
                    raise
        return await self._acceptance.accept(message)


def _user_id(session: Session) -> int:
    if session.user_id is None:
        raise StorageUnavailableError("the user's log has not been read yet")
    return session.user_id


def _message_id(cursor: str) -> UUID:
    try:
        return UUID(cursor)
    except ValueError:
        raise ProtocolViolation(
            ErrorCode.INVALID_MESSAGE,
            "before must be the id of a message.",
            details={"field": "before"},
        ) from None

"""Accepting a message: durable, once, and in its place, before anybody is told."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any
from uuid import UUID, uuid4

from apex_actors.execution.publishing import Announcer
from apex_actors.execution.settings import ExecutionSettings
from apex_actors.protocol.codes import ErrorCode
from apex_actors.protocol.events import Event
from apex_actors.protocol.messages import IfBusy
from apex_actors.protocol.payloads import ChatMessage, MessageCreated, MessageRole, RunQueued
from apex_actors.protocol.violation import ProtocolViolation
from apex_actors.storage import event_log
from apex_actors.storage.database import Connection, Database
from apex_actors.storage.event_log import Draft
from apex_actors.storage.runs import QUERIES, THREAD_QUERIES, spawn_startable
from apex_actors.storage.threads import thread_of_user

#: Characters of the first message that make a thread's title.
TITLE_LENGTH = 80

#: What a client is told to wait when its queue is full, in milliseconds: about a run's time.
QUEUE_FULL_RETRY_MS = 2_000


class Priority(IntEnum):
    """Smaller goes first among the waiting runs of a user."""

    START_AGENT = 0
    USER_MESSAGE = 1


@dataclass(frozen=True, slots=True)
class MessageToAccept:
    """A user's message that asks for a run; ``thread_id`` None opens a new thread."""

    user_id: int
    text: str
    pipeline: str
    thread_id: UUID | None = None
    client_message_id: str | None = None
    priority: Priority = Priority.USER_MESSAGE
    if_busy: IfBusy = IfBusy.ENQUEUE
    time_zone: str = "UTC"

    def __repr__(self) -> str:
        # Without the text: what a user wrote must not get into a log.
        return f"MessageToAccept(user_id={self.user_id}, thread_id={self.thread_id})"


@dataclass(frozen=True, slots=True)
class Accepted:
    """Ids of what is durable now; ``queue_position`` is 0 for a run that may start at once."""

    message_id: UUID
    thread_id: UUID
    run_id: UUID
    queue_position: int
    duplicate: bool


class Acceptance:
    """Stores thread, message, run and first events in one transaction, and starts what may start."""

    def __init__(
        self,
        *,
        database: Database,
        announcer: Announcer,
        settings: ExecutionSettings,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._announcer = announcer
        self._settings = settings
        self._now = now

    async def accept(self, message: MessageToAccept) -> Accepted:
        """Make ``message`` durable; the same ``client_message_id`` again returns the same ids.

        Raises ProtocolViolation (thread_not_found, thread_busy, queue_full, idempotency_conflict)
        when it is refused, StorageUnavailableError when nothing could be stored.
        """
        async with self._database.pipelined() as connection:
            # The user's row is locked from here on: all that follows sees one state.
            accept_no = await _lock_user(connection, message.user_id)
            if message.client_message_id is not None:
                known = await _known(connection, message)
                if known is not None:
                    return known
            accepted, events = await self._store(connection, message, accept_no)
        self._announcer.events_committed(message.user_id, events)
        if accepted.queue_position == 0:
            self._announcer.work_available()
        return accepted

    async def _store(
        self, connection: Connection, message: MessageToAccept, accept_no: int
    ) -> tuple[Accepted, list[Event]]:
        now = self._now()
        message_id, run_id = uuid4(), uuid4()
        thread_id = await self._thread(connection, message)
        position = await self._position(connection, message, thread_id)
        await connection.execute(
            THREAD_QUERIES["insert_message"],
            {
                "message_id": message_id,
                "user_id": message.user_id,
                "thread_id": thread_id,
                "run_id": run_id,
                "role": MessageRole.USER,
                "content": message.text,
                "client_message_id": message.client_message_id,
                "created_at": now,
            },
        )
        await connection.execute(
            QUERIES["insert_run"],
            {
                "run_id": run_id,
                "user_id": message.user_id,
                "thread_id": thread_id,
                "message_id": message_id,
                "pipeline": message.pipeline,
                "priority": message.priority,
                "accept_no": accept_no,
                "time_zone": message.time_zone,
            },
        )
        created = ChatMessage(
            id=message_id, role=MessageRole.USER, content=message.text, created_at=now
        )
        drafts = [Draft(MessageCreated(message=created), thread_id, run_id, ts=now)]
        if position > 0:
            drafts.append(Draft(RunQueued(position=position), thread_id, run_id, ts=now))
        appending = await event_log.append(connection, message.user_id, drafts)
        await spawn_startable(connection, message.user_id, cap=self._settings.runs_per_user)
        accepted = Accepted(message_id, thread_id, run_id, position, duplicate=False)
        return accepted, await appending.events()

    async def _thread(self, connection: Connection, message: MessageToAccept) -> UUID:
        if message.thread_id is None:
            thread_id = uuid4()
            await connection.execute(
                THREAD_QUERIES["insert_thread"],
                {
                    "thread_id": thread_id,
                    "user_id": message.user_id,
                    "title": title_of(message.text),
                },
            )
            return thread_id
        if await thread_of_user(connection, message.user_id, message.thread_id) is None:
            raise ProtocolViolation(
                ErrorCode.THREAD_NOT_FOUND,
                "There is no such thread: leave thread_id out for a new one.",
            )
        await connection.execute(THREAD_QUERIES["touch_thread"], {"thread_id": message.thread_id})
        return message.thread_id

    async def _position(
        self, connection: Connection, message: MessageToAccept, thread_id: UUID
    ) -> int:
        """How many runs go before this one; 0 when it may start now."""
        cursor = await connection.execute(
            QUERIES["open_runs"],
            {"user_id": message.user_id, "thread_id": thread_id, "priority": message.priority},
        )
        row: dict[str, Any] = await cursor.fetchone() or {"active": 0, "in_thread": 0, "ahead": 0}
        if row["in_thread"] and message.if_busy is IfBusy.REJECT:
            raise ProtocolViolation(
                ErrorCode.THREAD_BUSY, "A run of this thread is not finished: wait, or use enqueue."
            )
        if row["in_thread"] == 0 and row["active"] < self._settings.runs_per_user:
            return 0
        if row["ahead"] >= self._settings.waiting_per_user:
            raise ProtocolViolation(
                ErrorCode.QUEUE_FULL,
                "Too many of your runs wait already: let some of them finish.",
                retry_after_ms=QUEUE_FULL_RETRY_MS,
            )
        return int(row["ahead"]) + 1


def title_of(text: str) -> str:
    """A thread's title: the first line of its first message, cut at a word."""
    line = " ".join(text.strip().split("\n", 1)[0].split())
    if len(line) <= TITLE_LENGTH:
        return line
    return line[:TITLE_LENGTH].rsplit(" ", 1)[0] + "…"


async def _lock_user(connection: Connection, user_id: int) -> int:
    cursor = await connection.execute(QUERIES["lock_user"], {"user_id": user_id})
    row = await cursor.fetchone()
    if row is None:
        raise RuntimeError("the user has no log: it is opened at the handshake")
    return int(row["accepted"])


async def _known(connection: Connection, message: MessageToAccept) -> Accepted | None:
    cursor = await connection.execute(
        QUERIES["message_by_client_id"],
        {"user_id": message.user_id, "client_message_id": message.client_message_id},
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    if row["content"] != message.text:
        raise ProtocolViolation(
            ErrorCode.IDEMPOTENCY_CONFLICT,
            "This client_message_id was used with another text: give each message its own.",
        )
    return Accepted(row["id"], row["thread_id"], row["run_id"], 0, duplicate=True)

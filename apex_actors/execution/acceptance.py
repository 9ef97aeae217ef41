"""Accepting a message: durable, once, and in its place, before anybody is told."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Final
from uuid import UUID, uuid4

from apex_actors.execution.admission import Admission
from apex_actors.execution.cancellation import (
    Stopped,
    run_of_user,
    stop_runs,
    unfinished_of_thread,
)
from apex_actors.execution.patience import patiently
from apex_actors.execution.publishing import Announcer
from apex_actors.execution.run_queue import NewRun, Priority, RunQueue
from apex_actors.execution.settings import ExecutionSettings
from apex_actors.execution.titles import title_of
from apex_actors.protocol.codes import ErrorCode
from apex_actors.protocol.events import Event
from apex_actors.protocol.messages import IfBusy
from apex_actors.protocol.payloads import (
    ChatMessage,
    MessageCreated,
    MessageRole,
    RunQueued,
    RunStatus,
)
from apex_actors.protocol.violation import ProtocolViolation
from apex_actors.storage import event_log
from apex_actors.storage.database import Connection, Database, Row
from apex_actors.storage.event_log import Draft, EventLog
from apex_actors.storage.runs import QUERIES, THREAD_QUERIES, lock_user, spawn_startable
from apex_actors.storage.threads import thread_of_user

#: How long a message is tried to be stored while the database is away, in seconds: a restart of a
#: connection passes unnoticed, and nobody waits for a server that is gone.
GIVE_UP_S: Final = 1.5


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
    time_zone: str | None = None
    """None: the one of the user's preferences, else UTC."""

    def __repr__(self) -> str:
        # Without the text: what a user wrote must not get into a log.
        return f"MessageToAccept(user_id={self.user_id}, thread_id={self.thread_id})"


@dataclass(frozen=True, slots=True)
class Accepted:
    """Ids of what is durable now.

    ``queue_position`` is the run's place among the user's waiting runs, from 1; 0 for a run that
    does not wait. ``duplicate``: the ids are those of an earlier request.
    """

    message_id: UUID
    thread_id: UUID
    run_id: UUID
    queue_position: int
    duplicate: bool


@dataclass(frozen=True, slots=True)
class _NewIds:
    """Known before anything is stored: by them it is found out whether a lost commit was one."""

    run_id: UUID = field(default_factory=uuid4)
    message_id: UUID = field(default_factory=uuid4)


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
        self._queue = RunQueue(settings)
        self._admission = Admission(settings)
        self._log = EventLog(database)
        self._now = now

    async def accept(self, message: MessageToAccept) -> Accepted:
        """Make ``message`` durable; the same ``client_message_id`` again returns the same ids.

        With ``if_busy: interrupt`` the thread's run at work gets a cancel, and an earlier interrupt
        that still waits for its place ends; the new run starts before all that waits. What waited
        for its turn in the thread goes on waiting.

        Raises ProtocolViolation (thread_not_found, thread_busy, too_many_runs, queue_full,
        idempotency_conflict) when it is refused, StorageUnavailableError when nothing could be
        stored within GIVE_UP_S of the first failure.
        """
        ids = _NewIds()
        return await self._patiently(message.user_id, ids, partial(self._accept, message, ids))

    async def retry(self, user_id: int, run_id: UUID) -> Accepted:
        """Make a new run on the message of ``run_id``, which has ended and did not complete.

        The message stands already, so the new run has no ``message_created`` of its own: it begins
        with ``run_queued`` where it waits, else with ``agent_started``. Its pipeline, time zone and
        priority are those of the old one (an interrupt has nothing left to interrupt, and becomes
        a user message). Asked again while a later run of the message is unfinished, or when one
        has completed, the ids of that run are returned: retries at once make one run.

        Raises ProtocolViolation: run_not_found alike for another's and for none, invalid_message
        for a run that completed, thread_busy for one that is not finished, queue_full;
        StorageUnavailableError when nothing could be stored within GIVE_UP_S of the first failure.
        """
        ids = _NewIds()
        return await self._patiently(user_id, ids, partial(self._retry, user_id, run_id, ids))

    async def _patiently(
        self, user_id: int, ids: _NewIds, store: Callable[[], Awaitable[Accepted]]
    ) -> Accepted:
        async def attempt(outcome_unknown: bool) -> Accepted:  # noqa: FBT001 - as patiently calls it
            stored = await self._stored(user_id, ids) if outcome_unknown else None
            return stored or await store()

        with self._admission.turn():
            return await patiently("an acceptance", attempt, give_up_s=GIVE_UP_S)

    async def _stored(self, user_id: int, ids: _NewIds) -> Accepted | None:
        """What an earlier attempt has stored, of whose commit nothing was heard; announced now."""
        async with self._database.transaction() as connection:
            # The server may still be at that commit: it holds the user's row until it is through.
            await lock_user(connection, user_id)
            cursor = await connection.execute(QUERIES["stored_run"], {"run_id": ids.run_id})
            row = await cursor.fetchone()
            if row is None:
                return None
            position = await self._queue.place_of(connection, ids.run_id)
        # What else the commit said is read by whoever finds these behind a gap.
        events = await self._log.read_run(ids.run_id)
        if events:
            self._announcer.events_committed(user_id, events)
        self._announcer.work_available()
        return Accepted(row["message_id"], row["thread_id"], ids.run_id, position, duplicate=False)

    async def _accept(self, message: MessageToAccept, ids: _NewIds) -> Accepted:
        async with self._database.pipelined() as connection:
            # The user's row is locked from here on: all that follows sees one state.
            accept_no = await _take_accept_no(connection, message.user_id)
            if message.client_message_id is not None:
                known = await self._known(connection, message)
                if known is not None:
                    return known
            await self._admission.check(connection)
            thread_id = await self._thread(connection, message)
            interrupted = await _interrupt(connection, message, thread_id)
            accepted, events = await self._store(connection, message, thread_id, accept_no, ids)
        self._announcer.events_committed(message.user_id, [*interrupted.events, *events])
        if accepted.queue_position == 0 or interrupted.any_running:
            self._announcer.work_available()
        return accepted

    async def _retry(self, user_id: int, run_id: UUID, ids: _NewIds) -> Accepted:
        async with self._database.pipelined() as connection:
            accept_no = await _take_accept_no(connection, user_id)
            run = await run_of_user(connection, user_id, run_id)
            _refuse_retry(RunStatus(run["status"]))
            later = await self._later_attempt(connection, run)
            if later is not None:
                return later
            await self._admission.check(connection)
            new_run = NewRun(
                user_id=user_id,
                run_id=ids.run_id,
                thread_id=run["thread_id"],
                message_id=run["message_id"],
                pipeline=run["pipeline"],
                priority=_priority_of_retry(run["priority"]),
                accept_no=accept_no,
                time_zone=run["time_zone"],
            )
            position = await self._queue.enter(connection, new_run, if_busy=IfBusy.ENQUEUE)
            await connection.execute(
                THREAD_QUERIES["touch_thread"], {"thread_id": new_run.thread_id}
            )
            events: list[Event] = []
            if position > 0:
                queued = Draft(RunQueued(position=position), new_run.thread_id, new_run.run_id)
                appending = await event_log.append(connection, user_id, [queued])
                events = await appending.events()
            await spawn_startable(connection, user_id, cap=self._settings.runs_per_user)
        if events:
            self._announcer.events_committed(user_id, events)
        if position == 0:
            self._announcer.work_available()
        return Accepted(
            new_run.message_id, new_run.thread_id, new_run.run_id, position, duplicate=False
        )

    async def _store(
        self,
        connection: Connection,
        message: MessageToAccept,
        thread_id: UUID,
        accept_no: int,
        ids: _NewIds,
    ) -> tuple[Accepted, list[Event]]:
        now = self._now()
        message_id = ids.message_id
        run = NewRun(
            user_id=message.user_id,
            run_id=ids.run_id,
            thread_id=thread_id,
            message_id=message_id,
            pipeline=message.pipeline,
            priority=_priority_of(message),
            accept_no=accept_no,
            time_zone=message.time_zone,
        )
        await connection.execute(
            THREAD_QUERIES["insert_message"],
            {
                "message_id": message_id,
                "user_id": message.user_id,
                "thread_id": thread_id,
                "run_id": run.run_id,
                "role": MessageRole.USER,
                "content": message.text,
                "client_message_id": message.client_message_id,
                "created_at": now,
            },
        )
        position = await self._queue.enter(connection, run, if_busy=message.if_busy)
        created = ChatMessage(
            id=message_id, role=MessageRole.USER, content=message.text, created_at=now
        )
        drafts = [Draft(MessageCreated(message=created), thread_id, run.run_id, ts=now)]
        if position > 0:
            drafts.append(Draft(RunQueued(position=position), thread_id, run.run_id, ts=now))
        appending = await event_log.append(connection, message.user_id, drafts)
        await spawn_startable(connection, message.user_id, cap=self._settings.runs_per_user)
        accepted = Accepted(message_id, thread_id, run.run_id, position, duplicate=False)
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

    async def _later_attempt(self, connection: Connection, run: Row) -> Accepted | None:
        """The run that an earlier retry has made, unless that one did not complete either."""
        cursor = await connection.execute(
            QUERIES["later_attempt_at_message"], {"run_id": run["run_id"]}
        )
        row = await cursor.fetchone()
        if row is None:
            return None
        position = await self._queue.place_of(connection, row["run_id"])
        return Accepted(
            run["message_id"], run["thread_id"], row["run_id"], position, duplicate=True
        )

    async def _known(self, connection: Connection, message: MessageToAccept) -> Accepted | None:
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
        position = await self._queue.place_of(connection, row["run_id"])
        return Accepted(row["id"], row["thread_id"], row["run_id"], position, duplicate=True)


def _priority_of(message: MessageToAccept) -> Priority:
    return Priority.INTERRUPT if message.if_busy is IfBusy.INTERRUPT else message.priority


def _priority_of_retry(priority: int) -> Priority:
    return Priority.USER_MESSAGE if priority == Priority.INTERRUPT else Priority(priority)


def _refuse_retry(status: RunStatus) -> None:
    if status is RunStatus.COMPLETED:
        raise ProtocolViolation(
            ErrorCode.INVALID_MESSAGE,
            "This run has completed: only one that did not can be tried again.",
            details={"field": "run_id"},
        )
    if not status.is_terminal:
        raise ProtocolViolation(
            ErrorCode.THREAD_BUSY, "This run is not finished: wait for its end, or cancel it first."
        )


async def _take_accept_no(connection: Connection, user_id: int) -> int:
    cursor = await connection.execute(QUERIES["take_accept_no"], {"user_id": user_id})
    row = await cursor.fetchone()
    if row is None:
        raise RuntimeError("the user has no log: it is opened at the handshake")
    return int(row["accepted"])


async def _interrupt(connection: Connection, message: MessageToAccept, thread_id: UUID) -> Stopped:
    """Cancel what the message takes the place of, if it interrupts."""
    if message.if_busy is not IfBusy.INTERRUPT or message.thread_id is None:
        return Stopped([], any_running=False)
    rows = await unfinished_of_thread(connection, message.user_id, thread_id)
    run_ids = [
        row["run_id"]
        for row in rows
        if row["status"] != RunStatus.WAITING or row["priority"] == Priority.INTERRUPT
    ]
    return await stop_runs(connection, message.user_id, run_ids)

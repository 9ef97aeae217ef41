"""Threads and messages, and what a client needs to draw a thread again."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from apex_actors.protocol.events import Event
from apex_actors.storage.database import Connection, Database
from apex_actors.storage.event_log import event_from_row
from apex_actors.storage.sql import load_queries

QUERIES = load_queries("threads")


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a thread."""

    id: UUID
    role: str
    content: str
    created_at: datetime
    run_id: UUID


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run of a thread with its events so far, in order."""

    run_id: UUID
    status: str
    partial: bool
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class ThreadHistory:
    """A page of a thread: messages oldest first, the runs that they belong to, and the log's end.

    ``seq`` is read before the rest: whoever follows the log from there misses nothing.
    """

    thread_id: UUID
    messages: tuple[Message, ...]
    runs: tuple[RunRecord, ...]
    seq: int


class ThreadStore:
    """Reading side of threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def history(
        self, user_id: int, thread_id: UUID, *, limit: int, before: UUID | None
    ) -> ThreadHistory | None:
        """The latest ``limit`` messages before message ``before``; None: no such thread of theirs."""
        # One snapshot for all four reads, so that messages, runs and position fit together.
        async with self._database.transaction() as connection:
            await connection.execute("set transaction isolation level repeatable read, read only")
            if await thread_of_user(connection, user_id, thread_id) is None:
                return None
            cursor = await connection.execute(
                "select seq from apex.users where id = %s", (user_id,)
            )
            position = await cursor.fetchone()
            cursor = await connection.execute(
                QUERIES["recent_messages"],
                {"thread_id": thread_id, "before": before, "limit": limit},
            )
            rows = await cursor.fetchall()
            messages = tuple(Message(**row) for row in reversed(rows))
            runs = await _runs(connection, [message.run_id for message in messages])
        return ThreadHistory(thread_id, messages, runs, position["seq"] if position else 0)


async def thread_of_user(
    connection: Connection, user_id: int, thread_id: UUID
) -> dict[str, Any] | None:
    """The thread's row if it is this user's; None alike for another's and for none."""
    cursor = await connection.execute(
        QUERIES["thread_of_user"], {"thread_id": thread_id, "user_id": user_id}
    )
    return await cursor.fetchone()


async def _runs(connection: Connection, run_ids: list[UUID]) -> tuple[RunRecord, ...]:
    cursor = await connection.execute(QUERIES["runs_of_messages"], {"run_ids": run_ids})
    rows = await cursor.fetchall()
    cursor = await connection.execute(QUERIES["events_of_runs"], {"run_ids": run_ids})
    events: dict[UUID, list[Event]] = {row["run_id"]: [] for row in rows}
    for row in await cursor.fetchall():
        events[row["run_id"]].append(event_from_row(row))
    return tuple(
        RunRecord(row["run_id"], row["status"], row["partial"], tuple(events[row["run_id"]]))
        for row in rows
    )

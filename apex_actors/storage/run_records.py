"""What is known of runs, with their events: all that somebody who comes late needs to draw them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from apex_actors.protocol.events import Event
from apex_actors.storage.database import Connection, Database, Row
from apex_actors.storage.event_log import event_from_row
from apex_actors.storage.sql import load_queries

QUERIES = load_queries("threads")


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run with its events so far, in order; ``error`` is JSON-ready."""

    run_id: UUID
    thread_id: UUID
    message_id: UUID
    status: str
    partial: bool
    accepted_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: dict[str, Any] | None
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class RunSnapshot:
    """A run as of one position of its user's log: events up to ``seq`` are in it."""

    run: RunRecord
    seq: int


class RunRecords:
    """Reading side of runs, for those who draw them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_user(self, user_id: int, run_id: UUID) -> RunSnapshot | None:
        """The run, from one snapshot of the database; None: the user has no such run.

        None alike for another's, for none, and for one whose thread is being deleted.
        """
        async with self._database.transaction() as connection:
            await connection.execute("set transaction isolation level repeatable read, read only")
            cursor = await connection.execute(
                QUERIES["run_of_user"], {"user_id": user_id, "run_id": run_id}
            )
            row = await cursor.fetchone()
            if row is None:
                return None
            [run] = await _with_events(connection, [row])
            return RunSnapshot(run, await end_of_log(connection, user_id))


async def runs_of_messages(
    connection: Connection, message_ids: Sequence[UUID], run_ids: Sequence[UUID]
) -> tuple[RunRecord, ...]:
    """All runs on these messages, with later tries, and these runs; in the order of acceptance."""
    cursor = await connection.execute(
        QUERIES["runs_of_messages"], {"message_ids": list(message_ids), "run_ids": list(run_ids)}
    )
    return await _with_events(connection, await cursor.fetchall())


async def end_of_log(connection: Connection, user_id: int) -> int:
    """The number of the user's last event."""
    cursor = await connection.execute(QUERIES["end_of_log"], {"user_id": user_id})
    row = await cursor.fetchone()
    return 0 if row is None else int(row["seq"])


async def _with_events(connection: Connection, rows: Sequence[Row]) -> tuple[RunRecord, ...]:
    events: dict[UUID, list[Event]] = {row["run_id"]: [] for row in rows}
    cursor = await connection.execute(QUERIES["events_of_runs"], {"run_ids": list(events)})
    for row in await cursor.fetchall():
        events[row["run_id"]].append(event_from_row(row))
    return tuple(RunRecord(**row, events=tuple(events[row["run_id"]])) for row in rows)

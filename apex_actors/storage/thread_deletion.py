"""Removing a thread with all that belongs to it, batch by batch, from under its user's lock."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple
from uuid import UUID

from apex_actors.storage.database import Connection, Database
from apex_actors.storage.sql import load_queries

QUERIES = load_queries("threads")
SESSION_QUERIES = load_queries("sessions")

#: Events that one transaction redacts, and runs or messages that it deletes: a few tens of
#: milliseconds each, for which nothing else of the user can be stored.
EVENT_BATCH: Final = 500
ROW_BATCH: Final = 100


@dataclass(frozen=True, slots=True)
class DoomedThread:
    """A thread that is asked to be deleted."""

    user_id: int
    thread_id: UUID


async def request(connection: Connection, doomed: DoomedThread) -> bool:
    """Hide the thread from now on, also from the user's session; False: there is no such thread.

    The user's row must be locked.
    """
    arguments = {"user_id": doomed.user_id, "thread_id": doomed.thread_id}
    cursor = await connection.execute(QUERIES["request_deletion"], arguments)
    if await cursor.fetchone() is None:
        return False
    await connection.execute(SESSION_QUERIES["leave_thread"], arguments)
    return True


async def find_due(
    database: Database, *, limit: int, left_out: Sequence[UUID] = ()
) -> list[DoomedThread]:
    """Threads that can be removed now, those asked for first before the others."""
    async with database.connection() as connection:
        cursor = await connection.execute(
            QUERIES["threads_to_delete"], {"limit": limit, "left_out": list(left_out)}
        )
        return [DoomedThread(**row) for row in await cursor.fetchall()]


async def is_due(connection: Connection, doomed: DoomedThread) -> bool:
    """Whether it is there, asked to be deleted, and idle. The user's row must be locked."""
    cursor = await connection.execute(
        QUERIES["deletion_is_due"], {"user_id": doomed.user_id, "thread_id": doomed.thread_id}
    )
    return await cursor.fetchone() is not None


class Removed(NamedTuple):
    """What one transaction has removed."""

    run_ids: tuple[UUID, ...]
    is_all: bool
    """Nothing is left, and the thread is gone."""


async def remove_batch(connection: Connection, doomed: DoomedThread) -> Removed:
    """Remove what fits into one transaction.

    Redacts its events, and deletes error reports and durable tasks of its runs, the runs with
    their steps and results, and the messages. The user's row must be locked, and ``is_due`` true.
    """
    thread = {"thread_id": doomed.thread_id}
    # Some runs at a time, gone once their events are: what is done is not looked at again.
    cursor = await connection.execute(QUERIES["doomed_runs"], thread | {"limit": ROW_BATCH})
    runs = await cursor.fetchall()
    run_ids = [row["run_id"] for row in runs]
    cursor = await connection.execute(
        QUERIES["redact_events"],
        thread | {"user_id": doomed.user_id, "run_ids": run_ids, "limit": EVENT_BATCH},
    )
    if cursor.rowcount >= EVENT_BATCH:
        return Removed((), is_all=False)
    if runs:
        task_ids = [row["task_id"] for row in runs if row["task_id"] is not None]
        await connection.execute(QUERIES["delete_error_reports"], {"run_ids": run_ids})
        await connection.execute(QUERIES["delete_tasks"], {"task_ids": task_ids})
        await connection.execute(QUERIES["delete_runs"], {"run_ids": run_ids})
    if len(runs) >= ROW_BATCH:
        return Removed(tuple(run_ids), is_all=False)
    cursor = await connection.execute(QUERIES["delete_messages"], thread | {"limit": ROW_BATCH})
    if cursor.rowcount >= ROW_BATCH:
        return Removed(tuple(run_ids), is_all=False)
    await connection.execute(QUERIES["delete_thread"], thread)
    return Removed(tuple(run_ids), is_all=True)

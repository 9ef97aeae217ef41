"""Asking runs to stop: durable before anybody is told, and without touching what a worker holds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from apex_actors.execution.publishing import Announcer
from apex_actors.execution.settings import ExecutionSettings
from apex_actors.protocol.codes import ErrorCode
from apex_actors.protocol.events import Event
from apex_actors.protocol.payloads import RunFinished, RunStatus
from apex_actors.protocol.violation import ProtocolViolation
from apex_actors.storage import event_log
from apex_actors.storage.database import Connection, Database, Row
from apex_actors.storage.event_log import Draft
from apex_actors.storage.runs import QUERIES, cancel_runs, lock_user, spawn_startable
from apex_actors.storage.threads import thread_of_user


@dataclass(frozen=True, slots=True)
class CancelOutcome:
    """Where a run stands after it was asked to stop."""

    run_id: UUID
    status: RunStatus
    """As of the commit: ``cancelled`` for a run that waited, and so ended with it."""
    cancelling: bool
    """Whether its ``run_finished`` follows, or has come with this request; False: it had ended
    before, and the request has changed nothing."""


class Stopped(NamedTuple):
    """What asking some runs to stop has come to, inside a transaction."""

    events: list[Event]
    """``run_finished`` of those that waited: to be announced after the commit."""
    any_running: bool
    """Whether a worker has, or will get, one that it must end: wake it after the commit."""


class Cancellation:
    """Asks for the end of runs.

    A run that waits ends in the transaction of the request: ``run_finished`` alone. One that has
    a durable task gets a mark on its row, and its worker a wake; the worker, or whoever takes the
    run over, stops the work, closes what is open and ends it. Until then it may still complete:
    whichever transaction locks the user's row first wins.
    """

    def __init__(
        self, *, database: Database, announcer: Announcer, settings: ExecutionSettings
    ) -> None:
        self._database = database
        self._announcer = announcer
        self._settings = settings

    async def cancel_run(self, user_id: int, run_id: UUID) -> CancelOutcome:
        """Ask for the end of a run.

        Raises ProtocolViolation (run_not_found, alike for another's and for none), and
        StorageUnavailableError when the request could not be stored.
        """
        async with self._database.pipelined() as connection:
            await lock_user(connection, user_id)
            run = await run_of_user(connection, user_id, run_id)
            if RunStatus(run["status"]).is_terminal:
                return CancelOutcome(run_id, RunStatus(run["status"]), cancelling=False)
            stopped, started = await self._stop(connection, user_id, [run_id])
        self._announce(user_id, stopped, started)
        return CancelOutcome(run_id, _status_after(run), cancelling=True)

    async def cancel_thread(self, user_id: int, thread_id: UUID) -> tuple[CancelOutcome, ...]:
        """Ask for the end of ALL unfinished runs of a thread: the one at work and those that wait.

        The one at work comes first, then those that waited in the order accepted. Where all have
        ended already: the latest of them, not ``cancelling``; empty for a thread without runs.
        Raises ProtocolViolation (thread_not_found, alike for another's and for none).
        """
        async with self._database.pipelined() as connection:
            await lock_user(connection, user_id)
            if await thread_of_user(connection, user_id, thread_id) is None:
                raise ProtocolViolation(ErrorCode.THREAD_NOT_FOUND, "There is no such thread.")
            rows = await unfinished_of_thread(connection, user_id, thread_id)
            if not rows:
                return await _latest_of_thread(connection, user_id, thread_id)
            run_ids = [row["run_id"] for row in rows]
            stopped, started = await self._stop(connection, user_id, run_ids)
        self._announce(user_id, stopped, started)
        outcomes = [
            CancelOutcome(row["run_id"], _status_after(row), cancelling=True) for row in rows
        ]
        return tuple(sorted(outcomes, key=lambda outcome: outcome.status.is_terminal))

    async def cancel_all_of_thread(
        self, connection: Connection, user_id: int, thread_id: UUID
    ) -> Stopped:
        """As ``cancel_thread``, inside a transaction that holds the user's lock.

        After the commit the caller announces the events, and ``work_available`` where
        ``any_running``. Nothing is started in the place of what ends: what waits behind a run at
        work starts with that one's end.
        """
        rows = await unfinished_of_thread(connection, user_id, thread_id)
        return await stop_runs(connection, user_id, [row["run_id"] for row in rows])

    async def _stop(
        self, connection: Connection, user_id: int, run_ids: Sequence[UUID]
    ) -> tuple[Stopped, list[UUID]]:
        """And start what may start: what an earlier end may have missed."""
        stopped = await stop_runs(connection, user_id, run_ids)
        started = await spawn_startable(connection, user_id, cap=self._settings.runs_per_user)
        return stopped, started

    def _announce(self, user_id: int, stopped: Stopped, started: Sequence[UUID]) -> None:
        if stopped.events:
            self._announcer.events_committed(user_id, stopped.events)
        if stopped.any_running or started:
            self._announcer.work_available()


async def stop_runs(connection: Connection, user_id: int, run_ids: Iterable[UUID]) -> Stopped:
    """Ask for the end of these runs of the user, whose row must be locked; finished ones stay."""
    cancelled = await cancel_runs(connection, user_id, run_ids)
    if not cancelled.ended:
        return Stopped([], bool(cancelled.marked))
    finished = RunFinished(status=RunStatus.CANCELLED, partial=False)
    drafts = [Draft(finished, thread_id, run_id) for run_id, thread_id in cancelled.ended]
    appending = await event_log.append(connection, user_id, drafts)
    return Stopped(await appending.events(), bool(cancelled.marked))


async def run_of_user(connection: Connection, user_id: int, run_id: UUID) -> Row:
    """The run's row if it is this user's; raises ProtocolViolation (run_not_found) if not."""
    cursor = await connection.execute(
        QUERIES["run_of_user"], {"user_id": user_id, "run_id": run_id}
    )
    row = await cursor.fetchone()
    if row is None:
        raise ProtocolViolation(ErrorCode.RUN_NOT_FOUND, "There is no such run.")
    return row


async def unfinished_of_thread(connection: Connection, user_id: int, thread_id: UUID) -> list[Row]:
    """``run_id``, ``status`` and ``priority`` of the thread's unfinished runs, as accepted."""
    cursor = await connection.execute(
        QUERIES["unfinished_of_thread"], {"user_id": user_id, "thread_id": thread_id}
    )
    return await cursor.fetchall()


async def _latest_of_thread(
    connection: Connection, user_id: int, thread_id: UUID
) -> tuple[CancelOutcome, ...]:
    cursor = await connection.execute(
        QUERIES["latest_of_thread"], {"user_id": user_id, "thread_id": thread_id}
    )
    return tuple(
        CancelOutcome(row["run_id"], RunStatus(row["status"]), cancelling=False)
        for row in await cursor.fetchall()
    )


def _status_after(row: Row) -> RunStatus:
    """Where an unfinished run stands once it was asked to stop."""
    status = RunStatus(row["status"])
    return RunStatus.CANCELLED if status is RunStatus.WAITING else status

"""The unfinished runs of a user: which may start, which wait, and where each of those stands."""

from dataclasses import asdict, dataclass
from enum import IntEnum
from uuid import UUID

from apex_actors.execution.settings import ExecutionSettings
from apex_actors.protocol.codes import ErrorCode
from apex_actors.protocol.messages import IfBusy
from apex_actors.protocol.violation import ProtocolViolation
from apex_actors.storage.database import Connection
from apex_actors.storage.runs import QUERIES

#: What a client is told to wait for one of its runs to end, in milliseconds: about a run's time.
RUN_OVER_RETRY_MS = 2_000


class Priority(IntEnum):
    """Smaller goes first among the waiting runs of a user; equals go in the order accepted."""

    INTERRUPT = -1
    """Takes the place of the run that it cancels, before all that waits."""
    START_AGENT = 0
    USER_MESSAGE = 1


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run that is to wait or to start; ``accept_no`` is its number in the order accepted."""

    user_id: int
    run_id: UUID
    thread_id: UUID
    message_id: UUID
    pipeline: str
    priority: Priority
    accept_no: int
    time_zone: str | None


class RunQueue:
    """Every method needs a transaction that holds the lock on the user's row."""

    def __init__(self, settings: ExecutionSettings) -> None:
        self._settings = settings

    async def enter(self, connection: Connection, run: NewRun, *, if_busy: IfBusy) -> int:
        """Store ``run``; returns its place among the user's waiting runs, 0 when it may start now.

        Raises ProtocolViolation (thread_busy, too_many_runs, queue_full) when it finds no place.
        """
        position = await self._find_place(connection, run, if_busy)
        await connection.execute(QUERIES["insert_run"], asdict(run))
        return position

    async def place_of(self, connection: Connection, run_id: UUID) -> int:
        """The place of a stored run among the user's waiting ones, 0 when it does not wait."""
        cursor = await connection.execute(QUERIES["queue_position"], {"run_id": run_id})
        row = await cursor.fetchone()
        return 0 if row is None else int(row["position"])

    async def _find_place(self, connection: Connection, run: NewRun, if_busy: IfBusy) -> int:
        cursor = await connection.execute(
            QUERIES["open_runs"],
            {"user_id": run.user_id, "thread_id": run.thread_id, "priority": run.priority},
        )
        # An aggregate without groups always has its row.
        [row] = await cursor.fetchall()
        if row["in_thread"] == 0 and row["active"] < self._settings.runs_per_user:
            return 0
        if if_busy is IfBusy.REJECT:
            raise _busy_thread() if row["in_thread"] else _too_many_runs()
        if row["waiting"] >= self._settings.waiting_per_user:
            raise ProtocolViolation(
                ErrorCode.QUEUE_FULL,
                "Too many of your runs wait already: let some of them finish.",
                retry_after_ms=RUN_OVER_RETRY_MS,
            )
        return int(row["ahead"]) + 1


def _busy_thread() -> ProtocolViolation:
    return ProtocolViolation(
        ErrorCode.THREAD_BUSY, "A run of this thread is not finished: wait, or use enqueue."
    )


def _too_many_runs() -> ProtocolViolation:
    return ProtocolViolation(
        ErrorCode.TOO_MANY_RUNS,
        "As many of your runs are under way as may be: wait for one, or use enqueue.",
        retry_after_ms=RUN_OVER_RETRY_MS,
    )

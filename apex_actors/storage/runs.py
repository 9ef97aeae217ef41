"""Runs: claims and leases, and the writes that a run's transactions are made of.

A ``Write`` is one change of a run, applied inside the transaction that also appends the events
which tell of it, so that neither is ever there without the other.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

from psycopg import AsyncCursor

from apex_actors.protocol.payloads import AgentName, AgentStatus, RunStatus
from apex_actors.storage.database import Connection, Database, Row
from apex_actors.storage.errors import LeaseLostError, StorageError
from apex_actors.storage.scrubbing import scrubbed
from apex_actors.storage.sql import load_queries

QUERIES = load_queries("runs")
THREAD_QUERIES = load_queries("threads")

#: So much of an error's message and of its stack is stored, in characters.
MESSAGE_CHARS: Final = 1_000
STACK_CHARS: Final = 20_000


@dataclass(frozen=True, slots=True)
class Claim:
    """A lease on a run: ``fence_id`` proves it in each transaction."""

    run_id: UUID
    fence_id: UUID
    lost: int
    """How many leases on it before this one have ended by themselves, with their workers or
    engines: those that were given back are not among them."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it was accepted."""

    run_id: UUID
    user_id: int
    org: str
    sub: str
    thread_id: UUID
    message_id: UUID
    question: str
    pipeline: str
    time_zone: str
    status: str
    attempt: int
    accepted_at: datetime
    started_at: datetime | None
    cancel_requested: bool
    """Whether it carries the mark: whoever holds it has to end it as cancelled."""

    def __repr__(self) -> str:
        # Without the question: what a user wrote must not get into a log.
        return f"Run(run_id={self.run_id}, status={self.status!r})"


@dataclass(frozen=True, slots=True)
class StepRecord:
    """The stored outcome of one step; ``result`` is JSON-ready."""

    step: int
    agent: AgentName
    status: AgentStatus
    result: Mapping[str, Any]
    duration_ms: int


@dataclass(frozen=True, slots=True)
class StoredResult:
    """What a run answered; ``content`` and ``report`` are None while there is no answer."""

    run_id: UUID
    thread_id: UUID
    status: str
    partial: bool
    finished_at: datetime | None
    content: str | None
    report: Mapping[str, Any] | None


class Write(Protocol):
    """One change of a run inside a transaction."""

    async def apply(self, connection: Connection) -> None: ...


@dataclass(frozen=True, slots=True)
class StartAttempt:
    """The run is being worked on."""

    run_id: UUID
    attempt: int

    async def apply(self, connection: Connection) -> None:
        await connection.execute(
            QUERIES["start_attempt"], {"run_id": self.run_id, "attempt": self.attempt}
        )


@dataclass(frozen=True, slots=True)
class StoreStep:
    """A step is done; its key (run, step) lets it be stored once only."""

    run_id: UUID
    attempt: int
    record: StepRecord

    async def apply(self, connection: Connection) -> None:
        await connection.execute(
            QUERIES["insert_step_result"],
            {
                "run_id": self.run_id,
                "attempt": self.attempt,
                "step": self.record.step,
                "agent": self.record.agent,
                "status": self.record.status,
                "result": json.dumps(self.record.result),
                "duration_ms": self.record.duration_ms,
            },
        )


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """The assistant's message and the structured report behind it."""

    run_id: UUID
    user_id: int
    thread_id: UUID
    message_id: UUID
    content: str
    report: Mapping[str, Any]
    created_at: datetime

    async def apply(self, connection: Connection) -> None:
        await connection.execute(
            THREAD_QUERIES["insert_message"],
            {
                "message_id": self.message_id,
                "user_id": self.user_id,
                "thread_id": self.thread_id,
                "run_id": self.run_id,
                "role": "assistant",
                "content": self.content,
                "client_message_id": None,
                "created_at": self.created_at,
            },
        )
        await connection.execute(
            QUERIES["insert_result"],
            {"run_id": self.run_id, "content": self.content, "report": json.dumps(self.report)},
        )
        await connection.execute(THREAD_QUERIES["touch_thread"], {"thread_id": self.thread_id})


@dataclass(frozen=True, slots=True)
class StoreErrorReport:
    """What went wrong, for the operator; secrets in ``message`` and ``stack`` are not stored."""

    id: UUID
    user_id: int
    run_id: UUID
    kind: str
    message: str
    stack: str
    context: Mapping[str, Any]

    async def apply(self, connection: Connection) -> None:
        await connection.execute(
            QUERIES["insert_error_report"],
            {
                "id": self.id,
                "user_id": self.user_id,
                "run_id": self.run_id,
                "kind": self.kind,
                "message": _storable(scrubbed(self.message, max_chars=MESSAGE_CHARS)),
                "stack": _storable(scrubbed(self.stack, max_chars=STACK_CHARS)),
                "context": json.dumps(self.context),
            },
        )


@dataclass(frozen=True, slots=True)
class EndRun:
    """The run's one terminal state; completes its task and starts what waited behind it."""

    run_id: UUID
    user_id: int
    fence_id: UUID
    status: RunStatus
    partial: bool
    error: Mapping[str, Any] | None
    cap: int

    async def apply(self, connection: Connection) -> None:
        await connection.execute(
            QUERIES["end_run"],
            {
                "run_id": self.run_id,
                "status": self.status,
                "partial": self.partial,
                "error": None if self.error is None else json.dumps(self.error),
            },
        )
        await connection.execute(QUERIES["complete_task"], {"fence_id": self.fence_id})
        await spawn_startable(connection, self.user_id, cap=self.cap)


class Fence:
    """The claim, being locked for this transaction."""

    def __init__(self, cursor: AsyncCursor[Row]) -> None:
        self._cursor = cursor

    async def held(self) -> None:
        """Wait for the lock; raises LeaseLostError when the claim is no longer ours."""
        if await self._cursor.fetchone() is None:
            raise LeaseLostError("the lease on this run has ended: another worker may have it")


async def lease_is_lost(database: Database, fence_id: UUID) -> bool:
    """Whether the claim is no longer ours: then whatever a transaction of it failed with follows."""
    async with database.transaction() as connection:
        try:
            await (await hold_fence(connection, fence_id)).held()
        except LeaseLostError:
            return True
    return False


async def hold_fence(connection: Connection, fence_id: UUID) -> Fence:
    """Lock the claim for this transaction; what it came to is known after ``Fence.held``."""
    return Fence(await connection.execute(QUERIES["hold_fence"], {"fence_id": fence_id}))


async def lock_user(connection: Connection, user_id: int) -> None:
    """Lock the user's row: what this transaction reads next of the user's runs stays so."""
    await connection.execute(QUERIES["lock_user"], {"user_id": user_id})


async def spawn_startable(connection: Connection, user_id: int, *, cap: int) -> list[UUID]:
    """Give a durable task to each waiting run that may start; the user's row must be locked."""
    cursor = await connection.execute(QUERIES["startable_runs"], {"user_id": user_id, "cap": cap})
    run_ids = [row["id"] for row in await cursor.fetchall()]
    for run_id in run_ids:
        await connection.execute(QUERIES["spawn_run"], {"run_id": run_id})
    return run_ids


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What asking some runs to stop has come to, in the order in which they were accepted."""

    ended: tuple[tuple[UUID, UUID], ...]
    """Run and thread of each that waited: their rows are terminal, ``run_finished`` is not said."""
    marked: tuple[UUID, ...]
    """Those that a worker has or will get, and ends."""


async def cancel_runs(connection: Connection, user_id: int, run_ids: Iterable[UUID]) -> Cancelled:
    """Ask for an end of these runs of the user, whose row must be locked; finished ones stay.

    The caller says ``run_finished`` of those that ended, in the same transaction.
    """
    cursor = await connection.execute(
        QUERIES["cancel_runs"], {"user_id": user_id, "run_ids": list(run_ids)}
    )
    rows = sorted(await cursor.fetchall(), key=lambda row: row["accept_no"])
    return Cancelled(
        ended=tuple(
            (row["run_id"], row["thread_id"])
            for row in rows
            if row["status"] == RunStatus.CANCELLED
        ),
        marked=tuple(row["run_id"] for row in rows if row["status"] != RunStatus.CANCELLED),
    )


class RunStore:
    """Claims, leases and stored results."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, worker: str, *, quantity: int, lease_s: int) -> list[Claim]:
        """Take up to ``quantity`` tasks that nobody holds, for ``lease_s`` seconds."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                QUERIES["claim_tasks"],
                {"worker": worker, "quantity": quantity, "lease_s": lease_s},
            )
            return [Claim(**row) for row in await cursor.fetchall()]

    async def extend(self, fence_ids: Iterable[UUID], *, lease_s: int) -> set[UUID]:
        """Extend the leases; returns those that still are ours."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                QUERIES["extend_leases"], {"fence_ids": list(fence_ids), "lease_s": lease_s}
            )
            return {row["fence_id"] for row in await cursor.fetchall()}

    async def marked(self, run_ids: Iterable[UUID]) -> set[UUID]:
        """Those of these unfinished runs that somebody wants stopped."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(QUERIES["runs_with_mark"], {"run_ids": list(run_ids)})
            return {row["run_id"] for row in await cursor.fetchall()}

    async def release(self, claims: Iterable[Claim]) -> set[UUID]:
        """Give these tasks back, so that another worker gets them at once.

        None of them counts as lost. Returns the fences of those that still were ours; raises
        StorageError where it is not known of some, and the rest are given back.
        """
        claims = list(claims)
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                QUERIES["users_of_runs"], {"run_ids": [claim.run_id for claim in claims]}
            )
            users = {row["run_id"]: row["user_id"] for row in await cursor.fetchall()}
        of_user: dict[int, list[Claim]] = {}
        for claim in claims:
            if claim.run_id in users:
                of_user.setdefault(users[claim.run_id], []).append(claim)
        released: set[UUID] = set()
        failure: StorageError | None = None
        # One transaction a user: nobody's lock keeps the runs of others back.
        for user_id, own in of_user.items():
            try:
                released |= await self._release(user_id, own)
            except StorageError as error:
                failure = error
        if failure is not None:
            raise failure
        return released

    async def _release(self, user_id: int, claims: Sequence[Claim]) -> set[UUID]:
        released: set[UUID] = set()
        async with self._database.transaction() as connection:
            await lock_user(connection, user_id)
            for claim in claims:
                fence = await hold_fence(connection, claim.fence_id)
                try:
                    await fence.held()
                except LeaseLostError:
                    continue  # another worker has it already: no reason to keep the others
                await connection.execute(QUERIES["release_task"], {"fence_id": claim.fence_id})
                released.add(claim.fence_id)
        return released

    async def users_with_startable_runs(self, *, cap: int, limit: int) -> list[int]:
        """Users who have a waiting run that may start, though nobody has started it."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                QUERIES["users_with_startable_runs"], {"cap": cap, "limit": limit}
            )
            return [row["user_id"] for row in await cursor.fetchall()]

    async def start_startable(self, user_id: int, *, cap: int) -> list[UUID]:
        """Give a durable task to each waiting run of the user that may start."""
        async with self._database.transaction() as connection:
            await lock_user(connection, user_id)
            return await spawn_startable(connection, user_id, cap=cap)

    async def load(self, run_ids: Sequence[UUID]) -> dict[UUID, Run]:
        """The runs with these ids."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(QUERIES["load_runs"], {"run_ids": list(run_ids)})
            return {row["run_id"]: Run(**row) for row in await cursor.fetchall()}

    async def steps(self, run_id: UUID) -> list[StepRecord]:
        """The steps of the run that are stored, in order."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(QUERIES["step_results"], {"run_ids": [run_id]})
            return [_step(row) for row in await cursor.fetchall()]

    async def result(self, user_id: int, run_id: UUID) -> StoredResult | None:
        """The answer of a run of this user; None alike for another's and for none."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                QUERIES["result_of_run"], {"user_id": user_id, "run_id": run_id}
            )
            row = await cursor.fetchone()
        return None if row is None else StoredResult(**row)


def _storable(text: str) -> str:
    """PostgreSQL takes neither NUL nor lone surrogates, and errors quote what they met: escaped."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


def _step(row: Row) -> StepRecord:
    return StepRecord(
        step=row["step"],
        agent=AgentName(row["agent"]),
        status=AgentStatus(row["status"]),
        result=row["result"],
        duration_ms=row["duration_ms"],
    )

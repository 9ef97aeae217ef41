"""The event log of every user: gapless numbers, appended in the caller's transaction."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import AsyncCursor

from apex_actors.protocol.events import Event
from apex_actors.protocol.identity import Identity
from apex_actors.protocol.payloads import AgentName, EventPayload, EventType
from apex_actors.storage.database import Connection, Database, Row
from apex_actors.storage.sql import load_queries

QUERIES = load_queries("events")

#: Hexadecimal digits of the epoch: enough that two logs never meet, short in a URL.
EPOCH_DIGITS = 16

#: Looks at users whose rows others are making: the second one finds them, unless they are deleted.
OPEN_TRIES = 5


@dataclass(frozen=True, slots=True)
class Draft:
    """An event that is not in the log yet: all but its number."""

    payload: EventPayload
    thread_id: UUID | None = None
    run_id: UUID | None = None
    agent: AgentName | None = None
    attempt: int = 0
    event_id: UUID = field(default_factory=uuid4)
    ts: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class LogPosition:
    """Where a user's log stands: ``seq`` is its end, events up to ``trimmed_seq`` are gone.

    ``thread_id`` and ``acknowledged_seq`` are what the user's session knows: the thread that the
    user was in last, while it is there, and the highest number that a client has confirmed.
    """

    user_id: int
    seq: int
    trimmed_seq: int
    epoch: str
    thread_id: UUID | None = None
    acknowledged_seq: int = 0


@dataclass(frozen=True, slots=True)
class KnownPositions:
    """Where some users' logs are known to end: encoded once, asked about as often as one likes."""

    user_ids: str
    """As PostgreSQL writes arrays."""
    seqs: str
    total: int

    @classmethod
    def of(cls, positions: Mapping[int, int]) -> "KnownPositions":
        """From user's number to the number of the last known event."""
        # In the order of ids, in which they also lie in the table and its index.
        user_ids = sorted(positions)
        seqs = [positions[user_id] for user_id in user_ids]
        return cls(_encode_array(user_ids), _encode_array(seqs), sum(seqs))


class Appending:
    """Events on their way into the log; ``events`` waits for their numbers."""

    def __init__(
        self,
        cursor: AsyncCursor[Row],
        drafts: Sequence[Draft],
        payloads: Sequence[Mapping[str, Any]],
    ) -> None:
        self._cursor = cursor
        self._drafts = drafts
        self._payloads = payloads

    async def events(self) -> list[Event]:
        """The stored events, in the order of the drafts."""
        numbers = [row["seq"] for row in await self._cursor.fetchall()]
        return [
            _event(draft, seq, payload)
            for draft, seq, payload in zip(
                self._drafts, sorted(numbers), self._payloads, strict=True
            )
        ]


async def append(connection: Connection, user_id: int, drafts: Sequence[Draft]) -> Appending:
    """Number and store ``drafts`` in the order given; locks the user's row.

    Must be the first statement of the transaction that locks anything: user's row, then fence.
    """
    if not drafts:
        raise ValueError("nothing to append: a transaction without events has no place in the log")
    payloads = [draft.payload.to_json() for draft in drafts]
    cursor = await connection.execute(
        QUERIES["append_events"],
        {
            "user_id": user_id,
            "count": len(drafts),
            "event_ids": [draft.event_id for draft in drafts],
            "types": [draft.payload.event_type.value for draft in drafts],
            "moments": [draft.ts for draft in drafts],
            "thread_ids": [draft.thread_id for draft in drafts],
            "run_ids": [draft.run_id for draft in drafts],
            "agents": [draft.agent for draft in drafts],
            "attempts": [draft.attempt for draft in drafts],
            "payloads": [json.dumps(payload, ensure_ascii=False) for payload in payloads],
        },
    )
    return Appending(cursor, drafts, payloads)


async def find(connection: Connection, user_id: int, drafts: Sequence[Draft]) -> list[Event] | None:
    """The events of ``drafts`` if an earlier transaction has stored them, else None.

    For a commit whose outcome was not heard of: all of a transaction is there, or none of it.
    Locks the user's row first, because the server may still be at that commit.
    """
    await lock_log(connection, user_id)
    cursor = await connection.execute(
        QUERIES["events_by_id"],
        {"user_id": user_id, "event_ids": [draft.event_id for draft in drafts]},
    )
    return [event_from_row(row) for row in await cursor.fetchall()] or None


class EventLog:
    """Reading side of the log."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._epoch: str | None = None

    async def open(self, identity: Identity) -> LogPosition:
        """The log of ``identity``, made where there is none yet."""
        [position] = await self.open_many([identity])
        return position

    async def open_many(self, identities: Sequence[Identity]) -> list[LogPosition]:
        """The logs of these users, in their order, by one statement; made where there are none."""
        if not identities:
            return []
        found: dict[int, Row] = {}
        async with self._database.connection() as connection:
            if self._epoch is None:
                self._epoch = await _read_epoch(connection)
            for _ in range(OPEN_TRIES):
                # Only what other connections make at the same moment is missing after the first.
                missing = [index for index in range(len(identities)) if index not in found]
                if not missing:
                    break
                cursor = await connection.execute(
                    QUERIES["open_logs"],
                    {
                        "orgs": [identities[index].org for index in missing],
                        "subs": [identities[index].sub for index in missing],
                    },
                )
                for row in await cursor.fetchall():
                    found[missing[row["ordinal"] - 1]] = row
        if len(found) < len(identities):
            raise RuntimeError("a user's row is neither there nor can it be made")
        return [
            LogPosition(
                user_id=row["id"],
                seq=row["seq"],
                trimmed_seq=row["trimmed_seq"],
                epoch=self._epoch,
                thread_id=row["thread_id"],
                acknowledged_seq=row["acknowledged_seq"],
            )
            for row in (found[index] for index in range(len(identities)))
        ]

    async def read(self, user_id: int, *, after: int, limit: int) -> list[Event]:
        """Up to ``limit`` events of the user behind number ``after``, in order."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                QUERIES["read_events"], {"user_id": user_id, "after": after, "limit": limit}
            )
            return [event_from_row(row) for row in await cursor.fetchall()]

    async def read_run(self, run_id: UUID) -> list[Event]:
        """All events of one run, in order."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(QUERIES["read_run_events"], {"run_id": run_id})
            return [event_from_row(row) for row in await cursor.fetchall()]

    async def positions(self, known: KnownPositions) -> Mapping[int, int]:
        """Where those of these users' logs end that have grown beyond what is known of them."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                QUERIES["sum_of_positions"], {"user_ids": known.user_ids}
            )
            row = await cursor.fetchone()
            if row is not None and row["total"] == known.total:
                return {}
            cursor = await connection.execute(
                QUERIES["advanced_logs"], {"user_ids": known.user_ids, "seqs": known.seqs}
            )
            return {row["id"]: row["seq"] for row in await cursor.fetchall()}

    def forget_epoch(self) -> None:
        """Read the epoch anew next time: the database was away and may be another one now."""
        self._epoch = None


async def lock_log(connection: Connection, user_id: int) -> None:
    """Lock the user's row: the first statement of a transaction that looks before it appends."""
    await connection.execute(QUERIES["lock_log"], {"user_id": user_id})


def event_from_row(row: Row) -> Event:
    """The event that a row of ``apex.events`` holds."""
    return Event(
        type=EventType(row["type"]),
        seq=row["seq"],
        event_id=row["event_id"],
        ts=row["ts"],
        thread_id=row["thread_id"],
        run_id=row["run_id"],
        agent=None if row["agent"] is None else AgentName(row["agent"]),
        attempt=row["attempt"],
        payload=row["payload"],
    )


def _event(draft: Draft, seq: int, payload: Mapping[str, Any]) -> Event:
    return Event(
        type=draft.payload.event_type,
        seq=seq,
        event_id=draft.event_id,
        ts=draft.ts,
        thread_id=draft.thread_id,
        run_id=draft.run_id,
        agent=draft.agent,
        attempt=draft.attempt,
        payload=payload,
    )


def _encode_array(numbers: Sequence[int]) -> str:
    return "{" + ",".join(map(str, numbers)) + "}"


async def _read_epoch(connection: Connection) -> str:
    try:
        cursor = await connection.execute(QUERIES["log_epoch"])
    except psycopg.errors.InsufficientPrivilege:
        cursor = await connection.execute(QUERIES["log_incarnation"])
    row = await cursor.fetchone()
    if row is None:
        raise RuntimeError("the log has no incarnation: the database was migrated only in part")
    return hashlib.sha256(row["epoch"].encode()).hexdigest()[:EPOCH_DIGITS]

"""Which source counts where several tell of the same spend; the others only reconcile.

The records of a provider's UTC day stand in ``usage_records`` where their source counts, and in
``usage_reconciling`` where it does not. Whatever changes records notes the days in ``touched`` and
then settles them: what counts is the same in whatever order sources came, also after an undo.
"""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import Final

from pydantic import BaseModel, ConfigDict

from apex_actors.costs.importers import SourceKind
from apex_actors.costs.timerange import TimeRange
from apex_actors.storage import tenants
from apex_actors.storage.database import Connection, Database
from apex_actors.storage.sql import load_queries

QUERIES: Final = load_queries("usage_sources")

ANY_PROVIDER: Final = "*"
"""A choice for all providers that have none of their own."""


class Covered(BaseModel):
    """Records of an import that do not count, because another source does on their days."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: str
    source_kind: SourceKind
    """The source that counts."""
    days: int
    records: int


class SourceSums(BaseModel):
    """What one kind of source says of a provider's day. Money is US dollars, exact."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source_kind: SourceKind
    is_counted: bool
    records: int
    requests: int
    tokens: int
    computed_cost: Decimal
    """Of the records that have a price."""
    reported_cost: Decimal
    """Of the records whose cost was reported in US dollars."""


class Overlap(BaseModel):
    """A provider's UTC day that several kinds of source tell of; the one that counts is first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: str
    day: date
    sources: tuple[SourceSums, ...]


class SourceChoice(BaseModel):
    """Which kind of source a tenant wants to count for a provider, where it is there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: str
    """``*``: every provider without a choice of its own."""
    source_kind: SourceKind


async def prepare(connection: Connection) -> None:
    """Make the table of touched days; once in a transaction that changes records."""
    await connection.execute(QUERIES["create_touched"])


async def settle(connection: Connection, tenant: str) -> int:
    """Let exactly one source count on each touched day; how many records changed sides.

    The tenant must be locked.
    """
    await connection.execute(QUERIES["create_misplaced"])
    whose = {"tenant": tenant}
    found = await connection.execute(QUERIES["find_misplaced"], whose)
    moved = 0
    if found.rowcount:
        for query, sign in (("move_aside", -1), ("move_back", 1)):
            cursor = await connection.execute(QUERIES[query], whose | {"sign": sign})
            row = await cursor.fetchone()
            moved += row["moved"] if row else 0
    return moved


async def drop_empty(connection: Connection, tenant: str) -> None:
    """Remove the sums of nothing that are left on touched days."""
    for query in ("drop_empty_quarters", "drop_empty_days", "drop_empty_sources"):
        await connection.execute(QUERIES[query], {"tenant": tenant})


async def rebuild(connection: Connection, tenant: str) -> int:
    """Sum the tenant's records up anew and let one source count a day; how many records count.

    The tenant must be locked.
    """
    whose = {"tenant": tenant}
    await prepare(connection)
    for query in ("forget_quarters", "forget_days", "forget_sources"):
        await connection.execute(QUERIES[query], whose)
    cursor = await connection.execute(QUERIES["sum_records"], whose | {"sign": 1})
    row = await cursor.fetchone()
    await connection.execute(QUERIES["sum_reconciling"], whose | {"sign": -1})
    if await settle(connection, tenant):
        await drop_empty(connection, tenant)
    return row["records"] if row else 0


async def has_buckets(connection: Connection, tenant: str) -> bool:
    """Whether the tenant has any record that stands for many requests."""
    cursor = await connection.execute(QUERIES["has_buckets"], {"tenant": tenant})
    row = await cursor.fetchone()
    return row is not None and bool(row["found"])


async def covered(connection: Connection, tenant: str, number: int) -> tuple[Covered, ...]:
    """What of an import only reconciles."""
    cursor = await connection.execute(QUERIES["covered"], {"tenant": tenant, "number": number})
    return tuple(Covered(**row) for row in await cursor.fetchall())


class UsageSources:
    """Overlaps of a tenant's sources, and which of them the tenant wants to count.

    :param database: an open database, for short questions.
    :param bulk: one for what takes long; None: the same.
    """

    def __init__(self, database: Database, *, bulk: Database | None = None) -> None:
        self._database = database
        self._bulk = database if bulk is None else bulk

    async def overlaps(self, tenant: str, time_range: TimeRange) -> tuple[Overlap, ...]:
        """The UTC days that begin in the range and that several kinds of source tell of."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                QUERIES["overlaps"],
                {"tenant": tenant, "start": time_range.start, "end": time_range.end},
            )
            rows = await cursor.fetchall()
        return tuple(
            Overlap(
                provider=provider,
                day=day,
                sources=tuple(
                    SourceSums(**{k: v for k, v in row.items() if k not in {"provider", "day"}})
                    for row in group
                ),
            )
            for (day, provider), group in groupby(
                rows, key=lambda row: (row["day"], row["provider"])
            )
        )

    async def choices(self, tenant: str) -> Sequence[SourceChoice]:
        """What the tenant has chosen."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(QUERIES["choices"], {"tenant": tenant})
            return tuple(SourceChoice(**row) for row in await cursor.fetchall())

    async def choose(self, tenant: str, provider: str, source_kind: SourceKind | None) -> int:
        """Let that kind count for the provider (``*``: for all); None: the default order again.

        How many records changed sides. Days without a record of that kind keep the default order.
        """
        async with self._bulk.transaction() as connection:
            await tenants.lock(connection, tenant)
            whose = {"tenant": tenant, "provider": provider}
            if source_kind is None:
                await connection.execute(QUERIES["unchoose"], whose)
            else:
                await connection.execute(
                    QUERIES["choose"], whose | {"source_kind": source_kind.value}
                )
            await prepare(connection)
            await connection.execute(
                QUERIES["touch_all"],
                {"tenant": tenant, "provider": None if provider == ANY_PROVIDER else provider},
            )
            moved = await settle(connection, tenant)
            if moved:
                await drop_empty(connection, tenant)
                await tenants.bump(connection, tenant)
        return moved

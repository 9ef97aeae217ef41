"""Tallies of days for the levers: kept behind the imports, read by questions."""

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from apex_actors.costs.levers import DayTallies
from apex_actors.storage.database import Connection, Database
from apex_actors.storage.sql import load_queries

QUERIES: Final = load_queries("savings")

_COMPRESSION: Final = 1
"""The quickest: rows of a day repeat their names."""


def pack(tallies: DayTallies) -> bytes:
    """As they are stored."""
    return zlib.compress(tallies.packed().encode(), _COMPRESSION)


def unpack(packed: bytes) -> DayTallies:
    """The reverse of ``pack``."""
    return DayTallies.unpacked(zlib.decompress(packed))


@dataclass(frozen=True, slots=True)
class TallyKey:
    """What the tallies of a day depend on besides its requests."""

    price_version: str
    settings: str
    """Fingerprint of the levers' settings."""


@dataclass(frozen=True, slots=True)
class DueDay:
    """A day (UTC) that is to be tallied."""

    day: date
    changes: int
    """How often its records have changed since it was settled."""
    requests: int


@dataclass(frozen=True, slots=True)
class StoredDays:
    """What is known of the whole days (UTC) of a range."""

    tallied: Mapping[date, bytes]
    """Packed."""
    untallied: Mapping[date, int]
    """Requests of days whose tallies are missing, or older than their records. They may be among
    the tallied as well, as they were."""
    as_of: datetime | None
    """When the oldest of the tallies was worked out."""

    @property
    def pending_requests(self) -> int:
        """Requests of the untallied days."""
        return sum(self.untallied.values())


async def all_days_due(connection: Connection, tenant: str) -> None:
    """Have all days of the tenant worked out anew: its prices are others from this commit on."""
    await connection.execute(QUERIES["all_days_due"], {"tenant": tenant})


class SavingsStore:
    """The tallies of all tenants."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(
        self, *, requests: int, days: int, claim_s: float
    ) -> tuple[str, tuple[DueDay, ...]] | None:
        """A tenant and its first due days, which nobody else gets for ``claim_s`` seconds.

        As many days as have ``requests`` requests together, at least one and at most ``days``.
        None: nothing is due that nobody is working on.
        """
        async with self._database.transaction() as connection:
            cursor = await connection.execute(QUERIES["tenant_with_due_days"])
            row = await cursor.fetchone()
            if row is None:
                return None
            tenant: str = row["tenant"]
            cursor = await connection.execute(
                QUERIES["claim_due_days"],
                {"tenant": tenant, "requests": requests, "days": days, "claim_s": claim_s},
            )
            claimed = [DueDay(**found) for found in await cursor.fetchall()]
        return tenant, tuple(sorted(claimed, key=lambda due: due.day))

    async def settle(
        self, tenant: str, due: Sequence[DueDay], tallies: Mapping[date, bytes], key: TallyKey
    ) -> None:
        """Store what was worked out of claimed days; a day that is not in ``tallies`` has nothing.

        A day whose records have changed since it was claimed stays due.
        """
        days = [one.day for one in due]
        async with self._database.transaction() as connection:
            await connection.execute(QUERIES["forget_days"], {"tenant": tenant, "days": days})
            for day, packed in tallies.items():
                await connection.execute(
                    QUERIES["store_day"],
                    {
                        "tenant": tenant,
                        "day": day,
                        "price_version": key.price_version,
                        "settings": key.settings,
                        "tallies": packed,
                    },
                )
            await connection.execute(
                QUERIES["settle_days"],
                {"tenant": tenant, "days": days, "changes": [one.changes for one in due]},
            )

    async def release(self, tenant: str, due: Iterable[DueDay]) -> None:
        """Give claimed days back."""
        async with self._database.connection() as connection:
            await connection.execute(
                QUERIES["release_days"], {"tenant": tenant, "days": [one.day for one in due]}
            )

    async def expire(self, key: TallyKey) -> None:
        """Make due what was tallied with other prices or settings."""
        async with self._database.connection() as connection:
            await connection.execute(
                QUERIES["due_where_prices_are_old"],
                {"price_version": key.price_version, "settings": key.settings},
            )

    async def days(self, tenant: str, first: date, last: date, key: TallyKey) -> StoredDays:
        """What is known of the days from ``first`` to ``last``, in one snapshot."""
        parameters = {
            "tenant": tenant,
            "first": first,
            "last": last,
            "price_version": key.price_version,
            "settings": key.settings,
        }
        async with self._database.transaction() as connection:
            await connection.execute("set transaction isolation level repeatable read, read only")
            cursor = await connection.execute(QUERIES["tallied_days"], parameters)
            tallied = await cursor.fetchall()
            cursor = await connection.execute(QUERIES["untallied_requests"], parameters)
            untallied = {row["day"]: row["requests"] for row in await cursor.fetchall()}
        return StoredDays(
            tallied={row["day"]: row["tallies"] for row in tallied},
            untallied=untallied,
            as_of=min((row["worked_out_at"] for row in tallied), default=None),
        )


def spans(days: Iterable[date]) -> Iterator[tuple[date, date]]:
    """First and last day of each run of days without a gap; the days come in their order."""
    first = last = None
    for day in days:
        if first is None or last is None:
            first = last = day
        elif day == last + timedelta(days=1):
            last = day
        else:
            yield first, last
            first = last = day
    if first is not None and last is not None:
        yield first, last

"""Series, periods and single records: what analyses need beyond sums and breakdowns."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from apex_actors.costs.analysis import (
    CostPoint,
    PartPoint,
    PeriodPair,
    PeriodSums,
    RecordSums,
    Step,
)
from apex_actors.costs.answers import (
    PERCENTILES,
    CostSeries,
    Latency,
    LatencyRow,
    RecordBreakdown,
    TagKey,
)
from apex_actors.costs.filters import EVERYTHING, Filters
from apex_actors.costs.records import TRUNCATED
from apex_actors.costs.summary import Dimension, Totals
from apex_actors.costs.timerange import TimeRange
from apex_actors.storage import usage_analysis as analysis
from apex_actors.storage.database import Connection, Database
from apex_actors.storage.sql import load_queries
from apex_actors.storage.usage_analysis import filter_parameters, range_parameters

QUERIES = load_queries("usage_questions")

#: More records than this are not read for one question. A million took 1.8 s by session, 0.7 s by tag
#: and for latencies, and 1.2 s for the sums, on one of two cores, warm.
MAX_RECORDS_READ: Final = 500_000

#: Tags beyond the most frequent are not listed.
MAX_TAGS: Final = 100


class UsageQuestions:
    """Answers what analyses ask, for one tenant a call, each in one snapshot.

    :param max_records: at most so many requests are read one by one; of a range with more only its
        last whole days.
    """

    def __init__(self, database: Database, *, max_records: int = MAX_RECORDS_READ) -> None:
        self._database = database
        self._max_records = max_records

    async def costs(
        self,
        tenant: str,
        time_range: TimeRange,
        step: Step,
        *,
        filters: Filters = EVERYTHING,
        dimensions: Sequence[Dimension] = (),
    ) -> CostSeries:
        """Each local hour or day of the range with its cost, and the same by dimension.

        Hours and days without usage are points with cost 0, and no parts.
        """
        async with self._snapshot() as connection:
            costs = await _costs(
                connection, tenant, time_range, step, dimension=None, filters=filters
            )
            if step is Step.HOUR:
                cursor = await connection.execute(
                    QUERIES["hours"],
                    {"time_zone": time_range.time_zone, **range_parameters(time_range)},
                )
                starts = [row["start"] for row in await cursor.fetchall()]
            else:
                starts = [start for _, start in _days(time_range)]
            found = {start: cost for start, _, cost in costs}
            parts = [
                PartPoint(dimension=dimension, name=name, start=start, cost=cost)
                for dimension in dimensions
                for start, name, cost in await _costs(
                    connection, tenant, time_range, step, dimension=dimension, filters=filters
                )
            ]
            extent = await analysis.extent(connection, tenant)
        points = [CostPoint(start=start, cost=found.get(start, Decimal(0))) for start in starts]
        return CostSeries(
            step=step,
            points=tuple(points),
            parts=tuple(parts),
            first_record=None if extent is None else extent.first,
            last_record=None if extent is None else extent.last,
        )

    async def periods(
        self,
        tenant: str,
        before: TimeRange,
        after: TimeRange,
        dimension: Dimension,
        *,
        filters: Filters = EVERYTHING,
    ) -> tuple[PeriodPair, ...]:
        """Every value of the dimension with its priced sums in both periods."""
        async with self._snapshot() as connection:
            old, new = [
                await _period(connection, tenant, time_range, dimension, filters)
                for time_range in (before, after)
            ]
        nothing = PeriodSums(requests=0, tokens=0, cost=Decimal(0))
        return tuple(
            PeriodPair(name=name, before=old.get(name, nothing), after=new.get(name, nothing))
            for name in sorted({*old, *new}, key=lambda name: (name is None, name or ""))
        )

    async def both_totals(
        self, tenant: str, before: TimeRange, after: TimeRange, *, filters: Filters = EVERYTHING
    ) -> tuple[Totals, Totals]:
        """The sums of two periods."""
        async with self._snapshot() as connection:
            return (
                await analysis.totals(connection, tenant, before, filters=filters),
                await analysis.totals(connection, tenant, after, filters=filters),
            )

    async def by_session(
        self,
        tenant: str,
        time_range: TimeRange,
        *,
        limit: int = 10,
        filters: Filters = EVERYTHING,
    ) -> RecordBreakdown | None:
        """The ``limit`` most expensive sessions; None: even the last day has too many records."""
        return await self._by_record(tenant, time_range, None, limit, filters)

    async def by_tag(
        self,
        tenant: str,
        time_range: TimeRange,
        tag: str,
        *,
        limit: int = 10,
        filters: Filters = EVERYTHING,
    ) -> RecordBreakdown | None:
        """The ``limit`` most expensive values of a tag; None as with sessions."""
        return await self._by_record(tenant, time_range, tag, limit, filters)

    async def tags(self, tenant: str, time_range: TimeRange) -> tuple[TagKey, ...]:
        """Which tags the records have, most requests first; of the last days as with sessions."""
        async with self._snapshot() as connection:
            readable = await self._readable(connection, tenant, time_range)
            if readable is None:
                return ()
            cursor = await connection.execute(
                QUERIES["tag_keys"],
                {"limit": MAX_TAGS, **_parameters(tenant, readable, EVERYTHING)},
            )
            return tuple(TagKey(**row) for row in await cursor.fetchall())

    async def totals_and_records(
        self, tenant: str, time_range: TimeRange, *, filters: Filters = EVERYTHING
    ) -> tuple[Totals, RecordSums | None]:
        """The sums of the range, and those that need single records; None where there are too many.

        They stand beside each other, so that nothing but the whole range will do.
        """
        async with self._snapshot() as connection:
            totals = await analysis.totals(connection, tenant, time_range, filters=filters)
            if await self._readable(connection, tenant, time_range) != time_range:
                return totals, None
            cursor = await connection.execute(
                QUERIES["record_sums"],
                {"truncated": sorted(TRUNCATED), **_parameters(tenant, time_range, filters)},
            )
            row = await cursor.fetchone()
            return totals, RecordSums(**(row or {}))

    async def latency(
        self,
        tenant: str,
        time_range: TimeRange,
        *,
        dimension: Dimension | None = None,
        limit: int = 10,
        filters: Filters = EVERYTHING,
    ) -> Latency | None:
        """Percentiles of latency by value, those with most requests; None as with sessions.

        :param dimension: None: all requests in one row without a name.
        """
        async with self._snapshot() as connection:
            readable = await self._readable(connection, tenant, time_range)
            if readable is None:
                return None
            cursor = await connection.execute(
                QUERIES["latency"],
                {
                    "dimension": dimension,
                    "limit": limit,
                    **_parameters(tenant, readable, filters),
                },
            )
            rows = [
                LatencyRow(
                    name=row["name"],
                    requests=row["requests"],
                    latency_ms=dict(zip(PERCENTILES, row["latency_ms"], strict=True)),
                    ttft_requests=row["ttft_requests"],
                    ttft_ms=row["ttft_ms"] and dict(zip(PERCENTILES, row["ttft_ms"], strict=True)),
                    cost=row["cost"],
                )
                for row in await cursor.fetchall()
            ]
        return Latency(time_range=readable, rows=tuple(rows))

    async def _by_record(
        self, tenant: str, time_range: TimeRange, tag: str | None, limit: int, filters: Filters
    ) -> RecordBreakdown | None:
        if limit < 1:
            raise ValueError("limit: must be at least 1")
        async with self._snapshot() as connection:
            readable = await self._readable(connection, tenant, time_range)
            if readable is None:
                return None
            cursor = await connection.execute(
                QUERIES["record_breakdown"],
                {"tag": tag, "limit": limit, **_parameters(tenant, readable, filters)},
            )
            rows, other, other_count = analysis.ranked_rows(await cursor.fetchall())
        return RecordBreakdown(
            tag=tag, time_range=readable, rows=rows, other=other, other_count=other_count
        )

    async def _readable(
        self, connection: Connection, tenant: str, time_range: TimeRange
    ) -> TimeRange | None:
        """The last whole days of the range whose records may be read; None: not even one.

        The rollups say how many requests a day has, which are as many as its records or more.
        """
        cursor = await connection.execute(
            QUERIES["requests_by_day"],
            {
                "tenant": tenant,
                "time_zone": time_range.time_zone,
                **range_parameters(time_range),
            },
        )
        read = 0
        first = time_range.first_day
        for row in reversed(await cursor.fetchall()):
            read += row["requests"]
            if read > self._max_records:
                first = row["day"] + timedelta(days=1)
                break
        else:
            return time_range
        if first > time_range.last_day:
            return None
        start = TimeRange.days(first, first, time_range.time_zone).start
        return time_range.model_copy(update={"start": start})

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[Connection]:
        async with self._database.transaction() as connection:
            await connection.execute("set transaction isolation level repeatable read, read only")
            yield connection


async def _costs(
    connection: Connection,
    tenant: str,
    time_range: TimeRange,
    step: Step,
    *,
    dimension: Dimension | None,
    filters: Filters,
) -> list[tuple[datetime, str | None, Decimal]]:
    """First moment, value and cost."""
    if step is Step.HOUR:
        query = "costs_by_hour"
    elif analysis.has_whole_utc_days(time_range):
        query = "costs_by_day_utc"
    else:
        query = "costs_by_day_local"
    cursor = await connection.execute(
        QUERIES[query],
        {
            "dimension": dimension,
            "time_zone": time_range.time_zone,
            **_parameters(tenant, time_range, filters),
        },
    )
    rows = await cursor.fetchall()
    if step is Step.HOUR:
        return [(row["start"], row["name"], row["cost"]) for row in rows]
    starts = dict(_days(time_range))
    return [(starts[row["day"]], row["name"], row["cost"]) for row in rows]


async def _period(
    connection: Connection,
    tenant: str,
    time_range: TimeRange,
    dimension: Dimension,
    filters: Filters,
) -> dict[str | None, PeriodSums]:
    cursor = await connection.execute(
        QUERIES["period_sums"],
        {"dimension": dimension, **_parameters(tenant, time_range, filters)},
    )
    return {row.pop("name"): PeriodSums(**row) for row in await cursor.fetchall()}


def _parameters(tenant: str, time_range: TimeRange, filters: Filters) -> dict[str, Any]:
    return {"tenant": tenant, **range_parameters(time_range), **filter_parameters(filters)}


def _days(time_range: TimeRange) -> list[tuple[date, datetime]]:
    """The local days of the range, each with its first moment in UTC."""
    days = [time_range.first_day + timedelta(days=each) for each in range(time_range.day_count)]
    return [
        (day, TimeRange.days(day, day, time_range.time_zone).start.astimezone(UTC)) for day in days
    ]

"""Questions about usage, answered from the rollups by SQL."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from apex_actors.costs.filters import EVERYTHING, Filters
from apex_actors.costs.summary import (
    Breakdown,
    BreakdownRow,
    DayPoint,
    Dimension,
    Extent,
    Sums,
    Totals,
    UnpricedGroup,
)
from apex_actors.costs.timerange import TimeRange
from apex_actors.storage.database import Connection, Row
from apex_actors.storage.sql import load_queries

QUERIES = load_queries("usage")


def range_parameters(time_range: TimeRange) -> dict[str, datetime]:
    """The range cut into whole UTC days (``first_day``, ``last_day``) and what is left around them.

    What is left is ``start`` to ``head_end`` and ``tail_start`` to ``end``; either may be empty.
    """
    start = time_range.start.astimezone(UTC)
    end = time_range.end.astimezone(UTC)
    first_day = _midnight(start + timedelta(days=1) - timedelta(microseconds=1))
    last_day = _midnight(end)
    if first_day >= last_day:
        first_day = last_day = end
    return {
        "start": start,
        "head_end": first_day,
        "first_day": first_day,
        "last_day": last_day,
        "tail_start": last_day,
        "end": end,
    }


def filter_parameters(filters: Filters) -> dict[str, list[str | None] | None]:
    """The wanted and the excluded values of each dimension: ``only_team``, ``not_team``."""
    return {
        f"{prefix}_{dimension}": filters.values(dimension, excluded=prefix == "not")
        for dimension in Dimension
        for prefix in ("only", "not")
    }


async def data_version(connection: Connection, tenant: str) -> int:
    """How many transactions have changed the tenant's records; 0 for an unknown tenant."""
    cursor = await connection.execute(QUERIES["data_version"], {"tenant": tenant})
    row = await cursor.fetchone()
    return row["data_version"] if row else 0


async def extent(connection: Connection, tenant: str) -> Extent | None:
    """When the tenant's records begin and end; None where there are none."""
    cursor = await connection.execute(QUERIES["extent"], {"tenant": tenant})
    row = await cursor.fetchone()
    if row is None or row["first"] is None:
        return None
    return Extent(
        first=row["first"],
        last=row["last"],
        requests=row["requests"],
        sample_only=row["sample_requests"] == row["requests"],
    )


async def totals(
    connection: Connection, tenant: str, time_range: TimeRange, *, filters: Filters = EVERYTHING
) -> Totals:
    """The sums of the range; all 0 where there are no records."""
    cursor = await connection.execute(
        QUERIES["totals"],
        {"tenant": tenant, **range_parameters(time_range), **filter_parameters(filters)},
    )
    row = await cursor.fetchone()
    return Totals(**(row or {}))


async def breakdown(
    connection: Connection,
    tenant: str,
    time_range: TimeRange,
    dimension: Dimension,
    limit: int,
    *,
    filters: Filters = EVERYTHING,
) -> Breakdown:
    """The ``limit`` most expensive values of the dimension, and the others as one row."""
    if limit < 1:
        raise ValueError("limit: must be at least 1")
    cursor = await connection.execute(
        QUERIES["breakdown"],
        {
            "tenant": tenant,
            "dimension": dimension.value,
            "limit": limit,
            **range_parameters(time_range),
            **filter_parameters(filters),
        },
    )
    rows, other, other_count = ranked_rows(await cursor.fetchall())
    return Breakdown(dimension=dimension, rows=rows, other=other, other_count=other_count)


def ranked_rows(found: Sequence[Row]) -> tuple[tuple[BreakdownRow, ...], Sums | None, int]:
    """The most expensive values, the others as one, and how many those are."""
    rows: list[BreakdownRow] = []
    other: Sums | None = None
    other_count = 0
    for row in found:
        name, is_other, names = row.pop("name"), row.pop("is_other"), row.pop("names")
        if is_other:
            other, other_count = Sums(**row), names
        else:
            rows.append(BreakdownRow(name=name, **row))
    return tuple(rows), other, other_count


async def daily(
    connection: Connection, tenant: str, time_range: TimeRange, *, filters: Filters = EVERYTHING
) -> tuple[DayPoint, ...]:
    """Each local day of the range; days without records are there with zeros."""
    parameters: dict[str, Any] = {
        "tenant": tenant,
        "time_zone": time_range.time_zone,
        **range_parameters(time_range),
        **filter_parameters(filters),
    }
    query = "daily_utc" if has_whole_utc_days(time_range) else "daily_local"
    cursor = await connection.execute(QUERIES[query], parameters)
    found = {row["day"]: DayPoint(**row) for row in await cursor.fetchall()}
    days = (time_range.first_day + timedelta(days=offset) for offset in range(time_range.day_count))
    return tuple(found.get(day) or DayPoint.empty(day) for day in days)


def has_whole_utc_days(time_range: TimeRange) -> bool:
    """Whether the sums by day are the days that the user means.

    A range in UTC that begins or ends within a day needs the quarter hours as well.
    """
    parameters = range_parameters(time_range)
    return time_range.time_zone == "UTC" and (
        (parameters["first_day"], parameters["last_day"])
        == (parameters["start"], parameters["end"])
    )


async def unpriced(
    connection: Connection, tenant: str, time_range: TimeRange, *, filters: Filters = EVERYTHING
) -> tuple[UnpricedGroup, ...]:
    """What has no price, with its tokens and the reason; most tokens first."""
    cursor = await connection.execute(
        QUERIES["unpriced"],
        {"tenant": tenant, **range_parameters(time_range), **filter_parameters(filters)},
    )
    return tuple(UnpricedGroup(**row) for row in await cursor.fetchall())


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)

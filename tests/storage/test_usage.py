"""Questions about usage, answered by a real PostgreSQL."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

import psycopg
import pytest

from apex_actors.costs.filters import Filters
from apex_actors.costs.levers import DEFAULT_SETTINGS, LeverRequest, build_plan, combine, tally_days
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.costs.sample import sample_records
from apex_actors.costs.summary import Dimension
from apex_actors.costs.timerange import TimeRange
from apex_actors.storage.database import Database
from apex_actors.storage.usage import UsageRepository
from apex_actors.storage.usage_analysis import QUERIES, filter_parameters, range_parameters
from apex_actors.storage.usage_plan import UsagePlanner
from apex_actors.storage.usage_questions import QUERIES as QUESTIONS

TODAY = date(2026, 11, 23)
NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)

RANGES = [
    TimeRange.days(date(2026, 8, 1), TODAY),
    TimeRange.days(date(2026, 10, 1), date(2026, 10, 31), "Asia/Kolkata"),
    TimeRange.days(date(2026, 10, 20), date(2026, 10, 27), "America/New_York"),
    TimeRange.days(date(2026, 10, 7), date(2026, 10, 7), "Asia/Kathmandu"),
    TimeRange(
        start=datetime(2026, 10, 7, 9, 15, tzinfo=UTC), end=datetime(2026, 10, 7, 9, 30, tzinfo=UTC)
    ),
    TimeRange(
        start=datetime(2026, 10, 7, 9, 15, tzinfo=UTC), end=datetime(2026, 10, 12, tzinfo=UTC)
    ),
    TimeRange.days(date(2020, 1, 1), date(2020, 1, 1)),
]


@pytest.fixture(scope="module")
def sample_url(
    copied_database: Callable[[], AbstractContextManager[str]], catalogue: PriceCatalogue
) -> Iterator[str]:
    """A database with the sample, for all tests of this module that only read."""

    async def load(url: str) -> None:
        database = Database(url)
        await database.open()
        await UsageRepository(database).import_sample("acme", TODAY, catalogue=catalogue)
        await database.close()

    with copied_database() as url:
        asyncio.run(load(url))
        yield url


@pytest.fixture
async def sample_database(sample_url: str) -> AsyncIterator[Database]:
    database = Database(sample_url)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def usage(sample_database: Database) -> UsageRepository:
    """The sample, as the tenant acme's."""
    return UsageRepository(sample_database, clock=lambda: NOW)


async def select(database: Database, query: str, **parameters: Any) -> list[dict[str, Any]]:
    async with database.connection() as connection:
        cursor = await connection.execute(query.encode(), parameters)
        return await cursor.fetchall()


FROM_RECORDS = """
    sum(request_count)::bigint as requests,
    coalesce(sum(input_tokens + output_tokens), 0)::bigint as tokens,
    coalesce(sum(computed_cost), 0) as cost,
    coalesce(sum(request_count) filter (where status = 'error'), 0)::bigint as errors
    from apex.usage_records
    where tenant = 'acme' and occurred_at >= %(start)s and occurred_at < %(end)s
"""


async def test_rollups_answer_as_the_records_do(usage, sample_database):
    database = sample_database
    for time_range in RANGES:
        bounds = {"start": time_range.start, "end": time_range.end}
        totals = await usage.totals("acme", time_range)
        (expected,) = await select(database, f"select {FROM_RECORDS}", **bounds)
        assert (totals.requests, totals.tokens, totals.cost, totals.errors) == (
            expected["requests"] or 0, expected["tokens"], expected["cost"], expected["errors"],
        )  # fmt: skip

        for dimension in Dimension:
            column = "user_name" if dimension is Dimension.USER else dimension.value
            breakdown = await usage.breakdown("acme", time_range, dimension, limit=1000)
            rows = await select(
                database,
                f"select {column} as name, {FROM_RECORDS} group by 1",
                **bounds,
            )
            assert breakdown.other is None
            assert {
                row.name: (row.requests, row.tokens, row.cost, row.errors) for row in breakdown.rows
            } == {
                row["name"]: (row["requests"], row["tokens"], row["cost"], row["errors"])
                for row in rows
            }

        daily = await usage.daily("acme", time_range)
        rows = await select(
            database,
            f"select (occurred_at at time zone %(zone)s)::date as day, {FROM_RECORDS} group by 1",
            zone=time_range.time_zone,
            **bounds,
        )
        assert [point.day for point in daily] == [
            time_range.first_day + timedelta(days=offset) for offset in range(time_range.day_count)
        ]
        assert {
            point.day: (point.requests, point.tokens, point.cost, point.errors)
            for point in daily
            if point.requests
        } == {
            row["day"]: (row["requests"], row["tokens"], row["cost"], row["errors"]) for row in rows
        }


async def test_the_top_and_the_others_are_all(usage):
    whole = RANGES[0]
    totals = await usage.totals("acme", whole)

    top = await usage.breakdown("acme", whole, Dimension.USER, limit=3)

    assert len(top.rows) == 3
    assert top.rows[0].cost >= top.rows[1].cost >= top.rows[2].cost
    assert top.other is not None
    everything = [*top.rows, top.other]
    assert sum(each.requests for each in everything) == totals.requests
    assert sum((each.cost for each in everything), Decimal(0)) == totals.cost
    users = await usage.breakdown("acme", whole, Dimension.USER, limit=1000)
    assert top.other_count == len(users.rows) - 3
    with pytest.raises(ValueError, match="limit"):
        await usage.breakdown("acme", whole, Dimension.USER, limit=0)


async def test_a_name_that_is_not_said_is_none_and_not_the_others(database, catalogue):
    usage = UsageRepository(database)
    rows = [
        {
            "record_id": f"r{number}", "occurred_at": NOW.isoformat(), "provider": "openai",
            "model": "gpt-5", "input_tokens": 10 * number, "output_tokens": 1, "team": team,
        }
        for number, team in enumerate([None, "a", "b"], 1)
    ]  # fmt: skip
    await usage.import_file(
        "acme",
        io.BytesIO("\n".join(map(json.dumps, rows)).encode()),
        name="f",
        catalogue=catalogue,
    )

    found = await usage.breakdown("acme", RANGES[0], Dimension.TEAM, limit=2)

    assert [row.name for row in found.rows] == ["b", "a"]
    assert found.other_count == 1
    assert [row.name for row in (await usage.breakdown("acme", RANGES[0], Dimension.TEAM)).rows] == [
        "b", "a", None,
    ]  # fmt: skip


async def test_the_summary_is_all_answers_at_once(usage):
    whole = RANGES[0]

    summary = await usage.summary("acme", whole)

    assert summary.totals == await usage.totals("acme", whole)
    assert summary.daily == await usage.daily("acme", whole)
    assert summary.data_version == 1
    assert summary.as_of == NOW
    (unpriced,) = summary.unpriced
    assert (unpriced.provider, unpriced.model) == ("in-house", "orion-7b")
    assert unpriced.reason == "provider not in the price catalogue"
    assert unpriced.tokens == summary.totals.tokens - summary.totals.priced_tokens
    assert unpriced.requests == summary.totals.requests - summary.totals.priced_requests


async def test_requests_come_in_order_with_what_levers_need(usage, catalogue):
    whole = RANGES[0]

    found = list(usage.reader.requests("acme", whole))

    # Of equal moments the smaller id goes first.
    records = sorted(sample_records(TODAY), key=lambda each: (each.occurred_at, each.record_id))
    assert len(found) == len(records)
    assert found == [LeverRequest.of(record) for record in records]
    plan = build_plan(found, catalogue=catalogue, time_range=whole)
    assert plan.baseline == (await usage.totals("acme", whole)).cost


async def test_a_plan_of_a_day_remembers_what_was_sent_before_it(usage, catalogue):
    whole = RANGES[0]
    days = tally_days(
        usage.reader.requests("acme", whole), catalogue=catalogue, settings=DEFAULT_SETTINGS
    )
    for day in islice(days, 40, 43):
        one = TimeRange.days(day.day, day.day)

        plan = UsagePlanner(usage.reader, catalogue).plan("acme", one)

        assert plan == combine(
            [day], settings=DEFAULT_SETTINGS, time_range=one, price_version=catalogue.version
        )


async def test_the_sql_that_checks_a_saving_later_runs(usage, sample_url, catalogue):
    plan = UsagePlanner(usage.reader, catalogue).plan("acme", RANGES[0])

    assert len(plan.levers) == 9
    with psycopg.connect(sample_url) as connection:
        for lever in plan.levers:
            query = lever.verification.replace("%", "%%").replace(":tenant", "%(tenant)s")
            rows = connection.execute(query, {"tenant": "acme"}).fetchall()
            # The sample has no hashes of content.
            assert bool(rows) is (lever.lever != "duplicates")


async def test_requests_can_be_left_before_their_end(usage):
    requests = usage.reader.requests("acme", RANGES[0])

    next(requests)
    requests.close()

    assert await usage.data_version("acme") == 1


@pytest.mark.parametrize("time_range", RANGES)
def test_a_range_is_cut_into_days_and_ends_without_overlap(time_range):
    cut = range_parameters(time_range)

    assert cut["start"] <= cut["head_end"]
    assert cut["first_day"] <= cut["last_day"]
    assert cut["tail_start"] <= cut["end"]
    if cut["first_day"] < cut["last_day"]:
        assert cut["head_end"] == cut["first_day"]
        assert cut["tail_start"] == cut["last_day"]
        assert cut["head_end"] - cut["start"] < timedelta(days=1)
    else:
        assert (cut["head_end"], cut["tail_start"]) == (cut["end"], cut["end"])


FILL = """
insert into apex.usage_rollups_{grain}
select 't' || n % 40, timestamptz '2026-08-01Z' + (n / 40) * interval '{step}', 'openai', 'gpt-5',
    'standard', null, null, null, null, 'ok', null, 1, 1, 0, 0, 1, 0, 0.1, 0, 0, 0, 0, 0, 0
from generate_series(0, {rows}) as n
"""
FILL_RECORDS = """
insert into apex.usage_records
    (tenant, record_id, import_id, occurred_at, request_count, input_tokens, cache_read_tokens,
     cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, grain,
     provider, model, processing, status, currency, computed_cost, tags)
select 't' || n % 40, n, 1, timestamptz '2026-08-01Z' + n * interval '1 minute', 1, 1, 0, 0, 0, 1,
    0, 'request', 'openai', 'gpt-5', 'standard', 'ok', 'USD', 0.1, '{}'
from generate_series(0, 80000) as n
"""


async def test_each_question_uses_an_index_on_big_tables(database):
    async with database.connection() as connection:
        await connection.execute(
            FILL.format(grain="quarter", step="15 minutes", rows=80_000).encode()
        )
        await connection.execute(FILL.format(grain="day", step="1 day", rows=20_000).encode())
        await connection.execute(FILL_RECORDS.encode())
        await connection.execute(b"analyze apex.usage_rollups_quarter")
        await connection.execute(b"analyze apex.usage_rollups_day")
        await connection.execute(b"analyze apex.usage_records")
        parameters = {
            "tenant": "t7",
            "dimension": "model",
            "limit": 10,
            **range_parameters(
                TimeRange.days(date(2026, 8, 10), date(2026, 8, 20), "Asia/Kolkata")
            ),
            "time_zone": "Asia/Kolkata",
            "tag": None,
            "truncated": ["length"],
            **filter_parameters(Filters.only(Dimension.MODEL, "gpt-5")),
        }
        names = (
            "extent",
            "totals",
            "breakdown",
            "daily_utc",
            "daily_local",
            "unpriced",
            "requests",
        )
        # Which hours there are is asked of no table.
        further = {name: query for name, query in QUESTIONS.items() if name != "hours"}
        for name, query in ({name: QUERIES[name] for name in names} | further).items():
            cursor = await connection.execute(b"explain (costs off) " + query, parameters)
            plan = "\n".join(row["QUERY PLAN"] for row in await cursor.fetchall())
            assert "Seq Scan" not in plan, f"{name}:\n{plan}"
            assert "Index" in plan

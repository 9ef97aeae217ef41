"""All answers from sums are those of the records: the same questions, asked in plain SQL."""

import asyncio
import io
import json
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from apex_actors.costs.analysis import PeriodSums, Step
from apex_actors.costs.filters import Filter, Filters
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.costs.summary import Dimension
from apex_actors.costs.timerange import TimeRange
from apex_actors.storage.database import Database
from apex_actors.storage.usage import UsageRepository
from apex_actors.storage.usage_questions import UsageQuestions

RECORDS = 3000
FIRST = datetime(2026, 9, 30, 20, tzinfo=UTC)
"""From here on, for 40 days: clocks change on Lord Howe on 4 October, in Berlin on the 25th and in
New York on 1 November."""

RANGES = [
    TimeRange.days(date(2026, 10, 1), date(2026, 11, 5)),
    TimeRange.days(date(2026, 10, 3), date(2026, 10, 20), "Asia/Kolkata"),
    TimeRange.days(date(2026, 10, 20), date(2026, 10, 27), "Europe/Berlin"),
    TimeRange.days(date(2026, 10, 25), date(2026, 10, 25), "Europe/Berlin"),
    TimeRange.days(date(2026, 10, 30), date(2026, 11, 3), "America/New_York"),
    TimeRange.days(date(2026, 10, 2), date(2026, 10, 6), "Australia/Lord_Howe"),
    TimeRange.days(date(2026, 10, 7), date(2026, 10, 9), "Asia/Kathmandu"),
    TimeRange(
        start=datetime(2026, 10, 7, 9, 15, tzinfo=UTC), end=datetime(2026, 10, 12, 3, tzinfo=UTC)
    ),
    TimeRange.days(date(2020, 1, 1), date(2020, 1, 2), "Europe/Berlin"),
]

FILTERS = [
    (Filters(), "true"),
    (Filters.only(Dimension.TEAM, "search", None), "(team = 'search' or team is null)"),
    (
        Filters(
            filters=(
                Filter(dimension=Dimension.ENVIRONMENT, values=("staging",), excluded=True),
                Filter(dimension=Dimension.MODEL, values=("gpt-5", "claude-sonnet-4-5")),
            )
        ),
        "environment is distinct from 'staging' and model in ('gpt-5', 'claude-sonnet-4-5')",
    ),
    (
        Filters(filters=(Filter(dimension=Dimension.USER, values=(None, "ann"), excluded=True),)),
        "user_name is not null and user_name <> 'ann'",
    ),
]

ASKED = [
    pytest.param(time_range, filters, where, id=f"{time_range}, {where[:12]}")
    for time_range in RANGES
    for filters, where in FILTERS
]


def random_rows(seed: int) -> list[dict[str, Any]]:
    dice = random.Random(seed)  # noqa: S311 - makes test data
    rows = []
    for number in range(RECORDS):
        provider, model = dice.choice(
            [("openai", "gpt-5"), ("anthropic", "claude-sonnet-4-5"), ("in-house", "orion-7b")]
        )
        is_bucket = dice.random() < 0.05
        read, write, fresh = (dice.randrange(3000) for _ in range(3))
        output = dice.randrange(2000)
        row = {
            "record_id": f"r{number}",
            # On quarters too, where ranges begin and end.
            "occurred_at": (
                FIRST
                + timedelta(minutes=15 * dice.randrange(40 * 96))
                + timedelta(milliseconds=dice.choice([0, dice.randrange(900_000)]))
            ).isoformat(),
            "grain": "bucket" if is_bucket else "request",
            "request_count": dice.randrange(1, 50) if is_bucket else 1,
            "provider": provider,
            "model": model,
            "processing": dice.choice(["standard", "standard", "batch"]),
            "input_tokens": read + write + fresh,
            "cache_read_tokens": read,
            "cache_write_5m_tokens": write if provider == "anthropic" else 0,
            "output_tokens": output,
            "reasoning_tokens": dice.randrange(output + 1),
            "status": dice.choice(["ok", "ok", "ok", "error"]),
            "finish_reason": dice.choice(["stop", "length", "max_tokens", None]),
            "latency_ms": dice.choice([None, dice.randrange(20_000)]),
            "ttft_ms": dice.choice([None, dice.randrange(2000)]),
            "user": dice.choice(["ann", "bob", "cyd", None]),
            "team": dice.choice(["search", "chat", None]),
            "feature": dice.choice(["answers", "titles", None]),
            "environment": dice.choice(["production", "staging", None]),
            "session_id": dice.choice([f"s{dice.randrange(60)}", None]),
            "reported_cost": dice.choice([None, "0.01"]),
            "tags": dice.choice([{}, {"region": "eu"}, {"region": "us", "plan": "free"}]),
        }
        rows.append({key: value for key, value in row.items() if value is not None})
    return rows


@pytest.fixture(scope="module")
def random_url(copied_database: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    """Random records of acme, and others of a stranger, imported in two files."""

    async def load(url: str) -> None:
        database = Database(url)
        await database.open()
        usage, catalogue = UsageRepository(database), PriceCatalogue()
        for tenant, rows in (
            ("acme", random_rows(6)[: RECORDS // 2]),
            ("stranger", random_rows(7)[:200]),
            ("acme", random_rows(6)[RECORDS // 3 :]),
        ):
            file = io.BytesIO("\n".join(map(json.dumps, rows)).encode())
            summary = await usage.import_file(tenant, file, name="f", catalogue=catalogue)
            assert summary.rejected == 0
        await database.close()

    with copied_database() as url:
        asyncio.run(load(url))
        yield url


@pytest.fixture
async def random_database(random_url: str) -> AsyncIterator[Database]:
    database = Database(random_url)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def usage(random_database: Database) -> UsageRepository:
    return UsageRepository(random_database)


@pytest.fixture
def questions(random_database: Database) -> UsageQuestions:
    return UsageQuestions(random_database)


FROM_RECORDS = """
    select {select} from apex.usage_records
    where tenant = 'acme' and occurred_at >= %(start)s and occurred_at < %(end)s and {where}
    {rest}
"""


@pytest.fixture
def from_records(random_database: Database):
    """The answer of the records: ``await from_records("sum(...)", time_range, where)``."""

    async def ask(select: str, time_range: TimeRange, where: str, rest: str = ""):
        async with random_database.connection() as connection:
            cursor = await connection.execute(
                FROM_RECORDS.format(select=select, where=where, rest=rest).encode(),
                {
                    "start": time_range.start,
                    "end": time_range.end,
                    "zone": time_range.time_zone,
                },
            )
            return await cursor.fetchall()

    return ask


SUMS = """
    coalesce(sum(request_count), 0)::bigint as requests,
    coalesce(sum(request_count) filter (where computed_cost is not null), 0)::bigint
        as priced_requests,
    coalesce(sum(input_tokens), 0)::bigint as input_tokens,
    coalesce(sum(cache_read_tokens), 0)::bigint as cache_read_tokens,
    coalesce(sum(cache_write_5m_tokens) + sum(cache_write_1h_tokens), 0)::bigint
        as cache_write_tokens,
    coalesce(sum(output_tokens), 0)::bigint as output_tokens,
    coalesce(sum(reasoning_tokens), 0)::bigint as reasoning_tokens,
    coalesce(sum(input_tokens + output_tokens) filter (where computed_cost is not null), 0)::bigint
        as priced_tokens,
    coalesce(sum(computed_cost), 0) as cost,
    coalesce(sum(request_count) filter (where status = 'error'), 0)::bigint as errors,
    coalesce(sum(computed_cost) filter (where status = 'error'), 0) as error_cost
"""
REST_OF_TOTALS = """,
    count(latency_ms) as latency_requests,
    coalesce(sum(latency_ms), 0)::bigint as latency_ms_sum,
    coalesce(sum(request_count) filter (
        where reported_cost is not null and computed_cost is not null), 0)::bigint
        as reported_requests,
    coalesce(sum(reported_cost) filter (where computed_cost is not null), 0) as reported_cost,
    coalesce(sum(computed_cost) filter (where reported_cost is not null), 0)
        as reported_computed_cost
"""


def column(dimension: Dimension) -> str:
    return "user_name" if dimension is Dimension.USER else dimension.value


def by_name(rows):
    found = {row.name: row.model_dump(exclude={"name"}) for row in rows}
    assert len(found) == len(rows)
    return found


@pytest.mark.parametrize(("time_range", "filters", "where"), ASKED)
async def test_sums_and_breakdowns(usage, from_records, time_range, filters, where):
    totals = await usage.totals("acme", time_range, filters=filters)
    (expected,) = await from_records(SUMS + REST_OF_TOTALS, time_range, where)
    assert totals.model_dump() == expected

    for dimension in Dimension:
        found = await usage.breakdown("acme", time_range, dimension, limit=1000, filters=filters)
        rows = await from_records(
            f"{column(dimension)} as name, {SUMS}", time_range, where, "group by 1"
        )
        assert by_name(found.rows) == {row.pop("name"): row for row in rows}
        assert found.other is None

    unpriced = await usage.unpriced("acme", time_range, filters=filters)
    rows = await from_records(
        "provider, model, processing, unpriced_reason as reason, "
        "sum(request_count)::bigint as requests, "
        "sum(input_tokens + output_tokens)::bigint as tokens",
        time_range,
        f"{where} and computed_cost is null",
        "group by 1, 2, 3, 4",
    )
    key = lambda row: json.dumps(row, sort_keys=True)  # noqa: E731 - of two lists of the same thing
    assert sorted((each.model_dump() for each in unpriced), key=key) == sorted(rows, key=key)


@pytest.mark.parametrize(("time_range", "filters", "where"), ASKED)
async def test_series(usage, questions, from_records, time_range, filters, where):
    daily = await usage.daily("acme", time_range, filters=filters)
    rows = await from_records(
        "(occurred_at at time zone %(zone)s)::date as day, sum(request_count)::bigint as requests,"
        " sum(input_tokens + output_tokens)::bigint as tokens, coalesce(sum(computed_cost), 0) as cost,"
        " coalesce(sum(request_count) filter (where status = 'error'), 0)::bigint as errors",
        time_range,
        where,
        "group by 1",
    )
    assert {each.day: each.model_dump() for each in daily if each.requests} == {
        row["day"]: row for row in rows
    }

    for step in Step:
        series = await questions.costs(
            "acme", time_range, step, filters=filters, dimensions=(Dimension.TEAM, Dimension.MODEL)
        )
        points, parts = series.points, series.parts
        start = f"date_trunc('{step}', occurred_at, %(zone)s) as start"
        cost = "coalesce(sum(computed_cost), 0) as cost"
        rows = await from_records(f"{start}, {cost}", time_range, where, "group by 1")
        found = {point.start: point.cost for point in points}
        assert len(found) == len(points)
        assert {start: found.get(start) for start in (row["start"] for row in rows)} == {
            row["start"]: row["cost"] for row in rows
        }
        assert sum(found.values()) == sum(row["cost"] for row in rows)
        for dimension in (Dimension.TEAM, Dimension.MODEL):
            rows = await from_records(
                f"{start}, {dimension} as name, {cost}", time_range, where, "group by 1, 2"
            )
            assert {
                (part.start, part.name): part.cost for part in parts if part.dimension is dimension
            } == {(row["start"], row["name"]): row["cost"] for row in rows}


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        ((2026, 10, 25), "Europe/Berlin", 25),
        ((2026, 11, 1), "America/New_York", 25),
        ((2026, 10, 24), "Asia/Kolkata", 24),
        ((2027, 3, 28), "Europe/Berlin", 23),
    ],
)
async def test_a_day_has_as_many_hours_as_the_clock_makes_it(questions, day, zone, hours):
    whole = TimeRange.days(date(*day), date(*day), zone)
    series = await questions.costs("acme", whole, Step.HOUR)
    assert len(series.points) == hours
    assert series.points[0].start == whole.start


@pytest.mark.parametrize(("time_range", "filters", "where"), ASKED)
async def test_periods(questions, from_records, time_range, filters, where):
    span = time_range.end - time_range.start
    before = TimeRange(
        start=time_range.start - span, end=time_range.start, time_zone=time_range.time_zone
    )
    for dimension in (Dimension.MODEL, Dimension.USER):
        pairs = await questions.periods("acme", before, time_range, dimension, filters=filters)
        for period, side in ((before, "before"), (time_range, "after")):
            rows = await from_records(
                f"{column(dimension)} as name,"
                " coalesce(sum(request_count) filter (where computed_cost is not null), 0) as requests,"
                " coalesce(sum(input_tokens + output_tokens)"
                " filter (where computed_cost is not null), 0) as tokens,"
                " coalesce(sum(computed_cost), 0) as cost,"
                " coalesce(sum(request_count) filter (where computed_cost is null), 0)"
                " as unpriced_requests",
                period,
                where,
                "group by 1",
            )
            expected = {row.pop("name"): PeriodSums(**row) for row in rows}
            nothing = PeriodSums(requests=0, tokens=0, cost=Decimal(0))
            assert {pair.name: getattr(pair, side) for pair in pairs} == {
                pair.name: expected.get(pair.name, nothing) for pair in pairs
            }
            assert set(expected) <= {pair.name for pair in pairs}


@pytest.mark.parametrize(("time_range", "filters", "where"), ASKED)
async def test_what_only_records_know(questions, from_records, time_range, filters, where):
    sessions = await questions.by_session("acme", time_range, limit=1000, filters=filters)
    rows = await from_records(f"session_id as name, {SUMS}", time_range, where, "group by 1")
    assert by_name(sessions.rows) == {row.pop("name"): row for row in rows}
    assert sessions.time_range == time_range

    tags = await questions.by_tag("acme", time_range, "region", limit=1000, filters=filters)
    rows = await from_records(f"tags ->> 'region' as name, {SUMS}", time_range, where, "group by 1")
    assert by_name(tags.rows) == {row.pop("name"): row for row in rows}

    totals, sums = await questions.totals_and_records("acme", time_range, filters=filters)
    assert totals.cost == sum((row.cost for row in sessions.rows), Decimal(0))
    cut_off = "finish_reason in ('length', 'max_tokens') and grain = 'request'"
    (expected,) = await from_records(
        "count(distinct case when computed_cost is not null then session_id end) as sessions,"
        " coalesce(sum(case when session_id is not null then computed_cost end), 0) as session_cost,"
        f" count(*) filter (where {cut_off}) as truncated,"
        f" coalesce(sum(computed_cost) filter (where {cut_off}), 0) as truncated_cost",
        time_range,
        where,
    )
    assert sums.model_dump() == expected

    latency = await questions.latency(
        "acme", time_range, dimension=Dimension.MODEL, filters=filters
    )
    rows = await from_records(
        "model, latency_ms", time_range, f"{where} and latency_ms is not null and grain = 'request'"
    )
    taken: dict[str, list[int]] = {}
    for row in rows:
        taken.setdefault(row["model"], []).append(row["latency_ms"])
    assert {row.name: row.requests for row in latency.rows} == {
        name: len(times) for name, times in taken.items()
    }
    for row in latency.rows:
        times = sorted(taken[row.name])
        assert row.latency_ms == {
            # The smallest value with at least that share at or below it.
            percentile: times[-(-len(times) * percentile // 100) - 1]
            for percentile in (50, 90, 95, 99)
        }


async def test_sessions_of_too_many_records_are_those_of_the_last_days(random_database, usage):
    whole = TimeRange.days(date(2026, 10, 1), date(2026, 11, 5), "Asia/Kolkata")
    daily = await usage.daily("acme", whole)
    last_three = sum(point.requests for point in daily[-3:])
    questions = UsageQuestions(random_database, max_records=last_three)

    found = await questions.by_session("acme", whole, limit=1000)

    assert found.time_range == TimeRange.days(date(2026, 11, 3), date(2026, 11, 5), "Asia/Kolkata")
    assert sum(row.requests for row in found.rows) == last_three
    # Figures of the whole range are not put beside figures of a part of it.
    totals, sums = await questions.totals_and_records("acme", whole)
    assert totals.requests > last_three
    assert sums is None

    none = UsageQuestions(random_database, max_records=1)
    assert await none.by_session("acme", whole) is None
    assert await none.latency("acme", whole) is None
    assert await none.tags("acme", whole) == ()


async def test_tags_are_listed_and_the_top_and_the_others_are_all(questions, usage):
    whole = RANGES[0]
    totals = await usage.totals("acme", whole)

    tags = await questions.tags("acme", whole)
    top = await questions.by_session("acme", whole, limit=3)

    assert [tag.key for tag in tags] == ["region", "plan"]
    assert sum((each.cost for each in (*top.rows, top.other)), Decimal(0)) == totals.cost
    with pytest.raises(ValueError, match="limit"):
        await questions.by_session("acme", whole, limit=0)


async def test_promise_8_another_tenant_has_other_answers(questions):
    whole = RANGES[0]
    nobody = await questions.costs("nobody", whole, Step.DAY, dimensions=(Dimension.MODEL,))
    assert (sum(point.cost for point in nobody.points), nobody.parts) == (0, ())
    mine = {row.name for row in (await questions.by_session("acme", whole, limit=1000)).rows}
    stranger = await questions.by_session("stranger", whole, limit=1000)
    assert sum(row.requests for row in stranger.rows) < 2000
    assert mine

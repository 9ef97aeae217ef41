"""The same spend counts once: one source for each provider and day, whatever comes when."""

import io
import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apex_actors.costs.importers import ImportOptions, SourceKind
from apex_actors.costs.timerange import TimeRange
from apex_actors.storage.database import Database
from apex_actors.storage.usage import UsageRepository
from apex_actors.storage.usage_sources import ANY_PROVIDER, UsageSources

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
ALL = TimeRange.days(date(2026, 10, 1), date(2026, 12, 1))
IGNORED = {"tenant", "import_id"}


@pytest.fixture
def usage(database: Database) -> UsageRepository:
    return UsageRepository(database)


@pytest.fixture
def sources(database: Database) -> UsageSources:
    return UsageSources(database)


@pytest.fixture
def upload(imports, user_id, catalogue):
    """Import these rows; the summary."""

    async def upload(rows: Sequence[dict[str, Any]], tenant: str = "acme", **options: Any):
        file = io.BytesIO("\n".join(json.dumps(each) for each in rows).encode())
        uploaded = await imports.upload(
            user_id,
            tenant,
            file,
            name="f",
            catalogue=catalogue,
            options=ImportOptions(**options) if options else None,
        )
        return uploaded.summary

    return upload


def request(number: int = 0, *, day: int = 0, **fields: Any) -> dict[str, Any]:
    return {
        "record_id": f"r{number}",
        "occurred_at": (START + timedelta(days=day)).isoformat(),
        "provider": "anthropic",
        "model": "claude-sonnet-4-5",
        "input_tokens": 1000,
        "output_tokens": 100,
        **fields,
    }


def bucket(number: int = 0, *, day: int = 0, **fields: Any) -> dict[str, Any]:
    fields = {"input_tokens": 70_000, "request_count": 50, **fields}
    return request(number, day=day, **fields) | {
        "record_id": f"b{number}-{day}", "grain": "bucket",
    }  # fmt: skip


async def contents(database: Database, tenant: str, *, sums_only: bool = False):
    """What stands in the tables of a tenant, whoever brought it."""
    tables = ["usage_rollups_quarter", "usage_rollups_day", "usage_sources"]
    if not sums_only:
        tables += ["usage_records", "usage_reconciling"]
    found = {}
    async with database.connection() as connection:
        for table in tables:
            cursor = await connection.execute(
                f"select * from apex.{table} where tenant = %s".encode(),  # noqa: S608 - constants
                (tenant,),
            )
            found[table] = Counter(
                tuple((k, str(v)) for k, v in row.items() if k not in IGNORED)
                for row in await cursor.fetchall()
            )
    return found


async def test_requests_count_before_a_report_of_the_same_day_whichever_comes_first(upload, usage):
    requests, report = [request(1), request(2)], [bucket(1), bucket(2, day=1)]

    await upload(requests, "first")
    summary = await upload(report, "first")
    await upload(report, "last")
    later = await upload(requests, "last")

    for tenant in ("first", "last"):
        # 2 requests of the first day, and the 50 of the second, of which only the report tells.
        assert (await usage.totals(tenant, ALL)).requests == 52
    (covered,) = summary.covered
    assert (covered.provider, covered.source_kind) == ("anthropic", SourceKind.REQUESTS)
    assert (covered.days, covered.records) == (1, 1)
    assert later.covered == ()
    assert summary.inserted == 2


async def test_another_provider_or_day_is_no_overlap(upload, usage, sources):
    await upload([request(1), bucket(1, day=1), bucket(2, provider="openai", model="gpt-5")])

    assert (await usage.totals("acme", ALL)).requests == 101
    assert await sources.overlaps("acme", ALL) == ()


async def test_a_day_ends_at_midnight_in_utc(upload, usage):
    evening = datetime(2026, 11, 1, 23, 59, tzinfo=UTC).isoformat()
    next_day = datetime(2026, 11, 2, tzinfo=UTC).isoformat()

    await upload([request(1, occurred_at=evening), bucket(1, occurred_at=next_day)])

    assert (await usage.totals("acme", ALL)).requests == 51


async def test_an_overlap_shows_what_each_source_says(upload, sources):
    await upload([request(1, reported_cost="0.25"), request(2)])
    await upload([bucket(1, reported_cost="7"), bucket(2, reported_cost="3", currency="EUR")])

    (overlap,) = await sources.overlaps("acme", ALL)

    assert (overlap.provider, overlap.day) == ("anthropic", date(2026, 11, 1))
    counted, other = overlap.sources
    assert (counted.source_kind, counted.is_counted) == (SourceKind.REQUESTS, True)
    assert (counted.records, counted.requests, counted.tokens) == (2, 2, 2200)
    assert (other.source_kind, other.is_counted) == (SourceKind.USAGE_REPORT, False)
    assert (other.records, other.requests, other.reported_cost) == (2, 100, 7)


async def test_a_trace_counts_only_where_nothing_else_does(
    imports, usage, user_id, catalogue, upload
):
    trace = b"TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,100,10\n"
    options = ImportOptions(provider="anthropic", model="claude-sonnet-4-5", start=START)

    await imports.upload(
        user_id, "acme", io.BytesIO(trace), name="t", catalogue=catalogue, options=options
    )
    assert (await usage.totals("acme", ALL)).input_tokens == 100
    await upload([bucket(1)])

    assert (await usage.totals("acme", ALL)).input_tokens == 70_000


async def test_a_tenant_may_let_another_source_count(upload, usage, sources):
    await upload([request(1), request(2, day=1), bucket(1)])
    version = await usage.data_version("acme")

    assert await sources.choose("acme", "anthropic", SourceKind.USAGE_REPORT) == 2

    # The report where there is one, the requests on the day that it does not tell of.
    assert (await usage.totals("acme", ALL)).requests == 51
    assert await usage.data_version("acme") == version + 1
    assert await sources.choose("acme", "anthropic", SourceKind.USAGE_REPORT) == 0
    assert await usage.data_version("acme") == version + 1
    await upload([request(3)])
    assert (await usage.totals("acme", ALL)).requests == 51
    # What is chosen for the provider itself goes before what is chosen for all.
    assert await sources.choose("acme", ANY_PROVIDER, SourceKind.REQUESTS) == 0
    assert [choice.provider for choice in await sources.choices("acme")] == ["*", "anthropic"]
    assert await sources.choose("acme", "anthropic", None) == 3
    assert (await usage.totals("acme", ALL)).requests == 3


async def test_a_bucket_pulled_again_replaces_its_old_value_until_that_import_is_undone(
    upload, usage, imports, user_id
):
    await upload([bucket(1), bucket(2)])

    again = await upload([bucket(1, input_tokens=80_000), bucket(2)])

    assert (again.inserted, again.replaced, again.duplicates) == (0, 1, 1)
    totals = await usage.totals("acme", ALL)
    assert (totals.requests, totals.input_tokens) == (100, 150_000)
    newer, older = await imports.page("acme", limit=2, before=None)
    assert (newer.inserted, newer.duplicates) == (2, 0)
    assert (older.inserted, older.duplicates) == (0, 2)
    await imports.undo(user_id, "acme", again.import_id)
    assert (await usage.totals("acme", ALL)).input_tokens == 140_000


async def test_a_bucket_pulled_again_unchanged_changes_nothing(upload, usage, database):
    await upload([bucket(1), bucket(2)])
    before = await contents(database, "acme")

    again = await upload([bucket(1), bucket(2)])

    assert (again.inserted, again.replaced, again.duplicates) == (0, 0, 2)
    assert await usage.data_version("acme") == 1
    assert await contents(database, "acme") == before


async def test_a_replaced_bucket_that_moves_leaves_no_empty_sums(upload, database):
    await upload([bucket(1, team="a")])
    await upload([bucket(1, team="b", input_tokens=1)])
    await upload([bucket(1, team="b")], "twin")
    await upload([bucket(1, team="b", input_tokens=1)], "twin")

    assert await contents(database, "acme") == await contents(database, "twin")
    assert len((await contents(database, "acme"))["usage_rollups_day"]) == 1


async def test_a_bucket_without_a_number_of_requests_keeps_its_sums(upload, usage, database):
    """Not every provider tells how many requests a bucket had."""
    await upload([bucket(1)])
    async with database.transaction() as connection:
        await connection.execute("update apex.usage_records set request_count = 0")
    await usage.rebuild_rollups("acme")

    await upload([bucket(2), request(1, day=1)])

    assert (await usage.totals("acme", ALL)).input_tokens == 141_000


KEYS = st.tuples(
    st.sampled_from(["request", "bucket"]),
    st.integers(0, 3),
    st.sampled_from(["anthropic", "openai"]),
    st.integers(0, 1),
)


def row_of(kind: str, number: int, provider: str, day: int, tokens: int = 0) -> dict[str, Any]:
    make = request if kind == "request" else bucket
    row = make(number, day=day, provider=provider, model="m", input_tokens=1000 + tokens)
    return row | {"record_id": f"{kind}-{number}-{provider}-{day}"}


ROWS = st.builds(lambda key: row_of(*key), KEYS)
FILES = st.lists(st.lists(ROWS, min_size=1, max_size=5), min_size=1, max_size=4)
PROPERTY = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def counted_ids(rows: Sequence[dict[str, Any]]) -> set[str]:
    """What the rule says: of a provider's day the requests, or where there are none the buckets."""
    with_requests = {
        (row["provider"], row["occurred_at"]) for row in rows if row.get("grain") != "bucket"
    }
    return {
        row["record_id"]
        for row in rows
        if row.get("grain") != "bucket"
        or (row["provider"], row["occurred_at"]) not in with_requests
    }


async def check(database: Database, usage: UsageRepository, tenant: str, rows) -> None:
    """Exactly the right records count, and the sums are those of the records."""
    found = await contents(database, tenant)
    counted = {dict(row)["record_id"] for row in found["usage_records"]}
    assert counted == counted_ids(rows)
    assert counted | {dict(row)["record_id"] for row in found["usage_reconciling"]} == {
        row["record_id"] for row in rows
    }
    assert (await usage.rebuild_rollups(tenant)) == len(counted)
    assert await contents(database, tenant) == found


@PROPERTY
@given(files=FILES, data=st.data())
async def test_order_repetition_and_splitting_change_nothing(database, usage, upload, files, data):
    one, other = uuid4().hex, uuid4().hex
    rows = [row for file in files for row in file]
    shuffled = data.draw(st.permutations(rows))
    cut = data.draw(st.integers(0, len(rows)))
    for file in files:
        await upload(file, one)
    for part in (shuffled[:cut], shuffled[cut:], shuffled[:cut]):
        if part:
            await upload(part, other)

    assert await contents(database, one) == await contents(database, other)
    await check(database, usage, one, rows)


@PROPERTY
@given(files=FILES, data=st.data())
async def test_overlapping_sources_count_once_also_after_any_undo(
    database, usage, imports, user_id, upload, files, data
):
    tenant = uuid4().hex
    left = {}
    for number, file in enumerate(files):
        left[number] = ((await upload(file, tenant)).import_id, file)
    for number in data.draw(st.lists(st.sampled_from(range(len(files))), unique=True)):
        import_id, _ = left.pop(number)
        await imports.undo(user_id, tenant, import_id)

        await check(database, usage, tenant, [row for _, file in left.values() for row in file])


VALUES = st.builds(
    lambda key, tokens: row_of(key[0], key[1] % 2, "anthropic", key[3], tokens),
    KEYS,
    st.integers(0, 2),
)


@PROPERTY
@given(
    files=st.lists(st.lists(VALUES, min_size=1, max_size=4), min_size=1, max_size=4), data=st.data()
)
async def test_after_undo_the_sums_are_as_if_the_import_had_never_been(
    database, imports, user_id, upload, files, data
):
    undone = data.draw(st.sets(st.sampled_from(range(len(files))), min_size=1))
    with_undo, without, whole = uuid4().hex, uuid4().hex, uuid4().hex
    ids = {}
    for number, file in enumerate(files):
        ids[number] = (await upload(file, with_undo)).import_id
        if number not in undone:
            await upload(file, without)
    for number in undone:
        await imports.undo(user_id, with_undo, ids[number])

    assert await contents(database, with_undo) == await contents(database, without)
    # One file with all rows is as good as each row in a file of its own.
    kept = [row for number, file in enumerate(files) if number not in undone for row in file]
    if kept:
        await upload(kept, whole)
        assert await contents(database, whole) == await contents(database, without)

"""Importing usage into a real PostgreSQL."""

import asyncio
import gzip
import io
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from apex_actors.costs.importers import ImportOptions, UnknownFormatError, UnreadableFileError
from apex_actors.costs.money import from_units
from apex_actors.costs.records import UsageRecord
from apex_actors.costs.sample import SAMPLE_TAGS
from apex_actors.costs.timerange import TimeRange
from apex_actors.storage.database import Database
from apex_actors.storage.usage import UsageRepository

START = datetime(2026, 11, 1, 23, 50, tzinfo=UTC)
TODAY = date(2026, 11, 23)
ALL = TimeRange.days(date(2026, 10, 1), TODAY)


@pytest.fixture
def usage(database: Database) -> UsageRepository:
    return UsageRepository(database, clock=lambda: START)


def row(number: int = 0, **fields: Any) -> dict[str, Any]:
    return {
        "record_id": f"r{number}",
        "occurred_at": (START + timedelta(minutes=number)).isoformat(),
        "provider": "anthropic",
        "model": "claude-sonnet-4-5",
        "input_tokens": 1000,
        "output_tokens": 100,
        **fields,
    }


def jsonl(*rows: dict[str, Any] | str) -> io.BytesIO:
    lines = [each if isinstance(each, str) else json.dumps(each) for each in rows]
    return io.BytesIO("\n".join(lines).encode())


async def select(database: Database, query: str) -> list[dict[str, Any]]:
    async with database.connection() as connection:
        cursor = await connection.execute(query.encode())
        return await cursor.fetchall()


async def rollups(database: Database) -> list[list[dict[str, Any]]]:
    return [
        await select(
            database,
            f"select * from apex.usage_rollups_{grain} order by tenant, bucket, provider, model,"  # noqa: S608 - two constants
            " processing, feature, team, user_name, environment, status, unpriced_reason",
        )
        for grain in ("quarter", "day")
    ]


async def test_a_record_arrives_with_every_field_and_its_price(usage, database, catalogue):
    given = row(
        grain="request", processing="batch", input_tokens=1025, cache_read_tokens=512,
        cache_write_5m_tokens=100, cache_write_1h_tokens=1, output_tokens=20, reasoning_tokens=5,
        latency_ms=900, ttft_ms=120, status="error", finish_reason="length", user="Zoë \\N",
        team="back\\slash", feature="\\.", environment="production", session_id="s",
        request_hash="abc", prefix_block_hashes=[1, -(2**63), 2**63 - 1], temperature="0.70",
        deferrable=True, retry_of="q", reported_cost="0.1", currency="EUR",
        tags={"k\\": 'v"\\n'}, request_count=1,
    )  # fmt: skip

    await usage.import_file("acme", jsonl(given), name="f", catalogue=catalogue)

    (stored,) = await select(database, "select * from apex.usage_records")
    assert stored.pop("import_id") == 1
    assert stored.pop("prefix_block_hashes") == (
        b"\x01" + bytes(7) + bytes(7) + b"\x80" + b"\xff" * 7 + b"\x7f"
    )
    assert stored.pop("tenant") == "acme"
    assert stored.pop("occurred_at") == START
    # Batch prices of Sonnet 4.5: 1.5 in, 0.15 read, 1.875 and 3 written, 7.5 out.
    assert stored.pop("computed_cost") == (
        412 * Decimal("1.5") + 512 * Decimal("0.15") + 100 * Decimal("1.875") + 3
        + 20 * Decimal("7.5")
    ) / 1_000_000  # fmt: skip
    assert stored.pop("unpriced_reason") is None
    assert stored.pop("user_name") == given["user"]
    assert stored.pop("is_deferrable") is True
    assert (stored.pop("temperature"), stored.pop("reported_cost")) == (
        Decimal("0.70"), Decimal("0.1"),
    )  # fmt: skip
    assert stored == {name: given[name] for name in stored}
    left = set(given) - set(stored)
    assert left == {
        "occurred_at", "prefix_block_hashes", "user", "deferrable", "temperature", "reported_cost",
    }  # fmt: skip


async def test_the_summary_says_what_happened(usage, catalogue):
    file = jsonl(
        row(0, reported_cost="0.005"),
        row(1, model="orion-7b", input_tokens=500, output_tokens=0),
        row(1),
        row(2, reported_cost="1", currency="EUR"),
        row(3, input_tokens=-1),
        "broken",
    )

    summary = await usage.import_file("acme", file, name="may.jsonl", catalogue=catalogue)

    assert (summary.format, summary.name) == ("native-jsonl", "may.jsonl")
    assert "JSON lines" in summary.reason
    assert (summary.rows, summary.inserted, summary.duplicates, summary.rejected) == (6, 3, 1, 2)
    assert [line for line, _ in summary.first_rejects] == [5, 6]
    assert (summary.requests, summary.priced_requests) == (3, 2)
    assert (summary.tokens, summary.priced_tokens) == (2700, 2200)
    assert summary.priced_token_share == Decimal("0.8148")
    assert summary.priced_request_share == Decimal("0.6667")
    # 1,000 tokens at 3 dollars a million and 100 at 15.
    assert summary.computed_cost == 2 * Decimal("0.0045")
    assert (summary.reported_requests, summary.reported_cost) == (1, Decimal("0.005"))
    assert summary.reported_computed_cost == Decimal("0.0045")
    assert summary.data_version == 1
    assert await usage.rejects("acme", summary.import_id) == (
        (5, "input_tokens: input should be greater than or equal to 0"),
        (6, "not a JSON object in UTF-8"),
    )
    assert await usage.rejects("other", summary.import_id) == ()


async def test_importing_the_same_file_twice_changes_nothing(usage, database, catalogue):
    rows = [row(number) for number in range(50)]
    without_id = [{**each, "record_id": None} for each in rows]
    for content in (jsonl(*rows), jsonl(*without_id)):
        await usage.import_file("acme", content, name="f", catalogue=catalogue)
    before = await rollups(database)
    version = await usage.data_version("acme")

    for content in (jsonl(*rows), io.BytesIO(gzip.compress(jsonl(*without_id).read()))):
        summary = await usage.import_file("acme", content, name="f", catalogue=catalogue)

        assert (summary.inserted, summary.duplicates) == (0, 50)
    assert await rollups(database) == before
    assert await usage.data_version("acme") == version == 2


def various(count: int) -> list[dict[str, Any]]:
    """Rows of a dozen kinds in a fixed shuffle over five hours: many share a rollup row."""
    models = ["claude-sonnet-4-5", "claude-haiku-4-5", "orion-7b"]
    rows = []
    for number in range(count):
        kind = number % 12
        rows.append(
            row(
                number,
                occurred_at=(START + timedelta(minutes=number * 7919 % 300)).isoformat(),
                model=models[kind % 3],
                input_tokens=number * 131 % 5000,
                cache_read_tokens=number % 2 * (number * 131 % 5000 // 3),
                output_tokens=number * 17 % 900,
                processing=["standard", "batch"][kind == 5],
                user=[None, "ada", "bo"][kind % 3],
                team=[None, "core"][kind % 2],
                feature=["chat", "search", None][kind % 4 % 3],
                environment=[None, "production"][kind % 2],
                status=["ok", "error"][kind == 7],
                latency_ms=[None, number * 3][number % 2],
                reported_cost=[None, "0.00123"][number % 3 % 2],
                grain=["request", "bucket"][number % 17 == 0],
                request_count=5 if number % 17 == 0 else 1,
            )
        )
    return rows


async def test_order_and_division_of_files_change_nothing(usage, database, catalogue):
    rows = various(600)
    await usage.import_file("acme", jsonl(*rows), name="f", catalogue=catalogue)
    backwards = rows[::-1]
    for part in (backwards[:100], backwards[50:300], backwards[300:]):
        await usage.import_file("twin", jsonl(*part), name="f", catalogue=catalogue)

    def of(tenant: str, tables: list[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
        return [
            [{**each, "tenant": ""} for each in table if each["tenant"] == tenant]
            for table in tables
        ]

    tables = await rollups(database)
    assert of("acme", tables) == of("twin", tables)
    # Rows were added to each other, and not all to one.
    assert 100 < len(of("acme", tables)[0]) < 400


async def test_imports_of_one_tenant_at_the_same_time_are_all_counted(usage, database, catalogue):
    parts = [various(400)[start : start + 150] for start in (0, 100, 200, 300)]

    await asyncio.gather(
        *(usage.import_file("acme", jsonl(*part), name="f", catalogue=catalogue) for part in parts)
    )

    (counted,) = await select(
        database, "select sum(requests)::int as requests from apex.usage_rollups_day"
    )
    (stored,) = await select(
        database, "select sum(request_count)::int as requests from apex.usage_records"
    )
    assert counted == stored
    assert await usage.data_version("acme") == 4


async def test_stored_costs_are_the_catalogues(usage, database, catalogue):
    rows = various(200)
    await usage.import_file("acme", jsonl(*rows), name="f", catalogue=catalogue)

    stored = await select(
        database,
        "select * from apex.usage_records union all select * from apex.usage_reconciling",
    )

    assert len(stored) == 200
    for each in stored:
        record = UsageRecord(
            **{
                name: each[name]
                for name in UsageRecord.model_fields
                if name in each and name not in ("grain", "processing", "status")
            },
            grain=type_of("grain", each["grain"]),
            processing=type_of("processing", each["processing"]),
        )
        price = catalogue.price(record)
        if isinstance(price, int):
            assert each["computed_cost"] == from_units(price)
        else:
            assert each["computed_cost"] is None
            assert each["unpriced_reason"] == price.reason


def type_of(field: str, value: str) -> Any:
    kind = UsageRecord.model_fields[field].annotation
    assert kind is not None
    return kind(value)


async def test_tenants_do_not_mix(usage, catalogue):
    await usage.import_file("acme", jsonl(row(1)), name="f", catalogue=catalogue)
    await usage.import_file("rival", jsonl(row(1), row(2)), name="f", catalogue=catalogue)

    assert (await usage.totals("acme", ALL)).requests == 1
    assert (await usage.totals("rival", ALL)).requests == 2
    assert (await usage.totals("nobody", ALL)).requests == 0
    assert await usage.data_version("nobody") == 0
    assert await usage.extent("nobody") is None


@pytest.mark.parametrize(
    ("file", "error"),
    [
        (io.BytesIO(b""), UnknownFormatError),
        (
            io.BytesIO(gzip.compress(b"\n".join(json.dumps(row(n)).encode() for n in range(9000)))[:-9]),
            UnreadableFileError,
        ),
    ],
)  # fmt: skip
async def test_a_file_that_cannot_be_read_leaves_nothing(usage, database, catalogue, file, error):
    with pytest.raises(error):
        await usage.import_file("acme", file, name="f", catalogue=catalogue)

    assert await select(database, "select 1 from apex.import_batches") == []
    assert await usage.extent("acme") is None


async def test_a_trace_is_imported_with_its_options(usage, catalogue):
    file = io.BytesIO(b"TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6,374,44\n")
    options = ImportOptions(provider="openai", model="gpt-5", start=START, team="core")

    summary = await usage.import_file(
        "acme", file, name="t.csv", catalogue=catalogue, options=options
    )

    assert summary.format == "azure-2023-trace"
    assert (await usage.extent("acme")).first == START


async def test_the_sample_is_loaded_once_and_without_blocking(usage, catalogue):
    turns = 0

    async def watch() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.01)
            turns += 1

    watching = asyncio.create_task(watch())
    summary = await usage.import_sample("acme", TODAY, catalogue=catalogue)
    watching.cancel()

    assert summary is not None
    assert (summary.inserted, summary.rejected) == (40_216, 0)
    assert 500 < summary.computed_cost < 520
    # It takes some seconds; on the loop itself it would let none of these through, or one.
    assert turns > 20
    assert await usage.import_sample("acme", TODAY + timedelta(days=3), catalogue=catalogue) is None
    assert await usage.data_version("acme") == 1
    assert (await usage.extent("acme")).sample_only


async def test_own_data_beside_the_sample_are_seen(usage, catalogue):
    await usage.import_file("acme", jsonl(row(1, tags=SAMPLE_TAGS)), name="f", catalogue=catalogue)
    assert (await usage.extent("acme")).sample_only

    await usage.import_file("acme", jsonl(row(2)), name="f", catalogue=catalogue)

    assert not (await usage.extent("acme")).sample_only

"""Own prices are kept in versions, and what was used before is priced anew in small transactions."""

import io
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from apex_actors.costs.importers import SourceKind
from apex_actors.costs.price_override import PriceOverride, check_override
from apex_actors.costs.prices import UNKNOWN_PROVIDER
from apex_actors.costs.timerange import TimeRange
from apex_actors.storage.database import Database
from apex_actors.storage.prices import PriceStore
from apex_actors.storage.repricing import Repricing
from apex_actors.storage.usage import UsageRepository
from apex_actors.storage.usage_sources import UsageSources

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
ALL = TimeRange.days(date(2026, 10, 1), date(2026, 12, 1))
SONNET = {"provider": "anthropic", "model": "claude-sonnet-4-5"}


@pytest.fixture
def usage(database: Database) -> UsageRepository:
    return UsageRepository(database)


@pytest.fixture
def store(database: Database) -> PriceStore:
    return PriceStore(database)


@pytest.fixture
def repricing(database: Database) -> Repricing:
    # Several transactions, also for a few records.
    return Repricing(database, batch_records=3)


@pytest.fixture
def load(usage, catalogue):
    async def load(*rows: dict[str, Any], tenant: str = "acme"):
        file = io.BytesIO("\n".join(json.dumps(each) for each in rows).encode())
        return await usage.import_file(tenant, file, name="f", catalogue=catalogue)

    return load


def row(number: int = 0, **fields: Any) -> dict[str, Any]:
    return {
        "record_id": f"r{number}",
        "occurred_at": (START + timedelta(minutes=number // 2)).isoformat(),
        **SONNET,
        "input_tokens": 1_000_000 // 5,
        "output_tokens": 0,
        **fields,
    }


def rules(*listed: dict[str, Any]) -> PriceOverride:
    return check_override({"prices": list(listed)})


async def sums(database: Database, tenant: str) -> list[Sequence[dict[str, Any]]]:
    found = []
    async with database.connection() as connection:
        for table in ("usage_rollups_quarter", "usage_rollups_day", "usage_sources"):
            cursor = await connection.execute(
                f"select * from apex.{table} where tenant = %s order by 2, 3, 4, 5".encode(),  # noqa: S608 - constants
                (tenant,),
            )
            found.append(await cursor.fetchall())
    return found


async def test_what_is_imported_after_own_prices_were_set_is_priced_by_them(
    load, store, usage, catalogue
):
    await store.put("acme", rules({**SONNET, "input": "2", "output": "10"}))

    summary = await load(row(1))
    theirs = await load(row(1), tenant="other")

    # 200,000 tokens at 2 dollars a million, where the catalogue has 3.
    assert summary.computed_cost == Decimal("0.4")
    assert theirs.computed_cost == Decimal("0.6")
    assert summary.price_version == (await usage.prices("acme", catalogue)).version
    assert summary.price_version != theirs.price_version == catalogue.version


async def test_own_prices_are_kept_in_versions_and_each_makes_answers_new(store, usage, load):
    await load(row(1))
    one, other = (
        rules({**SONNET, "discount_percent": 10}),
        rules({**SONNET, "discount_percent": 20}),
    )

    assert await store.current("acme") is None
    assert (await store.put("acme", one)).version == 1
    assert await usage.data_version("acme") == 2
    assert (await store.put("acme", one)).version == 1
    assert await usage.data_version("acme") == 2
    assert (await store.put("acme", other)).version == 2
    cleared = await store.clear("acme")
    assert cleared is not None
    assert (cleared.version, cleared.override) == (3, None)
    assert await store.clear("acme") is None
    assert [stored.override for stored in await store.versions("acme")] == [None, other, one]
    assert await store.versions("other") == ()


async def test_new_prices_change_what_was_used_before_and_the_difference_is_said(
    load, store, usage, repricing, catalogue, database
):
    await load(
        *(row(number) for number in range(7)),
        row(7, model="claude-opus-4-5", input_tokens=1000),
        row(8, provider="in-house", model="orion-7b", input_tokens=1_000_000),
    )
    before = await usage.totals("acme", ALL)
    await store.put(
        "acme",
        rules(
            {**SONNET, "input": "2", "output": "10"},
            {"provider": "in-house", "model": "orion-*", "input": "0.5", "output": "1"},
        ),
    )
    version = await usage.data_version("acme")

    found = await repricing.run("acme", catalogue=catalogue)

    assert (found.records, found.changed) == (9, 8)
    assert (found.became_priced, found.became_unpriced) == (1, 0)
    sonnet, orion = found.models
    # 7 requests of 200,000 tokens: at 3 dollars a million 4.20, at 2 dollars 2.80.
    assert (sonnet.old_cost, sonnet.new_cost) == (Decimal("4.2"), Decimal("2.8"))
    assert (orion.old_cost, orion.new_cost, orion.became_priced) == (0, Decimal("0.5"), 1)
    assert found.old_cost == before.cost
    after = await usage.totals("acme", ALL)
    assert after.cost == found.new_cost == before.cost - Decimal("1.4") + Decimal("0.5")
    assert after.requests == after.priced_requests == 9
    assert await usage.data_version("acme") > version
    kept = await sums(database, "acme")
    await usage.rebuild_rollups("acme")
    assert await sums(database, "acme") == kept


async def test_again_it_changes_nothing_and_back_it_is_as_before(
    load, store, usage, repricing, catalogue, database
):
    await load(row(1), row(2, provider="in-house", model="orion-7b"))
    before = await sums(database, "acme")
    await store.put("acme", rules({"provider": "in-house", "model": "*", "input": 1, "output": 1}))
    await repricing.run("acme", catalogue=catalogue)
    version = await usage.data_version("acme")

    assert (await repricing.run("acme", catalogue=catalogue)).changed == 0
    assert await usage.data_version("acme") == version

    await store.clear("acme")
    back = await repricing.run("acme", catalogue=catalogue)
    assert (back.became_unpriced, back.price_version) == (1, catalogue.version)
    (unpriced,) = await usage.unpriced("acme", ALL)
    assert unpriced.reason == UNKNOWN_PROVIDER.reason
    assert await sums(database, "acme") == before


async def test_a_dry_run_says_the_same_and_changes_nothing(
    load, store, usage, repricing, catalogue, database
):
    await load(*(row(number) for number in range(5)))
    await store.put("acme", rules({**SONNET, "discount_percent": 50}))
    before, version = await sums(database, "acme"), await usage.data_version("acme")

    planned = await repricing.run("acme", catalogue=catalogue, dry_run=True)

    assert await sums(database, "acme") == before
    assert await usage.data_version("acme") == version
    done = await repricing.run("acme", catalogue=catalogue)
    assert done == planned.model_copy(update={"dry_run": False})


async def test_what_only_reconciles_or_came_second_has_the_new_price_when_it_counts(
    load, store, usage, repricing, catalogue, database
):
    bucket = {"grain": "bucket", "request_count": 2}
    await load(row(1), row(2, **bucket))
    await load(row(2, **bucket, input_tokens=100_000))
    await store.put("acme", rules({**SONNET, "input": "2", "output": "10"}))

    await repricing.run("acme", catalogue=catalogue)
    await UsageSources(database).choose("acme", "anthropic", SourceKind.USAGE_REPORT)

    # 100,000 tokens at 2 dollars a million.
    assert (await usage.totals("acme", ALL)).cost == Decimal("0.2")
    async with database.connection() as connection:
        cursor = await connection.execute("select computed_cost from apex.usage_duplicates")
        assert [each["computed_cost"] for each in await cursor.fetchall()] == [Decimal("0.4")]


async def test_other_tenants_keep_their_costs(load, store, usage, repricing, catalogue):
    await load(row(1))
    await load(row(1), tenant="other")
    await store.put("acme", rules({**SONNET, "discount_percent": 100}))

    await repricing.run("acme", catalogue=catalogue)

    assert (await usage.totals("acme", ALL)).cost == 0
    assert (await usage.totals("other", ALL)).cost == Decimal("0.6")


async def test_whoever_watches_is_told_how_far_it_is(load, repricing, catalogue):
    await load(*(row(number) for number in range(7)))
    told: list[int] = []

    await repricing.run("acme", catalogue=catalogue, progress=told.append)

    assert told == [3, 6, 7]
    with pytest.raises(ValueError, match="batch_records"):
        Repricing(repricing._bulk, batch_records=0)

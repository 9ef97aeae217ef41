"""Imports as a user sees them: listed, undone, told of in the user's log."""

import asyncio
import io
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apex_actors.costs.importers import UnknownFormatError
from apex_actors.costs.importers.errors import FileTooLargeError
from apex_actors.costs.timerange import TimeRange
from apex_actors.storage.database import Database
from apex_actors.storage.event_log import EventLog
from apex_actors.storage.usage import UsageRepository

START = datetime(2026, 11, 1, 23, 40, tzinfo=UTC)
ALL = TimeRange.days(date(2026, 10, 1), date(2026, 12, 1))


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


def jsonl(rows: Sequence[dict[str, Any]]) -> io.BytesIO:
    return io.BytesIO("\n".join(json.dumps(each) for each in rows).encode())


async def state(database: Database, tenant: str) -> list[list[dict[str, Any]]]:
    """All that is known of the tenant's usage, whose import is whose told by name."""
    found = []
    async with database.connection() as connection:
        for query in (
            (
                "select r.*, b.name as import_name from apex.usage_records r "
                "join apex.import_batches b on b.id = r.import_id "
                "where r.tenant = %s order by record_id"
            ),
            (
                "select d.*, b.name as import_name from apex.usage_duplicates d "
                "join apex.import_batches b on b.id = d.import_id "
                "where d.tenant = %s order by record_id, d.import_id"
            ),
            (
                "select r.*, b.name as import_name from apex.usage_reconciling r "
                "join apex.import_batches b on b.id = r.import_id "
                "where r.tenant = %s order by record_id"
            ),
            (
                "select * from apex.usage_sources where tenant = %s "
                "order by day, provider, source_kind, is_counted"
            ),
            (
                "select * from apex.usage_rollups_quarter where tenant = %s order by bucket, model,"
                " user_name, status, unpriced_reason"
            ),
            (
                "select * from apex.usage_rollups_day where tenant = %s order by bucket, model,"
                " user_name, status, unpriced_reason"
            ),
            (
                "select name, rows, inserted, duplicates, rejected from apex.import_batches "
                "where tenant = %s order by id"
            ),
        ):
            cursor = await connection.execute(query.encode(), (tenant,))
            rows = await cursor.fetchall()
            found.append(
                [{k: v for k, v in row.items() if k not in {"tenant", "import_id"}} for row in rows]
            )
    return found


ROWS = st.builds(
    row,
    st.integers(0, 3),
    input_tokens=st.sampled_from([10, 1000]),
    model=st.sampled_from(["claude-sonnet-4-5", "orion-7b"]),
    user=st.sampled_from([None, "ann", "bob"]),
    status=st.sampled_from(["ok", "error"]),
    latency_ms=st.sampled_from([None, 0, 250]),
    reported_cost=st.sampled_from([None, "0.25"]),
    tags=st.sampled_from([{}, {"sample": "true"}]),
)
FILES = st.lists(st.lists(ROWS, min_size=1, max_size=6), min_size=1, max_size=4)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=FILES, data=st.data())
async def test_after_undo_all_is_as_if_the_import_had_never_been(
    database, imports, user_id, catalogue, files, data
):
    undone = data.draw(st.lists(st.sampled_from(range(len(files))), min_size=1, unique=True))
    with_undo, without = uuid4().hex, uuid4().hex
    ids = []
    for number, rows in enumerate(files):
        for tenant in (with_undo, without):
            if tenant == without and number in undone:
                continue
            uploaded = await imports.upload(
                user_id, tenant, jsonl(rows), name=f"file {number}", catalogue=catalogue
            )
            if tenant == with_undo:
                ids.append(uploaded.summary.import_id)

    for number in undone:
        assert await imports.undo(user_id, with_undo, ids[number]) is not None

    assert await state(database, with_undo) == await state(database, without)


async def test_undo_says_what_it_removed_and_what_another_import_still_holds(
    database, imports, user_id, catalogue
):
    usage = UsageRepository(database)
    first = await imports.upload(
        user_id, "acme", jsonl([row(1), row(2), row(3)]), name="first", catalogue=catalogue
    )
    second = await imports.upload(
        user_id,
        "acme",
        jsonl([row(3, input_tokens=7), row(4)]),
        name="second",
        catalogue=catalogue,
    )
    assert (second.summary.inserted, second.summary.duplicates) == (1, 1)
    before = await usage.data_version("acme")

    undone = await imports.undo(user_id, "acme", first.summary.import_id)

    assert undone is not None
    assert (undone.summary.removed, undone.summary.restored) == (3, 1)
    assert undone.summary.data_version == await usage.data_version("acme") == before + 1
    totals = await usage.totals("acme", ALL)
    assert (totals.requests, totals.input_tokens) == (2, 1007)
    (left,) = await imports.page("acme", limit=10, before=None)
    assert (left.name, left.inserted, left.duplicates) == ("second", 2, 0)


async def test_the_record_goes_to_whoever_brought_it_next(database, imports, user_id, catalogue):
    usage = UsageRepository(database)
    ids = [
        (
            await imports.upload(
                user_id,
                "acme",
                jsonl([row(1, input_tokens=tokens)]),
                name="f",
                catalogue=catalogue,
            )
        ).summary.import_id
        for tokens in (100, 20, 3)
    ]

    async def tokens() -> int:
        return (await usage.totals("acme", ALL)).input_tokens

    assert await tokens() == 100
    await imports.undo(user_id, "acme", ids[0])
    assert await tokens() == 20
    await imports.undo(user_id, "acme", ids[1])
    assert await tokens() == 3
    await imports.undo(user_id, "acme", ids[2])
    assert await tokens() == 0


async def test_what_is_undone_or_another_tenants_cannot_be_undone(
    database, imports, user_id, catalogue
):
    uploaded = await imports.upload(user_id, "acme", jsonl([row()]), name="f", catalogue=catalogue)
    import_id = uploaded.summary.import_id

    assert await imports.undo(user_id, "other", import_id) is None
    assert await imports.undo(user_id, "acme", uuid4()) is None
    assert await imports.undo(user_id, "acme", import_id) is not None
    assert await imports.undo(user_id, "acme", import_id) is None
    assert await imports.page("acme", limit=10, before=None) == ()
    assert (await UsageRepository(database).totals("acme", ALL)).cost == Decimal(0)


async def test_an_undo_that_changes_no_record_leaves_the_version_of_the_data(
    imports, user_id, catalogue
):
    rows = [row(1), row(2)]
    await imports.upload(user_id, "acme", jsonl(rows), name="f", catalogue=catalogue)
    again = await imports.upload(user_id, "acme", jsonl(rows), name="f", catalogue=catalogue)

    undone = await imports.undo(user_id, "acme", again.summary.import_id)

    assert undone is not None
    assert (undone.summary.removed, undone.summary.data_version) == (0, 1)


async def test_two_who_undo_the_same_import_at_once_undo_it_once(imports, user_id, catalogue):
    uploaded = await imports.upload(
        user_id, "acme", jsonl([row(n) for n in range(50)]), name="f", catalogue=catalogue
    )

    outcomes = await asyncio.gather(
        *(imports.undo(user_id, "acme", uploaded.summary.import_id) for _ in range(3))
    )

    assert sorted(outcome is None for outcome in outcomes) == [False, True, True]


async def test_the_users_log_tells_of_both(database, imports, user_id, catalogue):
    log = EventLog(database)
    uploaded = await imports.upload(
        user_id, "acme", jsonl([row(), {"bad": 1}]), name="may.jsonl", catalogue=catalogue
    )
    undone = await imports.undo(user_id, "acme", uploaded.summary.import_id)

    assert undone is not None
    events = await log.read(user_id, after=0, limit=10)
    assert events == [*uploaded.events, *undone.events]
    assert [event.seq for event in events] == [1, 2]
    assert [event.payload for event in events] == [
        {
            "import_id": str(uploaded.summary.import_id),
            "name": "may.jsonl",
            "inserted": 1,
            "duplicates": 0,
            "rejected": 1,
            "undone": flag,
        }
        for flag in (False, True)
    ]


async def test_a_file_that_cannot_be_read_leaves_nothing_behind(
    database, imports, user_id, catalogue
):
    with pytest.raises(UnknownFormatError):
        await imports.upload(
            user_id, "acme", io.BytesIO(b"nonsense"), name="f", catalogue=catalogue
        )
    with pytest.raises(FileTooLargeError):
        await imports.upload(
            user_id,
            "acme",
            jsonl([row(n) for n in range(3000)]),
            name="f",
            catalogue=catalogue,
            max_bytes=300_000,
        )

    assert await imports.page("acme", limit=10, before=None) == ()
    assert await EventLog(database).read(user_id, after=0, limit=10) == []
    assert await state(database, "acme") == [[], [], [], [], [], [], []]


async def test_imports_are_listed_latest_first_page_by_page(imports, user_id, catalogue):
    for number in range(5):
        await imports.upload(
            user_id, "acme", jsonl([row(number)]), name=f"f{number}", catalogue=catalogue
        )
    await imports.upload(user_id, "other", jsonl([row()]), name="theirs", catalogue=catalogue)

    first = await imports.page("acme", limit=3, before=None)
    second = await imports.page("acme", limit=3, before=first[-1].import_id)

    assert [record.name for record in (*first, *second)] == ["f4", "f3", "f2", "f1", "f0"]
    assert await imports.page("acme", limit=3, before=uuid4()) == ()

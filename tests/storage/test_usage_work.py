"""Usage is imported and planned by other processes as it is by this one."""

import asyncio
import io
import pickle
from datetime import UTC, date, datetime

import pytest

from apex_actors.costs.importers import UnreadableFileError
from apex_actors.costs.timerange import TimeRange
from apex_actors.execution import WorkPool
from apex_actors.storage.errors import StorageUnavailableError
from apex_actors.storage.usage import UsageRepository
from apex_actors.storage.usage_plan import UsagePlanner
from apex_actors.storage.usage_reader import UsageReader
from apex_actors.storage.work import ThreadRunner, WorkerDiedError

NOW = datetime(2026, 11, 23, tzinfo=UTC)
ALL = TimeRange.days(date(2026, 10, 1), date(2026, 11, 23))
COLUMNS = "record_id,occurred_at,provider,model,input_tokens,output_tokens\n"
NOBODY_THERE = UsageReader("host=127.0.0.1 port=1 password=hidden connect_timeout=2")


@pytest.fixture
async def pool():
    made = WorkPool(size=1)
    yield made
    await made.close()


def usage_file(rows=2500, tail=""):
    lines = (
        f"r{number},2026-11-{1 + number % 20:02}T00:00:00Z,openai,gpt-5-mini,{number},"
        f"{'many' if number % 100 == 0 else 10}\n"
        for number in range(rows)
    )
    return io.BytesIO((COLUMNS + "".join(lines) + tail).encode())


async def test_an_import_is_the_same_whoever_reads_the_file(database, pool, catalogue):
    summaries = []
    for tenant, work in (("here", ThreadRunner()), ("there", pool)):
        usage = UsageRepository(database, work=work, clock=lambda: NOW)
        summary = await usage.import_file(tenant, usage_file(), name="f", catalogue=catalogue)
        assert await usage.rejects(tenant, summary.import_id) == tuple(
            (2 + number, reason)
            for number, (_, reason) in zip(
                range(0, 2500, 100), [summary.first_rejects[0]] * 25, strict=True
            )
        )
        assert (await usage.totals(tenant, ALL)).requests == 2475
        summaries.append(summary.model_dump(exclude={"import_id", "tenant"}))
    assert summaries[0] == summaries[1]


async def test_a_file_that_breaks_off_leaves_nothing_and_the_process_goes_on(
    database, pool, catalogue
):
    usage = UsageRepository(database, work=pool, clock=lambda: NOW)
    broken = io.BytesIO(b"\x1f\x8b" + b"no gzip at all")
    with pytest.raises(UnreadableFileError):
        await usage.import_file("acme", broken, name="f", catalogue=catalogue)
    assert await usage.data_version("acme") == 0
    summary = await usage.import_file("acme", usage_file(3), name="f", catalogue=catalogue)
    assert summary.rows == 3


async def test_an_import_whose_process_is_killed_leaves_nothing(
    database, pool, catalogue, eventually
):
    usage = UsageRepository(database, work=pool, clock=lambda: NOW)
    importing = asyncio.create_task(
        usage.import_file("acme", usage_file(200_000), name="f", catalogue=catalogue)
    )
    await eventually(lambda: pool.process_ids)
    await pool.close()
    with pytest.raises(WorkerDiedError):
        await importing
    assert await usage.data_version("acme") == 0


async def test_a_plan_is_the_same_whoever_makes_it(database, pool, catalogue):
    usage = UsageRepository(database, clock=lambda: NOW)
    await usage.import_file("acme", usage_file(), name="f", catalogue=catalogue)
    arguments = (UsagePlanner(usage.reader, catalogue).plan, "acme", ALL)
    plan = await pool.call(*arguments)
    assert plan == await ThreadRunner().call(*arguments)
    assert plan.requests == 2475
    assert plan.baseline == (await usage.totals("acme", ALL)).cost


async def test_promise_8_a_plan_is_made_of_the_tenants_own_requests(database, pool, catalogue):
    usage = UsageRepository(database, clock=lambda: NOW)
    await usage.import_file("acme", usage_file(10), name="f", catalogue=catalogue)
    assert (await pool.call(UsagePlanner(usage.reader, catalogue).plan, "other", ALL)).requests == 0


async def test_a_database_that_is_away_is_told_by_its_own_error(pool, catalogue):
    with pytest.raises(StorageUnavailableError):
        await pool.call(UsagePlanner(NOBODY_THERE, catalogue).plan, "acme", ALL)


def test_a_reader_can_be_handed_over_and_does_not_show_the_password():
    assert pickle.loads(pickle.dumps(NOBODY_THERE)) == NOBODY_THERE  # noqa: S301 - our own
    assert "hidden" not in repr(NOBODY_THERE)

"""The pool: who waits for a connection, and for how long."""

import asyncio
import os
from contextlib import asynccontextmanager

import psutil
import pytest

from apex_actors.storage.backend_priority import lower_priority
from apex_actors.storage.database import Database
from apex_actors.storage.errors import StorageUnavailableError

NOBODY_THERE = "postgresql://127.0.0.1:1/nowhere"


@asynccontextmanager
async def opened(url, **options):
    database = Database(url, max_size=1, timeout_s=0.3, **options)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def answer(database):
    async with database.connection() as connection:
        row = await (await connection.execute("select 7 as answer")).fetchone()
        return row["answer"]


async def test_a_pool_that_is_in_use_counts_as_away_after_a_while(database_url):
    async with opened(database_url) as database, database.connection():
        with pytest.raises(StorageUnavailableError, match="too busy"):
            await answer(database)


async def test_whoever_uses_a_patient_pool_waits_its_turn(database_url):
    async with opened(database_url, patient=True) as patient, opened(database_url) as hasty:
        async with patient.connection(), hasty.connection():
            waiting = [asyncio.create_task(answer(patient)) for _ in range(3)]
            # By the time that the one gives up, the other goes on waiting.
            with pytest.raises(StorageUnavailableError):
                await answer(hasty)
            assert not any(task.done() for task in waiting)
        assert await asyncio.gather(*waiting) == [7, 7, 7]


async def test_what_a_patient_pool_is_used_for_takes_nothing_from_another(database_url):
    async with opened(database_url, patient=True) as bulk, opened(database_url) as short:
        async with bulk.connection():
            waiting = asyncio.create_task(answer(bulk))
            assert await answer(short) == 7
            assert not waiting.done()
        assert await waiting == 7


@pytest.mark.parametrize("patient", [False, True])
async def test_a_database_that_is_away_is_away_for_the_patient_too(patient):
    database = Database(NOBODY_THERE, timeout_s=0.3, patient=patient)
    with pytest.raises(StorageUnavailableError):
        await database.open()
    with pytest.raises(StorageUnavailableError):
        await answer(database)
    await database.close()


async def priority(database):
    """Of the server's process behind a connection; skips where the server is elsewhere."""
    async with database.connection() as connection:
        backend_pid = connection.info.backend_pid
        if (
            not psutil.pid_exists(backend_pid)
            or "postgres" not in psutil.Process(backend_pid).name()
        ):
            pytest.skip("the server of the tests is on another machine")
        return os.getpriority(os.PRIO_PROCESS, backend_pid)


@pytest.mark.parametrize("way", ["transaction", "pipelined"])
async def test_whoever_freezes_in_a_transaction_loses_it_and_what_it_has_locked(
    way, database, database_url
):
    async with database.connection() as connection:
        await connection.execute("create table counted (number int)")
        await connection.execute("insert into counted values (0)")

    async def count(borrowed):
        async with getattr(borrowed, way)() as connection:
            rows = await connection.execute(
                "update counted set number = number + 1 returning number"
            )
            return (await rows.fetchone())["number"]

    async def freeze():
        async with getattr(frozen, way)() as connection:
            rows = await connection.execute("update counted set number = 100 returning number")
            await rows.fetchone()
            locked.set()
            # No statement, no word: what a stopped process does.
            await thawed.wait()
            rows = await connection.execute("select number from counted")
            await rows.fetchone()

    locked, thawed = asyncio.Event(), asyncio.Event()
    async with opened(database_url, transaction_limit_s=0.5) as frozen:
        freezing = asyncio.create_task(freeze())
        await locked.wait()
        assert await asyncio.wait_for(count(database), 10) == 1
        thawed.set()
        with pytest.raises(StorageUnavailableError):
            await freezing
        assert await count(frozen) == 2


@pytest.mark.parametrize("way", ["connection", "transaction", "pipelined"])
async def test_promise_1_whoever_is_cancelled_leaves_a_connection_that_commits(
    way, database, database_url
):
    """In each of the first turns of the loop, those included that open the transaction."""

    async def insert(connection, number):
        cursor = await connection.execute("insert into told values (%s) returning number", [number])
        return await cursor.fetchone()

    async def work():
        async with getattr(borrowed, way)() as connection:
            for _ in range(3):
                await insert(connection, 0)

    async with database.connection() as connection:
        await connection.execute("create table told (number int)")
    async with opened(database_url) as borrowed:
        for turns in range(1, 20):
            # psycopg gives the loop a turn of its own accord only after a while of not doing so.
            await asyncio.sleep(0.02)
            task = asyncio.create_task(work())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            async with borrowed.connection() as connection:
                await insert(connection, turns)
            async with database.connection() as connection:
                told = await connection.execute("select from told where number = %s", [turns])
                assert await told.fetchone() is not None, f"cancelled after {turns} turns"


async def test_the_processes_behind_bulk_connections_yield_to_others(database_url):
    async with opened(database_url) as short, opened(database_url, niceness=5) as bulk:
        assert await priority(bulk) == await priority(short) + 5


def test_a_process_that_is_not_there_is_nobodys_error():
    lower_priority(2**22 + 1, 5)


@pytest.mark.parametrize("sizes", [{"min_size": 0}, {"min_size": 3, "max_size": 2}])
def test_sizes_that_make_no_pool_are_refused(sizes):
    with pytest.raises(ValueError, match="min_size"):
        Database(NOBODY_THERE, **sizes)

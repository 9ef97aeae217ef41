"""Migrations: applied once, checked without a change, refused when they do not fit."""

import asyncio

import psycopg
import pytest

from apex_actors.storage import migrate as migrations
from apex_actors.storage.errors import MigrationError, StorageUnavailableError


@pytest.fixture
def empty_database_url(admin_database_url):
    name = "apex_empty"
    with psycopg.connect(admin_database_url, autocommit=True) as connection:
        connection.execute(f"create database {name}")
        yield psycopg.conninfo.make_conninfo(admin_database_url, dbname=name)
        connection.execute(f"drop database {name} with (force)")


async def test_a_plan_changes_nothing_and_a_second_run_finds_nothing_to_do(empty_database_url):
    planned = await migrations.plan(empty_database_url)
    assert str(planned.migrations[0]) == "0001_core"
    assert planned.steps[-1].startswith("absurd none -> ")

    assert (await migrations.migrate(empty_database_url)).steps == planned.steps
    assert (await migrations.plan(empty_database_url)).steps == ()
    assert (await migrations.migrate(empty_database_url)).steps == ()


async def test_many_processes_may_migrate_at_once(empty_database_url):
    plans = await asyncio.gather(*(migrations.migrate(empty_database_url) for _ in range(4)))
    assert sorted(bool(plan.steps) for plan in plans) == [False, False, False, True]


async def test_a_changed_file_and_a_newer_database_are_refused(database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("update apex.schema_migrations set sha256 = 'x' where version = 1")
        with pytest.raises(MigrationError, match="0001_core was changed"):
            await migrations.plan(database_url)
        connection.execute("insert into apex.schema_migrations values (9999, 'later', 'x')")
        with pytest.raises(MigrationError, match="newer version"):
            await migrations.migrate(database_url)


async def test_a_database_that_is_away_is_said_to_be_away():
    with pytest.raises(StorageUnavailableError, match="does not answer"):
        await migrations.plan("postgresql://nobody@127.0.0.1:1/none?connect_timeout=2")

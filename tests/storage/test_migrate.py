"""Migrations: applied once, checked without a change, refused when they do not fit."""

import asyncio

import psycopg
import pytest

from apex_actors.storage import migrate as migrations
from apex_actors.storage.errors import (
    DatabaseRefusedError,
    MigrationError,
    StorageUnavailableError,
)


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


@pytest.mark.parametrize(
    "change", [{"password": "not this one"}, {"dbname": "apex_nowhere"}], ids=["password", "name"]
)
async def test_a_database_that_lets_nobody_in_is_not_said_to_be_away(database_url, change):
    url = psycopg.conninfo.make_conninfo(database_url, **change)
    with pytest.raises(DatabaseRefusedError, match="APEX_DATABASE_URL") as refused:
        await migrations.plan(url)
    assert "not this one" not in str(refused.value)


async def test_a_database_that_goes_away_meanwhile_is_away_and_the_rest_follows(
    empty_database_url, admin_database_url, mocker
):
    apply, applied = migrations._apply, []

    async def cut_at_the_third(connection, migration):
        if len(applied) == 2:
            with psycopg.connect(admin_database_url, autocommit=True) as other:
                other.execute(f"select pg_terminate_backend({connection.info.backend_pid})")
        applied.append(str(migration))
        await apply(connection, migration)

    mocker.patch.object(migrations, "_apply", cut_at_the_third)
    with pytest.raises(StorageUnavailableError):
        await migrations.migrate(empty_database_url)
    mocker.stopall()
    rest = (await migrations.migrate(empty_database_url)).steps
    assert rest[0] == applied[2]


async def test_who_waits_is_told_when_the_database_has_answered(database_url):
    told = []
    await migrations.migrate(database_url, on_connected=lambda: told.append("answered"))
    assert told == ["answered"]
    with pytest.raises(StorageUnavailableError):
        await migrations.migrate(
            "postgresql://nobody@127.0.0.1:1/none", on_connected=lambda: told.append("never")
        )
    assert told == ["answered"]


async def test_a_database_that_is_away_is_said_to_be_away():
    with pytest.raises(StorageUnavailableError, match="does not answer"):
        await migrations.plan("postgresql://nobody@127.0.0.1:1/none?connect_timeout=2")

"""Migrations: numbered .sql files, each applied once, in order, under an advisory lock.

The schema of Absurd (the durable-task queue) comes from the pinned wheel ``absurdctl`` and is
installed or upgraded after our own files, guarded by the version function that it installs.
"""

import hashlib
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

import absurdctl
import psycopg
from psycopg import AsyncConnection

from apex_actors.storage.errors import (
    DatabaseRefusedError,
    MigrationError,
    StorageUnavailableError,
)

#: The durable-task queue that runs go through.
RUN_QUEUE = "runs"

# Any constant will do, as long as nothing else in the database uses it: "apex" in hexadecimal.
_ADVISORY_LOCK_KEY = 0x61706578

#: How long an answer to connecting is waited for, in seconds.
CONNECT_TIMEOUT_S: Final = 10

#: What PostgreSQL says to whoever waiting will not help. Its code does not come out of the library
#: before there is a connection, so these are its words; in another language it counts as away.
_REFUSAL: Final = re.compile(
    r"authentication failed|no pg_hba\.conf entry|no password supplied"
    r"|(?:role|database) \"[^\"]*\" does not exist|is not permitted to log in"
)

#: What may pass while a database restarts or is taken over.
_AWAY: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.ReadOnlySqlTransaction,
)

_FILE_NAME = re.compile(r"^(?P<version>\d{4})_(?P<name>[a-z0-9_]+)\.sql$")

_BOOTSTRAP = b"""
create schema if not exists apex;
create table if not exists apex.schema_migrations (
    version integer primary key,
    name text not null,
    sha256 text not null,
    applied_at timestamptz not null default now()
)
"""


@dataclass(frozen=True)
class Migration:
    """One numbered file: ``0001_core.sql`` has version 1 and name ``core``."""

    version: int
    name: str
    sql: bytes

    @property
    def sha256(self) -> str:
        """Fingerprint kept in the database: an applied file must never change."""
        return hashlib.sha256(self.sql).hexdigest()

    def __str__(self) -> str:
        return f"{self.version:04d}_{self.name}"


@dataclass(frozen=True)
class MigrationPlan:
    """What a database lacks: our files in order, and the Absurd steps."""

    migrations: tuple[Migration, ...]
    absurd_from: str | None
    absurd_to: str

    @property
    def steps(self) -> tuple[str, ...]:
        """Each step in words, in the order of application; empty when nothing is to be done."""
        names = tuple(str(migration) for migration in self.migrations)
        if self.absurd_from == self.absurd_to:
            return names
        return (*names, f"absurd {self.absurd_from or 'none'} -> {self.absurd_to}")


def bundled_migrations() -> tuple[Migration, ...]:
    """All numbered files of this version, in order; raises MigrationError for a gap."""
    found = []
    for resource in (files("apex_actors.storage") / "migrations").iterdir():
        match = _FILE_NAME.match(resource.name)
        if match:
            found.append(Migration(int(match["version"]), match["name"], resource.read_bytes()))
    found.sort(key=lambda migration: migration.version)
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise MigrationError("the numbers of the migration files must run from 0001 without a gap")
    return tuple(found)


async def plan(url: str) -> MigrationPlan:
    """Find what the database at ``url`` lacks, without changing it.

    Raises MigrationError when the database is newer than this version or an applied file was
    changed; StorageUnavailableError when the database does not answer, DatabaseRefusedError when
    it lets nobody in with this URL.
    """
    async with _connected(url, CONNECT_TIMEOUT_S) as connection:
        return await _plan(connection)


async def migrate(
    url: str,
    *,
    connect_timeout_s: int = CONNECT_TIMEOUT_S,
    on_connected: Callable[[], None] = lambda: None,
) -> MigrationPlan:
    """Bring the database at ``url`` to this version; returns what was done.

    Safe to call from many processes at once: one works, the others wait and find nothing to do.
    Raises as ``plan`` does; what was applied by then stays, and the next call goes on behind it.

    :param connect_timeout_s: how long an answer to connecting is waited for.
    :param on_connected: called once there is one; all that follows takes the time that it takes.
    """
    async with _connected(url, connect_timeout_s) as connection:
        on_connected()
        await connection.execute("select pg_advisory_lock(%s)", (_ADVISORY_LOCK_KEY,))
        try:
            todo = await _plan(connection)
            for migration in todo.migrations:
                await _apply(connection, migration)
            await _apply_absurd(connection, todo)
        finally:
            await connection.execute("select pg_advisory_unlock(%s)", (_ADVISORY_LOCK_KEY,))
    return todo


@asynccontextmanager
async def _connected(url: str, timeout_s: int) -> AsyncIterator[AsyncConnection]:
    async with await _connect(url, timeout_s) as connection:
        try:
            yield connection
        except _AWAY as error:
            raise StorageUnavailableError(
                "PostgreSQL went away or takes no changes now; try again"
            ) from error


async def _connect(url: str, timeout_s: int) -> AsyncConnection:
    try:
        return await AsyncConnection.connect(
            url,
            autocommit=True,
            connect_timeout=timeout_s,
            application_name="apex-migrate",
            # A network that is cut without a word is noticed within about ten seconds.
            keepalives_idle=4,
            keepalives_interval=2,
            keepalives_count=3,
            tcp_user_timeout=10_000,
        )
    except psycopg.OperationalError as error:
        if (error.pgconn is not None and error.pgconn.needs_password) or _REFUSAL.search(
            str(error)
        ):
            raise DatabaseRefusedError(
                "PostgreSQL lets nobody in with APEX_DATABASE_URL: check its user, password and "
                f"database name, and the server's pg_hba.conf ({' '.join(str(error).split())})"
            ) from error
        raise StorageUnavailableError(
            "PostgreSQL does not answer: check APEX_DATABASE_URL or the embedded server's log"
        ) from error


async def _plan(connection: AsyncConnection) -> MigrationPlan:
    applied = await _applied(connection)
    bundled = bundled_migrations()
    known = {migration.version for migration in bundled}
    newer = sorted(set(applied) - known)
    if newer:
        raise MigrationError(
            f"the database has migration {newer[-1]:04d}, this version knows {max(known):04d} at most: "
            "install the newer version of apex-actors"
        )
    for migration in bundled:
        if migration.version in applied and applied[migration.version] != migration.sha256:
            raise MigrationError(
                f"migration {migration} was changed after it had been applied: "
                "restore the file and add a new migration instead"
            )
    return MigrationPlan(
        migrations=tuple(m for m in bundled if m.version not in applied),
        absurd_from=await _absurd_version(connection),
        absurd_to=absurdctl.ABSURD_SCHEMA_TARGET_VERSION,
    )


async def _applied(connection: AsyncConnection) -> dict[int, str]:
    cursor = await connection.execute("select to_regclass('apex.schema_migrations')")
    row = await cursor.fetchone()
    if row is None or row[0] is None:
        return {}
    cursor = await connection.execute("select version, sha256 from apex.schema_migrations")
    return dict(await cursor.fetchall())


async def _apply(connection: AsyncConnection, migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute(_BOOTSTRAP)
        await connection.execute(migration.sql)
        await connection.execute(
            "insert into apex.schema_migrations (version, name, sha256) values (%s, %s, %s)",
            (migration.version, migration.name, migration.sha256),
        )


async def _absurd_version(connection: AsyncConnection) -> str | None:
    cursor = await connection.execute("select to_regprocedure('absurd.get_schema_version()')")
    row = await cursor.fetchone()
    if row is None or row[0] is None:
        return None
    cursor = await connection.execute("select absurd.get_schema_version()")
    row = await cursor.fetchone()
    return str(row[0]) if row else None


async def _apply_absurd(connection: AsyncConnection, todo: MigrationPlan) -> None:
    async with connection.transaction():
        for sql in _absurd_sql(todo.absurd_from, todo.absurd_to):
            await connection.execute(sql)
        await connection.execute("select absurd.create_queue(%s)", (RUN_QUEUE,))


def _absurd_sql(current: str | None, target: str) -> list[bytes]:
    if current is None:
        return [absurdctl.BUNDLED_SCHEMA_SQL.encode()]
    path = absurdctl.resolve_migration_path(
        current, target, absurdctl.discover_bundled_migrations()
    )
    if path is None:
        raise MigrationError(
            f"the database has Absurd {current}, this version is made for {target}: "
            "install the newer version of apex-actors"
        )
    return [step["sql"].encode() for step in path]

"""The PostgreSQL connection pool: every statement of the process goes through it."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from apex_actors.storage.errors import StorageUnavailableError

# The pool reports each failed attempt to connect; the server says it once, in its own words.
logging.getLogger("psycopg.pool").setLevel(logging.ERROR)

Row = dict[str, Any]
Connection = AsyncConnection[Row]

#: What the database says when it is away, restarting or cutting us off; all of it may pass.
UNAVAILABLE = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    PoolTimeout,
    PoolClosed,
)


class Database:
    """A pool of checked connections to one PostgreSQL database.

    Rows are dicts. Every connection has a ``lock_timeout``, so that no statement waits for ever
    behind a lost lock holder, and UTC as its time zone.

    :param url: a libpq URL or key/value string; never logged.
    :param min_size: connections kept open.
    :param max_size: connections at most; callers beyond wait up to ``timeout_s``.
    :param application_name: shown in ``pg_stat_activity``.
    :param timeout_s: how long to wait for a connection before StorageUnavailableError.
    :param lock_timeout_ms: how long a statement may wait for a row lock.
    """

    def __init__(
        self,
        url: str,
        *,
        min_size: int = 1,
        max_size: int = 8,
        application_name: str = "apex",
        timeout_s: float = 5.0,
        lock_timeout_ms: int = 10_000,
    ) -> None:
        if not url:
            raise ValueError(
                "a database URL is needed: set APEX_DATABASE_URL or use the embedded server"
            )
        if not 0 < min_size <= max_size:
            raise ValueError(
                f"pool sizes must satisfy 0 < min_size <= max_size, got {min_size}, {max_size}"
            )
        self._timeout_s = timeout_s
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            make_conninfo(
                url,
                application_name=application_name,
                connect_timeout=max(2, int(timeout_s)),
                options=f"-c lock_timeout={lock_timeout_ms} -c timezone=UTC",
            ),
            connection_class=AsyncConnection[Row],
            kwargs={"autocommit": True, "row_factory": dict_row},
            min_size=min_size,
            max_size=max_size,
            timeout=timeout_s,
            # An empty round trip at checkout: a connection that died while idle is replaced
            # here and never seen by a caller.
            check=AsyncConnectionPool.check_connection,
            reconnect_timeout=timeout_s,
            open=False,
            name=application_name,
        )

    async def open(self) -> None:
        """Open the pool and wait until the database answers; raises StorageUnavailableError."""
        await self._pool.open()
        try:
            await self._pool.wait(timeout=self._timeout_s)
        except UNAVAILABLE as error:
            raise StorageUnavailableError("PostgreSQL does not answer") from error

    async def close(self) -> None:
        """Close every connection; idempotent."""
        await self._pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection in autocommit mode.

        Raises StorageUnavailableError when none can be had, or the one in use is lost.
        """
        try:
            async with self._pool.connection() as connection:
                yield connection
        except UNAVAILABLE as error:
            raise StorageUnavailableError("PostgreSQL is away or too busy; try again") from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Lend a connection inside one transaction; committed when the block ends well."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def pipelined(self) -> AsyncIterator[Connection]:
        """As ``transaction``, but statements are sent without waiting for those before them.

        A round trip happens only where a result is fetched, and at the end; that is also where
        the errors of earlier statements appear. Server-side cursors are not possible.
        """
        async with (
            self.connection() as connection,
            connection.pipeline(),
            connection.transaction(),
        ):
            yield connection

    async def is_up(self) -> bool:
        """Whether a real statement is answered now."""
        try:
            async with self.connection() as connection:
                await connection.execute("select 1")
        except StorageUnavailableError:
            return False
        return True

    def statistics(self) -> dict[str, int]:
        """Counters of the pool, as psycopg_pool names them."""
        return dict(self._pool.get_stats())

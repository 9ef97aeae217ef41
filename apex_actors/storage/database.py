"""The PostgreSQL connection pool: every statement of the process goes through it."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo
from psycopg.pq import PipelineStatus
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from apex_actors.storage.backend_priority import lower_priority
from apex_actors.storage.errors import StorageUnavailableError
from apex_actors.storage.sql import load_queries

# The pool reports each failed attempt to connect; the server says it once, in its own words.
logging.getLogger("psycopg.pool").setLevel(logging.ERROR)

QUERIES = load_queries("connections")

Row = dict[str, Any]

#: A connection that was used within this time is taken to be alive, in seconds: it may die at any
#: moment anyhow, and a look costs a round trip.
FRESH_S: Final = 0.25


class Connection(AsyncConnection[Row]):
    """A connection that knows when it was used last."""

    used_at = 0.0
    """On the monotonic clock, in seconds."""


#: What the database says when it is away, restarting or cutting us off; all of it may pass.
UNAVAILABLE = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.IdleInTransactionSessionTimeout,
    psycopg.errors.TransactionTimeout,
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
    :param patient: callers wait their turn for a connection as long as it takes, and only then
        count ``timeout_s``: for work that holds connections for minutes. Else a pool that has none
        free within ``timeout_s`` is the same as a database that is away.
    :param transaction_limit_s: whoever is longer in a transaction loses it and the connection, also
        one that is frozen or cut off: what it has locked is free again. None: no limit. PostgreSQL
        before 17 knows no such limit; there it holds only while nothing is on its way in the
        transaction, and not for what is ``pipelined``.
    :param niceness: by how much the server's processes behind these connections yield to others;
        only for a server on this machine, because it is their numbers that are used.
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
        patient: bool = False,
        transaction_limit_s: float | None = None,
        niceness: int = 0,
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
        self._transaction_limit_ms = (
            None if transaction_limit_s is None else max(1, round(transaction_limit_s * 1000))
        )
        self.niceness = niceness
        self._turns = asyncio.Semaphore(max_size) if patient else contextlib.nullcontext()
        self.conninfo = make_conninfo(
            url,
            application_name=application_name,
            connect_timeout=max(2, int(timeout_s)),
            options=f"-c lock_timeout={lock_timeout_ms} -c timezone=UTC",
            **self._limits_of_silence(),
        )
        """By which a connection outside the pool is made. It holds the password."""
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            self.conninfo,
            connection_class=Connection,
            kwargs={"autocommit": True, "row_factory": dict_row},
            min_size=min_size,
            max_size=max_size,
            timeout=timeout_s,
            # An empty round trip at checkout: a connection that died while idle is replaced
            # here and never seen by a caller.
            check=_check,
            configure=self._configure,
            reset=_reset,
            reconnect_timeout=timeout_s,
            open=False,
            name=application_name,
        )

    async def open(self) -> None:
        """Open the pool and wait until the database answers; raises StorageUnavailableError.

        Then it may be called again. Before the first call every use of it fails at once.
        """
        await self._pool.open()
        try:
            # Not the pool's own wait: that closes it for good when there is no answer.
            async with self._pool.connection():
                pass
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
            async with self._turns, self._pool.connection() as connection:
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

    def _limits_of_silence(self) -> dict[str, Any]:
        """A peer that takes nothing for as long as a transaction may last is gone, for our side."""
        if self._transaction_limit_ms is None:
            return {}
        return {"tcp_user_timeout": self._transaction_limit_ms}

    async def _configure(self, connection: Connection) -> None:
        if self.niceness:
            lower_priority(connection.info.backend_pid, self.niceness)
        if self._transaction_limit_ms is not None:
            await connection.execute(
                QUERIES["limit_transactions"], {"limit_ms": str(self._transaction_limit_ms)}
            )

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


async def _check(connection: Connection) -> None:
    if time.monotonic() - connection.used_at > FRESH_S:
        await AsyncConnectionPool.check_connection(connection)


async def _reset(connection: Connection) -> None:
    """A connection that comes back; the pool replaces one that is closed here."""
    if connection.pgconn.pipeline_status != PipelineStatus.OFF:
        # Whoever is cancelled while psycopg turns its pipeline on leaves it on, idle to look at:
        # what others then do on the connection is never committed, and keeps its locks.
        await connection.close()
    connection.used_at = time.monotonic()

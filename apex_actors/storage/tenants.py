"""Whoever owns usage: changes to the usage of one tenant follow each other.

A transaction that changes records, prices or what counts locks the tenant first, before any sum, so
that two of them never wait for each other's.
"""

from apex_actors.storage.database import Connection
from apex_actors.storage.sql import load_queries

QUERIES = load_queries("tenants")


async def lock(connection: Connection, tenant: str) -> int:
    """Have the tenant's usage for oneself until the transaction ends; the version of the data.

    Waits for minutes where an import is under way.
    """
    await connection.execute(QUERIES["wait_for_others"])
    await connection.execute(QUERIES["ensure_tenant"], {"tenant": tenant})
    return await _version(connection, "lock_tenant", tenant)


async def bump(connection: Connection, tenant: str) -> int:
    """Count a change to the locked tenant's usage; the new version of the data."""
    return await _version(connection, "bump_data_version", tenant)


async def wait_for_others(connection: Connection) -> None:
    """From now on the transaction waits longer for locks than short ones do."""
    await connection.execute(QUERIES["wait_for_others"])


async def _version(connection: Connection, query: str, tenant: str) -> int:
    cursor = await connection.execute(QUERIES[query], {"tenant": tenant})
    row = await cursor.fetchone()
    if row is None:
        raise AssertionError("A locked tenant has its row.")
    version: int = row["data_version"]
    return version

"""The key that signs links to reports and charts: made with the database, the same for every node."""

from apex_actors.storage.database import Database
from apex_actors.storage.sql import load_queries

QUERIES = load_queries("link_key")


async def read_link_key(database: Database) -> bytes:
    """The 32 bytes of the key; raises StorageUnavailableError."""
    async with database.connection() as connection:
        row = await (await connection.execute(QUERIES["link_key"])).fetchone()
    assert row is not None  # noqa: S101 - the migration has put it there
    return bytes(row["key"])

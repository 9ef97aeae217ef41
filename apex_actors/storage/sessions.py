"""Sessions: where each user was last, for the next connection on any node."""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from apex_actors.storage.cache import PREFIX, Cache
from apex_actors.storage.database import Database
from apex_actors.storage.errors import CacheUnavailableError, StorageUnavailableError
from apex_actors.storage.sql import load_queries
from apex_actors.storage.threads import thread_of_user

QUERIES = load_queries("sessions")

logger = logging.getLogger(__name__)

#: Sessions that go to the cache in one go: some milliseconds of work, for which nothing else of the
#: process gets a turn.
CACHE_BATCH: Final = 250

#: A cached session lives this long after it was stored last, in seconds.
SESSION_LIFE_S: Final = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class StoredSession:
    """Where a user was: the thread, while it is there, and the highest confirmed number."""

    thread_id: UUID | None = None
    acknowledged_seq: int = 0


@dataclass(frozen=True, slots=True)
class SessionChange:
    """What a session has come to; None and numbers below the stored one leave it as it is."""

    thread_id: UUID | None = None
    acknowledged_seq: int = 0


class SessionStore:
    """A row for each user in PostgreSQL, with a copy in Redis or Valkey as far as that is there."""

    def __init__(self, database: Database, cache: Cache) -> None:
        self._database = database
        self._cache = cache

    async def current(self, user_id: int) -> StoredSession | None:
        """The session of the user; None where there is none yet.

        From the cache, else from its row. A thread that the cache names is looked up, because it
        may have been deleted while the cache was away; while PostgreSQL is away, it is believed.
        Raises StorageUnavailableError when neither of the two knows.
        """
        cached = await self._cached(user_id)
        if cached is None:
            return (await self.current_many([user_id])).get(user_id)
        if cached.thread_id is None:
            return cached
        try:
            async with self._database.connection() as connection:
                thread = await thread_of_user(connection, user_id, cached.thread_id)
        except StorageUnavailableError:
            return cached
        return cached if thread else StoredSession(None, cached.acknowledged_seq)

    async def current_many(self, user_ids: Iterable[int]) -> dict[int, StoredSession]:
        """The sessions of those of these users who have one, by one query."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                QUERIES["sessions_of_users"], {"user_ids": list(user_ids)}
            )
            return {
                row["user_id"]: StoredSession(row["thread_id"], row["acknowledged_seq"])
                for row in await cursor.fetchall()
            }

    async def store_many(self, sessions: Mapping[int, SessionChange]) -> None:
        """Make the changes durable, by user, with one statement; then the cache, if it is there.

        What a client has confirmed only grows. Raises StorageUnavailableError when nothing was
        stored: the same call may be tried again.
        """
        if not sessions:
            return
        changes = sessions.values()
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                QUERIES["store_sessions"],
                {
                    "user_ids": list(sessions),
                    "thread_ids": [change.thread_id for change in changes],
                    "acknowledged_seqs": [change.acknowledged_seq for change in changes],
                },
            )
            rows = await cursor.fetchall()
        try:
            await self._store_in_cache(rows)
        except CacheUnavailableError:
            # Copies that are older now name at worst an earlier thread; they end by themselves.
            logger.debug("sessions were stored and not cached")

    async def forget_cached(self, user_id: int) -> None:
        """The row has changed behind the cache's back; best effort."""
        try:
            async with self._cache.guarded() as client:
                await client.delete(_key(user_id))
        except CacheUnavailableError:
            logger.debug("a session stays in a cache that is away")

    async def _cached(self, user_id: int) -> StoredSession | None:
        try:
            async with self._cache.guarded() as client:
                stored = await client.get(_key(user_id))
        except CacheUnavailableError:
            return None
        return None if stored is None else _decode(str(stored))

    async def _store_in_cache(self, rows: Sequence[Mapping[str, Any]]) -> None:
        for start in range(0, len(rows), CACHE_BATCH):
            async with (
                self._cache.guarded() as client,
                client.pipeline(transaction=False) as pipeline,
            ):
                for row in rows[start : start + CACHE_BATCH]:
                    session = StoredSession(row["thread_id"], row["acknowledged_seq"])
                    pipeline.set(_key(row["user_id"]), _encode(session), ex=SESSION_LIFE_S)
                await pipeline.execute()


def _key(user_id: int) -> str:
    return f"{PREFIX}:session:{user_id}"


def _encode(session: StoredSession) -> str:
    thread_id = None if session.thread_id is None else str(session.thread_id)
    return json.dumps({"thread_id": thread_id, "acknowledged_seq": session.acknowledged_seq})


def _decode(text: str) -> StoredSession | None:
    """What others have put there counts as nothing."""
    try:
        raw = json.loads(text)
        thread_id = raw["thread_id"]
        return StoredSession(
            None if thread_id is None else UUID(thread_id), int(raw["acknowledged_seq"])
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None

"""Redis or Valkey, one server or a cluster: the way to it, and cached results.

Nothing that only lives here.
"""

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError

from apex_actors.storage.errors import CacheUnavailableError

#: Longer than a healthy server ever needs, short enough that nobody waits for a dead one.
OPERATION_TIMEOUT_S: Final = 0.5

RESULT_LIFE_S: Final = 24 * 3600

PREFIX: Final = "apex"

Client = Redis | RedisCluster


class Cache:
    """A connection pool to Redis or Valkey whose every failure is CacheUnavailableError.

    :param url: of the server, or of any node of a cluster: the others are found from there.
    :param cluster: whether it is one.
    """

    def __init__(
        self, url: str, *, cluster: bool = False, timeout_s: float = OPERATION_TIMEOUT_S
    ) -> None:
        if not url:
            raise ValueError("a Redis URL is needed: set APEX_REDIS_URL or use the embedded server")
        self._timeout_s = timeout_s
        self._connect = self._connect_cluster if cluster else self._connect_server
        self.client: Client = self._connect(url)

    async def use(self, url: str) -> None:
        """Go on with another server: the embedded one has come back on another port."""
        before, self.client = self.client, self._connect(url)
        await before.aclose()

    async def close(self) -> None:
        """Close every connection."""
        await self.client.aclose()

    def _connect_server(self, url: str) -> Client:
        return Redis.from_url(url, **self._options())

    def _connect_cluster(self, url: str) -> Client:
        # What a lost node held is computed again; what the others hold is of use meanwhile.
        return RedisCluster.from_url(url, require_full_coverage=False, **self._options())

    def _options(self) -> dict[str, Any]:
        return {
            "socket_timeout": self._timeout_s,
            "socket_connect_timeout": self._timeout_s,
            "retry": Retry(NoBackoff(), 1),
            "decode_responses": True,
            # What is no text of ours is no error either: it is found unreadable below.
            "encoding_errors": "replace",
        }

    @asynccontextmanager
    async def guarded(self) -> AsyncIterator[Client]:
        """The client, with its errors translated."""
        try:
            yield self.client
        except (RedisError, RedisClusterException, OSError, TimeoutError) as error:
            raise CacheUnavailableError("Redis or Valkey is away") from error

    async def is_up(self) -> bool:
        """Whether a real command is answered now."""
        try:
            async with self.guarded() as client:
                await client.ping()
        except CacheUnavailableError:
            return False
        return True


class ResultCache:
    """Results that can be computed again: a miss costs time, never an answer."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    async def get(self, key: str) -> Mapping[str, Any] | None:
        """The result stored under ``key``; what cannot be read counts as a miss."""
        async with self._cache.guarded() as client:
            stored = await client.get(f"{PREFIX}:result:{key}")
        try:
            result = json.loads(stored) if stored else None
        except ValueError:
            return None
        return result if isinstance(result, dict) else None

    async def put(self, key: str, result: Mapping[str, Any]) -> None:
        """Keep ``result`` under ``key`` for RESULT_LIFE_S seconds."""
        async with self._cache.guarded() as client:
            await client.set(f"{PREFIX}:result:{key}", json.dumps(result), ex=RESULT_LIFE_S)

    async def forget(self, keys: Iterable[str]) -> None:
        """Delete what is stored under ``keys``."""
        names = [f"{PREFIX}:result:{key}" for key in keys]
        if not names:
            return
        async with self._cache.guarded() as client, client.pipeline(transaction=False) as pipeline:
            for name in names:  # one by one: on a cluster they lie on several nodes
                pipeline.delete(name)
            await pipeline.execute()

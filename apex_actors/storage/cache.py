"""Redis or Valkey: the way to it, cached results, wake-ups. Nothing that only lives here."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from apex_actors.storage.errors import CacheUnavailableError

#: Longer than a healthy server ever needs, short enough that nobody waits for a dead one.
OPERATION_TIMEOUT_S: Final = 0.5

#: How long a listener waits in one go, in seconds.
LISTEN_PULSE_S: Final = 1.0

RESULT_LIFE_S: Final = 24 * 3600

PREFIX: Final = "apex"


class Cache:
    """A connection pool to Redis or Valkey whose every failure is CacheUnavailableError."""

    def __init__(self, url: str, *, timeout_s: float = OPERATION_TIMEOUT_S) -> None:
        if not url:
            raise ValueError("a Redis URL is needed: set APEX_REDIS_URL or use the embedded server")
        self._timeout_s = timeout_s
        self.client = self._connect(url)

    async def use(self, url: str) -> None:
        """Go on with another server: the embedded one has come back on another port."""
        before, self.client = self.client, self._connect(url)
        await before.aclose()

    async def close(self) -> None:
        """Close every connection."""
        await self.client.aclose()

    def _connect(self, url: str) -> Redis:
        return Redis.from_url(
            url,
            socket_timeout=self._timeout_s,
            socket_connect_timeout=self._timeout_s,
            retry=Retry(NoBackoff(), 1),
            decode_responses=True,
            # What is no text of ours is no error either: it is found unreadable below.
            encoding_errors="replace",
        )

    @asynccontextmanager
    async def guarded(self) -> AsyncIterator[Redis]:
        """The client, with its errors translated."""
        try:
            yield self.client
        except (RedisError, OSError, TimeoutError) as error:
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


class WakeUps:
    """Tells other processes that there is something to read or to do; carries no data.

    A wake-up may be lost: whoever waits for one polls as well.
    """

    def __init__(self, cache: Cache, *, node: str) -> None:
        self._cache = cache
        self._node = node

    async def wake(self, user_ids: Iterable[int], *, work: bool) -> None:
        """The logs of these users have grown; ``work``: a run may be claimed."""
        async with self._cache.guarded() as client, client.pipeline(transaction=False) as pipeline:
            for user_id in user_ids:
                pipeline.publish(f"{PREFIX}:wake:user", f"{self._node} {user_id}")
            if work:
                pipeline.publish(f"{PREFIX}:wake:work", f"{self._node} 0")
            await pipeline.execute()

    async def listen(self, *, on_user: Callable[[int], None], on_work: Callable[[], None]) -> None:
        """Call back for each wake-up of another node; raises CacheUnavailableError when cut off."""
        async with self._cache.guarded() as client, client.pubsub() as channel:
            await channel.subscribe(f"{PREFIX}:wake:user", f"{PREFIX}:wake:work")
            while True:
                # A connection that was cut is made and subscribed anew by the next call.
                message = await channel.get_message(
                    ignore_subscribe_messages=True, timeout=LISTEN_PULSE_S
                )
                if message is None:
                    await asyncio.sleep(0)
                    continue
                node, _, user = str(message["data"]).partition(" ")
                if node == self._node or not user.isdecimal():
                    continue
                if message["channel"].endswith(":work"):
                    on_work()
                else:
                    on_user(int(user))

"""Where a node's database and cache are: servers that were given, or embedded ones of its own."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from apex_actors.server.secrets import revealed
from apex_actors.server.server_urls import ServerUrls
from apex_actors.server.settings import Settings
from apex_actors.storage.embedded import EmbeddedServers

logger = logging.getLogger(__name__)

#: Between two looks after the embedded servers, in seconds.
WATCH_INTERVAL_S: Final = 1.0


class DataServers:
    """PostgreSQL and Redis or Valkey of a node or a group; what the settings do not give is embedded.

    A given server that is away is no matter of this class: it is looked for by those who use it.

    :param urls: servers that others look after, as of the processes of a group.
    """

    def __init__(
        self, settings: Settings, *, data_dir: Path, urls: ServerUrls | None = None
    ) -> None:
        self._given_database = revealed(settings.database_url) if urls is None else urls.database
        self._given_redis = revealed(settings.redis_url) if urls is None else urls.redis
        self._embedded: EmbeddedServers | None = None
        self._watching: asyncio.Task[None] | None = None
        if not (self._given_database and self._given_redis):
            self._embedded = EmbeddedServers(
                data_dir=data_dir,
                postgres=not self._given_database,
                valkey=not self._given_redis,
            )

    async def start(self) -> None:
        """Start what is embedded; raises EmbeddedServerError, with what to do."""
        if self._embedded is not None:
            await asyncio.to_thread(self._embedded.start)

    async def stop(self) -> None:
        """Stop what is embedded, and the looks after it."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        if self._embedded is not None:
            await asyncio.to_thread(self._embedded.stop)

    @property
    def database_url(self) -> str:
        """Of the started database."""
        return self._given_database or self._own.database_url

    @property
    def redis_url(self) -> str:
        """Of the started cache."""
        return self._given_redis or self._own.redis_url

    def watch(self, on_redis_moved: Callable[[str], Awaitable[None]]) -> None:
        """From now on bring back an embedded server that died, and tell where Valkey is then."""
        if self._embedded is not None:
            self._watching = asyncio.create_task(self._watch(self._embedded, on_redis_moved))

    async def _watch(
        self, servers: EmbeddedServers, on_redis_moved: Callable[[str], Awaitable[None]]
    ) -> None:
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            try:
                if await asyncio.to_thread(servers.ensure_running):
                    logger.warning("an embedded server had died and is back")
                    if not self._given_redis:
                        await on_redis_moved(servers.redis_url)
            except Exception:
                logger.exception("an embedded server cannot be brought back")

    @property
    def _own(self) -> EmbeddedServers:
        assert self._embedded is not None  # noqa: S101 - else both were given
        return self._embedded

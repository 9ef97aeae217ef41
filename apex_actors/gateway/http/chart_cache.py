"""Drawn charts in Redis or Valkey: a run's figures never change, so neither does its picture."""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from apex_actors.costs.charts import ChartName, Theme
from apex_actors.storage.cache import ResultCache
from apex_actors.storage.errors import CacheUnavailableError

#: Changes when the pictures are drawn differently.
VERSION: Final = 1


class ChartCache:
    """Best effort: without the cache, charts are drawn again. Whoever asks was let in before."""

    def __init__(self, cache: ResultCache) -> None:
        self._cache = cache

    async def get(self, run_id: UUID, name: ChartName, theme: Theme) -> str | None:
        """The SVG; None where it is to be drawn."""
        try:
            stored = await self._cache.get(_key(run_id, name, theme))
        except CacheUnavailableError:
            return None
        svg = None if stored is None else stored.get("svg")
        return svg if isinstance(svg, str) else None

    async def put(self, run_id: UUID, name: ChartName, theme: Theme, svg: str) -> None:
        """Keep the SVG."""
        try:
            await self._cache.put(_key(run_id, name, theme), {"svg": svg})
        except CacheUnavailableError:
            return

    async def forget(self, run_ids: Iterable[UUID]) -> None:
        """Let go the charts of these runs: they are deleted."""
        keys = [
            _key(run_id, name, theme) for run_id in run_ids for name in ChartName for theme in Theme
        ]
        try:
            await self._cache.forget(keys)
        except CacheUnavailableError:
            # Nobody is shown a chart of a run that is not there, and they expire.
            return


def _key(run_id: UUID, name: ChartName, theme: Theme) -> str:
    return f"chart:{run_id}:{name}:{theme}:{VERSION}"

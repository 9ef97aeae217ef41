"""One write for each socket at the end of a turn of the loop, and one callback for all of them."""

import asyncio
from typing import Protocol


class Flushable(Protocol):
    """Something that has gathered bytes to write."""

    def flush(self) -> None: ...


class Flusher:
    """Flushes, in the next turn of the loop, whatever asked for it in this one.

    A thousand connections that get the same event cost one callback of the loop and not a thousand.
    """

    __slots__ = ("_dirty", "_loop")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._dirty: list[Flushable] = []

    def add(self, flushable: Flushable) -> None:
        """Flush it soon; to be asked once until then."""
        dirty = self._dirty
        if not dirty:
            self._loop.call_soon(self._flush)
        dirty.append(flushable)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for flushable in dirty:
            flushable.flush()

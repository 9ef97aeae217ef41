"""Received frames that nobody has looked at yet."""

import asyncio
from collections import deque
from typing import Any


class Inbox:
    """A bounded queue that can end, with or without an error.

    The reader of the socket waits while it is full, so that a consumer that stops looking stops
    the stream instead of filling the memory.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, not {capacity}")
        self._capacity = capacity
        self._frames: deque[dict[str, Any]] = deque()
        self._changed = asyncio.Condition()
        self._ended = False
        self._error: Exception | None = None

    async def put(self, frame: dict[str, Any]) -> None:
        """Add a frame; waits while the inbox is full."""
        async with self._changed:
            while len(self._frames) >= self._capacity:
                await self._changed.wait()
            self._frames.append(frame)
            self._changed.notify_all()

    async def get(self) -> dict[str, Any] | None:
        """The next frame; None after the last one, or the error that ended the stream."""
        async with self._changed:
            while not self._frames and not self._ended:
                await self._changed.wait()
            if self._frames:
                self._changed.notify_all()
                return self._frames.popleft()
        if self._error is not None:
            raise self._error
        return None

    async def end(self, error: Exception | None) -> None:
        """Nothing follows; frames that are here can still be taken."""
        async with self._changed:
            self._ended = True
            self._error = error
            self._changed.notify_all()

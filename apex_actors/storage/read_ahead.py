"""Taking what comes while the last of it is still being worked on."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _End:
    failure: Exception | None


@asynccontextmanager
async def read_ahead(
    items: AsyncIterator[T], *, limit: int
) -> AsyncIterator[AsyncGenerator[T, None]]:
    """The same items; up to ``limit`` of them are fetched before they are asked for.

    What fetching raises is raised behind the items that came before it. Nothing is fetched any
    more when the block has ended.
    """
    queue: asyncio.Queue[T | _End] = asyncio.Queue(limit)

    async def fetch() -> None:
        failure: Exception | None = None
        try:
            async for item in items:
                await queue.put(item)
        except Exception as error:  # noqa: BLE001 - raised where the items are taken
            failure = error
        await queue.put(_End(failure))

    async def taken() -> AsyncGenerator[T, None]:
        while not isinstance(item := await queue.get(), _End):
            yield item
        if item.failure is not None:
            raise item.failure

    fetching = asyncio.create_task(fetch())
    try:
        async with aclosing(taken()) as ahead:
            yield ahead
    finally:
        fetching.cancel()
        with suppress(asyncio.CancelledError):
            await fetching

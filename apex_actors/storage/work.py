"""Where long computation is done: an interface, and the plain way of a thread."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any, BinaryIO, Final, Protocol, TypeVar

T = TypeVar("T")

_END: Final = object()


class WorkError(Exception):
    """Work handed to another process was not done."""


class WorkerDiedError(WorkError):
    """The process that did it has died, again and again: look for what ends it (memory?)."""


class WorkRunner(Protocol):
    """Does what would keep an event loop from its clients: parses, prices, plans.

    What is handed over is a function of a module with arguments that can be pickled, without
    effects that must not happen twice. Errors of the function come out as they are.
    """

    async def call(self, function: Callable[..., T], /, *arguments: Any) -> T:
        """What ``function`` returns. When the caller is cancelled, nobody waits for it."""
        ...

    def stream(
        self,
        function: Callable[..., Iterable[Any]],
        /,
        *arguments: Any,
        file: BinaryIO | None = None,
    ) -> AsyncGenerator[Any, None]:
        """What ``function`` yields, as fast as it is taken; to be closed by whoever takes it.

        :param file: open for reading bytes; handed to the function as its argument ``file``, at
            its present position. It must be left alone until the stream is over.
        """
        ...


class ThreadRunner:
    """Does the work in threads of this process: for commands, which have nobody to keep waiting.

    A thread cannot be stopped: cancelled work goes on, and what it returns is dropped.
    """

    async def call(self, function: Callable[..., T], /, *arguments: Any) -> T:
        """See ``WorkRunner``."""
        return await asyncio.to_thread(function, *arguments)

    async def stream(
        self,
        function: Callable[..., Iterable[Any]],
        /,
        *arguments: Any,
        file: BinaryIO | None = None,
    ) -> AsyncGenerator[Any, None]:
        """See ``WorkRunner``."""
        items = iter(function(*arguments) if file is None else function(*arguments, file=file))
        while (item := await asyncio.to_thread(next, items, _END)) is not _END:
            yield item

"""An event loop in a thread of its own, for actors started where none runs."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future as ThreadFuture
from typing import Any, TypeVar

T = TypeVar("T")


class BackgroundLoop:
    """Runs from its making to ``stop``; its thread does not keep the program from ending."""

    def __init__(self, on_start: Callable[[], None]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._run, args=(on_start,), name="apex-actors", daemon=True
        )
        self._thread.start()

    @property
    def is_stopped(self) -> bool:
        """Whether ``stop`` was called."""
        return self._loop.is_closed()

    def call(self, function: Callable[[asyncio.AbstractEventLoop], T]) -> T:
        """Call ``function`` with the loop on its thread and wait for what it returns."""
        result: ThreadFuture[T] = ThreadFuture()

        def call() -> None:
            try:
                result.set_result(function(self._loop))
            except BaseException as error:  # noqa: BLE001 - raised where it is waited for
                result.set_exception(error)

        self._loop.call_soon_threadsafe(call)
        return result.result()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run ``coroutine`` on the loop and wait for what it returns; not from a loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def stop(self) -> None:
        """End the loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self, on_start: Callable[[], None]) -> None:
        asyncio.set_event_loop(self._loop)
        on_start()
        try:
            self._loop.run_forever()
        finally:
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            if tasks:
                self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

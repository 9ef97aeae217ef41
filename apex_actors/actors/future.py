"""The reply of an ``ask``: one value or exception, awaited on a loop or got from a thread."""

import asyncio
import queue
import sys
import threading
import time
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, Generic, TypeVar

import pykka

from apex_actors.actors.errors import BlockingCallError

T = TypeVar("T")
ExcInfo = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]


class LoopFuture(pykka.Future[T], Generic[T]):
    """A Pykka future that can be awaited without blocking the event loop.

    It may be set from any thread, once; ``get`` blocks and is refused on a thread that runs an
    event loop.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._done = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[], None]] = []

    def done(self) -> bool:
        """Whether a value or an exception is there."""
        return self._done

    def failed(self) -> bool:
        """Whether the result is an exception."""
        return self._error is not None

    def set(self, value: T | None = None) -> None:
        """Give the value; raises ``queue.Full`` when the future is set already."""
        self._resolve(value, None)

    def set_exception(self, exc_info: ExcInfo | None = None) -> None:
        """Give an exception: ``sys.exc_info()``'s triple, or the one being handled now."""
        error_type, error, traceback = exc_info if exc_info is not None else sys.exc_info()
        if error is None:
            error = error_type() if error_type is not None else RuntimeError("no exception given")
        self._resolve(None, error.with_traceback(traceback) if traceback else error)

    def add_done_callback(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once the future is set: at once, or on the thread that sets it."""
        with self._lock:
            if not self._done:
                self._callbacks.append(callback)
                return
        callback()

    def get(self, *, timeout: float | None = None) -> T:
        """Wait for the value on a thread without an event loop.

        Raises ``pykka.Timeout`` after ``timeout`` seconds, the exception if that is the result,
        and BlockingCallError on an event loop's thread.
        """
        if self._get_hook is not None:
            return super().get(timeout=timeout)
        if not self._done:
            if asyncio._get_running_loop() is not None:  # noqa: SLF001 - cheap and stable test
                raise BlockingCallError("await this future: get() would block the event loop")
            self._wait(timeout)
        return self._result()

    def __await__(self) -> Generator[Any, None, T]:
        if self._get_hook is not None:
            raise BlockingCallError(
                "a mapped or joined future computes on get(): await its sources"
            )
        if not self._done:
            loop = asyncio.get_running_loop()
            waiter = loop.create_future()

            def wake() -> None:
                if not waiter.done():
                    waiter.set_result(None)

            def wake_from_any_thread() -> None:
                if asyncio._get_running_loop() is loop:  # noqa: SLF001 - as in get()
                    wake()
                elif not loop.is_closed():
                    loop.call_soon_threadsafe(wake)

            self.add_done_callback(wake_from_any_thread)
            yield from waiter
        return self._result()

    __iter__ = __await__

    def _resolve(self, value: Any, error: BaseException | None) -> None:
        with self._lock:
            if self._done or self._get_hook is not None:
                raise queue.Full
            self._value, self._error, self._done = value, error, True
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def _wait(self, timeout: float | None) -> None:
        arrived = threading.Event()
        self.add_done_callback(arrived.set)
        started = time.monotonic()
        if not arrived.wait(timeout):
            raise pykka.Timeout(f"no reply within {time.monotonic() - started:.3f} seconds")

    def _result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[no-any-return]  # the value is whatever was set

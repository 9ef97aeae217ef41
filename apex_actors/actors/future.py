"""The reply of an ``ask``: one value or exception, awaited on a loop or got from a thread."""

import asyncio
import logging
import queue
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable
from types import TracebackType
from typing import Any, Generic, TypeVar, cast

import pykka

from apex_actors.actors.blocking import blocking, refuse_on_a_loop

T = TypeVar("T")
J = TypeVar("J")
M = TypeVar("M")
R = TypeVar("R")
ExcInfo = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]

logger = logging.getLogger("apex_actors.actors")

# One lock for all: it is held for a few instructions, and a lock for each future would cost more
# than the rest of it.
_lock = threading.Lock()


class Future(pykka.Future[T], Generic[T]):
    """A Pykka future that can be awaited without ever blocking the event loop.

    It may be set from any thread, once; ``get`` blocks and is refused on a thread that runs an
    event loop. Awaiting what ``map``, ``filter``, ``join`` or ``reduce`` returned first awaits
    the futures behind it.
    """

    def __init__(self) -> None:
        self._get_hook = None
        self._get_hook_result = _UNSET
        self._done = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._traceback: TracebackType | None = None
        self._callbacks: list[Callable[[], object]] | None = None
        self._sources: tuple[pykka.Future[Any], ...] = ()

    def done(self) -> bool:
        """Whether a value or an exception is there."""
        return self._done

    def failed(self) -> bool:
        """Whether the result is an exception."""
        return self._error is not None

    @property
    def is_derived(self) -> bool:
        """Whether it computes its value on ``get``, from other futures or by a hook."""
        return self._get_hook is not None

    def outcome(self) -> tuple[T | None, BaseException | None]:
        """Value and exception of a future that is done."""
        return self._value, self._error

    def set(self, value: T | None = None) -> None:
        """Give the value; raises ``queue.Full`` when the future is set already."""
        if not self.try_resolve(value, None):
            raise queue.Full

    def set_exception(self, exc_info: ExcInfo | None = None) -> None:
        """Give an exception: ``sys.exc_info()``'s triple, or the one being handled now."""
        error_type, error, traceback = exc_info if exc_info is not None else sys.exc_info()
        if error is None:
            error = error_type() if error_type is not None else RuntimeError("no exception given")
        if traceback is not None:
            error = error.with_traceback(traceback)
        if not self.try_resolve(None, error):
            raise queue.Full

    def try_resolve(self, value: Any = None, error: BaseException | None = None) -> bool:
        """Set value or exception; False when there was one already, and nothing is changed."""
        with _lock:
            if self._done or self._get_hook is not None:
                return False
            self._value, self._error = value, error
            if error is not None:
                self._traceback = error.__traceback__
            self._done = True
            callbacks, self._callbacks = self._callbacks, None
        if callbacks is not None:
            for callback in callbacks:
                _call(callback)
        return True

    def add_done_callback(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` once the future is set: at once, or on the thread that sets it.

        What it raises is logged: whoever sets the future must not suffer for it.
        """
        if self._get_hook is not None:
            raise TypeError("a derived future computes when it is got or awaited: it is never set")
        with _lock:
            if not self._done:
                if self._callbacks is None:
                    self._callbacks = []
                self._callbacks.append(callback)
                return
        _call(callback)

    def get(self, *, timeout: float | None = None) -> T:
        """Wait for the value on a thread without an event loop.

        Raises ``pykka.Timeout`` after ``timeout`` seconds, the exception if that is the result,
        and BlockingCallError on an event loop's thread where the value is not there yet.
        """
        if self._get_hook is not None:
            return super().get(timeout=timeout)
        if not self._done:
            refuse_on_a_loop("get() or ask()")
            self._wait(timeout)
        try:
            return self._result()
        finally:
            del self  # as in _result

    def set_get_hook(self, func: Callable[[float | None], T]) -> None:
        """As Pykka's; raises ``queue.Full`` when a value is there already."""
        if self._done:
            raise queue.Full
        super().set_get_hook(func)

    def filter(
        self: "Future[Iterable[J]]", func: Callable[[J], bool]
    ) -> "pykka.Future[Iterable[J]]":
        """As Pykka's, and may be awaited."""
        return self._derived(super().filter(func))

    def join(self: "Future[Any]", *futures: "pykka.Future[Any]") -> "pykka.Future[Iterable[Any]]":
        """As Pykka's, and may be awaited."""
        return self._derived(super().join(*futures), *futures)

    def map(self, func: Callable[[T], M]) -> "pykka.Future[M]":
        """As Pykka's, and may be awaited."""
        return self._derived(super().map(func))

    def reduce(
        self: "Future[Iterable[J]]", func: Callable[[R, J], R], *args: R
    ) -> "pykka.Future[R]":
        """As Pykka's, and may be awaited."""
        return self._derived(super().reduce(func, *args))

    def _derived(
        self, future: "pykka.Future[M]", *others: "pykka.Future[Any]"
    ) -> "pykka.Future[M]":
        derived = cast("Future[M]", future)
        derived._await_first(self, *others)  # noqa: SLF001 - of this class
        return derived

    def _await_first(self, *sources: "pykka.Future[Any]") -> None:
        self._sources = sources

    def __await__(self) -> Generator[Any, None, T]:
        if self._get_hook is not None:
            # A failed source raises here, before the value is worked out from it.
            for source in self._sources:
                yield from _awaited(source)
            if not self._sources:
                # A hook of the user's own may block: it does so on another thread.
                yield from _awaited(self)
            return self.get()
        if not self._done:
            loop = asyncio.get_running_loop()
            waiter = loop.create_future()

            def wake() -> None:
                if not waiter.done():
                    waiter.set_result(None)

            def wake_from_any_thread() -> None:
                if asyncio._get_running_loop() is loop:  # noqa: SLF001 - as in refuse_on_a_loop
                    wake()
                elif not loop.is_closed():
                    loop.call_soon_threadsafe(wake)

            self.add_done_callback(wake_from_any_thread)
            yield from waiter
        try:
            return self._result()
        finally:
            del self  # as in _result

    __iter__ = __await__

    def _wait(self, timeout: float | None) -> None:
        arrived = threading.Event()
        self.add_done_callback(arrived.set)
        started = time.monotonic()
        with blocking():
            if not arrived.wait(timeout):
                waited = time.monotonic() - started
                raise pykka.Timeout(f"no reply within {waited:.3f} of {timeout} seconds")

    def _result(self) -> T:
        error = self._error
        if error is None:
            return cast("T", self._value)
        try:
            raise error.with_traceback(self._traceback)
        finally:
            # The traceback now holds this frame, and through it what the frame knows: without the
            # names, error and future are no cycle.
            del self, error


def _awaited(future: pykka.Future[Any]) -> Generator[Any, None, Any]:
    """Await any of Pykka's futures without blocking the loop."""
    if isinstance(future, Future) and (future._sources or future._get_hook is None):  # noqa: SLF001 - of this class
        return future.__await__()
    return asyncio.get_running_loop().run_in_executor(None, future.get).__await__()


def _call(callback: Callable[[], object]) -> None:
    try:
        callback()
    except BaseException:  # a callback is anybody's code
        logger.exception("A callback of a future raised")


class Countdown(Future[None]):
    """Done when it was set as often as it was told to expect; an error counts as well."""

    def __init__(self, expected: int) -> None:
        super().__init__()
        self._left = expected

    def try_resolve(self, value: Any = None, error: BaseException | None = None) -> bool:  # noqa: ARG002 - counted
        """One less to wait for."""
        with _lock:
            self._left -= 1
            last = self._left == 0
        return last and super().try_resolve()


_UNSET = pykka._future._Unset()  # noqa: SLF001 - Pykka's own marker


def resolve(reply_to: Any, value: Any, error: BaseException | None = None) -> None:
    """Give a reply to whoever waits for it; one who has given up costs nobody anything.

    ``reply_to`` is a future of Pykka's, of ours, or an asyncio future of the running loop.
    """
    if isinstance(reply_to, Future):
        reply_to.try_resolve(value, error)
    elif isinstance(reply_to, asyncio.Future):
        if reply_to.done():
            return
        if error is None:
            reply_to.set_result(value)
        elif isinstance(error, StopIteration):
            wrapped = RuntimeError("the handler raised StopIteration")
            wrapped.__cause__ = error
            reply_to.set_exception(wrapped)
        else:
            reply_to.set_exception(error)
    else:
        try:
            if error is None:
                reply_to.set(value)
            else:
                reply_to.set_exception((type(error), error, error.__traceback__))
        except queue.Full:
            return


def resolve_from_any_thread(reply_to: Any, value: Any, error: BaseException | None = None) -> None:
    """As ``resolve``, where it may be called on another thread than that of an asyncio future."""
    if isinstance(reply_to, asyncio.Future):
        loop = reply_to.get_loop()
        if loop.is_closed():
            return
        if asyncio._get_running_loop() is not loop:  # noqa: SLF001 - no exception made
            loop.call_soon_threadsafe(resolve, reply_to, value, error)
            return
    if reply_to is not None:
        resolve(reply_to, value, error)

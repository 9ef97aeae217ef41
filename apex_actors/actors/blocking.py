"""Where a thread waits: what must not happen on an event loop, and what a pool must hear of."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from apex_actors.actors.errors import BlockingCallError


class _ThisThread(threading.local):
    """What the runtime knows of the thread it runs in."""

    began: Callable[[], None] | None = None
    ended: Callable[[], None] | None = None
    depth: int = 0


_this_thread = _ThisThread()


def refuse_on_a_loop(what: str) -> None:
    """Raise BlockingCallError where an event loop runs in this thread."""
    if asyncio._get_running_loop() is not None:  # noqa: SLF001 - cheap, stable, no exception made
        raise BlockingCallError(f"{what} would block the event loop of this thread: await instead")


@contextmanager
def blocking() -> Iterator[None]:
    """Mark a stretch in which a pool actor's handler waits and computes nothing.

    The pool may then run one more thread, so that actors which wait for each other, or for the
    outside world, cannot starve the rest. ``Future.get`` and ``ask`` do it by themselves.
    Elsewhere than on a pool's thread it does nothing.
    """
    began, ended = _this_thread.began, _this_thread.ended
    if began is None or ended is None or _this_thread.depth:
        yield
        return
    _this_thread.depth = 1
    began()
    try:
        yield
    finally:
        _this_thread.depth = 0
        ended()


def tell_of_blocking(began: Callable[[], None], ended: Callable[[], None]) -> None:
    """Call these two round every wait of this thread from now on."""
    _this_thread.began, _this_thread.ended = began, ended

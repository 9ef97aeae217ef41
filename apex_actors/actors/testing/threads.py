"""Threads that have nothing to do: kept for more work, they act when they are told to and not before."""

import sys
import threading
from concurrent.futures import thread as executor
from types import FrameType

from apex_actors.actors.pool_dispatcher import PoolDispatcher


def rests_in_a_pool(thread: threading.Thread) -> bool:
    """Whether it is of a pool of actors that rests: all of its threads wait, and no turn is due."""
    waits_for_turn = PoolDispatcher._next.__code__  # noqa: SLF001 - no public way to tell
    frame = _innermost(thread)
    while frame is not None and frame.f_code is not waits_for_turn:
        frame = frame.f_back
    if frame is None:
        return False
    # A turn that is due may not have woken it yet, or just have: a look at one moment tells.
    pool: PoolDispatcher = frame.f_locals["self"]
    statistics = pool.statistics()
    return statistics.ready == 0 and statistics.idle == statistics.threads


def rests_in_an_executor(thread: threading.Thread) -> bool:
    """Whether it is of a ThreadPoolExecutor, and waits for work, or for its waking to some."""
    frame = _innermost(thread)
    return frame is not None and frame.f_code is executor._worker.__code__  # noqa: SLF001 - as above


def _innermost(thread: threading.Thread) -> FrameType | None:
    return sys._current_frames().get(thread.ident or 0)  # noqa: SLF001 - its documented name

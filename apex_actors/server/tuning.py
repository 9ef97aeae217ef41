"""The interpreter's own settings, for a process whose event loop has people waiting for it."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

#: How long a thread may keep the interpreter's lock when another wants it, in seconds. The event
#: loop wants it back after each system call, and waits so long behind any thread that computes:
#: at Python's own 5 ms a burst of a dozen reads and writes takes 60 ms.
SWITCH_INTERVAL_S: Final = 0.001

#: When the collector looks through the youngest objects, and how many such looks make one through
#: the middle and the old ones. At Python's own 700 a burst of messages, which hold each other by
#: nothing but their lives, is carried into the older generations, and these are looked through
#: again and again.
GC_THRESHOLDS: Final = (10_000, 20, 50)


@contextmanager
def responsive() -> Iterator[None]:
    """Tune this process while a node runs in it; everything is as before afterwards.

    What has been loaded by now stays for as long as the node does, so the collector never looks
    through it again: a started server has some hundred thousand objects, which take tens of
    milliseconds each time.
    """
    interval_s, thresholds = sys.getswitchinterval(), gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        yield
    finally:
        sys.setswitchinterval(interval_s)
        gc.set_threshold(*thresholds)
        gc.unfreeze()

"""The priority of PostgreSQL's own processes, where PostgreSQL runs on this machine and is ours."""

import contextlib
import os


def lower_priority(backend_pid: int, niceness: int) -> None:
    """Let that process of the server yield to others: ``niceness`` is added to its own, 0 to 19.

    Where that is not allowed, or there is no such process here, all stays as it is.
    """
    if niceness:
        with contextlib.suppress(OSError):
            present = os.getpriority(os.PRIO_PROCESS, backend_pid)
            os.setpriority(os.PRIO_PROCESS, backend_pid, present + niceness)

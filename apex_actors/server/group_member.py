"""The program of one process of a group: ``python -m apex_actors.server.group_member DESCRIPTOR``.

The descriptor is a socket to the parent (see ``group_messages``). It runs one node, and drains when
the parent says so or is gone: a thread waits for the end of the socket, and ends a process whose
event loop is stuck then.
"""

import asyncio
import contextlib
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Final

from apex_actors.server.group_messages import MemberReady, RedisMoved, StartMember, StopMember
from apex_actors.server.logs import configure_logging
from apex_actors.server.node import Node
from apex_actors.server.siblings import Siblings

logger = logging.getLogger(__name__)

#: How long a node may take to end, beyond the grace period of its runs, before it is killed.
END_MARGIN_S: Final = 10.0


def main() -> None:
    """Run a node until it is told to stop; exit code 1 when it fails."""
    parent: Connection[object, object] = Connection(int(sys.argv[1]))
    os.set_inheritable(parent.fileno(), False)  # noqa: FBT003  (positional only)
    start = parent.recv()
    assert isinstance(start, StartMember)  # noqa: S101  (the parent says it first)
    configure_logging(level=start.settings.log_level, style=start.settings.log_format)
    import uvloop  # noqa: PLC0415 - not there on every platform

    try:
        uvloop.run(_run(parent, start))
    except Exception:
        logger.exception("a process of the group failed")
        sys.exit(1)


async def _run(parent: "Connection[object, object]", start: StartMember) -> None:
    listener = None
    if start.listener is not None:
        listener = socket.socket(fileno=start.listener)
        listener.set_inheritable(False)
    node = Node(
        start.settings,
        part=start.part,
        urls=start.urls,
        listener=listener,
        siblings=Siblings(start.place),
    )
    stopping, orphaned = asyncio.Event(), asyncio.Event()
    inbox: asyncio.Queue[object] = asyncio.Queue()
    following: list[asyncio.Task[None]] = []
    loop = asyncio.get_running_loop()

    def receive(message: object) -> None:
        if isinstance(message, StopMember):
            stopping.set()
        elif message is None:
            orphaned.set()
            stopping.set()
        else:
            inbox.put_nowait(message)

    def ready() -> None:
        # Only now: a node that still starts has no cache to move.
        following.append(loop.create_task(_follow(node, inbox)))
        # The parent may be gone by now; then the thread knows.
        with contextlib.suppress(OSError):
            parent.send(MemberReady())

    threading.Thread(
        target=_listen,
        args=(parent, lambda message: loop.call_soon_threadsafe(receive, message)),
        kwargs={"patience_s": start.settings.grace_period_s + END_MARGIN_S},
        name="parent",
        daemon=True,
    ).start()
    try:
        await node.run_until_signal(on_ready=ready, stopping=stopping)
    finally:
        for task in following:
            task.cancel()
            await asyncio.wait([task])
        if orphaned.is_set():
            # The last one does it.
            with contextlib.suppress(OSError):
                start.place.folder.rmdir()


async def _follow(node: Node, inbox: asyncio.Queue[object]) -> None:
    while True:
        match await inbox.get():
            case RedisMoved(url):
                await node.use_redis(url)
            case message:
                logger.error("the parent said %s, which nobody understands", type(message).__name__)


def _listen(
    parent: "Connection[object, object]", tell: Callable[[object], object], *, patience_s: float
) -> None:
    # None says that the parent is gone. The loop is closed (RuntimeError) when the node was faster to end than this thread.
    with contextlib.suppress(RuntimeError):
        with contextlib.suppress(EOFError, OSError):
            while True:
                tell(parent.recv())
        tell(None)
    time.sleep(patience_s)
    # Stuck, and nobody is left to kill it. What was acknowledged is in the database.
    os._exit(1)


if __name__ == "__main__":
    main()

"""The program of a worker process, run by itself: ``python -I work_process.py DESCRIPTOR``.

The descriptor is a socket to its parent. The first message says where modules are found; each of
the others is a call: the function and its arguments, pickled, perhaps with an open file beside
them. Only the parent holds the other end, so whatever comes is from the parent.

It ends with its parent, however that ends: a thread waits for the end of the socket, also while
the main thread works. Nothing of the package is imported before the first call needs it.
"""

import os
import pickle
import queue
import signal
import socket
import struct
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO, Final, TypeAlias

HEAD: Final = struct.Struct("!cQ")
"""Before each message: its kind, and its length in bytes."""

# From the parent.
SETUP: Final = b"S"
CALL: Final = b"C"
STREAM: Final = b"G"

# To the parent: what a stream yields, as it is or pickled; what a call returns, or the end of a
# stream; what it raised, and the traceback as text.
BYTES: Final = b"b"
ITEM: Final = b"i"
RESULT: Final = b"r"
ERROR: Final = b"e"

Job: TypeAlias = tuple[bytes, bytes, int | None]
"""Kind, pickled call, descriptor of the file beside it."""


def main() -> None:
    """Work until the parent closes the socket."""
    # Ctrl-C on a terminal is meant for the parent, which ends its workers in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What a library prints goes where logs go; nothing else is open.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    parent = socket.socket(fileno=int(sys.argv[1]))
    parent.set_inheritable(False)
    jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
    threading.Thread(target=_receive_jobs, args=(parent, jobs), daemon=True).start()
    _, setup, _ = jobs.get()
    niceness, sys.path[:] = pickle.loads(setup)  # noqa: S301 - from the parent
    os.nice(niceness)
    while True:
        _work(parent, *jobs.get())


def _receive_jobs(parent: socket.socket, jobs: "queue.SimpleQueue[Job]") -> None:
    try:
        while True:
            kind, file = _receive_kind(parent)
            length = int.from_bytes(_receive(parent, HEAD.size - 1))
            jobs.put((kind, _receive(parent, length), file))
    except (OSError, EOFError):
        pass
    finally:
        # Whatever the main thread does: nobody waits for it any more.
        os._exit(0)


def _receive_kind(parent: socket.socket) -> tuple[bytes, int | None]:
    """The first byte of a message, which a descriptor travels with."""
    kind, descriptors, _, _ = socket.recv_fds(parent, 1, 1)
    if not kind:
        raise EOFError
    return kind, descriptors[0] if descriptors else None


def _receive(parent: socket.socket, length: int) -> bytes:
    received = bytearray()
    while len(received) < length:
        piece = parent.recv(min(length - len(received), 1 << 20))
        if not piece:
            raise EOFError
        received += piece
    return bytes(received)


def _work(parent: socket.socket, kind: bytes, call: bytes, descriptor: int | None) -> None:
    file = None if descriptor is None else os.fdopen(descriptor, "rb")
    try:
        function, arguments = pickle.loads(call)  # noqa: S301 - from the parent
        kept: dict[str, BinaryIO] = {} if file is None else {"file": file}
        if kind == STREAM:
            _send_items(parent, function, arguments, kept)
            answer, value = RESULT, pickle.dumps(None)
        else:
            answer, value = RESULT, pickle.dumps(function(*arguments, **kept))
    except Exception as error:  # noqa: BLE001 - it is the caller's
        answer, value = ERROR, _pickled_error(error)
    finally:
        if file is not None:
            file.close()
    _send(parent, answer, value)


def _send_items(
    parent: socket.socket,
    function: Callable[..., Iterable[Any]],
    arguments: tuple[Any, ...],
    kept: dict[str, BinaryIO],
) -> None:
    for item in function(*arguments, **kept):
        if isinstance(item, bytes):
            _send(parent, BYTES, item)
        else:
            _send(parent, ITEM, pickle.dumps(item))


def _send(parent: socket.socket, kind: bytes, value: bytes) -> None:
    parent.sendall(HEAD.pack(kind, len(value)))
    parent.sendall(value)


def _pickled_error(error: Exception) -> bytes:
    told = "".join(traceback.format_tb(error.__traceback__))
    try:
        pickled = pickle.dumps((error, told))
        pickle.loads(pickled)  # noqa: S301 - ours; some errors can be written and not read
    except Exception:  # noqa: BLE001 - whatever it is, the caller must hear of it
        name = type(error).__name__
        pickled = pickle.dumps((RuntimeError(f"{name} (an error that cannot be pickled)"), told))
    return pickled


if __name__ == "__main__":
    main()

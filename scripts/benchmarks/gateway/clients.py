"""Thousands of clients in one thread: plain sockets, one epoll, frames that were made before.

The generator of the load must cost less than the server, or it would be what is measured. So it
parses nothing but the ends of frames, and only where it must.
"""

import contextlib
import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from benchmarks.gateway import frames

HOST: Final = "127.0.0.1"

RECEIVE_BYTES: Final = 256 * 1024

AT_ONCE: Final = 32
"""Handshakes under way at the same time."""

PATIENCE_S: Final = 60.0
"""Nothing at all coming for so long means that the server is stuck."""

CONNECTIONS_PER_ADDRESS: Final = 5_000
"""More come from another address of the loopback: one has about 28,000 ports, used ones rest."""


class BrokenRunError(Exception):
    """The server did not do what is measured; no figure can be trusted then."""


@dataclass(slots=True)
class Handshake:
    """What is under way on one socket."""

    sock: socket.socket
    received: bytes = b""
    closing: bool = False


@dataclass(slots=True)
class Handshakes:
    """Opens a connection for each of ``requests``, ``at_once`` at the same time.

    :param port: where the server listens on the loopback.
    :param requests: what is sent first on each connection.
    :param greeting: a connection is there when it has received this.
    """

    port: int
    requests: Sequence[bytes]
    greeting: bytes
    at_once: int = AT_ONCE
    _under_way: dict[int, Handshake] = field(default_factory=dict)
    _epoll: select.epoll = field(default_factory=select.epoll)

    def keep(self) -> list[socket.socket]:
        """Open all of them; returns their sockets."""
        return self._run(closing=False)

    def close(self) -> None:
        """Open all of them, and end each by a closing handshake once it is there."""
        self._run(closing=True)

    def _run(self, *, closing: bool) -> list[socket.socket]:
        opened: list[socket.socket] = []
        left = iter(enumerate(self.requests))
        try:
            self._start(left, self.at_once)
            while self._under_way:
                ready = self._epoll.poll(PATIENCE_S, self.at_once)
                if not ready:
                    raise BrokenRunError("the server does not answer handshakes any more")
                for descriptor, _ in ready:
                    if self._receive(self._under_way[descriptor], closing=closing, opened=opened):
                        del self._under_way[descriptor]
                        self._start(left, 1)
        finally:
            for handshake in self._under_way.values():
                handshake.sock.close()
            self._epoll.close()
        return opened

    def _start(self, left: Iterator[tuple[int, bytes]], count: int) -> None:
        for number, request in (next(left, (0, b"")) for _ in range(count)):
            if request:
                sock = _connect(self.port, number // CONNECTIONS_PER_ADDRESS)
                sock.send(request)
                self._under_way[sock.fileno()] = Handshake(sock)
                self._epoll.register(sock, select.EPOLLIN)

    def _receive(self, handshake: Handshake, *, closing: bool, opened: list[socket.socket]) -> bool:
        """Take what came; whether this one needs no more attention."""
        sock = handshake.sock
        try:
            data = sock.recv(RECEIVE_BYTES)
        except ConnectionResetError:
            data = b""
        if handshake.closing:
            if data:
                return False
            self._epoll.unregister(sock)
            sock.close()
            return True
        handshake.received += data
        if self.greeting in handshake.received and _ends_with_a_frame(handshake.received):
            if closing:
                handshake.closing = True
                sock.send(frames.NORMAL_CLOSE)
                return False
            self._epoll.unregister(sock)
            opened.append(sock)
            return True
        if not data:
            said = handshake.received[:200]
            raise BrokenRunError(f"the server refused a handshake: {said!r}")
        return False


def _connect(port: int, address: int) -> socket.socket:
    sock = socket.socket()
    if address:
        # Not every system has more than one address there: then one has to do.
        with contextlib.suppress(OSError):
            sock.bind((f"127.0.0.{1 + address}", 0))
    sock.connect((HOST, port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setblocking(False)  # noqa: FBT003 - its signature
    return sock


def _ends_with_a_frame(received: bytes) -> bool:
    """Whether nothing of a frame is left that would be in the way of the next ones."""
    behind_head = received.partition(b"\r\n\r\n")[2]
    return frames.end_of_last(behind_head) == len(behind_head)


def close_all(sockets: Sequence[socket.socket]) -> None:
    """End connections without any farewell."""
    for sock in sockets:
        sock.close()


class Crowd:
    """Open connections that are read from as frames come."""

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        self._sockets: dict[int, socket.socket] = {}
        self._rest: dict[int, bytes] = {}
        self._epoll = select.epoll()
        for sock in sockets:
            self.add(sock)

    def add(self, sock: socket.socket) -> None:
        """One more is there."""
        self._sockets[sock.fileno()] = sock
        self._rest[sock.fileno()] = b""
        self._epoll.register(sock, select.EPOLLIN)

    def close(self) -> None:
        """Let the connections go on without being read from."""
        self._epoll.close()

    def volley(self, frame: bytes, *, window: int, mark: bytes, seconds: float) -> int:
        """Send ``frame`` on each connection, ``window`` ahead of the replies; returns the replies.

        A reply is a text frame with ``mark`` in it. Replies that are still due after ``seconds``
        are waited for, and counted.
        """
        sockets, poll = self._sockets, self._epoll.poll
        bursts = [frame * count for count in range(window + 1)]
        for sock in sockets.values():
            sock.send(bursts[window])
        due = window * len(sockets)
        replies = 0
        until = time.perf_counter() + seconds
        while due:
            ready = poll(PATIENCE_S)
            if not ready:
                raise BrokenRunError("replies are missing")
            going_on = time.perf_counter() < until
            for descriptor, _ in ready:
                count = self._receive(descriptor, mark)
                replies += count
                if going_on:
                    sockets[descriptor].send(bursts[min(count, window)])
                else:
                    due -= count
        return replies

    def take(self, mark: bytes) -> int:
        """Wait for frames and take what is there; returns how many are texts with ``mark``."""
        ready = self._epoll.poll(PATIENCE_S)
        if not ready:
            raise BrokenRunError("nothing arrives any more")
        return sum(self._receive(descriptor, mark) for descriptor, _ in ready)

    def answer_pings(self, seconds: float, done: Callable[[], bool] = lambda: False) -> int:
        """For so long answer what pings come, of the protocol or as messages; returns how many."""
        answered = 0
        until = time.perf_counter() + seconds
        while not done():
            left_s = until - time.perf_counter()
            if left_s <= 0:
                break
            for descriptor, _ in self._epoll.poll(left_s):
                sock = self._sockets[descriptor]
                data = self._read(descriptor)
                end = 0
                for opcode, begin, end in frames.split(data):
                    if opcode == frames.PING:
                        sock.send(frames.masked(data[begin:end], frames.PONG))
                        answered += 1
                    elif opcode == frames.TEXT and data.find(b'"type":"ping"', begin, end) >= 0:
                        sock.send(frames.PONG_MESSAGE)
                        answered += 1
                self._rest[descriptor] = data[end:]
        return answered

    def _receive(self, descriptor: int, mark: bytes) -> int:
        data = self._read(descriptor)
        count = end = 0
        for opcode, begin, end in frames.split(data):
            if opcode == frames.TEXT and data.find(mark, begin, end) >= 0:
                count += 1
        self._rest[descriptor] = data[end:]
        return count

    def _read(self, descriptor: int) -> bytes:
        data = self._sockets[descriptor].recv(RECEIVE_BYTES)
        if not data:
            raise BrokenRunError("the server has closed a connection")
        rest = self._rest[descriptor]
        return rest + data if rest else data

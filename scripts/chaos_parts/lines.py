"""A TCP line to a server that can be cut, be half open, and be down for a while."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Final, NamedTuple

HOST: Final = "127.0.0.1"

CHUNK_BYTES: Final = 65_536


class Address(NamedTuple):
    """Where a server listens; as with libpq, a host that is a folder has a socket file there."""

    host: str
    port: int

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect; raises OSError when nobody listens."""
        if self.host.startswith("/"):
            return await asyncio.open_unix_connection(f"{self.host}/.s.PGSQL.{self.port}")
        return await asyncio.open_connection(self.host, self.port)


class Direction(StrEnum):
    """Which way bytes go."""

    TO_SERVER = "to server"
    TO_CLIENT = "to client"


@dataclass(eq=False, slots=True)
class _Connection:
    """One client's connection, and the one to the server that was made for it."""

    ends: list[asyncio.StreamWriter]
    swallowed: set[Direction] = field(default_factory=set)

    def abort(self) -> None:
        for end in self.ends:
            end.transport.abort()


class Line:
    """Forwards a port of this machine, always the same one, to wherever the server is just now.

    :param target: asked for each connection; None: nobody is there, and the client is cut.
    """

    def __init__(self, target: Callable[[], Address | None]) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], _Connection] = {}
        self.port = 0

    @property
    def connections(self) -> int:
        """How many there are now."""
        return len(self._connections)

    async def up(self) -> None:
        """Listen; on the same port as before."""
        if self._server is None:
            self._server = await asyncio.start_server(
                self._forward, HOST, self.port, reuse_address=True, backlog=256
            )
            self.port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        """Refuse new connections and cut those that are there."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        # As long as some come: what was accepted before the end of the listener starts after it.
        while self._connections:
            self.cut(len(self._connections))
            await asyncio.wait(list(self._connections))
        await server.wait_closed()

    def cut(self, count: int, random: Random | None = None) -> int:
        """Abort up to ``count`` connections, as a reset does; returns how many."""
        chosen = self._choose(count, random)
        for connection in chosen:
            connection.abort()
        return len(chosen)

    def half_open(
        self, count: int, direction: Direction, *, for_s: float, random: Random | None = None
    ) -> int:
        """Swallow what goes one way on up to ``count`` connections, and reset them after ``for_s``.

        Both ends take the connection for a good one until then: a firewall that has forgotten it,
        or a peer that is gone without a word, until the kernel's timeout. Returns how many.
        """
        chosen = self._choose(count, random)
        loop = asyncio.get_running_loop()
        for connection in chosen:
            connection.swallowed.add(direction)
            loop.call_later(for_s, connection.abort)
        return len(chosen)

    def _choose(self, count: int, random: Random | None) -> list[_Connection]:
        connections = list(self._connections.values())
        if random is not None:
            random.shuffle(connections)
        return connections[:count]

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a callback of the server runs in a task
        connection = self._connections[task] = _Connection([writer])
        try:
            target = self._target()
            if target is None:
                return
            there, back = await target.open()
            connection.ends.append(back)
            await asyncio.gather(
                _pipe(reader, back, connection, Direction.TO_SERVER),
                _pipe(there, writer, connection, Direction.TO_CLIENT),
            )
        except OSError:
            pass  # nobody is there
        finally:
            del self._connections[task]
            connection.abort()


async def _pipe(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    connection: _Connection,
    direction: Direction,
) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK_BYTES):
            if direction not in connection.swallowed:
                writer.write(data)
                await writer.drain()
    if direction not in connection.swallowed:
        writer.close()

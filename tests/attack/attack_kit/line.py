"""A line to a server that can be cut and mended: the server is away, and comes up late."""

import asyncio
import contextlib


class Line:
    """Forwards a port of this machine to ``host:port`` while it is up.

    As with PostgreSQL, a host that is a folder has a socket file for the port.
    """

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._server: asyncio.Server | None = None
        self._forwards: dict[asyncio.Task[None], set[asyncio.StreamWriter]] = {}
        self.port = 0

    async def up(self) -> None:
        """Listen; on the same port as before."""
        self._server = await asyncio.start_server(
            self._forward, "127.0.0.1", self.port, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        """Refuse new connections and cut those that are there."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            for writers in self._forwards.values():
                for writer in writers:
                    writer.transport.abort()
            if self._forwards:
                await asyncio.wait(self._forwards)
            await server.wait_closed()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self._to
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, port)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        ends = self._forwards[task] = {writer}
        try:
            there, back = await self._open()
            ends.add(back)
            await asyncio.gather(self._pipe(reader, back), self._pipe(there, writer))
        except OSError:
            pass  # nobody is there
        finally:
            del self._forwards[task]
            for end in ends:
                end.close()
            for end in ends:
                with contextlib.suppress(OSError):
                    await end.wait_closed()

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

"""The world outside: a service that the tools of the runs change, and that counts how often.

One line of JSON in, one line out. An effect happens once for each idempotency key; what happens is
told apart by ``what``: run, step and number of the call. So two effects of one ``what`` are one too
many, whatever their keys were.
"""

import asyncio
import json
from collections import Counter, defaultdict
from typing import Final

from chaos_parts.lines import HOST

ANSWER_TIMEOUT_S: Final = 5.0


class EffectLedger:
    """Listens, and applies what it is asked for."""

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._keys: set[str] = set()
        self.port = 0
        self.requests = 0
        """Those that were repeated too."""
        self.happened: Counter[str] = Counter()
        """How often each ``what`` has happened."""
        self.askers: dict[str, set[str]] = defaultdict(set)
        """For whom each ``what`` was asked: users as ``org/sub``."""

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def take(self, *, key: str, what: str, user: str) -> bool:
        """Let it happen, unless it has under this key; whether it happened now."""
        self.requests += 1
        self.askers[what].add(user)
        if key in self._keys:
            return False
        self._keys.add(key)
        self.happened[what] += 1
        return True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            if line.endswith(b"\n"):
                happened = self.take(**json.loads(line))
                writer.write(json.dumps({"happened": happened}).encode() + b"\n")
                await writer.drain()
        except OSError:
            pass  # the process that asked was killed
        finally:
            writer.transport.abort() if reader.exception() else writer.close()


async def ask_for_effect(port: int, *, key: str, what: str, user: str) -> bool:
    """The tools' side: whether it happened now, False when it had before."""
    async with asyncio.timeout(ANSWER_TIMEOUT_S):
        reader, writer = await asyncio.open_connection(HOST, port)
        try:
            writer.write(json.dumps({"key": key, "what": what, "user": user}).encode() + b"\n")
            answer = json.loads(await reader.readline())
            return bool(answer["happened"])
        finally:
            writer.close()

"""The other processes of a group: what they count, and who is connected to them."""

import asyncio
import logging
import pickle
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from prometheus_client import Metric

from apex_actors.gateway.connection_info import ConnectionInfo

logger = logging.getLogger(__name__)

#: How long the others may take to answer, in seconds: who is stuck costs only its figures.
ANSWER_TIMEOUT_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class GetMetrics:
    """Asks for the families of a process, a list of Metric."""


@dataclass(frozen=True, slots=True)
class GetConnections:
    """Asks for a process's live connections, of an org and a sub where these are named."""

    org: str | None
    sub: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process is in its group.

    ``folder`` is private to the user that runs the group, so whoever speaks in it is one of us.
    """

    folder: Path
    number: int
    processes: int

    def socket_of(self, number: int) -> Path:
        """Where the process of this number answers."""
        return self.folder / str(number)


class Siblings:
    """One process's side: it answers the others, and asks them. A NodeGroup of the gateway.

    Each listens on a socket in the group's folder; a question and its answer are one connection.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._server: asyncio.AbstractServer | None = None
        self._answer: Callable[[object], Awaitable[object]]

    @property
    def processes(self) -> int:
        """How many processes the group has, those that are dead included."""
        return self._place.processes

    async def serve(self, answer: Callable[[object], Awaitable[object]]) -> None:
        """Answer questions of the others with what ``answer`` returns."""
        self._answer = answer
        own = self._place.socket_of(self._place.number)
        own.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve_one, own)

    async def close(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._server.close()
            self._place.socket_of(self._place.number).unlink(missing_ok=True)

    async def metrics(self) -> Sequence[Sequence[Metric]]:
        """The families of each of the others that answers in time."""
        return await self._ask(GetMetrics())

    async def connections(self, org: str | None, sub: str | None) -> Sequence[ConnectionInfo]:
        """The live connections of all others that answer in time."""
        answers = await self._ask(GetConnections(org, sub))
        return [info for answer in answers for info in answer]

    async def _ask(self, question: object) -> list[Any]:
        others = [n for n in range(1, self.processes + 1) if n != self._place.number]
        answers = await asyncio.gather(
            *(self._ask_one(self._place.socket_of(number), question) for number in others),
            return_exceptions=True,
        )
        for answer in answers:
            if isinstance(answer, BaseException):
                logger.debug("a process of the group did not answer: %s", type(answer).__name__)
        return [answer for answer in answers if not isinstance(answer, BaseException)]

    async def _ask_one(self, path: Path, question: object) -> Any:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                writer.write(pickle.dumps(question))
                writer.write_eof()
                return pickle.loads(await reader.read())  # noqa: S301  (see Place)
            finally:
                writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                question = pickle.loads(await reader.read())  # noqa: S301  (see Place)
                writer.write(pickle.dumps(await self._answer(question)))
                await writer.drain()
        except (OSError, TimeoutError, EOFError):
            logger.debug("a question of another process was left")
        finally:
            writer.close()

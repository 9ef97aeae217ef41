"""How much is let in: what a node takes at the same moment, and what all nodes together hold."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from apex_actors.execution.settings import ExecutionSettings
from apex_actors.protocol.codes import ErrorCode
from apex_actors.protocol.violation import ProtocolViolation
from apex_actors.storage.database import Connection
from apex_actors.storage.runs import QUERIES

#: A count of the unfinished runs serves for this time, in seconds: the limit is one against
#: collapse, and may be passed by what a second brings.
COUNT_LIFE_S: Final = 1.0

#: When whoever met a node with its hands full may try again, in milliseconds.
NODE_RETRY_MS: Final = 1_000

#: When whoever met a full server may try again, in milliseconds: some runs have ended by then.
SERVER_RETRY_MS: Final = 5_000


class Admission:
    """Refuses with ``queue_full`` what would be taken only to be late; shared by all of a node."""

    def __init__(
        self, settings: ExecutionSettings, *, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._now_s = now_s
        self._under_way = 0
        self._counted_at = -COUNT_LIFE_S
        self._unfinished = 0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One acceptance of this node; raises ProtocolViolation (queue_full) beyond its limit."""
        if self._under_way >= self._settings.accepting_per_node:
            raise ProtocolViolation(
                ErrorCode.QUEUE_FULL,
                "This server has its hands full: send the message again in a moment.",
                retry_after_ms=NODE_RETRY_MS,
            )
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def check(self, connection: Connection) -> None:
        """Whether all nodes together may hold one more run; raises ProtocolViolation (queue_full)."""
        most = self._settings.unfinished_in_all
        now_s = self._now_s()
        if now_s - self._counted_at >= COUNT_LIFE_S:
            # Before the count, so that one of many at the same moment counts and the others do not.
            self._counted_at = now_s
            cursor = await connection.execute(QUERIES["count_unfinished"], {"most": most})
            [row] = await cursor.fetchall()
            self._unfinished = int(row["unfinished"])
        if self._unfinished >= most:
            raise ProtocolViolation(
                ErrorCode.QUEUE_FULL,
                "As many runs wait as the server takes: send the message again later.",
                retry_after_ms=SERVER_RETRY_MS,
            )

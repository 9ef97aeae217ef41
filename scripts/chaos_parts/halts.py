"""Stopping a process between two statements of one transaction."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any, Final

from apex_actors.storage import database

PAUSE_S: Final = 0.05
"""Before the stop, as on a slow line: what the process does meanwhile is done too early, if it
should have waited for the commit."""

BEFORE_COMMIT: Final = 0
"""The place behind the last statement."""

PLACES: Final = (BEFORE_COMMIT, 1, 2, 3)
"""Behind so many statements of a transaction."""


class Halts:
    """Armed once, it stops the process in one of the next transactions; whoever armed it knows
    from ``tell`` that it has come to that, and wakes or kills the process.
    """

    def __init__(self, *, random: Random, tell: Callable[[int], None]) -> None:
        self._random = random
        self._tell = tell
        self._place: int | None = None

    def arm(self) -> None:
        """Stop at the next occasion."""
        self._place = self._random.choice(PLACES)

    async def reached(self, place: int) -> None:
        """Called at each place; stops here if this is the one."""
        if place != self._place:
            return
        self._place = None
        await asyncio.sleep(PAUSE_S)
        self._tell(place)
        os.kill(os.getpid(), signal.SIGSTOP)


def install(halts: Halts) -> None:
    """Let every connection that is made from now on pass by ``halts``."""

    class HaltingConnection(database.Connection):
        statements: int | None = None
        """So many in the transaction under way."""

        async def execute(self, *arguments: Any, **options: Any) -> Any:
            cursor = await super().execute(*arguments, **options)
            if self.statements is not None:
                self.statements += 1
                await halts.reached(self.statements)
            return cursor

        @asynccontextmanager
        async def transaction(self, *arguments: Any, **options: Any) -> AsyncIterator[Any]:
            async with super().transaction(*arguments, **options) as transaction:
                self.statements = 0
                try:
                    yield transaction
                    await halts.reached(BEFORE_COMMIT)
                finally:
                    self.statements = None

    database.Connection = HaltingConnection  # type: ignore[misc]

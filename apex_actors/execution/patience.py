"""Trying again while the database is away, with growing pauses, as long as there is time."""

import asyncio
import random
from typing import Final

from apex_actors.storage.errors import StorageUnavailableError

FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 1.0

#: By how much a pause may be shorter: those who failed together do not come back together.
JITTER: Final = 0.5


class Patience:
    """How long somebody goes on trying.

    :param give_up_s: counted from the first failure, because that one may have taken long: whoever
        waits behind one that is frozen gets another try when the way is free.
    """

    def __init__(self, give_up_s: float) -> None:
        self._time = asyncio.get_running_loop().time
        self._give_up_s = give_up_s
        self._give_up_at: float | None = None
        self._pause_s = FIRST_PAUSE_S

    async def after(self, error: StorageUnavailableError) -> None:
        """Wait for the next try; raises ``error`` when there is no time for one."""
        if self._give_up_at is None:
            self._give_up_at = self._time() + self._give_up_s
        pause_s = self._pause_s * (1 - JITTER * random.random())  # noqa: S311 - no secret
        if self._time() + pause_s > self._give_up_at:
            raise error
        self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
        await asyncio.sleep(pause_s)

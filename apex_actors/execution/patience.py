"""Trying again while the database is away, with growing pauses, as long as there is time."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from apex_actors.storage.errors import StorageUnavailableError

logger = logging.getLogger(__name__)

T = TypeVar("T")

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


async def patiently(what: str, attempt: Callable[[bool], Awaitable[T]], *, give_up_s: float) -> T:
    """What ``attempt`` returns, tried until it does or there is no more time.

    :param what: for the log.
    :param attempt: told whether the outcome of an earlier try is unknown: the connection may have
        been lost between a COMMIT and its answer. Raises StorageUnavailableError to be tried again.
    :param give_up_s: as of Patience.
    """
    patience = Patience(give_up_s)
    outcome_unknown = False
    while True:
        try:
            return await attempt(outcome_unknown)
        except StorageUnavailableError as error:
            await patience.after(error)
            logger.warning("%s failed and is tried again: %s", what, error)
        outcome_unknown = True

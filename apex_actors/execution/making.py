"""Whether what works on runs can be made: engines, and the supervisors of each pipeline."""

import logging

from apex_actors.execution.settings import ExecutionSettings

logger = logging.getLogger(__name__)


class Making:
    """What became of the last try to make each part; also says when to try again.

    One for the engines and supervisors of a worker. A part counts as broken from a try that failed
    to the next one that did not, and the log tells of each change once.
    """

    def __init__(self, settings: ExecutionSettings) -> None:
        self._retries = settings.making_retries
        self._first_pause_s = settings.making_pause_s
        self._broken: set[str] = set()

    @property
    def works(self) -> bool:
        """Whether nothing is known to be broken."""
        return not self._broken

    def worked(self, part: str) -> None:
        """``part`` could be made."""
        if part in self._broken:
            self._broken.discard(part)
            logger.warning("%s can be made again", part)

    def failed(self, part: str, error: Exception, *, failures: int) -> float | None:
        """``part`` could not be made, for the ``failures``-th time for the same run.

        Returns after how many seconds to try again; None: no more, the run fails.
        """
        if part not in self._broken:
            self._broken.add(part)
            logger.error("%s cannot be made", part, exc_info=error)
        if failures > self._retries:
            return None
        return self._first_pause_s * float(2 ** (failures - 1))

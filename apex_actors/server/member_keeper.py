"""One place in a group: a process, and the next one when that has died."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Awaitable, Callable
from typing import Final

from apex_actors.server.member_process import MemberProcess

logger = logging.getLogger(__name__)

#: Pause before a process that died is started again, in seconds; doubled with each death.
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0

#: A process that was ready for so long was well, in seconds: the next death counts as the first.
STEADY_S: Final = 30.0

#: Starts in a row that may fail before the group gives up.
FAILED_STARTS: Final = 5


class GroupFailedError(Exception):
    """A process of the group could not be kept; the log says why. Mend that and start again."""


class MemberKeeper:
    """Keeps one process of the group alive, until the group stops.

    :param number: its place.
    :param spawn: starts the process of this place, which calls back when it is ready. Raises OSError.
    :param stopping: set when the group is to stop; set here when this place cannot be kept.
    :param group_ready: set when all processes were ready once. What fails before is most likely
        wrong in the settings, so it is not tried again.
    :param on_ready: told each time that a process is ready.
    :param end_within_s: how long a process may take to drain and end.
    """

    def __init__(
        self,
        number: int,
        *,
        spawn: Callable[[int, Callable[[], None]], Awaitable[MemberProcess]],
        stopping: asyncio.Event,
        group_ready: asyncio.Event,
        on_ready: Callable[[], None],
        end_within_s: float,
    ) -> None:
        self._number = number
        self._spawn = spawn
        self._stopping = stopping
        self._group_ready = group_ready
        self._on_ready = on_ready
        self._end_within_s = end_within_s
        self._process: MemberProcess | None = None
        self._ready_at: float | None = None
        self._failed_starts = 0
        self._deaths = 0
        self.was_ready = False
        """Whether any of its processes ever was."""

    def tell(self, message: object) -> None:
        """Send the process a message, if there is one."""
        if self._process is not None:
            self._process.tell(message)

    def kill(self) -> None:
        """End the process at once, if there is one."""
        if self._process is not None:
            self._process.kill()

    async def keep(self) -> None:
        """Start a process, again and again, until the group stops; then it has ended.

        Raises GroupFailedError when it does not start or does not end well.
        """
        try:
            while not self._stopping.is_set():
                died = await self._run_one()
                if died:
                    await self._pause()
        except GroupFailedError:
            self._stopping.set()
            raise

    async def _run_one(self) -> bool:
        """Whether the process died; False when it ended because the group stops."""
        self._ready_at = None
        try:
            process = self._process = await self._spawn(self._number, self._note_ready)
        except OSError as error:
            self._judge(f"could not be started: {error.strerror}")
            return True
        try:
            died = await self._outlives(process)
        finally:
            code = await process.end(within_s=self._end_within_s)
            self._process = None
        if died:
            self._judge(f"has ended with {_shown(code)}")
        elif code != 0 and self._ready_at is not None:
            raise GroupFailedError(
                f"process {self._number} did not end well but with {_shown(code)}: see the log above"
            )
        return died

    async def _outlives(self, process: MemberProcess) -> bool:
        """Wait until the process ends (True) or the group stops (False)."""
        ended = asyncio.ensure_future(process.ended())
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait([ended, stopping], return_when=asyncio.FIRST_COMPLETED)
            return not stopping.done()
        finally:
            for waiting in (ended, stopping):
                waiting.cancel()
            await asyncio.wait([ended, stopping])

    def _note_ready(self) -> None:
        self._ready_at = asyncio.get_running_loop().time()
        self._failed_starts = 0
        self.was_ready = True
        self._on_ready()

    def _judge(self, what: str) -> None:
        """Decide after a death whether to go on."""
        now = asyncio.get_running_loop().time()
        if self._ready_at is None:
            self._failed_starts += 1
        elif now - self._ready_at >= STEADY_S:
            self._deaths = 0
        self._deaths += 1
        if not self._group_ready.is_set() or self._failed_starts >= FAILED_STARTS:
            raise GroupFailedError(f"process {self._number} {what} at its start: see the log above")
        logger.warning("process %d of the group %s; it is started again", self._number, what)

    async def _pause(self) -> None:
        pause_s = min(FIRST_PAUSE_S * 2.0 ** min(self._deaths - 1, 30), LONGEST_PAUSE_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._stopping.wait()


def _shown(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

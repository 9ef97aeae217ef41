"""Opens the logs of those who connect, many at once."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from apex_actors.actors import ActorRef, LoopActor
from apex_actors.protocol.identity import Identity
from apex_actors.storage.errors import StorageError
from apex_actors.storage.event_log import EventLog, LogPosition

logger = logging.getLogger(__name__)

#: Between two statements at least, in seconds: when many come, each serves more of them.
PACE_S: Final = 0.02

#: After a look at the log that failed, nobody waits for another one for this time, in seconds.
PAUSE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class OpenLog:
    """Where does the log of ``identity`` end? Made where there is none yet; ``asker`` is told."""

    identity: Identity
    asker: ActorRef[Any]
    is_back: bool = False
    """Somebody has just read the log: worth a look although the last one failed."""


@dataclass(frozen=True, slots=True)
class LogOpened:
    """Where the log of the asker's user ends; None: it cannot be read now."""

    position: LogPosition | None


@dataclass(frozen=True, slots=True)
class _Open:
    pass


class Greeter(LoopActor):
    """Opens logs for connections: one statement for all that ask while another one runs.

    Receives OpenLog and tells each asker LogOpened, without a position where the log cannot be read
    within ``timeout_s``: a connection is then greeted without it, and those that come within the
    next second at once. When it dies the node stops.
    """

    def __init__(self, *, log: EventLog, timeout_s: float) -> None:
        super().__init__()
        self._log = log
        self._timeout_s = timeout_s
        self._waiting: list[OpenLog] = []
        self._failed_at: float | None = None
        self._time = asyncio.get_running_loop().time
        self._opened_at = -PACE_S

    def on_receive(self, message: object) -> object:
        match message:
            case OpenLog():
                if not self._waiting:
                    self._open_soon()
                self._waiting.append(message)
            case _Open():
                return self._open()
            case _:
                return super().on_receive(message)
        return None

    def _open_soon(self) -> None:
        wait_s = self._opened_at + PACE_S - self._time()
        if wait_s > 0:
            self.tell_later(wait_s, _Open())
        else:
            # Behind all that is in the mailbox already: it goes into the same statement.
            self.ref.tell(_Open())

    async def _open(self) -> None:
        waiting, self._waiting = self._waiting, []
        now = self._opened_at = self._time()
        pausing = self._failed_at is not None and now - self._failed_at < PAUSE_S
        if pausing and not any(asked.is_back for asked in waiting):
            self._tell(waiting, None)
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                positions = await self._log.open_many([asked.identity for asked in waiting])
        except (StorageError, TimeoutError) as error:
            self._failed_at = self._time()
            logger.debug("logs cannot be opened: %s", error)
            self._tell(waiting, None)
        except Exception:
            # A bug must not leave anybody waiting for a welcome.
            logger.exception("logs cannot be opened")
            self._tell(waiting, None)
        else:
            self._failed_at = None
            self._tell(waiting, positions)

    @staticmethod
    def _tell(asked: Sequence[OpenLog], positions: Sequence[LogPosition] | None) -> None:
        for number, one in enumerate(asked):
            # Who is gone by now needs no welcome.
            one.asker.try_tell(LogOpened(None if positions is None else positions[number]))

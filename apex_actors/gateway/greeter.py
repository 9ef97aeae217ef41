"""Opens the logs of those who connect, many at once."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from apex_actors.actors import ActorRef, LoopActor
from apex_actors.gateway.registry_messages import ComponentsChanged
from apex_actors.protocol.identity import Identity
from apex_actors.storage.errors import StorageError
from apex_actors.storage.event_log import EventLog, LogPosition

logger = logging.getLogger(__name__)

#: Between two statements at least, in seconds: when many come, each serves more of them.
PACE_S: Final = 0.02

#: After a look at the log that failed, nobody waits for another one for this time, in seconds.
PAUSE_S: Final = 1.0

#: So long after its start a server may wait for a database that starts beside it, in seconds.
EARLY_S: Final = 5.0

#: In that time, a log that cannot be read is asked for again after this time, in seconds.
RETRY_S: Final = 0.5

#: By so much may timers be late before a look is one less, in seconds.
TOLERANCE_S: Final = 0.05


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
class _Waiting:
    asked: OpenLog
    since: float


@dataclass(frozen=True, slots=True)
class _Open:
    pass


@dataclass(frozen=True, slots=True)
class _Retry:
    pass


class Greeter(LoopActor):
    """Opens logs for connections: one statement for all that ask while another one runs.

    Receives OpenLog and tells each asker LogOpened, without a position where the log cannot be read
    within ``timeout_s``: a connection is then greeted without it. In the first seconds a log that
    is not there yet is asked for again and again within that time; later, those that come within a
    second of a failure are told at once. So is everybody, by then, from ComponentsChanged that
    tells of a database away to the one that has it back. When it dies the node stops.

    :param early_s: how long after its start the log may still be on its way.
    """

    def __init__(self, *, log: EventLog, timeout_s: float, early_s: float = EARLY_S) -> None:
        super().__init__()
        self._log = log
        self._timeout_s = timeout_s
        self._waiting: list[_Waiting] = []
        self._is_due = False
        self._is_retrying = False
        self._failed_at: float | None = None
        self._is_away = False
        self._time = asyncio.get_running_loop().time
        self._early_until = self._time() + early_s
        self._opened_at = -PACE_S

    def on_receive(self, message: object) -> object:
        match message:
            case OpenLog():
                self._waiting.append(_Waiting(message, self._time()))
                if message.is_back or not self._is_retrying:
                    self._open_soon()
            case _Open():
                return self._open()
            case _Retry():
                self._is_retrying = False
                self._open_soon()
            case ComponentsChanged(down, recovered):
                self._is_away = "database" in down
                if "database" in recovered:
                    self._failed_at = None
            case _:
                return super().on_receive(message)
        return None

    def _open_soon(self) -> None:
        if self._is_due:
            return
        self._is_due = True
        wait_s = self._opened_at + PACE_S - self._time()
        if wait_s > 0:
            self.tell_later(wait_s, _Open())
        else:
            # Behind all that is in the mailbox already: it goes into the same statement.
            self.ref.tell(_Open())

    async def _open(self) -> None:
        self._is_due = False
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        now = self._opened_at = self._time()
        if self._is_hopeless(now) and not any(one.asked.is_back for one in waiting):
            self._tell(waiting, None)
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                positions = await self._log.open_many([one.asked.identity for one in waiting])
        except StorageError as error:
            logger.debug("logs cannot be opened: %s", error)
            if self._is_early(now):
                self._tell(self._try_again(waiting), None)
            else:
                self._failed_at = self._time()
                self._tell(waiting, None)
        except TimeoutError:
            logger.debug("logs cannot be opened in time")
            self._failed_at = self._time()
            self._tell(waiting, None)
        except Exception:
            # A bug must not leave anybody waiting for a welcome.
            logger.exception("logs cannot be opened")
            self._tell(waiting, None)
        else:
            self._failed_at = None
            self._tell(waiting, positions)

    def _is_early(self, now: float) -> bool:
        return now < self._early_until

    def _is_hopeless(self, now: float) -> bool:
        """Whether it is known without a look that the log cannot be read."""
        if self._failed_at is not None and now - self._failed_at < PAUSE_S:
            return True
        return self._is_away and not self._is_early(now)

    def _try_again(self, waiting: Sequence[_Waiting]) -> list[_Waiting]:
        """Keep those that may wait for another look; returns the others."""
        # The look after the next pause must still be in time.
        since = self._time() + RETRY_S - self._timeout_s - TOLERANCE_S
        leave: list[_Waiting] = []
        for one in waiting:
            # Who has been greeted without the log is told of it by the registry.
            in_vain = one.asked.is_back or one.since < since
            (leave if in_vain else self._waiting).append(one)
        if self._waiting and not self._is_retrying:
            self._is_retrying = True
            self.tell_later(RETRY_S, _Retry())
        return leave

    @staticmethod
    def _tell(waiting: Sequence[_Waiting], positions: Sequence[LogPosition] | None) -> None:
        for number, one in enumerate(waiting):
            # Who is gone by now needs no welcome.
            one.asked.asker.try_tell(LogOpened(None if positions is None else positions[number]))

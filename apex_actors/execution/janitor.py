"""Work that nobody waits for: threads are removed, and what is too old goes."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from apex_actors.actors import LoopActor
from apex_actors.execution.threads import ThreadService
from apex_actors.storage import thread_deletion
from apex_actors.storage.database import Database
from apex_actors.storage.errors import StorageError
from apex_actors.storage.retention import Retention

logger = logging.getLogger(__name__)

#: Between two looks for threads whose work has stopped, in seconds.
LOOK_INTERVAL_S: Final = 1.0

#: Threads that one look finds; when there are as many, the next look follows at once.
LOOK_LIMIT: Final = 20

#: A thread that could not be removed is left alone for this time, in seconds: it must not keep
#: others waiting.
LEAVE_OUT_S: Final = 60.0

#: Between two removals of finished durable tasks, in seconds.
TASK_INTERVAL_S: Final = 180.0


@dataclass(frozen=True, slots=True)
class LookForDeletions:
    """Somebody has asked for a thread's deletion: look now."""


@dataclass(frozen=True, slots=True)
class _Look:
    pass


@dataclass(frozen=True, slots=True)
class _TrimAll:
    pass


@dataclass(frozen=True, slots=True)
class _CleanTasks:
    pass


class ThreadJanitor(LoopActor):
    """Finishes the deletion of threads once the work in them has stopped.

    Receives LookForDeletions. Owns nothing: any number of nodes may have one, and what one leaves
    when it dies another finishes. Whatever goes wrong with a thread is logged and tried again.
    """

    def __init__(
        self,
        *,
        database: Database,
        threads: ThreadService,
        look_interval_s: float = LOOK_INTERVAL_S,
    ) -> None:
        super().__init__()
        self._database = database
        self._threads = threads
        self._look_interval_s = look_interval_s
        self._left_out: dict[UUID, float] = {}

    def on_start(self) -> None:
        self.ref.tell(_Look())

    def on_receive(self, message: object) -> object:
        match message:
            case LookForDeletions():
                # Many requests, one look: there is one timer, and each request sets it anew.
                self.timers.once(_Look, 0, _Look())
            case _Look():
                return self._look()
            case _:
                return super().on_receive(message)
        return None

    async def _look(self) -> None:
        found = await self._remove_due()
        pause_s = 0 if found >= LOOK_LIMIT else self._look_interval_s
        self.timers.once(_Look, pause_s, _Look())

    async def _remove_due(self) -> int:
        now = asyncio.get_running_loop().time()
        self._left_out = {key: until for key, until in self._left_out.items() if until > now}
        try:
            due = await thread_deletion.find_due(
                self._database, limit=LOOK_LIMIT, left_out=tuple(self._left_out)
            )
        except StorageError as error:
            logger.debug("no look for threads to delete: %s", error)
            return 0
        except Exception:
            # A server in a state that nobody foresaw: it is looked at again.
            logger.exception("no look for threads to delete")
            return 0
        for doomed in due:
            try:
                await self._threads.finish(doomed)
            except StorageError as error:
                logger.warning("threads are removed later: %s", error)
                return 0
            except Exception:
                # One thread must not keep the others waiting.
                logger.exception("thread %s is not removed yet", doomed.thread_id)
                self._left_out[doomed.thread_id] = now + LEAVE_OUT_S
        return len(due)


class RetentionJanitor(LoopActor):
    """Removes what is older or more than the settings keep.

    Owns nothing but the place in the list of users where it goes on: any number of nodes may have
    one, of which one works at a time. What goes wrong is logged and tried again.
    """

    def __init__(
        self,
        *,
        retention: Retention,
        interval_s: float,
        task_interval_s: float = TASK_INTERVAL_S,
    ) -> None:
        super().__init__()
        self._retention = retention
        self._interval_s = interval_s
        self._task_interval_s = task_interval_s

    def on_start(self) -> None:
        # Nothing at once: a node that has just started has better things to do.
        self.timers.every(_TrimAll, self._interval_s, _TrimAll())
        self.timers.every(_CleanTasks, self._task_interval_s, _CleanTasks())

    def on_receive(self, message: object) -> object:
        match message:
            case _TrimAll():
                return self._guarded(trim=True)
            case _CleanTasks():
                return self._guarded(trim=False)
            case _:
                return super().on_receive(message)

    async def _guarded(self, *, trim: bool) -> None:
        try:
            if trim:
                removed = await self._retention.run()
                if removed.any:
                    logger.info("retention: %s", removed)
            else:
                await self._retention.clean_tasks()
        except StorageError as error:
            logger.warning("retention goes on next time: %s", error)
        except Exception:
            logger.exception("retention failed; it is tried again")

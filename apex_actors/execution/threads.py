"""Threads as their users change them: renamed, and deleted with all that belongs to them."""

from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from apex_actors.execution.cancellation import stop_runs, unfinished_of_thread
from apex_actors.execution.publishing import Announcer
from apex_actors.execution.titles import clean_line
from apex_actors.protocol.codes import ErrorCode
from apex_actors.protocol.events import Event
from apex_actors.protocol.payloads import ThreadDeleted, ThreadUpdated
from apex_actors.protocol.violation import ProtocolViolation
from apex_actors.storage import event_log, thread_deletion
from apex_actors.storage.database import Database
from apex_actors.storage.event_log import Draft
from apex_actors.storage.sessions import SessionStore
from apex_actors.storage.thread_deletion import DoomedThread
from apex_actors.storage.threads import QUERIES, thread_of_user


async def _nothing_cached(_run_ids: Sequence[UUID]) -> None:
    """Where nothing of a run is cached, there is nothing to forget."""


class ThreadService:
    """Renames and deletes threads; what changes is told to all of the user's connections.

    A deletion has two parts. ``delete`` hides the thread and has its work cancelled, in one
    transaction; from then on it is there for nobody. ``finish`` removes what it was, once nothing
    runs in it: whoever calls it, on whichever node, as often as one likes.

    :param sessions: forgets the cached session of whoever deletes the thread it names.
    :param on_deletion_requested: called after each ``delete``: wakes whoever calls ``finish``.
    :param on_runs_removed: called when runs are gone for good: forgets what is cached of them.
    """

    def __init__(
        self,
        *,
        database: Database,
        announcer: Announcer,
        sessions: SessionStore,
        on_deletion_requested: Callable[[], None] = lambda: None,
        on_runs_removed: Callable[[Sequence[UUID]], Awaitable[None]] = _nothing_cached,
    ) -> None:
        self._database = database
        self._announcer = announcer
        self._sessions = sessions
        self._on_deletion_requested = on_deletion_requested
        self._on_runs_removed = on_runs_removed

    async def rename(self, user_id: int, thread_id: UUID, title: str) -> None:
        """Give the thread another title.

        Raises ProtocolViolation: thread_not_found, or invalid_message for a title of which nothing
        can be seen.
        """
        line = clean_line(title)
        if not line:
            raise ProtocolViolation(
                ErrorCode.INVALID_MESSAGE,
                "title must hold something that can be seen.",
                details={"field": "title"},
            )
        async with self._database.transaction() as connection:
            await event_log.lock_log(connection, user_id)
            thread = await thread_of_user(connection, user_id, thread_id)
            if thread is None:
                raise _not_found()
            if thread["title"] == line:
                return
            await connection.execute(
                QUERIES["rename_thread"], {"thread_id": thread_id, "title": line}
            )
            drafts = [Draft(ThreadUpdated(title=line), thread_id)]
            events = await (await event_log.append(connection, user_id, drafts)).events()
        self._announcer.events_committed(user_id, events)

    async def delete(self, user_id: int, thread_id: UUID) -> None:
        """Ask for the end of the thread: durable when this returns, and the thread is hidden.

        Raises ProtocolViolation (thread_not_found), also when it was asked for before.
        """
        async with self._database.transaction() as connection:
            await event_log.lock_log(connection, user_id)
            if not await thread_deletion.request(connection, DoomedThread(user_id, thread_id)):
                raise _not_found()
            unfinished = await unfinished_of_thread(connection, user_id, thread_id)
            stopped = await stop_runs(connection, user_id, [run["run_id"] for run in unfinished])
        if stopped.events:
            self._announcer.events_committed(user_id, stopped.events)
        if stopped.any_running:
            # Their workers look for what is to be stopped.
            self._announcer.work_available()
        await self._sessions.forget_cached(user_id)
        self._on_deletion_requested()

    async def finish(self, doomed: DoomedThread) -> bool:
        """Remove the thread for good; False: its work has not stopped yet, or there is nothing.

        Safe to be called from many places at once, and again after any failure: each transaction
        removes a part, under the user's lock; the last one says ``thread_deleted``.
        """
        events: list[Event] = []
        while not events:
            async with self._database.transaction() as connection:
                await event_log.lock_log(connection, doomed.user_id)
                if not await thread_deletion.is_due(connection, doomed):
                    return False
                removed = await thread_deletion.remove_batch(connection, doomed)
                if removed.is_all:
                    drafts = [Draft(ThreadDeleted(), doomed.thread_id)]
                    appending = await event_log.append(connection, doomed.user_id, drafts)
                    events = await appending.events()
            if removed.run_ids:
                await self._on_runs_removed(removed.run_ids)
        self._announcer.events_committed(doomed.user_id, events)
        # Once more: a node may have cached the session between the request and now.
        await self._sessions.forget_cached(doomed.user_id)
        return True


def _not_found() -> ProtocolViolation:
    return ProtocolViolation(ErrorCode.THREAD_NOT_FOUND, "There is no such thread.")

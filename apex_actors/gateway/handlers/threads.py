"""Threads: listed, drawn, switched to, renamed, deleted."""

from uuid import UUID

from apex_actors.execution.threads import ThreadService
from apex_actors.gateway.handlers.owner import owner_of
from apex_actors.gateway.router import HandlerTable
from apex_actors.gateway.session import Session
from apex_actors.gateway.views import view_of_history, view_of_thread, view_of_threads
from apex_actors.protocol.codes import ErrorCode
from apex_actors.protocol.messages import (
    DEFAULT_PAGE,
    DeleteThread,
    GetThreadHistory,
    ListThreads,
    RenameThread,
    SwitchThread,
)
from apex_actors.protocol.notices import Ok, ThreadData, ThreadHistory, Threads
from apex_actors.protocol.violation import ProtocolViolation
from apex_actors.storage.sessions import SessionChange, SessionStore
from apex_actors.storage.threads import ThreadCursor, ThreadStore


class ThreadHandlers:
    """What a user does with threads; another's, and one that is being deleted, is none."""

    def __init__(
        self, *, threads: ThreadStore, service: ThreadService, sessions: SessionStore
    ) -> None:
        self._threads = threads
        self._service = service
        self._sessions = sessions

    def table(self) -> HandlerTable:
        """Handler by type of message."""
        return {
            ListThreads: self.list_threads,
            GetThreadHistory: self.get_thread_history,
            SwitchThread: self.switch_thread,
            RenameThread: self.rename_thread,
            DeleteThread: self.delete_thread,
        }

    async def list_threads(self, message: ListThreads, session: Session) -> Threads:
        """A page, latest first."""
        before = None if message.before is None else _thread_cursor(message.before)
        page = await self._threads.page(owner_of(session), limit=message.limit, before=before)
        return view_of_threads(page)

    async def get_thread_history(
        self, message: GetThreadHistory, session: Session
    ) -> ThreadHistory:
        """A page of the thread, with the state of its runs."""
        before = None if message.before is None else _message_id(message.before)
        history = await self._threads.history(
            owner_of(session), message.thread_id, limit=message.limit, before=before
        )
        if history is None:
            raise _not_found()
        return view_of_history(history)

    async def switch_thread(self, message: SwitchThread, session: Session) -> ThreadData:
        """Messages that name no thread go to this one, also after a reconnect."""
        user_id = owner_of(session)
        history = await self._threads.history(
            user_id, message.thread_id, limit=DEFAULT_PAGE, before=None, with_runs=False
        )
        if history is None:
            raise _not_found()
        # Durable before the reply: whoever has seen it may rely on it, whatever happens then.
        await self._sessions.store_many({user_id: SessionChange(thread_id=history.thread_id)})
        session.thread_id = history.thread_id
        return view_of_thread(history)

    async def rename_thread(self, message: RenameThread, session: Session) -> Ok:
        """The new title comes as an event, to all of the user's connections."""
        await self._service.rename(owner_of(session), message.thread_id, message.title)
        return Ok()

    async def delete_thread(self, message: DeleteThread, session: Session) -> Ok:
        """The request is durable and the thread hidden; ``thread_deleted`` follows when it is gone."""
        await self._service.delete(owner_of(session), message.thread_id)
        if session.thread_id == message.thread_id:
            session.thread_id = None
        return Ok()


def _thread_cursor(text: str) -> ThreadCursor:
    try:
        return ThreadCursor.decode(text)
    except ValueError:
        raise ProtocolViolation(
            ErrorCode.INVALID_MESSAGE,
            "before must be the next of an earlier page.",
            details={"field": "before"},
        ) from None


def _message_id(cursor: str) -> UUID:
    try:
        return UUID(cursor)
    except ValueError:
        raise ProtocolViolation(
            ErrorCode.INVALID_MESSAGE,
            "before must be the id of a message.",
            details={"field": "before"},
        ) from None


def _not_found() -> ProtocolViolation:
    return ProtocolViolation(ErrorCode.THREAD_NOT_FOUND, "There is no such thread.")

"""Threads and runs over HTTP: the very answers that the wire gives."""

from uuid import UUID

from apex_actors.gateway.auth import VerifiedToken
from apex_actors.gateway.handlers import RunStateHandlers, ThreadHandlers
from apex_actors.gateway.session import Session
from apex_actors.protocol.messages import GetRun, GetThreadHistory, ListThreads
from apex_actors.protocol.notices import RunReply, ThreadHistory, Threads
from apex_actors.storage.event_log import EventLog


class StoredThreads:
    """A ThreadReader that asks the handlers of the wire.

    Raises what they raise: ProtocolViolation for what is not there or not understood.
    """

    def __init__(self, *, log: EventLog, threads: ThreadHandlers, runs: RunStateHandlers) -> None:
        self._log = log
        self._threads = threads
        self._runs = runs

    async def threads(self, user: VerifiedToken, *, limit: int, before: str | None) -> Threads:
        """See ThreadReader."""
        message = ListThreads(limit=limit, before=before)
        return await self._threads.list_threads(message, await self._session(user))

    async def history(
        self, user: VerifiedToken, thread_id: UUID, *, limit: int, before: str | None
    ) -> ThreadHistory:
        """See ThreadReader."""
        message = GetThreadHistory(thread_id=thread_id, limit=limit, before=before)
        return await self._threads.get_thread_history(message, await self._session(user))

    async def run(self, user: VerifiedToken, run_id: UUID) -> RunReply:
        """See ThreadReader."""
        return await self._runs.get_run(GetRun(run_id=run_id), await self._session(user))

    async def _session(self, user: VerifiedToken) -> Session:
        position = await self._log.open(user.identity)
        return Session(connection_id="", token=user, user_id=position.user_id)

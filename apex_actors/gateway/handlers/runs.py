"""Messages that begin runs, try them again, or end them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final
from uuid import UUID

from apex_actors.execution import (
    Acceptance,
    Accepted,
    Cancellation,
    CancelOutcome,
    MessageToAccept,
    Priority,
)
from apex_actors.gateway.router import Handler
from apex_actors.gateway.session import Session
from apex_actors.protocol.codes import ErrorCode
from apex_actors.protocol.messages import (
    CancelRun,
    ClientMessage,
    RetryRun,
    StartAgent,
    StopAgent,
    UserMessage,
)
from apex_actors.protocol.notices import MessageAccepted, RunCancelling, RunStatusReply
from apex_actors.protocol.violation import ProtocolViolation
from apex_actors.storage.errors import StorageUnavailableError

#: When a client of a draining server may try again, in milliseconds.
DRAINING_RETRY_MS: Final = 1000


class RunHandlers:
    """Handlers of what begins and ends runs; they own nothing but what they are given.

    While the server drains, what begins a run is refused with ``draining``; ending one is not.
    """

    def __init__(
        self,
        *,
        acceptance: Acceptance,
        cancellation: Cancellation,
        pipeline: str,
        is_draining: Callable[[], bool] = lambda: False,
    ) -> None:
        self._acceptance = acceptance
        self._cancellation = cancellation
        self._pipeline = pipeline
        self._is_draining = is_draining

    def table(self) -> dict[type[ClientMessage], Handler]:
        """Handler by type of message."""
        return {
            UserMessage: self.user_message,
            StartAgent: self.start_agent,
            RetryRun: self.retry_run,
            CancelRun: self.cancel_run,
            StopAgent: self.stop_agent,
        }

    async def user_message(self, message: UserMessage, session: Session) -> MessageAccepted:
        """Store the message and its run; reply once both are durable."""
        return await self._accept(
            MessageToAccept(
                user_id=_user_id(session),
                text=message.text,
                pipeline=self._pipeline,
                thread_id=message.thread_id,
                client_message_id=message.client_message_id,
                if_busy=message.if_busy,
            ),
            session,
            current=None if message.new_thread else session.thread_id,
        )

    async def start_agent(self, message: StartAgent, session: Session) -> MessageAccepted:
        """As a user message, but before those that wait."""
        if message.pipeline not in (None, self._pipeline):
            raise ProtocolViolation(
                ErrorCode.INVALID_MESSAGE,
                "There is no such pipeline.",
                details={"field": "pipeline", "known": [self._pipeline]},
            )
        return await self._accept(
            MessageToAccept(
                user_id=_user_id(session),
                text=message.user_request,
                pipeline=self._pipeline,
                thread_id=message.thread_id,
                client_message_id=message.client_message_id,
                priority=Priority.START_AGENT,
            ),
            session,
            current=session.thread_id,
        )

    async def retry_run(self, message: RetryRun, session: Session) -> MessageAccepted:
        """A new run on the same message; the current thread stays which it is."""
        self._refuse_while_draining()
        accepted = await self._acceptance.retry(_user_id(session), message.run_id)
        return _reply(accepted, client_message_id=None)

    async def cancel_run(
        self, message: CancelRun, session: Session
    ) -> RunCancelling | RunStatusReply:
        """Reply once the request is durable: ``run_finished`` follows, or has come before it."""
        return _answer(await self._cancellation.cancel_run(_user_id(session), message.run_id))

    async def stop_agent(
        self, message: StopAgent, session: Session
    ) -> RunCancelling | RunStatusReply:
        """As ``cancel_run``; for a thread, all its unfinished runs, and the reply names one.

        That one is the run at work, else the first of those that waited; where all had ended, the
        latest.
        """
        user_id = _user_id(session)
        if message.run_id is not None:
            return _answer(await self._cancellation.cancel_run(user_id, message.run_id))
        if message.thread_id is None:
            raise ValueError("stop_agent names neither run nor thread: its model refuses that")
        outcomes = await self._cancellation.cancel_thread(user_id, message.thread_id)
        if not outcomes:
            raise ProtocolViolation(ErrorCode.RUN_NOT_FOUND, "This thread has no run.")
        return _answer(outcomes[0])

    async def _accept(
        self, message: MessageToAccept, session: Session, *, current: UUID | None
    ) -> MessageAccepted:
        self._refuse_while_draining()
        accepted = await self._accept_in_thread(message, current)
        session.thread_id = accepted.thread_id
        return _reply(accepted, client_message_id=message.client_message_id)

    async def _accept_in_thread(self, message: MessageToAccept, current: UUID | None) -> Accepted:
        """In the thread that the message names, else the current one, else a new one."""
        if message.thread_id is None and current is not None:
            try:
                return await self._acceptance.accept(replace(message, thread_id=current))
            except ProtocolViolation as violation:
                # The current thread may come from a cache that has outlived it; the client has
                # named none and must not be told that there is no such thread.
                if violation.code is not ErrorCode.THREAD_NOT_FOUND:
                    raise
        return await self._acceptance.accept(message)

    def _refuse_while_draining(self) -> None:
        if self._is_draining():
            raise ProtocolViolation(
                ErrorCode.DRAINING,
                "The server restarts: send the message again after the reconnect.",
                retry_after_ms=DRAINING_RETRY_MS,
            )


def _reply(accepted: Accepted, *, client_message_id: str | None) -> MessageAccepted:
    return MessageAccepted(
        client_message_id=client_message_id,
        message_id=accepted.message_id,
        thread_id=accepted.thread_id,
        run_id=accepted.run_id,
        queue_position=accepted.queue_position,
        duplicate=accepted.duplicate,
    )


def _answer(outcome: CancelOutcome) -> RunCancelling | RunStatusReply:
    if outcome.cancelling:
        return RunCancelling(run_id=outcome.run_id)
    return RunStatusReply(run_id=outcome.run_id, status=outcome.status)


def _user_id(session: Session) -> int:
    if session.user_id is None:
        raise StorageUnavailableError("the user's log has not been read yet")
    return session.user_id

"""What is stored, as it goes over the wire: the same for the socket and for HTTP."""

from collections.abc import Iterable

from apex_actors.execution.titles import preview_of
from apex_actors.protocol.notices import (
    HistoryMessage,
    RunState,
    ThreadData,
    ThreadHistory,
    Threads,
    ThreadSummary,
)
from apex_actors.protocol.payloads import MessageRole, RunError, RunStatus
from apex_actors.protocol.run_state import run_state
from apex_actors.storage.run_records import RunRecord
from apex_actors.storage.threads import Message, ThreadPage
from apex_actors.storage.threads import ThreadHistory as StoredHistory


def view_of_threads(page: ThreadPage) -> Threads:
    """A page of threads, with the cursor of the next one."""
    return Threads(
        threads=tuple(
            ThreadSummary(
                thread_id=thread.thread_id,
                title=thread.title,
                created_at=thread.created_at,
                updated_at=thread.updated_at,
                preview=None if thread.latest is None else preview_of(thread.latest),
                active_run_id=thread.active_run_id,
            )
            for thread in page.threads
        ),
        next=None if page.next is None else page.next.encode(),
    )


def view_of_history(history: StoredHistory) -> ThreadHistory:
    """Messages of a thread and the runs they belong to."""
    return ThreadHistory(
        thread_id=history.thread_id,
        messages=_messages(history.messages),
        runs=tuple(view_of_run(run, seq=history.seq) for run in history.runs),
        seq=history.seq,
    )


def view_of_thread(history: StoredHistory) -> ThreadData:
    """A thread to switch to."""
    return ThreadData(
        thread_id=history.thread_id,
        title=history.title,
        messages=_messages(history.messages),
        seq=history.seq,
    )


def view_of_run(run: RunRecord, *, seq: int) -> RunState:
    """The run after its events up to ``seq``."""
    return run_state(
        run.run_id,
        RunStatus(run.status),
        run.events,
        seq=seq,
        message_id=run.message_id,
        accepted_at=run.accepted_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        partial=run.partial,
        error=None if run.error is None else RunError.model_validate(run.error),
    )


def _messages(messages: Iterable[Message]) -> tuple[HistoryMessage, ...]:
    return tuple(
        HistoryMessage(
            id=message.id,
            role=MessageRole(message.role),
            content=message.content,
            created_at=message.created_at,
            run_id=message.run_id,
        )
        for message in messages
    )

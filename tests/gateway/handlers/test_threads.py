"""Threads over the wire: listed, drawn, switched to, renamed, deleted; only the user's own."""

import asyncio
from uuid import uuid4

import pytest

from apex_actors.gateway.handlers import ThreadHandlers
from apex_actors.protocol.codes import ErrorCode
from apex_actors.protocol.messages import (
    DeleteThread,
    GetThreadHistory,
    ListThreads,
    RenameThread,
    SwitchThread,
)
from apex_actors.protocol.payloads import AgentName, AgentThinking
from apex_actors.storage import event_log
from apex_actors.storage.errors import StorageUnavailableError
from apex_actors.storage.event_log import Draft, EventLog
from apex_actors.storage.sessions import StoredSession
from apex_actors.storage.threads import ThreadStore


@pytest.fixture
def handlers(database, service, sessions):
    return ThreadHandlers(threads=ThreadStore(database), service=service, sessions=sessions)


async def test_threads_are_listed_latest_first_page_by_page(handlers, session, ask):
    asked = [await ask(session, f"Question {number}") for number in range(5)]
    await ask(session, thread_id=asked[1].thread_id)
    titles, before = [], None
    for _ in range(3):
        page = await handlers.list_threads(ListThreads(limit=2, before=before), session)
        titles += [thread.title for thread in page.threads]
        before = page.next
    assert titles == [f"Question {number}" for number in (1, 4, 3, 2, 0)]
    assert before is None


async def test_a_user_without_threads_has_an_empty_list(handlers, session):
    page = await handlers.list_threads(ListThreads(), session)
    assert (page.threads, page.next) == ((), None)


@pytest.mark.parametrize("cursor", ["secret", "~" * 32, "ü" * 24, "a" * 31, "f" * 32, "_" * 16])
async def test_a_cursor_that_nobody_gave_is_refused_without_its_value(
    handlers, session, refusal, cursor
):
    refused = await refusal(handlers.list_threads(ListThreads(before=cursor), session))
    assert (refused.code, refused.details) == (ErrorCode.INVALID_MESSAGE, {"field": "before"})
    assert cursor not in str(refused.notice().model_dump())


async def test_the_list_shows_what_was_said_last_and_what_goes_on(handlers, session, ask, database):
    idle, busy = await ask(session, "Idle"), await ask(session, "Busy")
    later = await ask(session, "# Once\n\n**more**", thread_id=busy.thread_id)
    async with database.connection() as connection:
        await connection.execute(
            "update apex.runs set status = 'completed' where id = %s", (idle.run_id,)
        )
    page = await handlers.list_threads(ListThreads(), session)
    assert [(thread.preview, thread.active_run_id) for thread in page.threads] == [
        ("Once more", busy.run_id),
        ("Idle", None),
    ]
    assert later.run_id != busy.run_id


async def test_a_history_draws_the_thread_and_its_runs_as_they_stand(
    handlers, session, ask, database
):
    asked = await ask(session)
    draft = Draft(
        AgentThinking(reasoning="Hm.", progress=0.5),
        asked.thread_id,
        asked.run_id,
        agent=AgentName.DATA,
        attempt=1,
    )
    async with database.transaction() as connection:
        await (await event_log.append(connection, session.user_id, [draft])).events()
    history = await handlers.get_thread_history(
        GetThreadHistory(thread_id=asked.thread_id), session
    )
    [message] = history.messages
    assert (message.id, message.content, message.run_id) == (
        asked.message_id,
        "How much?",
        asked.run_id,
    )
    [run] = history.runs
    assert (run.run_id, run.status, run.seq) == (asked.run_id, "queued", history.seq)
    assert [thought.reasoning for thought in run.steps[0].thinking] == ["Hm."]


async def test_a_history_cursor_that_is_no_message_is_refused_without_its_value(
    handlers, session, ask, refusal
):
    asked = await ask(session)
    message = GetThreadHistory(thread_id=asked.thread_id, before="secret")
    refused = await refusal(handlers.get_thread_history(message, session))
    assert refused.code is ErrorCode.INVALID_MESSAGE
    assert "secret" not in str(refused.notice().model_dump())


async def test_switching_gives_the_thread_and_is_remembered(
    handlers, session, ask, sessions, database
):
    first, second = await ask(session, "One"), await ask(session, "Two")
    session.thread_id = second.thread_id
    data = await handlers.switch_thread(SwitchThread(thread_id=first.thread_id), session)
    assert (data.thread_id, data.title) == (first.thread_id, "One")
    assert [message.content for message in data.messages] == ["One"]
    assert data.seq == 2
    assert session.thread_id == first.thread_id
    assert await sessions.current(session.user_id) == StoredSession(first.thread_id)
    # Also where the cache was lost.
    assert (await EventLog(database).open(session.identity)).thread_id == first.thread_id


async def test_promise_8_anothers_thread_and_none_are_refused_alike(
    handlers, session, session_of, ask, refusal
):
    others = [await session_of("bob"), await session_of("ann", org="other")]
    ids = [(await ask(other)).thread_id for other in others]
    session.thread_id = mine = (await ask(session)).thread_id
    refused = [
        await refusal(handler(message, session))
        for thread_id in (*ids, uuid4())
        for handler, message in (
            (handlers.get_thread_history, GetThreadHistory(thread_id=thread_id)),
            (handlers.switch_thread, SwitchThread(thread_id=thread_id)),
            (handlers.rename_thread, RenameThread(thread_id=thread_id, title="Mine now")),
            (handlers.delete_thread, DeleteThread(thread_id=thread_id)),
        )
    ]
    assert {violation.code for violation in refused} == {ErrorCode.THREAD_NOT_FOUND}
    assert len({violation.message for violation in refused}) == 1
    assert session.thread_id == mine
    listed = await handlers.list_threads(ListThreads(), session)
    assert [thread.thread_id for thread in listed.threads] == [mine]


async def test_a_new_title_reaches_the_list_and_the_other_connections(
    handlers, session, ask, announcer
):
    asked = await ask(session)
    announcer.events.clear()
    reply = await handlers.rename_thread(
        RenameThread(thread_id=asked.thread_id, title="  Costs\tof\u202e May "), session
    )
    assert reply.type == "ok"
    [event] = announcer.events
    assert (event.type, event.thread_id, event.run_id) == ("thread_updated", asked.thread_id, None)
    assert event.payload == {"title": "Costs of May"}
    listed = await handlers.list_threads(ListThreads(), session)
    assert [thread.title for thread in listed.threads] == ["Costs of May"]


async def test_a_title_that_cannot_be_seen_is_refused(handlers, session, ask, refusal):
    asked = await ask(session)
    message = RenameThread(thread_id=asked.thread_id, title="\u200b\u2060")
    refused = await refusal(handlers.rename_thread(message, session))
    assert (refused.code, refused.details) == (ErrorCode.INVALID_MESSAGE, {"field": "title"})


async def test_a_deleted_thread_is_there_for_nobody_from_the_reply_on(
    handlers, session, ask, refusal, sessions, database
):
    kept = await ask(session, "Kept")
    gone = await ask(session, "Gone")
    await handlers.switch_thread(SwitchThread(thread_id=gone.thread_id), session)
    reply = await handlers.delete_thread(DeleteThread(thread_id=gone.thread_id), session)
    assert reply.type == "ok"
    assert session.thread_id is None
    for handler, message in (
        (handlers.get_thread_history, GetThreadHistory(thread_id=gone.thread_id)),
        (handlers.switch_thread, SwitchThread(thread_id=gone.thread_id)),
        (handlers.rename_thread, RenameThread(thread_id=gone.thread_id, title="Back")),
        (handlers.delete_thread, DeleteThread(thread_id=gone.thread_id)),
    ):
        assert (await refusal(handler(message, session))).code is ErrorCode.THREAD_NOT_FOUND
    refused = await refusal(ask(session, thread_id=gone.thread_id))
    assert refused.code is ErrorCode.THREAD_NOT_FOUND
    listed = await handlers.list_threads(ListThreads(), session)
    assert [thread.thread_id for thread in listed.threads] == [kept.thread_id]
    assert await sessions.current(session.user_id) == StoredSession(None)
    assert (await EventLog(database).open(session.identity)).thread_id is None


async def test_of_two_deletions_at_once_one_finds_the_thread(handlers, session, ask):
    asked = await ask(session)
    message = DeleteThread(thread_id=asked.thread_id)
    outcomes = await asyncio.gather(
        *(handlers.delete_thread(message, session) for _ in range(4)), return_exceptions=True
    )
    assert sum(getattr(outcome, "type", None) == "ok" for outcome in outcomes) == 1


async def test_without_the_log_nothing_is_done_in_anybodys_name(handlers, session):
    session.user_id = None
    for handler, message in (
        (handlers.list_threads, ListThreads()),
        (handlers.get_thread_history, GetThreadHistory(thread_id=uuid4())),
        (handlers.switch_thread, SwitchThread(thread_id=uuid4())),
        (handlers.rename_thread, RenameThread(thread_id=uuid4(), title="t")),
        (handlers.delete_thread, DeleteThread(thread_id=uuid4())),
    ):
        with pytest.raises(StorageUnavailableError):
            await handler(message, session)

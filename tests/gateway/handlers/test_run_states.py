"""Runs over the wire, as they stand: one's own, of one snapshot."""

import json
from uuid import uuid4

import pytest

from apex_actors.gateway.handlers import RunStateHandlers
from apex_actors.protocol.codes import ErrorCode
from apex_actors.protocol.messages import GetRun
from apex_actors.storage.errors import StorageUnavailableError
from apex_actors.storage.run_records import RunRecords


@pytest.fixture
def handlers(database):
    return RunStateHandlers(runs=RunRecords(database))


async def test_a_run_is_given_as_it_stands_up_to_seq(handlers, session, ask):
    asked = await ask(session)
    waiting = await ask(session, thread_id=asked.thread_id)
    reply = await handlers.get_run(GetRun(run_id=waiting.run_id), session)
    assert (reply.type, reply.run_id, reply.status) == ("run", waiting.run_id, "waiting")
    assert (reply.message_id, reply.seq) == (waiting.message_id, 3)
    assert reply.accepted_at is not None
    assert (reply.started_at, reply.finished_at, reply.partial) == (None, None, False)


async def test_a_run_that_ended_says_when_and_why(handlers, session, ask, database):
    asked = await ask(session)
    error = {"code": "run_timed_out", "message": "Too long.", "report_id": None}
    async with database.connection() as connection:
        await connection.execute(
            "update apex.runs set status = 'timed_out', partial = true, started_at = now(),"
            " finished_at = now(), error = %s",
            (json.dumps(error),),
        )
    reply = await handlers.get_run(GetRun(run_id=asked.run_id), session)
    assert (reply.status, reply.partial) == ("timed_out", True)
    assert reply.error.model_dump(mode="json") == error
    assert reply.accepted_at <= reply.started_at <= reply.finished_at


async def test_promise_8_anothers_run_and_none_are_refused_alike(
    handlers, session, session_of, ask, refusal
):
    theirs = await ask(await session_of("bob"))
    refused = [
        await refusal(handlers.get_run(GetRun(run_id=run_id), session))
        for run_id in (theirs.run_id, uuid4())
    ]
    assert {violation.code for violation in refused} == {ErrorCode.RUN_NOT_FOUND}
    assert len({violation.message for violation in refused}) == 1


async def test_a_run_of_a_thread_that_is_being_deleted_is_none(
    handlers, session, ask, refusal, service
):
    asked = await ask(session)
    await service.delete(session.user_id, asked.thread_id)
    refused = await refusal(handlers.get_run(GetRun(run_id=asked.run_id), session))
    assert refused.code is ErrorCode.RUN_NOT_FOUND


async def test_without_the_log_no_run_is_anybodys(handlers, session):
    session.user_id = None
    with pytest.raises(StorageUnavailableError):
        await handlers.get_run(GetRun(run_id=uuid4()), session)

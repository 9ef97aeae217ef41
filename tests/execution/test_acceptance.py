"""Accepting: durable before it is acknowledged, once, and in its place."""

import asyncio
from uuid import uuid4

import pytest

from apex_actors.execution import MessageToAccept, Priority
from apex_actors.execution.acceptance import TITLE_LENGTH, title_of
from apex_actors.protocol.codes import ErrorCode
from apex_actors.protocol.identity import Identity
from apex_actors.protocol.messages import IfBusy
from apex_actors.protocol.violation import ProtocolViolation


def message(user_id, text="How much?", **fields):
    return MessageToAccept(user_id=user_id, text=text, pipeline="costs", **fields)


async def rows(database, query, *arguments):
    async with database.connection() as connection:
        return await (await connection.execute(query, arguments)).fetchall()


async def test_promise_1_an_acknowledged_message_is_in_the_log_once(
    acceptance, announcer, log, user_id, database
):
    accepted = await acceptance.accept(message(user_id, client_message_id="c1"))
    events = await log.read(user_id, after=0, limit=10)
    assert [event.type for event in events] == ["message_created"]
    assert events[0].payload["message"]["id"] == str(accepted.message_id)
    assert [event.encode() for event in announcer.events] == [event.encode() for event in events]
    assert announcer.work == 1
    stored = await rows(database, "select id, content, run_id from apex.messages")
    assert stored == [
        {"id": accepted.message_id, "content": "How much?", "run_id": accepted.run_id}
    ]


async def test_the_same_client_message_id_returns_the_same_ids(acceptance, user_id, log):
    first = await acceptance.accept(message(user_id, client_message_id="c1"))
    again = await asyncio.gather(
        *(acceptance.accept(message(user_id, client_message_id="c1")) for _ in range(5))
    )
    for duplicate in again:
        assert duplicate.duplicate
        assert (duplicate.message_id, duplicate.run_id) == (first.message_id, first.run_id)
    assert len(await log.read(user_id, after=0, limit=10)) == 1


async def test_the_same_client_message_id_with_another_text_is_a_conflict(acceptance, user_id):
    await acceptance.accept(message(user_id, client_message_id="c1"))
    with pytest.raises(ProtocolViolation) as refused:
        await acceptance.accept(message(user_id, "Other", client_message_id="c1"))
    assert refused.value.code is ErrorCode.IDEMPOTENCY_CONFLICT


async def test_concurrent_resends_make_one_run(acceptance, user_id, database):
    accepted = await asyncio.gather(
        *(acceptance.accept(message(user_id, client_message_id="c1")) for _ in range(6))
    )
    assert len({(item.message_id, item.run_id) for item in accepted}) == 1
    assert sum(not item.duplicate for item in accepted) == 1
    assert await rows(database, "select count(*) as n from apex.runs") == [{"n": 1}]


async def test_runs_of_one_thread_wait_and_those_of_others_run_up_to_the_cap(
    acceptance, user_id, database, log
):
    first = await acceptance.accept(message(user_id))
    second = await acceptance.accept(message(user_id, thread_id=first.thread_id))
    third = await acceptance.accept(message(user_id))
    over_the_cap = await acceptance.accept(message(user_id))
    assert [item.queue_position for item in (first, second, third, over_the_cap)] == [0, 1, 0, 2]
    statuses = await rows(database, "select status from apex.runs order by accept_no")
    assert [row["status"] for row in statuses] == ["queued", "waiting", "queued", "waiting"]
    queued = [
        event for event in await log.read(user_id, after=0, limit=20) if event.type == "run_queued"
    ]
    assert [event.payload["position"] for event in queued] == [1, 2]


async def test_start_agent_waits_before_user_messages(acceptance, user_id):
    first = await acceptance.accept(message(user_id))
    await acceptance.accept(message(user_id, thread_id=first.thread_id))
    urgent = await acceptance.accept(
        message(user_id, thread_id=first.thread_id, priority=Priority.START_AGENT)
    )
    assert urgent.queue_position == 1


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"thread_id": uuid4()}, ErrorCode.THREAD_NOT_FOUND),
        ({"if_busy": IfBusy.REJECT}, ErrorCode.THREAD_BUSY),
    ],
)
async def test_what_cannot_be_accepted_is_refused_and_leaves_nothing(
    acceptance, user_id, database, fields, code
):
    first = await acceptance.accept(message(user_id))
    with pytest.raises(ProtocolViolation) as refused:
        await acceptance.accept(message(user_id, **{"thread_id": first.thread_id, **fields}))
    assert refused.value.code is code
    assert await rows(database, "select count(*) as n from apex.messages") == [{"n": 1}]


async def test_promise_8_another_users_thread_is_not_found(acceptance, user_id, log):
    first = await acceptance.accept(message(user_id))
    stranger = (await log.open(Identity(org="other", sub="ann"))).user_id
    with pytest.raises(ProtocolViolation) as refused:
        await acceptance.accept(message(stranger, thread_id=first.thread_id))
    assert refused.value.code is ErrorCode.THREAD_NOT_FOUND


async def test_a_full_queue_says_when_to_come_back(acceptance, user_id):
    first = await acceptance.accept(message(user_id))
    for _ in range(3):
        await acceptance.accept(message(user_id, thread_id=first.thread_id))
    with pytest.raises(ProtocolViolation) as refused:
        await acceptance.accept(message(user_id, thread_id=first.thread_id))
    assert refused.value.code is ErrorCode.QUEUE_FULL
    assert refused.value.retry_after_ms


def test_a_title_is_the_first_line_cut_at_a_word():
    assert title_of("  Analyze\tmy costs \nand more") == "Analyze my costs"
    long = title_of("word " * 40)
    assert len(long) <= TITLE_LENGTH + 1
    assert long.endswith("word…")


def test_a_message_never_shows_its_text():
    assert "secret" not in repr(message(1, "secret"))

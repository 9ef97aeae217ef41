"""The event log: gapless numbers in the order of commits, whatever fails in between."""

import asyncio
import contextlib
from uuid import uuid4

import pytest

from apex_actors.protocol.identity import Identity
from apex_actors.protocol.payloads import AgentName, AgentThinking
from apex_actors.storage import event_log
from apex_actors.storage.event_log import Draft, EventLog

ANN = Identity(org="acme", sub="ann")


def thought(text="hm"):
    return Draft(AgentThinking(reasoning=text, progress=0.5), agent=AgentName.DATA)


@pytest.fixture
def log(database):
    return EventLog(database)


async def test_promise_3_a_users_seq_is_gapless_under_concurrent_appends_and_failures(
    database, log
):
    user_id = (await log.open(ANN)).user_id

    async def write(number):
        with contextlib.suppress(ZeroDivisionError):
            async with database.transaction() as connection:
                await event_log.append(connection, user_id, [thought(), thought()])
                if number % 3 == 0:
                    raise ZeroDivisionError

    await asyncio.gather(*(write(number) for number in range(30)))
    events = await log.read(user_id, after=0, limit=1000)
    assert [event.seq for event in events] == list(range(1, 41))
    assert (await log.open(ANN)).seq == 40


async def test_the_order_of_drafts_is_the_order_of_numbers(database, log):
    user_id = (await log.open(ANN)).user_id
    async with database.transaction() as connection:
        drafts = [thought(str(n)) for n in range(50)]
        written = await (await event_log.append(connection, user_id, drafts)).events()
    read = await log.read(user_id, after=0, limit=1000)
    assert [event.payload["reasoning"] for event in read] == [str(n) for n in range(50)]
    assert [event.encode() for event in read] == [event.encode() for event in written]


async def test_logs_of_users_are_apart_and_the_pair_is_the_identity(log):
    positions = [
        await log.open(identity)
        for identity in (
            ANN,
            Identity(org="acme", sub="bob"),
            Identity(org="other", sub="ann"),
            ANN,
        )
    ]
    assert len({position.user_id for position in positions}) == 3
    assert positions[0] == positions[3]


async def test_a_log_opened_by_many_at_once_is_one(log):
    positions = await asyncio.gather(*(log.open(ANN) for _ in range(8)))
    assert len({position.user_id for position in positions}) == 1


async def test_what_an_unheard_commit_stored_is_found_again(database, log):
    user_id = (await log.open(ANN)).user_id
    drafts = [thought(), thought()]
    async with database.transaction() as connection:
        assert await event_log.find(connection, user_id, drafts) is None
        written = await (await event_log.append(connection, user_id, drafts)).events()
    async with database.connection() as connection:
        found = await event_log.find(connection, user_id, drafts)
    assert [event.encode() for event in found] == [event.encode() for event in written]


async def test_nothing_is_no_transaction(database):
    async with database.connection() as connection:
        with pytest.raises(ValueError, match="nothing to append"):
            await event_log.append(connection, 1, [])


async def test_positions_of_many_users_come_from_one_query(database, log):
    ids = [(await log.open(Identity(org="o", sub=str(n)))).user_id for n in range(3)]
    async with database.transaction() as connection:
        await event_log.append(connection, ids[1], [thought()])
    assert await log.positions(ids) == {ids[0]: 0, ids[1]: 1, ids[2]: 0}


async def test_events_of_a_run_are_read_in_order(database, log):
    user_id = (await log.open(ANN)).user_id
    run_id = uuid4()
    drafts = [Draft(AgentThinking(reasoning=str(n), progress=0), run_id=run_id) for n in range(3)]
    async with database.transaction() as connection:
        await event_log.append(connection, user_id, [thought(), *drafts])
    assert [event.seq for event in await log.read_run(run_id)] == [2, 3, 4]

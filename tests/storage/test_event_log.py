"""The event log: gapless numbers in the order of commits, whatever fails in between."""

import asyncio
import contextlib
from uuid import uuid4

import pytest

from apex_actors.protocol.identity import Identity
from apex_actors.protocol.payloads import AgentName, AgentThinking
from apex_actors.storage import event_log
from apex_actors.storage.event_log import Draft, EventLog, KnownPositions

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


async def test_many_logs_are_opened_at_once_in_the_order_asked_for(log):
    bob, cyd = Identity(org="acme", sub="bob"), Identity(org="acme", sub="cyd")
    known = await log.open(bob)
    first, second, third, again = await log.open_many([cyd, bob, ANN, cyd])
    assert second == known
    assert first == again
    assert len({first.user_id, second.user_id, third.user_id}) == 3
    assert await log.open(ANN) == third
    assert await log.open_many([]) == []


async def test_logs_opened_by_many_at_once_are_made_once_and_nobody_waits_for_ever(log, database):
    people = [Identity(org="acme", sub=str(number)) for number in range(60)]
    ways = [people, people[::-1], people[30:] + people[:30], people[::2] + people[1::2]] * 2
    opened = await asyncio.gather(*(log.open_many(way) for way in ways))
    numbers = {}
    for way, positions in zip(ways, opened, strict=True):
        for identity, position in zip(way, positions, strict=True):
            numbers.setdefault(identity.sub, set()).add(position.user_id)
    assert {len(found) for found in numbers.values()} == {1}
    async with database.connection() as connection:
        cursor = await connection.execute("select count(*) as n from apex.users")
        assert (await cursor.fetchone())["n"] == len(people)


async def test_opening_a_log_again_costs_no_number(log):
    first = (await log.open(ANN)).user_id
    for _ in range(20):
        await log.open(ANN)
    assert (await log.open(Identity(org="acme", sub="next"))).user_id == first + 1


async def test_a_log_opens_with_what_the_session_knows_while_its_thread_is_there(log, database):
    user_id = (await log.open(ANN)).user_id
    other_id = (await log.open(Identity(org="acme", sub="bob"))).user_id
    thread_id = uuid4()

    async def opened_after(statement, *arguments):
        async with database.connection() as connection:
            await connection.execute(statement, arguments)
        position = await log.open(ANN)
        return position.thread_id, position.acknowledged_seq

    assert await opened_after("select 1") == (None, 0)
    thread = "insert into apex.threads (id, user_id, title) values (%s, %s, 't')"
    assert await opened_after(thread, thread_id, user_id) == (None, 0)
    session = "insert into apex.sessions values (%s, %s, 7)"
    assert await opened_after(session, user_id, thread_id) == (thread_id, 7)
    hidden = "update apex.threads set delete_requested_at = now()"
    assert await opened_after(hidden) == (None, 7)
    shown = "update apex.threads set delete_requested_at = null"
    assert await opened_after(shown) == (thread_id, 7)
    anothers = "update apex.threads set user_id = %s"
    assert await opened_after(anothers, other_id) == (None, 7)
    gone = "delete from apex.threads"
    assert await opened_after(gone) == (None, 7)


async def test_positions_name_only_the_logs_that_have_grown(database, log):
    ids = [(await log.open(Identity(org="o", sub=str(n)))).user_id for n in range(3)]
    known = KnownPositions.of(dict.fromkeys(ids, 0))
    assert await log.positions(known) == {}
    async with database.transaction() as connection:
        await event_log.append(connection, ids[1], [thought()])
    assert await log.positions(known) == {ids[1]: 1}
    assert await log.positions(KnownPositions.of({ids[2]: 0, ids[1]: 1})) == {}
    assert await log.positions(KnownPositions.of({ids[0]: 0, 10**15: 0})) == {}
    assert await log.positions(KnownPositions.of({})) == {}


async def test_positions_are_told_also_where_others_are_known_too_far(database, log):
    ids = [(await log.open(Identity(org="o", sub=str(n)))).user_id for n in range(2)]
    async with database.transaction() as connection:
        await event_log.append(connection, ids[1], [thought(), thought()])
    assert await log.positions(KnownPositions.of({ids[0]: 5, ids[1]: 1})) == {ids[1]: 2}


async def test_the_look_for_grown_logs_reads_the_users_asked_about_and_no_others(
    database, rows_read
):
    async with database.connection() as connection:
        await connection.execute(
            "insert into apex.users (org, sub) select 'o', n::text from generate_series(1, 50000) n"
        )
        await connection.execute("analyze apex.users")
    known = KnownPositions.of(dict.fromkeys(range(1, 50_000, 100), 0))
    arguments = {"user_ids": known.user_ids, "seqs": known.seqs}
    for query in ("sum_of_positions", "advanced_logs"):
        assert (await rows_read(event_log.QUERIES[query], arguments))["users"] <= 500


async def test_events_of_a_run_are_read_in_order(database, log):
    user_id = (await log.open(ANN)).user_id
    run_id = uuid4()
    drafts = [Draft(AgentThinking(reasoning=str(n), progress=0), run_id=run_id) for n in range(3)]
    async with database.transaction() as connection:
        await event_log.append(connection, user_id, [thought(), *drafts])
    assert [event.seq for event in await log.read_run(run_id)] == [2, 3, 4]

"""Sessions: durable in PostgreSQL, quick from the cache, and never of a thread that is gone."""

import asyncio
from uuid import uuid4

import pytest

from apex_actors.protocol.identity import Identity
from apex_actors.storage.cache import Cache
from apex_actors.storage.database import Database
from apex_actors.storage.errors import StorageUnavailableError
from apex_actors.storage.event_log import EventLog
from apex_actors.storage.sessions import (
    SESSION_LIFE_S,
    SessionChange,
    SessionStore,
    StoredSession,
)


@pytest.fixture
async def without_cache(database):
    """Sessions while the cache is away."""
    away = Cache("redis://127.0.0.1:1", timeout_s=0.1)
    yield SessionStore(database, away)
    await away.close()


@pytest.fixture
async def without_database(cache):
    """Sessions while PostgreSQL is away."""
    away = Database("postgresql://127.0.0.1:1/none", timeout_s=0.1)
    yield SessionStore(away, cache)
    await away.close()


async def test_what_is_stored_comes_back_from_the_cache_from_the_row_and_for_many(
    sessions, without_cache, cache, ask, user_id, other_id
):
    assert await sessions.current(user_id) is None
    thread_id = (await ask(user_id)).thread_id
    await sessions.store_many({user_id: SessionChange(thread_id, 1), other_id: SessionChange()})
    expected = StoredSession(thread_id, 1)
    assert await sessions.current(user_id) == expected
    assert await without_cache.current(user_id) == expected
    await cache.client.flushall()
    assert await sessions.current(user_id) == expected
    assert await sessions.current_many([user_id, other_id, 10**12]) == {
        user_id: expected,
        other_id: StoredSession(),
    }


async def test_nothing_is_stored_by_no_change(sessions):
    await sessions.store_many({})
    assert await sessions.current_many([]) == {}


async def test_a_change_leaves_the_thread_that_it_does_not_name_and_confirmed_numbers_only_grow(
    sessions, ask, user_id
):
    asked = [await ask(user_id) for _ in range(3)]
    for change, expected in (
        (SessionChange(None, 2), StoredSession(None, 2)),
        (SessionChange(asked[0].thread_id, 0), StoredSession(asked[0].thread_id, 2)),
        (SessionChange(None, 1), StoredSession(asked[0].thread_id, 2)),
        (SessionChange(asked[1].thread_id, 3), StoredSession(asked[1].thread_id, 3)),
    ):
        await sessions.store_many({user_id: change})
        assert await sessions.current(user_id) == expected


async def test_nobody_confirms_more_than_the_log_has(sessions, ask, user_id):
    await ask(user_id)
    await sessions.store_many({user_id: SessionChange(None, 2**63 - 1)})
    assert await sessions.current(user_id) == StoredSession(None, 1)


async def test_a_thread_that_is_gone_or_going_is_none_also_where_the_cache_names_it(
    sessions, database, cache, ask, user_id, other_id
):
    thread_id = (await ask(user_id)).thread_id
    await sessions.store_many(
        {user_id: SessionChange(thread_id), other_id: SessionChange(thread_id)}
    )
    assert await sessions.current(other_id) == StoredSession()
    for statement in (
        "update apex.threads set delete_requested_at = now()",
        "delete from apex.threads",
    ):
        async with database.connection() as connection:
            await connection.execute(statement)
        assert str(thread_id) in await cache.client.get(f"apex:session:{user_id}")
        assert await sessions.current(user_id) == StoredSession()
        assert await sessions.current_many([user_id]) == {user_id: StoredSession()}


async def test_a_thread_that_is_deleted_meanwhile_does_not_keep_other_sessions_from_being_stored(
    sessions, ask, user_id, other_id
):
    thread_id = (await ask(other_id)).thread_id
    await sessions.store_many(
        {user_id: SessionChange(uuid4(), 0), other_id: SessionChange(thread_id, 0)}
    )
    assert await sessions.current(user_id) == StoredSession()
    assert await sessions.current(other_id) == StoredSession(thread_id)


async def test_promise_11_without_the_cache_sessions_are_stored_and_read(
    without_cache, ask, user_id
):
    thread_id = (await ask(user_id)).thread_id
    await without_cache.store_many({user_id: SessionChange(thread_id)})
    assert await without_cache.current(user_id) == StoredSession(thread_id)
    await without_cache.forget_cached(user_id)


async def test_without_the_database_the_cache_is_believed_and_nothing_is_stored(
    sessions, without_database, ask, user_id
):
    thread_id = (await ask(user_id)).thread_id
    await sessions.store_many({user_id: SessionChange(thread_id)})
    assert await without_database.current(user_id) == StoredSession(thread_id)
    with pytest.raises(StorageUnavailableError):
        await without_database.store_many({user_id: SessionChange(None, 1)})
    with pytest.raises(StorageUnavailableError):
        await without_database.current(10**12)


async def test_a_cached_session_does_not_live_for_ever_and_can_be_forgotten(
    sessions, cache, user_id
):
    await sessions.store_many({user_id: SessionChange()})
    key = f"apex:session:{user_id}"
    assert await cache.client.ttl(key) == pytest.approx(SESSION_LIFE_S, abs=5)
    await sessions.forget_cached(user_id)
    assert await cache.client.get(key) is None


@pytest.mark.parametrize(
    "nonsense",
    ["no json", "[]", "7", "null", '{"thread_id": "x", "acknowledged_seq": 1}', "{}", b"\xff\xfe"],
)
async def test_promise_11_what_others_have_put_there_counts_as_nothing(
    sessions, cache, ask, user_id, nonsense
):
    thread_id = (await ask(user_id)).thread_id
    await sessions.store_many({user_id: SessionChange(thread_id)})
    await cache.client.set(f"apex:session:{user_id}", nonsense)
    assert await sessions.current(user_id) == StoredSession(thread_id)


async def test_many_nodes_store_the_same_users_without_waiting_for_each_other_for_ever(
    sessions, database
):
    log = EventLog(database)
    people = [Identity(org="acme", sub=str(number)) for number in range(100)]
    ids = [position.user_id for position in await log.open_many(people)]
    one_way = {user_id: SessionChange() for user_id in ids}
    other_way = {user_id: SessionChange() for user_id in reversed(ids)}
    await asyncio.gather(*(sessions.store_many(way) for way in (one_way, other_way) * 8))
    assert len(await sessions.current_many(ids)) == len(ids)

"""Revocations: what is stored, when it counts as changed, and how little an idle look moves."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from apex_actors.storage.link_key import read_link_key
from apex_actors.storage.revocations import (
    QUERIES,
    RevocationRecord,
    RevocationStore,
    RevokedToken,
    RevokedUser,
)

NOW = datetime.now(UTC)
LATER = NOW + timedelta(hours=1)
ANN = RevokedUser("acme", "ann", NOW)
TOKEN = RevokedToken("t-1")


@pytest.fixture
def store(database):
    return RevocationStore(database)


async def test_nothing_is_revoked_at_first(store):
    snapshot = await store.live()
    assert snapshot.records == ()
    assert await store.live(known=snapshot.version) is None


async def test_tokens_and_users_come_back_as_they_were_revoked(store):
    first = await store.add(TOKEN, expires_at=LATER)
    second = await store.add(ANN, expires_at=LATER)
    snapshot = await store.live()
    assert snapshot.records == (
        RevocationRecord(first, TOKEN, LATER),
        RevocationRecord(second, ANN, LATER),
    )


async def test_the_same_again_is_harmless(store):
    await store.add(TOKEN, expires_at=LATER)
    await store.add(TOKEN, expires_at=LATER)
    assert [record.revoked for record in (await store.live()).records] == [TOKEN, TOKEN]


async def test_what_has_expired_is_neither_read_nor_kept(store, database):
    await store.add(TOKEN, expires_at=NOW - timedelta(seconds=1))
    await store.add(ANN, expires_at=LATER)
    assert [record.revoked for record in (await store.live()).records] == [ANN]
    assert await store.remove_expired() == 1
    assert await store.remove_expired() == 0
    async with database.connection() as connection:
        rows = await (await connection.execute("select sub from apex.revocations")).fetchall()
    assert rows == [{"sub": "ann"}]


@pytest.mark.parametrize(
    "change",
    [
        "insert into apex.revocations (jti, expires_at) values ('x', now() + interval '1 hour')",
        "delete from apex.revocations",
        "update apex.revocations set expires_at = expires_at + interval '1 hour'",
        "truncate apex.revocations",
    ],
)
async def test_each_change_is_seen_whoever_makes_it(store, database, change):
    await store.add(ANN, expires_at=LATER)
    known = (await store.live()).version
    async with database.connection() as connection:
        await connection.execute(change)
    changed = await store.live(known=known)
    assert changed.version > known
    assert await store.live(known=changed.version) is None


async def test_what_is_committed_behind_a_later_one_is_not_missed(store, database):
    """The first to get an id is the last to commit: no look may take it for known."""
    async with database.connection() as slow:
        await slow.execute("begin")
        # Its id is drawn here, and its row is not yet counted.
        await slow.execute("select nextval(pg_get_serial_sequence('apex.revocations', 'id'))")
        await store.add(RevokedToken("fast"), expires_at=LATER)
        seen = await store.live()
        await slow.execute(
            "insert into apex.revocations (id, jti, expires_at) overriding system value"
            " values (1, 'slow', now() + interval '1 hour')"
        )
        assert await store.live(known=seen.version) is None, "not committed"
        await slow.execute("commit")
    snapshot = await store.live(known=seen.version)
    assert {record.revoked.token_id for record in snapshot.records} == {"fast", "slow"}


async def test_two_who_revoke_at_once_are_both_counted(store, database):
    known = (await store.live()).version
    async with database.transaction() as connection:
        await connection.execute(QUERIES["revoke_token"], {"token_id": "one", "expires_at": LATER})
        await connection.execute(QUERIES["revoke_token"], {"token_id": "two", "expires_at": LATER})
    assert (await store.live(known=known)).version == known + 2


async def test_a_row_is_of_a_token_or_of_a_user(database):
    async with database.connection() as connection:
        for columns, values in [
            ("jti, org, sub, issued_before", "'x', 'acme', 'ann', now()"),
            ("org, sub", "'acme', 'ann'"),
            ("sub, issued_before", "'ann', now()"),
        ]:
            with pytest.raises(psycopg.errors.CheckViolation):
                await connection.execute(
                    f"insert into apex.revocations ({columns}, expires_at)"  # noqa: S608 - from here
                    f" values ({values}, now())".encode()
                )


async def test_an_idle_look_does_not_read_the_revocations(store, database):
    """However many there are, an unchanged version is all that is looked at."""
    async with database.connection() as connection:
        await connection.execute(
            "insert into apex.revocations (jti, expires_at)"
            " select 'token ' || n, now() + interval '1 hour' from generate_series(1, 20000) n"
        )
        await connection.execute("analyze apex.revocations")
        known = (await store.live()).version
        cursor = await connection.execute(
            b"explain (analyze, format json) " + QUERIES["live_revocations_unless_known"],
            {"known": known},
        )
        [plan] = (await cursor.fetchone())["QUERY PLAN"]
    assert _rows_read(plan["Plan"], "revocations") == 0


def _rows_read(plan, relation):
    own = plan["Actual Rows"] * plan["Actual Loops"] if plan.get("Relation Name") == relation else 0
    return own + sum(_rows_read(inner, relation) for inner in plan.get("Plans", ()))


async def test_the_key_of_links_is_made_with_the_database_and_stays(database):
    key = await read_link_key(database)
    assert len(key) == 32
    assert await read_link_key(database) == key

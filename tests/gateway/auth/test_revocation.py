"""Revoked tokens: the list, what happens while it cannot be looked up, and the watch."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

import pytest

from apex_actors.gateway.auth import (
    InvalidTokenError,
    LookThrough,
    RevocationList,
    Revocations,
    RevocationWatch,
    VerifiedToken,
)
from apex_actors.protocol.identity import Identity, Role
from apex_actors.storage.database import Database
from apex_actors.storage.embedded import EmbeddedServers
from apex_actors.storage.errors import StorageUnavailableError
from apex_actors.storage.migrate import migrate
from apex_actors.storage.revocations import (
    RevocationRecord,
    RevocationSnapshot,
    RevocationStore,
    RevokedToken,
    RevokedUser,
)

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
LATER = datetime.now(UTC) + timedelta(hours=1)


def token(org="acme", sub="ann", *, issued_s=0, token_id="t-1", roles=()):  # noqa: S107 - an id
    return VerifiedToken(
        Identity(org=org, sub=sub, roles=frozenset(roles)),
        expires_at=NOW + timedelta(hours=1),
        issued_at=None if issued_s is None else NOW + timedelta(seconds=issued_s),
        token_id=token_id,
    )


# The list.


@pytest.mark.parametrize(
    ("asked", "revoked"),
    [
        (token(), False),
        (token(token_id="t-2"), True),
        (token(token_id=None), False),
        (token(sub="bob", issued_s=-1), True),
        (token(sub="bob", issued_s=0), False),
        (token(sub="bob", issued_s=None), True),
        (token(org="other", sub="bob", issued_s=-1), False),
        (token(org="bob", sub="acme", issued_s=-1), False),
        (token(sub="cleo", issued_s=9), True),
        (token(sub="cleo", issued_s=10), False),
    ],
)
def test_a_token_is_revoked_by_its_id_or_by_its_user_and_age(asked, revoked):
    known = RevocationList.of(
        [
            RevokedToken("t-2"),
            RevokedUser("acme", "bob", NOW),
            RevokedUser("acme", "cleo", NOW + timedelta(seconds=10)),
            RevokedUser("acme", "cleo", NOW),
        ]
    )
    assert known.is_revoked(asked) is revoked


def test_a_list_exceeds_another_when_it_revokes_more():
    ann = RevokedUser("acme", "ann", NOW)
    longer = RevokedUser("acme", "ann", NOW + timedelta(seconds=1))
    small, big = RevocationList.of([ann]), RevocationList.of([ann, RevokedToken("t")])
    assert big.exceeds(small)
    assert not small.exceeds(big)
    assert not big.exceeds(big)
    assert RevocationList.of([longer]).exceeds(small)
    assert not small.exceeds(RevocationList.of([longer]))


# The list in use.


class FakeClock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def revocations(clock):
    return Revocations(poll_interval_s=1, clock=clock)


def refuses(revocations, asked):
    try:
        revocations.check(asked)
    except InvalidTokenError:
        return True
    return False


@pytest.mark.parametrize("role", Role)
def test_nobody_is_privileged_before_the_first_list(revocations, role):
    assert not revocations.is_current
    assert refuses(revocations, token(roles=[role]))
    assert not refuses(revocations, token())
    revocations.renew(RevocationList.of([]), revocations.now())
    assert not refuses(revocations, token(roles=[role]))


def test_the_last_known_list_counts_while_there_is_no_newer_one(revocations, clock):
    revocations.renew(RevocationList.of([RevokedToken("t-2")]), revocations.now())
    clock.now_s = 5.0
    assert revocations.is_current
    clock.now_s = 5.1
    assert not revocations.is_current
    assert refuses(revocations, token(token_id="t-2"))
    assert not refuses(revocations, token())
    assert refuses(revocations, token(roles=[Role.DATA_ADMIN]))
    revocations.confirm(revocations.now())
    assert not refuses(revocations, token(roles=[Role.DATA_ADMIN]))
    assert refuses(revocations, token(token_id="t-2"))


def test_an_interval_of_nothing_is_refused():
    with pytest.raises(ValueError, match="poll_interval_s"):
        Revocations(poll_interval_s=0)


# The watch.


class FakeStore:
    """A table of revocations in memory; ``failure`` is raised by the next looks."""

    def __init__(self):
        self.version = 1
        self.revoked = []
        self.failure = None
        self.looks = 0
        self.known = []
        self.sweeps = 0

    def revoke(self, *revoked):
        self.revoked += revoked
        self.version += 1

    async def live(self, *, known=None):
        self.looks += 1
        self.known.append(known)
        if self.failure is not None:
            raise self.failure
        if known == self.version:
            return None
        records = (RevocationRecord(1, revoked, LATER) for revoked in self.revoked)
        return RevocationSnapshot(self.version, tuple(records))

    async def remove_expired(self):
        self.sweeps += 1
        if self.failure is not None:
            raise self.failure
        return 0


@pytest.fixture
def store():
    return FakeStore()


@pytest.fixture
async def watch(store, revocations):
    """Start a watch; it is stopped with the test."""
    started = []

    async def start(**options):
        options = {"store": store, "revocations": revocations, "interval_s": 0.005} | options
        started.append(RevocationWatch.start(**options))
        await started[-1].started()
        return started[-1]

    yield start
    for ref in started:
        ref.kill()
        await ref.stopped()


async def test_the_first_list_is_there_when_the_watch_has_started(watch, store, revocations):
    store.revoke(RevokedToken("t-2"))
    await watch(interval_s=60)
    assert revocations.is_current
    assert refuses(revocations, token(token_id="t-2"))


async def test_what_is_revoked_later_is_told(watch, store, revocations, eventually):
    told = []
    await watch(on_change=lambda: told.append(refuses(revocations, token(token_id="t-2"))))
    looks = store.looks
    await eventually(lambda: store.looks > looks + 3)
    assert told == [], "nothing has changed"
    store.revoke(RevokedToken("t-2"))
    await eventually(lambda: told)
    store.revoked.clear()
    store.version += 1
    await eventually(lambda: not refuses(revocations, token(token_id="t-2")))
    assert told == [True], "told when the list is in use, and not of what is forgotten"


async def test_an_idle_look_asks_for_changes_only(watch, store, eventually):
    await watch()
    await eventually(lambda: store.looks > 3)
    assert store.known[0] is None
    assert set(store.known[1:]) == {1}


async def test_a_database_that_is_away_is_said_once_and_then_everything_is_read_anew(
    watch, store, revocations, clock, eventually, caplog
):
    store.revoke(RevokedToken("t-2"))
    await watch()
    caplog.set_level(logging.INFO)
    store.failure = StorageUnavailableError("away")
    looks = store.looks
    await eventually(lambda: store.looks > looks + 3)
    clock.now_s = 60.0
    assert not revocations.is_current
    assert refuses(revocations, token(token_id="t-2"))
    assert [record.message for record in caplog.records] == [
        "revocations cannot be looked up, the last known ones count: away"
    ]
    # A backup was restored: another list with the same number.
    store.revoked = [RevokedToken("t-3")]
    store.failure = None
    await eventually(lambda: revocations.is_current)
    assert refuses(revocations, token(token_id="t-3"))
    assert "looked up again" in caplog.text


async def test_a_look_by_another_way_fills_the_list_and_says_whether_it_did(
    watch, store, revocations
):
    store.failure = StorageUnavailableError("away")
    ref = await watch(interval_s=60)
    assert not revocations.is_current
    other = FakeStore()
    other.failure = StorageUnavailableError("away too")
    assert await ref.ask_async(LookThrough(other)) is False
    other.failure = None
    other.revoke(RevokedToken("t-2"))
    assert await ref.ask_async(LookThrough(other)) is True
    assert refuses(revocations, token(token_id="t-2"))
    assert revocations.is_current


async def test_a_look_counts_from_its_beginning(watch, store, revocations, clock):
    real = store.live

    async def slow(*, known=None):
        clock.now_s += 5.5
        return await real(known=known)

    store.live = slow
    await watch(interval_s=60)
    assert not revocations.is_current


async def test_whatever_breaks_a_look_does_not_end_the_watch(watch, store, revocations, eventually):
    store.failure = RuntimeError("a bug")
    ref = await watch()
    await eventually(lambda: store.looks > 3)
    store.failure = None
    await eventually(lambda: revocations.is_current)
    assert ref.is_alive()


async def test_who_cannot_be_told_does_not_end_the_watch(watch, store, eventually):
    def broken():
        raise RuntimeError("nobody there")

    ref = await watch(on_change=broken)
    store.revoke(RevokedToken("t-2"))
    looks = store.looks
    await eventually(lambda: store.looks > looks + 3)
    assert ref.is_alive()


async def test_what_has_expired_is_removed_from_time_to_time(watch, store, mocker, eventually):
    mocker.patch("apex_actors.gateway.auth.revocation_watch.SWEEP_INTERVAL_S", 0.005)
    store.failure = StorageUnavailableError("away")
    ref = await watch()
    await eventually(lambda: store.sweeps >= 2)
    assert ref.is_alive()


async def test_a_look_that_hangs_is_given_up(watch, store, revocations, mocker, eventually):
    mocker.patch("apex_actors.gateway.auth.revocation_watch.LOOK_TIMEOUT_S", 0.01)
    real, hanging = store.live, asyncio.Event()

    async def hang(**_):
        hanging.set()
        await asyncio.Event().wait()

    store.live = hang
    await watch()
    assert hanging.is_set()
    store.live = real
    await eventually(lambda: revocations.is_current)


async def test_an_interval_of_nothing_is_refused_by_the_watch(store, revocations):
    with pytest.raises(ValueError, match="interval_s"):
        RevocationWatch(store=store, revocations=revocations, interval_s=0)


async def test_two_nodes_on_one_database_know_it_both(database_url, database, eventually):
    nodes = []
    async with asyncio.timeout(20):
        for _ in range(2):
            own = Database(database_url)
            await own.open()
            revocations = Revocations(poll_interval_s=1)
            ref = RevocationWatch.start(
                store=RevocationStore(own), revocations=revocations, interval_s=0.01
            )
            await ref.started()
            nodes.append((own, revocations, ref))
        await RevocationStore(database).add(RevokedUser("acme", "ann", NOW), expires_at=LATER)
        before = token(issued_s=-1)
        await eventually(lambda: all(refuses(known, before) for _, known, _ in nodes))
        for own, revocations, ref in nodes:
            assert revocations.is_current
            await ref.stop_async()
            await own.close()


@pytest.mark.slow
async def test_administrators_wait_for_a_real_database_to_come_back(data_dir, eventually):
    servers = EmbeddedServers(data_dir=data_dir, valkey=False)
    await asyncio.to_thread(servers.start)
    await migrate(servers.database_url)
    database = Database(servers.database_url, timeout_s=1)
    await database.open()
    revocations = Revocations(poll_interval_s=0.1)
    store = RevocationStore(database)
    await store.add(RevokedToken("t-2"), expires_at=LATER)
    ref = RevocationWatch.start(store=store, revocations=revocations, interval_s=0.1)
    await ref.started()
    admin = token(roles=[Role.ADMIN])
    assert not refuses(revocations, admin)
    await asyncio.to_thread(servers.stop)
    await eventually(lambda: refuses(revocations, admin))
    assert not refuses(revocations, token())
    assert refuses(revocations, token(token_id="t-2"))
    await asyncio.to_thread(servers.start)
    await eventually(lambda: not refuses(revocations, admin), timeout_s=30)
    assert refuses(revocations, token(token_id="t-2"))
    await ref.stop_async()
    await database.close()
    await asyncio.to_thread(servers.stop)

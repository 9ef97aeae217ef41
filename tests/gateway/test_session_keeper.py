"""The keeper of sessions: many changes in one statement, none lost while the database is away."""

import asyncio
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from apex_actors.gateway.registry_messages import SessionChanged
from apex_actors.gateway.session_keeper import SessionKeeper
from apex_actors.storage.errors import StorageUnavailableError

ONE, TWO = UUID(int=1), UUID(int=2)


@dataclass
class Store:
    stored: list = field(default_factory=list)
    failures: int = 0

    async def store_many(self, changes):
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise StorageUnavailableError("away")
        self.stored.append(
            {user: (change.thread_id, change.acknowledged_seq) for user, change in changes.items()}
        )


@pytest.fixture
def store():
    return Store()


async def end(keeper):
    await keeper.stop_async()


async def test_changes_of_one_interval_are_stored_together_the_last_thread_and_highest_position(
    store, eventually
):
    keeper = SessionKeeper.start(sessions=store, interval_s=0.01)
    for change in (
        SessionChanged(1, ONE, 5),
        SessionChanged(1, TWO, 3),
        SessionChanged(1, None, 4),
        SessionChanged(2, None, 7),
    ):
        keeper.tell(change)
    await eventually(lambda: store.stored)
    assert store.stored == [{1: (TWO, 5), 2: (None, 7)}]
    await end(keeper)


async def test_what_could_not_be_stored_is_stored_later_with_what_came_since(store, eventually):
    store.failures = 2
    keeper = SessionKeeper.start(sessions=store, interval_s=0.01)
    keeper.tell(SessionChanged(1, ONE, 5))
    await eventually(lambda: store.failures < 2)
    keeper.tell(SessionChanged(1, None, 6))
    await eventually(lambda: store.stored)
    assert store.stored == [{1: (ONE, 6)}]
    await end(keeper)


async def test_a_keeper_that_stops_stores_first(store):
    keeper = SessionKeeper.start(sessions=store, interval_s=60)
    keeper.tell(SessionChanged(1, ONE, 5))
    await end(keeper)
    assert store.stored == [{1: (ONE, 5)}]

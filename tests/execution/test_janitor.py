"""The janitors: threads go once their work has stopped, whatever node asked and whatever fails."""

import logging

import pytest

from apex_actors.actors import ActorSystem
from apex_actors.execution import (
    LookForDeletions,
    MessageToAccept,
    RetentionJanitor,
    ThreadJanitor,
    ThreadService,
)
from apex_actors.storage.cache import Cache
from apex_actors.storage.errors import StorageUnavailableError
from apex_actors.storage.retention import Removed
from apex_actors.storage.sessions import SessionStore


@pytest.fixture
async def service(database, announcer, redis_url):
    cache = Cache(redis_url)
    yield ThreadService(
        database=database, announcer=announcer, sessions=SessionStore(database, cache)
    )
    await cache.close()


@pytest.fixture
async def start():
    refs = []

    def start(actor_class, **arguments):
        refs.append(actor_class.start(**arguments))
        return refs[-1]

    yield start
    for ref in refs:
        ref.kill()
        await ref.stopped()
    assert ActorSystem.current().alive() == []


@pytest.fixture
def ask(acceptance, user_id):
    async def ask(**fields):
        return await acceptance.accept(
            MessageToAccept(user_id=user_id, text="How much?", pipeline="costs", **fields)
        )

    return ask


@pytest.fixture
def end_runs(database):
    async def end_runs():
        async with database.connection() as connection:
            await connection.execute("update apex.runs set status = 'completed'")

    return end_runs


@pytest.fixture
def deleted(announcer):
    def deleted():
        return [event.thread_id for event in announcer.events if event.type == "thread_deleted"]

    return deleted


async def test_a_thread_goes_when_its_work_has_stopped_and_not_before(
    start, database, service, ask, user_id, end_runs, deleted, eventually
):
    busy, idle = await ask(), await ask()
    await service.delete(user_id, busy.thread_id)
    start(ThreadJanitor, database=database, threads=service, look_interval_s=0.05)
    async with database.connection() as connection:
        await connection.execute(
            "update apex.runs set status = 'completed' where id = %s", (idle.run_id,)
        )
    await service.delete(user_id, idle.thread_id)
    await eventually(lambda: deleted() == [idle.thread_id])
    await end_runs()
    await eventually(lambda: deleted() == [idle.thread_id, busy.thread_id])


async def test_a_request_is_looked_at_at_once(
    start, database, service, ask, user_id, end_runs, deleted, eventually
):
    janitor = start(ThreadJanitor, database=database, threads=service, look_interval_s=3600)
    await janitor.started()
    asked = await ask()
    await end_runs()
    await service.delete(user_id, asked.thread_id)
    for _ in range(3):
        janitor.tell(LookForDeletions())
    await eventually(lambda: deleted() == [asked.thread_id])


async def test_several_janitors_remove_each_thread_once(
    start, database, service, ask, user_id, end_runs, deleted, eventually
):
    asked = [await ask() for _ in range(5)]
    await end_runs()
    for item in asked:
        await service.delete(user_id, item.thread_id)
    for _ in range(3):
        start(ThreadJanitor, database=database, threads=service, look_interval_s=0.02)
    await eventually(lambda: len(deleted()) >= len(asked))
    assert sorted(deleted()) == sorted(item.thread_id for item in asked)


class Failing:
    """Removes threads, but for those and as often as it is told."""

    def __init__(self, service, poisoned=(), away=0):
        self.service, self.poisoned, self.away = service, poisoned, away
        self.tries = 0

    async def finish(self, doomed):
        self.tries += 1
        if self.away:
            self.away -= 1
            raise StorageUnavailableError("PostgreSQL is away")
        if doomed.thread_id in self.poisoned:
            raise LookupError("a bug")
        return await self.service.finish(doomed)


async def test_a_thread_that_cannot_be_removed_keeps_no_other_waiting(
    start, database, service, ask, user_id, end_runs, deleted, eventually, caplog
):
    caplog.set_level(logging.CRITICAL)
    poisoned, good = await ask(), await ask()
    await end_runs()
    for item in (poisoned, good):
        await service.delete(user_id, item.thread_id)
    failing = Failing(service, poisoned=(poisoned.thread_id,))
    start(ThreadJanitor, database=database, threads=failing, look_interval_s=0.01)
    await eventually(lambda: deleted() == [good.thread_id])
    later = await ask()
    await end_runs()
    await service.delete(user_id, later.thread_id)
    await eventually(lambda: later.thread_id in deleted())
    # It was left alone since: once for each thread.
    assert failing.tries == 3


async def test_while_the_database_is_away_it_looks_again(
    start, database, service, ask, user_id, end_runs, deleted, eventually, caplog
):
    caplog.set_level(logging.CRITICAL)
    asked = await ask()
    await end_runs()
    await service.delete(user_id, asked.thread_id)
    failing = Failing(service, away=3)
    start(ThreadJanitor, database=database, threads=failing, look_interval_s=0.01)
    await eventually(lambda: deleted() == [asked.thread_id])


class Passes:
    """Counts, and fails the first time."""

    def __init__(self):
        self.runs = self.cleanings = 0

    async def run(self):
        self.runs += 1
        if self.runs == 1:
            raise StorageUnavailableError("PostgreSQL is away")
        if self.runs == 2:
            raise LookupError("a bug")
        return Removed(events=1)

    async def clean_tasks(self):
        self.cleanings += 1
        return 0


async def test_retention_goes_on_whatever_happened(start, eventually, caplog):
    caplog.set_level(logging.CRITICAL)
    passes = Passes()
    start(RetentionJanitor, retention=passes, interval_s=0.01, task_interval_s=0.02)
    await eventually(lambda: passes.runs > 3 and passes.cleanings > 1)

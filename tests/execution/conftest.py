"""Fixtures of the execution floor: a user, and what becomes of their runs."""

import pytest

from apex_actors.execution import Acceptance, Cancellation, ExecutionSettings
from apex_actors.protocol.identity import Identity
from apex_actors.protocol.payloads import RunFinished, RunStatus
from apex_actors.storage import event_log
from apex_actors.storage.event_log import Draft, EventLog
from apex_actors.storage.runs import EndRun, RunStore


@pytest.fixture
def log(database):
    return EventLog(database)


@pytest.fixture
def runs(database):
    return RunStore(database)


@pytest.fixture
async def user_id(log):
    return (await log.open(Identity(org="acme", sub="ann"))).user_id


SETTINGS = ExecutionSettings(runs_per_user=2, waiting_per_user=3)


@pytest.fixture
def acceptance(database, announcer):
    return Acceptance(database=database, announcer=announcer, settings=SETTINGS)


@pytest.fixture
def cancellation(database, announcer):
    return Cancellation(database=database, announcer=announcer, settings=SETTINGS)


@pytest.fixture
def rows(database):
    """What a query gives, with its arguments behind it."""

    async def rows(query, *arguments):
        async with database.connection() as connection:
            return await (await connection.execute(query, arguments)).fetchall()

    return rows


@pytest.fixture
def finish(database, rows):
    """End a queued run, as its worker would; claims whatever can be claimed."""

    async def finish(run_id, status=RunStatus.COMPLETED):
        [row] = await rows(
            """
            select r.user_id, r.thread_id, t.run_id as fence_id
            from apex.runs r join absurd.r_runs t on t.task_id = r.task_id
            where r.id = %s
            """,
            run_id,
        )
        end = EndRun(
            run_id=run_id,
            user_id=row["user_id"],
            fence_id=row["fence_id"],
            status=status,
            partial=False,
            error=None,
            cap=SETTINGS.runs_per_user,
        )
        await RunStore(database).claim("w", quantity=100, lease_s=600)
        finished = Draft(RunFinished(status=status, partial=False), row["thread_id"], run_id)
        async with database.transaction() as connection:
            await (await event_log.append(connection, row["user_id"], [finished])).events()
            await end.apply(connection)

    return finish

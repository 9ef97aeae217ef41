"""Waiting runs that nobody has started are found and started."""

import pytest

from apex_actors.execution import ExecutionSettings, MessageToAccept, RunSweeper
from apex_actors.execution.sweeper import SWEEP_LIMIT
from apex_actors.protocol.identity import Identity
from apex_actors.storage.runs import QUERIES

SETTINGS = ExecutionSettings(runs_per_user=2, sweep_interval_s=0.02)


@pytest.fixture
async def sweep(runs, announcer):
    """Starts a sweeper that is gone with the test."""
    refs = []

    def start(settings=SETTINGS):
        refs.append(RunSweeper.start(runs=runs, announcer=announcer, settings=settings))

    yield start
    for ref in refs:
        ref.kill()
        await ref.stopped()


@pytest.fixture
def statuses(rows):
    """Those of all runs, in the order in which they were accepted."""

    async def statuses():
        found = await rows("select status from apex.runs order by accept_no")
        return [row["status"] for row in found]

    return statuses


async def accept(acceptance, user_id, thread_id=None):
    return await acceptance.accept(
        MessageToAccept(user_id=user_id, text="How much?", pipeline="costs", thread_id=thread_id)
    )


async def lose(rows, *run_ids):
    """As if the transaction that should have started them had not."""
    await rows(
        "update apex.runs set status = 'waiting', task_id = null where id = any(%s) returning id",
        list(run_ids),
    )


async def test_a_run_that_nobody_started_is_started_and_announced(
    acceptance, user_id, rows, statuses, sweep, announcer, eventually
):
    run = await accept(acceptance, user_id)
    await lose(rows, run.run_id)
    announcer.work = 0
    sweep()
    await eventually(is_now(statuses, ["queued"]))
    assert announcer.work >= 1


async def test_what_waits_for_its_thread_or_for_the_cap_goes_on_waiting(
    acceptance, user_id, rows, statuses, sweep, eventually, log
):
    first = await accept(acceptance, user_id)
    await accept(acceptance, user_id, first.thread_id)
    await accept(acceptance, user_id)
    await accept(acceptance, user_id)
    waiting = ["queued", "waiting", "queued", "waiting"]
    assert await statuses() == waiting
    other = (await log.open(Identity(org="acme", sub="bob"))).user_id
    lost = await accept(acceptance, other)
    await lose(rows, lost.run_id)
    sweep()
    await eventually(is_now(lambda: statuses_of(rows, other), ["queued"]))
    assert await statuses_of(rows, user_id) == waiting


async def test_a_cap_that_was_raised_starts_what_waited_for_it(
    acceptance, user_id, statuses, sweep, eventually
):
    for _ in range(4):
        await accept(acceptance, user_id)
    assert await statuses() == ["queued", "queued", "waiting", "waiting"]
    sweep(SETTINGS.model_copy(update={"runs_per_user": 3}))
    await eventually(is_now(statuses, ["queued", "queued", "queued", "waiting"]))


async def test_a_sweep_reads_only_what_is_unfinished(database, rows, user_id, acceptance):
    run = await accept(acceptance, user_id)
    await rows(
        """
        insert into apex.runs (id, user_id, thread_id, message_id, pipeline, priority, accept_no,
                               status)
        select gen_random_uuid(), user_id, thread_id, message_id, pipeline, 1, n, 'completed'
        from apex.runs, generate_series(1, 50000) n
        where apex.runs.id = %s
        returning 1
        """,
        run.run_id,
    )
    async with database.connection() as connection:
        await connection.execute("analyze apex.runs")
        plan = await (
            await connection.execute(
                b"explain (format text) " + QUERIES["users_with_startable_runs"],
                {"cap": 2, "limit": SWEEP_LIMIT},
            )
        ).fetchall()
    assert "Seq Scan" not in "\n".join(row["QUERY PLAN"] for row in plan)


def is_now(statuses, wanted):
    async def met():
        return await statuses() == wanted

    return met


async def statuses_of(rows, user_id):
    found = await rows(
        "select status from apex.runs where user_id = %s order by accept_no", user_id
    )
    return [row["status"] for row in found]

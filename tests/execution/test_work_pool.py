"""Long work is done in processes of their own, which never outlive whoever asked for it."""

import asyncio
import contextlib
import io
import itertools
import operator
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import aclosing
from datetime import UTC, date, datetime
from functools import partial

import psutil
import pytest

from apex_actors.costs.importers import SourceKind, UnknownFormatError
from apex_actors.costs.levers import LeverRequest, build_plan
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.costs.sample import sample_records
from apex_actors.costs.timerange import TimeRange
from apex_actors.execution import WorkPool
from apex_actors.execution.work_pool import READ_AHEAD_BYTES
from apex_actors.storage.usage_encoding import Encoded, FileSource, Opened, encode
from apex_actors.storage.work import ThreadRunner, WorkerDiedError, WorkError

CSV = (
    b"record_id,occurred_at,provider,model,input_tokens,output_tokens\n"
    b"a,2026-11-01T00:00:00Z,openai,gpt-5-mini,100,10\n"
    b"b,2026-11-01T00:00:01Z,openai,gpt-5-mini,many,10\n"
)
SOURCE = FileSource(tenant="acme", name="usage.csv")
NOVEMBER = TimeRange(
    start=datetime(2026, 11, 1, tzinfo=UTC), end=datetime(2026, 12, 1, tzinfo=UTC), time_zone="UTC"
)


def workers():
    """The command lines of all worker processes of this one; a database may have its own."""
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            found.append(child.cmdline())
    return [line for line in found if any("work_process" in word for word in line)]


@pytest.fixture
async def pool(eventually):
    tasks = asyncio.all_tasks()
    made = WorkPool(size=1)
    yield made
    await made.close()
    assert workers() == []
    await eventually(lambda: asyncio.all_tasks() - tasks <= {asyncio.current_task()})


@pytest.fixture(params=["processes", "threads"])
def runner(request, pool):
    """Both kinds of runners: whoever hands work over need not know which it is."""
    return pool if request.param == "processes" else ThreadRunner()


async def taken(stream):
    async with aclosing(stream):
        return [item async for item in stream]


@pytest.fixture
async def busy(pool):
    """A call that takes for ever, and the process that does it."""
    await pool.call(os.getpid)
    call = asyncio.create_task(pool.call(time.sleep, 600))
    await asyncio.sleep(0)
    [process_id] = pool.process_ids
    yield call, psutil.Process(process_id)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)


# What comes of a call.


async def test_a_call_returns_what_the_function_returns(runner):
    assert await runner.call(operator.add, 2, 3) == 5


async def test_an_error_of_the_function_is_the_callers_and_the_runner_goes_on(runner):
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        await runner.call(operator.truediv, 1, 0)
    assert await runner.call(operator.truediv, 1, 2) == 0.5


async def test_a_stream_yields_bytes_and_other_things_in_order(runner):
    assert await taken(runner.stream(itertools.repeat, b"x" * 1000, 300)) == [b"x" * 1000] * 300
    assert await taken(runner.stream(range, 5)) == [0, 1, 2, 3, 4]


async def test_a_stream_that_raises_has_yielded_what_came_before(runner):
    async with aclosing(runner.stream(map, operator.truediv, (1, 2, 3), (1, 2, 0))) as stream:
        assert await anext(stream) == 1
        assert await anext(stream) == 1
        with pytest.raises(ZeroDivisionError):
            await anext(stream)
    assert await runner.call(operator.neg, 1) == -1


@pytest.mark.parametrize("kind", ["in memory", "unbuffered", "read in part"])
async def test_a_file_is_read_from_where_it_stands_to_its_end(runner, catalogue, kind):
    with tempfile.TemporaryFile(buffering=0 if kind == "unbuffered" else -1) as real:
        real.write(b"0123456789" + CSV)
        file = io.BytesIO(b"0123456789" + CSV) if kind == "in memory" else real
        file.seek(0)
        assert file.read(10) == b"0123456789"
        opened, lines, encoded = await taken(runner.stream(encode, SOURCE, 7, catalogue, file=file))
    assert opened == Opened(
        "native-csv",
        "CSV with the columns occurred_at, provider, model, input_tokens, output_tokens",
        SourceKind.REQUESTS,
    )
    assert lines.startswith(b"acme\ta\t7\t2026-11-01T00:00:00+00:00\t")
    assert (encoded.accepted, encoded.rejected) == (1, 1)
    assert isinstance(encoded, Encoded)


async def test_a_file_that_cannot_be_read_is_told_as_it_is(runner, catalogue):
    with pytest.raises(UnknownFormatError, match="The file is empty"):
        await taken(runner.stream(encode, SOURCE, 7, catalogue, file=io.BytesIO()))


@pytest.fixture(scope="module")
def catalogue():
    return PriceCatalogue()


async def test_a_plan_is_the_same_in_another_process(pool, catalogue):
    requests = [LeverRequest.of(record) for record in sample_records(date(2026, 11, 22))][:500]
    planning = partial(build_plan, requests, catalogue=catalogue, time_range=NOVEMBER)
    assert await pool.call(planning) == planning()


# Processes: how many, of what kind, and when they end.


async def test_the_loop_goes_on_while_work_is_done(pool):
    await pool.call(os.getpid)
    turns = 0
    working = asyncio.create_task(pool.call(sum, range(3_000_000)))
    while not working.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert await working == 4_499_998_500_000
    assert turns > 5


async def test_there_are_no_more_processes_than_the_size_and_each_is_used_again():
    pool = WorkPool(size=2)
    try:
        ids = set(await asyncio.gather(*(pool.call(os.getpid) for _ in range(10))))
        assert ids == pool.process_ids
        assert 1 <= len(ids) <= 2
        assert os.getpid() not in ids
    finally:
        await pool.close()


async def test_no_process_is_there_before_the_first_call(pool):
    assert pool.process_ids == frozenset()
    await pool.call(os.getpid)
    assert len(workers()) == 1


async def test_the_processes_yield_to_the_server_and_leave_ctrl_c_to_it(pool):
    assert await pool.call(os.nice, 0) == os.nice(0) + 10
    [process_id] = pool.process_ids
    os.kill(process_id, signal.SIGINT)
    assert await pool.call(os.getpid) == process_id


async def test_nothing_that_is_handed_over_shows_on_a_command_line(pool):
    await pool.call(len, "postgresql://user:secret@host")
    [process_id] = pool.process_ids
    assert "secret" not in " ".join(psutil.Process(process_id).cmdline())


async def test_what_the_work_prints_disturbs_no_answer(pool):
    assert await pool.call(print, "words on standard output") is None
    assert await pool.call(operator.add, 1, 1) == 2


async def test_a_process_without_work_is_ended_and_the_next_call_starts_another(eventually):
    pool = WorkPool(size=1, idle_s=0.01)
    first = await pool.call(os.getpid)
    await eventually(lambda: not psutil.pid_exists(first) and not pool.process_ids)
    assert await pool.call(os.getpid) != first
    await pool.close()


async def test_a_stream_that_nobody_takes_does_not_fill_the_memory(pool, eventually):
    async with aclosing(pool.stream(itertools.repeat, b"x" * 100_000)) as stream:
        assert await anext(stream) == b"x" * 100_000
        [process_id] = pool.process_ids
        [worker] = pool._all
        # It waits at the socket until somebody takes what it has.
        process = psutil.Process(process_id)
        await eventually(lambda: process.status() == psutil.STATUS_SLEEPING)
        # The reader stops at twice its limit; one read may go beyond.
        assert len(worker._reader._buffer) <= 2 * READ_AHEAD_BYTES + 1024 * 1024


# What is cancelled, dies, or is closed.


async def test_a_cancelled_call_stops_at_once_and_the_next_is_answered(pool, busy):
    call, process = busy
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not process.is_running()
    assert await pool.call(operator.add, 1, 1) == 2


async def test_whoever_is_cancelled_in_the_queue_leaves_the_work_alone(pool, busy):
    call, process = busy
    waiting = asyncio.create_task(pool.call(operator.add, 1, 1))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert process.is_running()
    assert not call.done()


async def test_a_stream_that_is_left_stops(pool):
    async with aclosing(pool.stream(itertools.count)) as stream:
        async for number in stream:
            if number == 3:
                break
        [process_id] = pool.process_ids
    assert not psutil.pid_exists(process_id)
    assert await pool.call(operator.add, 1, 1) == 2


async def test_a_call_whose_process_is_killed_is_made_again(pool, busy, eventually):
    call, process = busy
    process.kill()
    await eventually(lambda: pool.process_ids - {process.pid})
    assert not call.done()


async def test_a_call_that_ends_its_process_each_time_is_an_error_and_no_loop(pool):
    with pytest.raises(WorkerDiedError):
        await pool.call(os._exit, 1)
    assert await pool.call(operator.add, 1, 1) == 2


async def test_a_stream_whose_process_dies_is_not_begun_again(pool):
    async with aclosing(pool.stream(itertools.count)) as stream:
        await anext(stream)
        for process_id in pool.process_ids:
            os.kill(process_id, signal.SIGKILL)
        with pytest.raises(WorkerDiedError):
            await taken(stream)
    assert await pool.call(operator.add, 1, 1) == 2


async def test_a_process_that_died_without_work_is_replaced(pool):
    first = await pool.call(os.getpid)
    os.kill(first, signal.SIGKILL)
    assert await pool.call(os.getpid) != first


async def test_closing_ends_what_is_being_done_and_nothing_more_is(pool, busy):
    call, process = busy
    waiting = asyncio.create_task(pool.call(os.getpid))
    await asyncio.sleep(0)
    await pool.close()
    with pytest.raises(WorkError):
        await call
    with pytest.raises(WorkError):
        await waiting
    with pytest.raises(WorkError):
        await pool.call(os.getpid)
    assert not process.is_running()
    await pool.close()


PARENT = """
import asyncio, os, time
from apex_actors.execution import WorkPool

async def main():
    pool = WorkPool(size=1)
    print(await pool.call(os.getpid), flush=True)
    await pool.call(time.sleep, 600)

asyncio.run(main())
"""


async def test_a_busy_process_ends_when_its_parent_is_killed(eventually):
    parent = subprocess.Popen(  # noqa: ASYNC220 - asyncio would look after it
        [sys.executable, "-c", PARENT],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with parent:
        process_id = int(await asyncio.to_thread(parent.stdout.readline))
        parent.kill()
    await eventually(lambda: not psutil.pid_exists(process_id))


@pytest.mark.parametrize("wrong", [{"size": 0}, {"size": 1, "idle_s": 0}])
def test_a_pool_that_could_do_nothing_is_refused(wrong):
    with pytest.raises(ValueError, match=r"^(size|idle_s): "):
        WorkPool(**wrong)

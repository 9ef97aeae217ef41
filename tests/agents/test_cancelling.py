"""A run that somebody wants stopped: at every moment it ends once, and its work has stopped by then."""

import asyncio
import logging
import threading

import psycopg
import pytest

from apex_actors.actors import ActorSystem
from apex_actors.agents import SupervisorAgent
from apex_actors.agents.supervisor import FIRST_BACKOFF_S
from apex_actors.protocol.grammar import RunGrammar
from apex_actors.protocol.payloads import SUB_AGENTS, AgentName, RunStatus
from apex_actors.storage.event_log import EventLog
from apex_actors.storage.runs import RunStore

DATA, OPTIMIZATION, REPORT = SUB_AGENTS


@pytest.fixture(autouse=True)
def expected_failures_are_quiet(caplog):
    caplog.set_level(logging.CRITICAL, logger="apex_actors")


@pytest.fixture
def ended(scene):
    """Wait for the end of the run; gives its ``run_finished`` and checks it against the row."""

    async def ended():
        finished = await scene.finish()
        scene.check_grammar()
        [row] = await scene.rows("select status, partial, error from apex.runs")
        assert (row["status"], row["partial"]) == (finished["status"], finished["partial"])
        assert row["error"] == finished.get("error")
        assert scene.events[-1].type == "run_finished"
        return finished

    return ended


async def forever(*_):
    await asyncio.Event().wait()


def alive():
    return ActorSystem.current().alive()


def calls_forever(scene):
    async def work(agent, _results):
        agent.think("This takes long.", 0.1)
        await scene.use(agent, forever)

    return work


async def becomes(condition):
    """Wait until an asynchronous condition is met."""
    async with asyncio.timeout(10):
        while not await condition():  # noqa: ASYNC110 - the database is asked anew
            await asyncio.sleep(0.01)


def statuses(scene, kind):
    return {(event.agent or "", event.payload["status"]) for event in scene.of_type(kind)}


@pytest.mark.parametrize("agent", SUB_AGENTS)
async def test_a_cancel_during_a_tool_call_closes_it_and_answers_with_what_is_done(
    scene, ended, agent
):
    scene.script(**{agent: [calls_forever(scene)]})
    accepted = await scene.accept()
    scene.start_worker()
    await scene.eventually(lambda: [e for e in scene.of_type("tool_executing") if e.agent == agent])
    outcome = await scene.cancel(accepted.run_id)
    assert (outcome.status, outcome.cancelling) == (RunStatus.RUNNING, True)
    finished = await ended()
    done = SUB_AGENTS[: SUB_AGENTS.index(agent)]
    assert finished == {"status": "cancelled", "partial": bool(done)}
    assert statuses(scene, "tool_completed") == {
        (agent, "aborted"),
        *((name, "ok") for name in done),
    }
    assert statuses(scene, "agent_completed") == {
        (agent, "failed"),
        (AgentName.SUPERVISOR, "failed"),
        *((name, "ok") for name in done),
    }
    answers = await scene.rows("select report from apex.results")
    assert answers == ([{"report": {"of": sorted(done)}}] if done else [])
    assert await scene.rows("select id from apex.error_reports") == []


@pytest.mark.parametrize("agent", SUB_AGENTS)
async def test_a_cancel_before_an_agents_first_word_ends_it_too(scene, ended, agent):
    scene.script(**{agent: [forever]})
    accepted = await scene.accept()
    scene.start_worker()
    await scene.eventually(lambda: agent in scene.pipeline.starts)
    await scene.cancel(accepted.run_id)
    finished = await ended()
    assert finished == {"status": "cancelled", "partial": agent is not DATA}


async def test_promise_2_a_cancel_at_any_event_of_a_run_lets_it_end_once(scene):
    # Each run is asked to stop when its next event is seen; which of both wins is not said.
    number = 0
    run_id = None
    requests = []

    def cancel_at_the_event(events):
        seen = [event for event in scene.events if event.run_id == run_id]
        fresh = {event.seq for event in events}
        if len(seen) > number and seen[number].seq in fresh:
            requests.append(asyncio.create_task(scene.cancel(run_id)))

    scene.announcer.on_events = cancel_at_the_event
    scene.start_worker()
    outcomes = set()
    while not requests or len(requests) == number:
        run_id = None
        # Before the run is known there is nothing to cancel: its message is the event 0.
        accepted = await scene.accept()
        run_id = accepted.run_id
        if number == 0:
            requests.append(asyncio.create_task(scene.cancel(run_id)))

        def finished():
            return [e for e in scene.of_type("run_finished") if e.run_id == run_id]  # noqa: B023 - at once

        await scene.eventually(finished)
        [end] = finished()
        outcomes.add(end.payload["status"])
        number += 1
    await asyncio.gather(*requests)
    # The whole run of 18 events or more was gone through.
    assert number >= 18
    assert outcomes == {"cancelled", "completed"}
    events = await EventLog(scene.database).read(scene.user_id, after=0, limit=10_000)
    rows = await scene.rows("select id, status, partial from apex.runs")
    assert len(rows) == number
    for row in rows:
        of_run = [event for event in events if event.run_id == row["id"]]
        assert RunGrammar().check(of_run) == []
        assert [event.type for event in of_run].count("run_finished") == 1
        assert of_run[-1].payload == {"status": row["status"], "partial": row["partial"]}


async def test_a_cancel_between_two_tries_of_an_agent_starts_no_other(scene, ended):
    async def breaks(_agent, _results):
        raise ValueError("inner cause")

    scene.script(optimization=[breaks, scene.good_work])
    accepted = await scene.accept()
    scene.start_worker()
    # Its end is not said, so that its second try can follow: the pause is the only sign.
    await scene.eventually(lambda: OPTIMIZATION in scene.pipeline.starts)
    await scene.eventually(lambda: not scene.pipeline.refs[-1].is_alive())
    await scene.cancel(accepted.run_id)
    finished = await ended()
    assert finished["status"] in {"cancelled", "completed"}
    if finished["status"] == "cancelled":
        assert scene.pipeline.starts == [DATA, OPTIMIZATION]
        await asyncio.sleep(FIRST_BACKOFF_S * 1.5)  # the second try would begin now
        assert scene.pipeline.starts == [DATA, OPTIMIZATION]


async def test_a_statement_under_way_is_cancelled_in_the_server(scene, ended):
    async def sleeps(_arguments, _context):
        async with scene.database.connection() as connection:
            await connection.execute("select pg_sleep(600)")

    async def sleeping():
        return await scene.rows(
            "select pid from pg_stat_activity where state = 'active'"
            " and query = 'select pg_sleep(600)'"
        )

    async def asks_the_database(agent, _results):
        agent.think("This takes long.", 0.1)
        await scene.use(agent, sleeps)

    scene.script(data=[asks_the_database])
    accepted = await scene.accept()
    scene.start_worker()
    await becomes(sleeping)
    await scene.cancel(accepted.run_id)
    await scene.eventually(lambda: scene.of_type("run_finished"))
    # By the time the user is told, the work has stopped.
    assert await sleeping() == []
    assert (await ended())["status"] == "cancelled"


async def test_computation_in_a_thread_goes_on_for_nobody(scene, ended):
    computing, go_on, over = threading.Event(), threading.Event(), threading.Event()

    def compute():
        computing.set()
        go_on.wait(10)
        over.set()
        return "too late"

    async def computes(_arguments, _context):
        return await asyncio.to_thread(compute)

    async def uses_a_thread(agent, _results):
        agent.think("This takes long.", 0.1)
        await scene.use(agent, computes)

    scene.script(data=[uses_a_thread])
    accepted = await scene.accept()
    scene.start_worker()
    await scene.eventually(computing.is_set)
    await scene.cancel(accepted.run_id)
    finished = await ended()
    assert finished == {"status": "cancelled", "partial": False}
    go_on.set()
    await scene.eventually(over.is_set)
    end = len(scene.events)
    assert len(await EventLog(scene.database).read(scene.user_id, after=0, limit=1000)) == end


async def test_asking_twice_ends_the_run_once(scene, ended):
    scene.script(data=[calls_forever(scene)])
    accepted = await scene.accept()
    scene.start_worker()
    await scene.eventually(lambda: scene.of_type("tool_executing"))
    outcomes = await asyncio.gather(*(scene.cancel(accepted.run_id) for _ in range(4)))
    assert {outcome.cancelling for outcome in outcomes} == {True}
    await ended()
    late = await scene.cancel(accepted.run_id)
    assert (late.status, late.cancelling) == (RunStatus.CANCELLED, False)


async def test_a_completed_run_stays_completed(scene, ended):
    await scene.run()
    [run] = scene.of_type("run_finished")
    outcome = await scene.cancel(run.run_id)
    assert (outcome.status, outcome.cancelling) == (RunStatus.COMPLETED, False)
    assert (await ended())["status"] == "completed"


# Commits and requests that meet at the lock of the user's row.


class HeldRow:
    """The user's row, locked until the test lets go; held without a turn of the event loop."""

    def __init__(self, scene, database_url):
        self._scene = scene
        self._url = database_url
        self._holder = None

    def hold(self):
        self._holder = psycopg.connect(self._url)
        self._holder.execute("select 1 from apex.users for update")

    def release(self):
        self._holder.close()

    async def waiters(self, count):
        """Wait until so many transactions wait for the row."""

        async def are_there():
            [row] = await self._scene.rows(
                "select count(*) as n from pg_stat_activity"
                " where datname = current_database() and wait_event_type = 'Lock'"
            )
            return row["n"] == count

        await becomes(are_there)


@pytest.fixture
def held_row(scene, database_url):
    return HeldRow(scene, database_url)


async def test_a_step_that_is_being_stored_when_the_cancel_comes_counts(scene, ended, held_row):
    async def done_with_the_row_locked(agent, results):
        outcome = await scene.good_work(agent, results)
        await scene.eventually(lambda: scene.of_type("tool_completed"))
        held_row.hold()
        return outcome

    scene.script(data=[done_with_the_row_locked], optimization=[calls_forever(scene)])
    accepted = await scene.accept()
    scene.start_worker()
    await held_row.waiters(1)
    cancelling = asyncio.create_task(scene.cancel(accepted.run_id))
    await held_row.waiters(2)
    held_row.release()
    assert (await cancelling).cancelling
    assert await ended() == {"status": "cancelled", "partial": True}
    [answer] = await scene.rows("select report from apex.results")
    assert answer["report"] == {"of": ["data"]}


async def test_promise_2_a_cancel_behind_the_end_finds_the_run_completed(scene, ended, held_row):
    def hold_before_the_end(events):
        if any(e.type == "agent_completed" and e.agent == REPORT for e in events):
            held_row.hold()

    scene.announcer.on_events = hold_before_the_end
    accepted = await scene.accept()
    scene.start_worker()
    await held_row.waiters(1)
    cancelling = asyncio.create_task(scene.cancel(accepted.run_id))
    await held_row.waiters(2)
    held_row.release()
    outcome = await cancelling
    assert (outcome.status, outcome.cancelling) == (RunStatus.COMPLETED, False)
    assert await ended() == {"status": "completed", "partial": False}


async def test_promise_2_a_cancel_that_comes_too_late_to_be_seen_lets_the_run_complete(
    scene, ended, held_row
):
    async def done_behind_the_request(agent, results):
        outcome = await scene.good_work(agent, results)
        await scene.eventually(
            lambda: [e for e in scene.of_type("tool_completed") if e.agent == REPORT]
        )
        held_row.hold()
        cancelling.append(asyncio.create_task(scene.cancel(accepted.run_id)))
        await held_row.waiters(1)
        return outcome

    cancelling = []
    scene.script(report=[done_behind_the_request])
    accepted = await scene.accept()
    scene.start_worker()
    await held_row.waiters(2)
    held_row.release()
    outcome = await cancelling[0]
    assert (outcome.status, outcome.cancelling) == (RunStatus.RUNNING, True)
    # The supervisor stores the last step and completes without looking up between.
    assert await ended() == {"status": "completed", "partial": False}


# Takeovers.


@pytest.mark.parametrize(("agent", "partial"), [(DATA, False), (OPTIMIZATION, True)])
async def test_promise_10_whoever_takes_a_marked_run_over_ends_it(scene, ended, agent, partial):
    scene.script(**{agent: [calls_forever(scene)]})
    accepted = await scene.accept()
    first = scene.start_worker()
    await scene.eventually(lambda: [e for e in scene.of_type("tool_executing") if e.agent == agent])
    first.kill()
    await first.stopped()
    assert (await scene.cancel(accepted.run_id)).cancelling
    starts = list(scene.pipeline.starts)
    scene.start_worker()
    assert await ended() == {"status": "cancelled", "partial": partial}
    assert scene.pipeline.starts == starts
    assert scene.of_type("run_resumed") == []
    [aborted] = [e for e in scene.of_type("tool_completed") if e.payload["status"] == "aborted"]
    assert (aborted.agent, aborted.attempt) == (agent, 2)
    answers = await scene.rows("select report from apex.results")
    assert answers == ([{"report": {"of": ["data"]}}] if partial else [])


class FrozenRuns(RunStore):
    """The store of a worker that neither looks up nor extends its leases any more."""

    frozen = False

    async def claim(self, worker, **limits):
        if self.frozen:
            await forever()
        return await super().claim(worker, **limits)

    async def marked(self, run_ids):
        if self.frozen:
            await forever()
        return await super().marked(run_ids)


async def test_promise_7_a_frozen_worker_says_nothing_of_a_run_that_was_ended_for_it(scene, ended):
    go_on = asyncio.Event()

    async def is_frozen(agent, _results):
        agent.think("I freeze.", 0.1)
        await go_on.wait()
        return await scene.good_work(agent, {})

    scene.script(data=[is_frozen])
    accepted = await scene.accept()
    store = FrozenRuns(scene.database)
    scene.start_worker(store)
    await scene.eventually(lambda: scene.of_type("agent_thinking"))
    store.frozen = True
    await scene.rows(
        "update absurd.r_runs set claim_expires_at = now() - interval '1 s' returning 1"
    )
    await scene.cancel(accepted.run_id)
    scene.start_worker()
    await ended()
    end = len(scene.events)
    go_on.set()
    # Its supervisor goes on, finds that it may not store what it did, and leaves.
    await scene.eventually(lambda: not [r for r in alive() if r.actor_class is SupervisorAgent])
    assert len(await EventLog(scene.database).read(scene.user_id, after=0, limit=1000)) == end


async def test_a_run_that_was_tried_too_often_is_cancelled_if_somebody_asked_for_it(scene, ended):
    scene.limit(max_attempts=1)
    scene.script(optimization=[calls_forever(scene)])
    accepted = await scene.accept()
    first = scene.start_worker()
    await scene.eventually(lambda: OPTIMIZATION in scene.pipeline.starts)
    first.kill()
    await first.stopped()
    await scene.cancel(accepted.run_id)
    scene.start_worker()
    assert await ended() == {"status": "cancelled", "partial": True}

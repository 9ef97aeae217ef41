"""Engines and supervisors that cannot be made: tried again, then the run fails, and nothing else does."""

import asyncio
import logging
from collections import Counter

import pytest

from apex_actors.actors import ActorSystem
from apex_actors.agents import SupervisorAgent
from apex_actors.execution import ExecutionEngineFactory, UserExecutionEngine
from apex_actors.protocol.grammar import RunGrammar
from apex_actors.protocol.identity import Identity
from apex_actors.protocol.payloads import RunStatus
from apex_actors.storage.event_log import EventLog

ENGINE, SUPERVISOR = "engine", "supervisor"
PAUSE_S = 0.02


class UnmakeableError(RuntimeError):
    pass


class Workshop:
    """Where engines and supervisors are made, or not: what is broken, for how long, for whom."""

    def __init__(self, monkeypatch):
        self.failures = Counter()
        self.tries = Counter()
        self.only_user = None
        self.factory = None
        workshop = self
        real = UserExecutionEngine.__init__, SupervisorAgent.__init__

        def make(part, init):
            def initialise(actor, **arguments):
                # As late as can be: what the constructor has started must not stay behind.
                init(actor, **arguments)
                user_id = arguments.get("user_id") or arguments["assignment"].context.user_id
                workshop.at(part, user_id)

            return initialise

        monkeypatch.setattr(UserExecutionEngine, "__init__", make(ENGINE, real[0]))
        monkeypatch.setattr(SupervisorAgent, "__init__", make(SUPERVISOR, real[1]))

    def at(self, part, user_id):
        if self.only_user not in {None, user_id}:
            return
        self.tries[part] += 1
        if self.failures[part] > 0:
            self.failures[part] -= 1
            raise UnmakeableError(f"no {part}")

    def factory_class(self, **arguments):
        self.factory = ExecutionEngineFactory(**arguments)
        return self.factory

    @property
    def works(self):
        return self.factory.making.works


@pytest.fixture(autouse=True)
def expected_failures_are_quiet(caplog):
    caplog.set_level(logging.CRITICAL, logger="apex_actors")


@pytest.fixture
def workshop(monkeypatch):
    return Workshop(monkeypatch)


@pytest.fixture
def start(scene, workshop):
    def start(pause_s=PAUSE_S, **limits):
        scene.limit(making_pause_s=pause_s, **limits)
        return scene.start_worker(factory_class=workshop.factory_class)

    return start


def ends(scene):
    return [(event.run_id, event.payload["status"]) for event in scene.of_type("run_finished")]


def check_each_run(scene):
    for run_id in {event.run_id for event in scene.events}:
        events = [event for event in scene.events if event.run_id == run_id]
        assert RunGrammar().check(events) == []


@pytest.mark.parametrize("part", [ENGINE, SUPERVISOR])
async def test_what_can_be_made_at_last_is_as_if_nothing_had_been(scene, workshop, start, part):
    workshop.failures[part] = 3
    await scene.accept()
    worker = start()
    assert (await scene.finish())["status"] == "completed"
    scene.check_grammar()
    assert workshop.tries[part] == 4
    assert workshop.works
    assert worker.is_alive()


@pytest.mark.parametrize("part", [ENGINE, SUPERVISOR])
async def test_what_cannot_be_made_fails_its_run_with_a_report_and_the_next_is_tried_afresh(
    scene, workshop, start, eventually, part
):
    workshop.failures[part] = 4
    first = await scene.accept()
    worker = start()
    finished = await scene.finish()
    assert finished["status"] == "failed"
    assert [event.type.value for event in scene.events] == ["message_created", "run_finished"]
    scene.check_grammar()
    [report] = await scene.rows("select id, run_id, kind, message, stack from apex.error_reports")
    assert str(report["id"]) == finished["error"]["report_id"]
    assert (report["run_id"], report["kind"], report["message"]) == (
        first.run_id,
        "UnmakeableError",
        f"no {part}",
    )
    assert "Traceback" in report["stack"]
    [row] = await scene.rows("select status, error from apex.runs")
    assert (row["status"], row["error"]) == ("failed", finished["error"])
    assert workshop.tries[part] == 4
    assert not workshop.works

    second = await scene.accept()
    await eventually(lambda: len(ends(scene)) == 2)
    assert ends(scene)[1] == (second.run_id, "completed")
    assert workshop.works
    assert worker.is_alive()
    check_each_run(scene)


@pytest.mark.parametrize("part", [ENGINE, SUPERVISOR])
async def test_other_users_are_answered_meanwhile(scene, workshop, start, eventually, part):
    log = EventLog(scene.database)
    other = (await log.open(Identity(org="acme", sub="bob"))).user_id
    workshop.only_user, workshop.failures[part] = scene.user_id, 10**6
    broken = await scene.accept()
    start(pause_s=0.2)
    await eventually(lambda: workshop.tries[part])
    good = await scene.accept(other)
    await eventually(lambda: len(ends(scene)) == 2)
    assert ends(scene) == [(good.run_id, "completed"), (broken.run_id, "failed")]


@pytest.mark.parametrize("part", [ENGINE, SUPERVISOR])
async def test_a_run_that_waits_for_its_making_can_be_cancelled(
    scene, workshop, start, eventually, part
):
    workshop.failures[part] = 10**6
    accepted = await scene.accept()
    start(pause_s=600)
    await eventually(lambda: workshop.tries[part])
    assert (await scene.cancel(accepted.run_id)).cancelling
    finished = await scene.finish()
    assert finished == {"status": "cancelled", "partial": False}
    assert workshop.tries[part] == 1


async def test_a_run_with_a_mark_needs_no_engine_to_end(scene, workshop, start):
    workshop.failures[ENGINE] = 10**6
    accepted = await scene.accept()
    await scene.cancel(accepted.run_id)
    start(pause_s=600)
    assert (await scene.finish())["status"] == "cancelled"


@pytest.mark.parametrize("part", [ENGINE, SUPERVISOR])
async def test_what_waits_in_the_thread_starts_when_the_failed_run_has_ended(
    scene, workshop, start, eventually, part
):
    workshop.failures[part] = 4
    scene.limit(runs_per_user=1)
    first, second = await scene.accept(), await scene.accept()
    start()
    await eventually(lambda: len(ends(scene)) == 2)
    assert ends(scene) == [(first.run_id, "failed"), (second.run_id, "completed")]


@pytest.mark.parametrize("part", [ENGINE, SUPERVISOR])
async def test_a_resumed_run_that_nobody_can_be_made_for_answers_with_what_is_stored(
    scene, workshop, start, part
):
    reached = asyncio.Event()

    async def hang(agent, _results):
        agent.think("This takes long.", 0.1)
        reached.set()
        await scene.use(agent, forever)

    async def forever(*_):
        await asyncio.Event().wait()

    scene.script(optimization=[hang])
    await scene.accept()
    first = start()
    await asyncio.wait_for(reached.wait(), 10)
    first.kill()
    await first.stopped()
    workshop.failures[part] = 10**6
    start()
    finished = await scene.finish()
    assert (finished["status"], finished["partial"]) == ("failed", True)
    scene.check_grammar()
    assert len(await scene.rows("select 1 from apex.results")) == 1


@pytest.mark.parametrize("part", [ENGINE, SUPERVISOR])
async def test_a_run_that_waits_for_its_making_is_given_back_by_a_worker_that_stops(
    scene, workshop, start, eventually, part
):
    workshop.failures[part] = 1
    await scene.accept()
    # A lease that nobody would wait out.
    worker = start(pause_s=600, lease_s=600)
    await eventually(lambda: workshop.tries[part])
    worker.kill()
    await worker.stopped()
    start()
    assert (await scene.finish())["status"] == "completed"


async def test_a_run_that_is_taken_over_while_it_waits_for_its_engine_is_left(
    scene, workshop, start, eventually
):
    workshop.failures[ENGINE] = 1
    await scene.accept()
    worker = start(pause_s=600, lease_s=600)
    await eventually(lambda: workshop.tries[ENGINE])
    async with scene.database.connection() as connection:
        await connection.execute(
            "update absurd.r_runs set claim_expires_at = now() - interval '1 s'"
        )
    assert (await scene.finish())["status"] == "completed"
    assert worker.is_alive()
    [row] = await scene.rows("select status from apex.runs")
    assert row["status"] == RunStatus.COMPLETED


async def test_nothing_stays_of_engines_that_were_half_made(scene, workshop, start):
    workshop.failures[ENGINE] = 4
    await scene.accept()
    worker = start()
    await scene.finish()
    await scene.eventually(lambda: ActorSystem.current().alive() == [worker])

"""The supervisor: agents in order, restarts, limits, and an end that fits what was said."""

import asyncio
import logging

import pytest

from apex_actors.agents import ToolFailedError
from apex_actors.agents.supervisor import MAX_TRIES
from apex_actors.protocol.payloads import SUB_AGENTS, AgentName, AgentStatus
from apex_actors.storage.errors import StorageUnavailableError
from apex_actors.storage.runs import RunStore

DATA, OPTIMIZATION, REPORT = SUB_AGENTS


@pytest.fixture(autouse=True)
def expected_failures_are_quiet(caplog):
    caplog.set_level(logging.CRITICAL, logger="apex_actors")


async def breaks(_agent, _results):
    raise ValueError("inner cause")


async def hangs(_agent, _results):
    await asyncio.Event().wait()


def thinks_and_hangs(scene):
    async def work(agent, _results):
        agent.think("This takes long.", 0.1)
        await scene.use(agent, hangs)

    return work


async def test_promise_6_the_agents_work_in_order_and_know_the_results_before_them(scene):
    finished = await scene.run()
    assert finished == {"status": "completed", "partial": False}
    assert scene.pipeline.starts == list(SUB_AGENTS)
    steps = await scene.rows("select agent, status, result from apex.step_results order by step")
    assert [(step["agent"], step["status"]) for step in steps] == [
        ("data", "ok"),
        ("optimization", "ok"),
        ("report", "ok"),
    ]
    assert [step["result"]["before"] for step in steps] == [
        [],
        ["data"],
        ["data", "optimization"],
    ]
    assert scene.pipeline.completed_with == [["data", "optimization", "report"]]


async def test_an_agent_that_fails_once_is_started_again_and_the_run_is_whole(scene):
    scene.script(data=[breaks, scene.good_work])
    finished = await scene.run()
    assert finished == {"status": "completed", "partial": False}
    tries = [
        event.payload["try"] for event in scene.of_type("agent_started") if event.agent == DATA
    ]
    assert tries == [1, 2]
    assert scene.said_by(DATA).count("agent_completed") == 1


async def test_a_failure_in_the_midst_of_a_tool_call_closes_the_call_before_the_restart(scene):
    async def breaks_beside_a_call(agent, _results):
        agent.think("Two at once.", 0.2)
        async with asyncio.TaskGroup() as group:
            group.create_task(scene.use(agent, hangs, "slow"))
            group.create_task(scene.use(agent, breaks, "broken"))

    scene.script(data=[breaks_beside_a_call, scene.good_work])
    finished = await scene.run()
    assert finished["status"] == "completed"
    ends = {e.payload["tool"]: e.payload["status"] for e in scene.of_type("tool_completed")[:2]}
    assert ends == {"slow": "aborted", "broken": "error"}


async def test_optimization_failing_for_good_leaves_a_partial_answer(scene):
    scene.script(optimization=[breaks])
    finished = await scene.run()
    assert finished == {"status": "completed", "partial": True}
    assert scene.pipeline.starts.count(OPTIMIZATION) == MAX_TRIES
    [step] = await scene.rows("select status from apex.step_results where agent = 'optimization'")
    assert step["status"] == "failed"
    [answer] = await scene.rows("select report from apex.results")
    assert answer["report"] == {"of": ["data", "report"]}
    assert await scene.rows("select id from apex.error_reports") == []


async def test_data_failing_for_good_fails_the_run_with_a_report_and_no_answer(scene):
    scene.script(data=[breaks])
    finished = await scene.run()
    assert (finished["status"], finished["partial"]) == ("failed", False)
    assert scene.pipeline.starts == [DATA] * MAX_TRIES
    [report] = await scene.rows("select id, kind, message from apex.error_reports")
    assert str(report["id"]) == finished["error"]["report_id"]
    assert (report["kind"], report["message"]) == ("ValueError", "inner cause")
    assert await scene.rows("select run_id from apex.results") == []


async def test_the_report_agent_failing_for_good_still_answers_with_what_there_is(scene):
    scene.script(report=[breaks])
    finished = await scene.run()
    assert (finished["status"], finished["partial"]) == ("failed", True)
    [answer] = await scene.rows("select report from apex.results")
    assert answer["report"] == {"of": ["data", "optimization"]}


async def test_an_error_whose_words_no_database_takes_is_reported_all_the_same(scene):
    async def breaks_oddly(_agent, _results):
        raise ValueError("half \x00 a \udc80 sentence")

    scene.script(data=[breaks_oddly])
    finished = await scene.run()
    assert finished["status"] == "failed"
    [run] = await scene.rows("select attempt from apex.runs")
    assert run["attempt"] == 1
    [report] = await scene.rows("select message, stack from apex.error_reports")
    assert "half " in report["message"]
    assert " sentence" in report["stack"]


async def test_the_time_limit_answers_with_what_there_is(scene):
    scene.limit(run_limit_s=1, tool_limit_s=1)
    scene.script(optimization=[thinks_and_hangs(scene)])
    finished = await scene.run()
    assert (finished["status"], finished["partial"]) == ("timed_out", True)
    assert finished["error"]["code"] == "run_timed_out"
    [answer] = await scene.rows("select report from apex.results")
    assert answer["report"] == {"of": ["data"]}


async def test_the_time_limit_without_any_result_answers_nothing(scene):
    scene.limit(run_limit_s=0.3, tool_limit_s=0.3)
    scene.script(data=[hangs])
    finished = await scene.run()
    assert (finished["status"], finished["partial"]) == ("timed_out", False)
    assert await scene.rows("select run_id from apex.results") == []


async def test_a_step_that_is_being_stored_at_the_time_limit_counts(scene):
    scene.limit(run_limit_s=1, tool_limit_s=1)
    time_is_up = asyncio.Event()

    async def done_with_the_row_locked(agent, results):
        locked = asyncio.Event()
        holding = asyncio.create_task(hold_users_row(scene, locked, time_is_up))
        holders.append(holding)
        await locked.wait()
        return await scene.good_work(agent, results)

    holders = []
    scene.script(data=[done_with_the_row_locked], optimization=[thinks_and_hangs(scene)])
    await scene.accept()
    scene.start_worker()
    await scene.eventually(lambda: holders)
    asyncio.get_running_loop().call_later(1.2, time_is_up.set)
    finished = await scene.finish()
    await holders[0]
    scene.check_grammar()
    assert (finished["status"], finished["partial"]) == ("timed_out", True)


async def hold_users_row(scene, locked, until):
    async with scene.database.transaction() as connection:
        await connection.execute("select 1 from apex.users for update")
        locked.set()
        await until.wait()


async def test_a_tool_that_hangs_is_stopped_and_the_agent_may_go_on(scene):
    scene.limit(tool_limit_s=0.1)
    cancelled = asyncio.Event()

    async def slow(_arguments, _context):
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def lives_with_it(agent, results):
        with pytest.raises(ToolFailedError, match="took too long"):
            await scene.use(agent, slow, "slow")
        return await scene.good_work(agent, results)

    scene.script(data=[lives_with_it])
    finished = await scene.run()
    assert finished == {"status": "completed", "partial": False}
    assert cancelled.is_set()
    first = scene.of_type("tool_completed")[0].payload
    assert (first["tool"], first["status"]) == ("slow", "timeout")
    assert first["duration_ms"] >= 100


async def test_a_killed_agent_is_started_again(scene):
    scene.script(data=[thinks_and_hangs(scene), scene.good_work])
    await scene.accept()
    scene.start_worker()
    await scene.eventually(lambda: scene.of_type("tool_executing"))
    scene.pipeline.refs[0].kill()
    finished = await scene.finish()
    scene.check_grammar()
    assert finished == {"status": "completed", "partial": False}
    assert scene.of_type("tool_completed")[0].payload["status"] == "aborted"


async def test_an_agent_killed_before_it_begins_is_started_again(scene):
    async def never_works(*_):
        raise AssertionError("it was killed before")

    def kill_the_first(ref):
        if len(scene.pipeline.refs) == 1:
            ref.kill()

    scene.script(data=[never_works, scene.good_work])
    scene.pipeline.on_started = kill_the_first
    finished = await scene.run()
    assert finished == {"status": "completed", "partial": False}


async def test_promise_9_calls_have_keys_that_are_the_same_after_a_restart(scene):
    keys = []

    async def remembers(_arguments, context):
        keys.append(context.idempotency_key)
        if len(keys) == 1:
            raise ValueError("once")

    async def calls(agent, _results):
        await scene.use(agent, remembers)
        return await scene.good_work(agent, {})

    scene.script(data=[calls])
    await scene.run()
    assert len(keys) == 2
    assert keys[0] == keys[1]
    [run] = scene.of_type("run_finished")
    assert keys[0] == f"{run.run_id}/1/1"


async def test_a_tool_without_its_database_does_not_fail_the_run(scene):
    async def away_once(_arguments, _context):
        if scene.pipeline.starts.count(DATA) == 1:
            raise StorageUnavailableError("PostgreSQL is away or too busy; try again")

    async def reads(agent, _results):
        await scene.use(agent, away_once)
        return await scene.good_work(agent, {})

    scene.script(data=[reads])
    finished = await scene.run()
    assert finished == {"status": "completed", "partial": False}
    assert [event.payload["attempt"] for event in scene.of_type("run_resumed")] == [2]


async def test_a_tool_that_may_be_repeated_waits_for_its_database_and_nobody_sees_it(scene):
    keys = []

    async def away_twice(_arguments, context):
        keys.append(context.idempotency_key)
        if len(keys) <= 2:
            raise StorageUnavailableError("PostgreSQL is away or too busy; try again")

    async def reads(agent, _results):
        await scene.use(agent, away_twice, is_repeatable=True)
        return await scene.good_work(agent, {})

    scene.script(data=[reads])
    finished = await scene.run()
    assert finished == {"status": "completed", "partial": False}
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert scene.of_type("run_resumed") == []
    assert scene.said_by(DATA).count("tool_executing") == 2  # this one, and that of good work


async def test_promise_7_a_takeover_goes_on_behind_the_stored_steps(scene):
    scene.script(optimization=[thinks_and_hangs(scene), scene.good_work])
    await scene.accept()
    first = scene.start_worker()
    await scene.eventually(
        lambda: [e for e in scene.of_type("tool_executing") if e.agent == OPTIMIZATION]
    )
    first.kill()
    await first.stopped()
    scene.start_worker()
    finished = await scene.finish()
    scene.check_grammar()
    assert finished == {"status": "completed", "partial": False}
    assert scene.pipeline.starts == [DATA, OPTIMIZATION, OPTIMIZATION, REPORT]
    [resumed] = scene.of_type("run_resumed")
    assert resumed.payload["next_agent"] == AgentName.OPTIMIZATION
    steps = await scene.rows("select agent, attempt from apex.step_results order by step")
    assert [step["attempt"] for step in steps] == [1, 2, 2]


async def test_a_degraded_agent_makes_the_answer_partial(scene):
    async def degraded(agent, results):
        outcome = await scene.good_work(agent, results)
        return type(outcome)(AgentStatus.DEGRADED, "less", outcome.result)

    scene.script(data=[degraded])
    finished = await scene.run()
    assert finished == {"status": "completed", "partial": True}


class LosesItsDatabase(RunStore):
    """Of a worker that dies and can give nothing back."""

    async def release(self, claims):  # noqa: ARG002 - nothing of it arrives
        raise StorageUnavailableError("PostgreSQL is away or too busy; try again")


async def test_a_run_tried_too_often_still_answers_with_the_steps_that_are_stored(scene):
    scene.limit(max_attempts=1)
    scene.script(optimization=[thinks_and_hangs(scene)])
    await scene.accept()
    first = scene.start_worker(runs=LosesItsDatabase(scene.database))
    await scene.eventually(lambda: OPTIMIZATION in scene.pipeline.starts)
    first.kill()
    await first.stopped()
    scene.start_worker()
    finished = await scene.finish()
    scene.check_grammar()
    assert (finished["status"], finished["partial"]) == ("failed", True)
    [answer] = await scene.rows("select report from apex.results")
    assert answer["report"] == {"of": ["data"]}


async def test_a_supervisor_that_breaks_leaves_an_answer_of_the_steps_that_are_stored(scene):
    def breaks_at_the_second(_ref):
        if len(scene.pipeline.refs) == 2:
            raise ValueError("the supervisor breaks")

    scene.pipeline.on_started = breaks_at_the_second
    finished = await scene.run()
    assert (finished["status"], finished["partial"]) == ("failed", True)
    [report] = await scene.rows("select kind from apex.error_reports")
    assert report["kind"] == "ValueError"
    [answer] = await scene.rows("select report from apex.results")
    assert answer["report"] == {"of": ["data"]}


async def test_results_that_allow_no_answer_keep_no_run_from_ending(scene, monkeypatch):
    def breaks_too(_results):
        raise KeyError("written by another version")

    monkeypatch.setattr(scene.pipeline, "answer", breaks_too)
    await scene.accept()
    scene.start_worker()
    finished = await scene.finish()
    assert (finished["status"], finished["partial"]) == ("failed", False)
    [report] = await scene.rows("select kind from apex.error_reports")
    assert report["kind"] == "KeyError"

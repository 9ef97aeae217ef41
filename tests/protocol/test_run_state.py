"""The state of a run, from its events alone: what somebody who comes late needs to draw it."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from apex_actors.protocol import (
    SUB_AGENTS,
    AgentName,
    AgentStatus,
    EventRedacted,
    RunError,
    RunFinished,
    RunStatus,
    ToolStatus,
)
from apex_actors.protocol.run_state import run_state

DATA, OPTIMIZATION, REPORT = SUB_AGENTS


def state_of(script, status=RunStatus.RUNNING):
    return run_state(script.run_id, status, script.events, seq=script.seq)


def test_a_whole_run_has_its_three_steps_in_order(run_script):
    script = run_script().whole()
    state = state_of(script, RunStatus.COMPLETED)
    assert (state.run_id, state.status, state.seq) == (script.run_id, "completed", script.seq)
    assert [step.agent for step in state.steps] == list(SUB_AGENTS)
    for step in state.steps:
        assert (step.status, step.result) == (AgentStatus.OK, "done")
        assert [thought.progress for thought in step.thinking] == [0.5]
        [tool] = step.tools
        assert (tool.status, tool.result, tool.duration_ms) == (ToolStatus.OK, "done", 5)


def test_a_whole_run_says_what_it_answers_and_when(run_script):
    script = run_script().whole()
    state = state_of(script, RunStatus.COMPLETED)
    assert state.message_id == script.message_id
    assert state.accepted_at == script.events[0].ts
    assert state.started_at == script.events[1].ts
    assert state.finished_at == script.events[-1].ts
    assert (state.partial, state.error) == (False, None)


def test_a_run_that_goes_on_has_no_end(run_script):
    state = state_of(run_script().asked().started(AgentName.SUPERVISOR))
    assert state.started_at is not None
    assert state.finished_at is None


def test_a_run_that_failed_says_why(run_script):
    script = run_script().asked().started(AgentName.SUPERVISOR).worked(DATA)
    error = RunError(code="agent_failed", message="No prices.", report_id=script.run_id)
    script.say(RunFinished(status=RunStatus.FAILED, partial=True, error=error))
    state = state_of(script, RunStatus.FAILED)
    assert (state.partial, state.error) == (True, error)


def test_what_the_row_says_goes_before_the_events(run_script):
    script = run_script().whole()
    at = script.events[0].ts - timedelta(days=1)
    error = RunError(code="agent_failed", message="No prices.")
    state = run_state(
        script.run_id,
        RunStatus.FAILED,
        script.events,
        seq=script.seq,
        message_id=script.run_id,
        accepted_at=at,
        started_at=at,
        finished_at=at,
        partial=True,
        error=error,
    )
    assert (state.accepted_at, state.started_at, state.finished_at) == (at, at, at)
    assert (state.message_id, state.partial, state.error) == (script.run_id, True, error)


def test_a_run_that_waits_has_no_steps(run_script):
    assert state_of(run_script().asked().queued(), RunStatus.WAITING).steps == ()


def test_work_under_way_is_shown_as_running(run_script):
    script = run_script().asked().started(AgentName.SUPERVISOR).started(DATA).called(DATA, "a")
    [step] = state_of(script).steps
    assert (step.status, step.result) == (AgentStatus.RUNNING, None)
    [tool] = step.tools
    assert (tool.status, tool.result, tool.duration_ms) == (ToolStatus.RUNNING, None, None)


def test_calls_that_overlap_keep_their_own_ends(run_script):
    script = run_script().asked().started(AgentName.SUPERVISOR).started(DATA)
    script.called(DATA, "a").called(DATA, "b")
    script.returned(DATA, "b", ToolStatus.TIMEOUT).returned(DATA, "a", ToolStatus.ERROR)
    [step] = state_of(script).steps
    assert [(tool.tool_call_id, tool.status) for tool in step.tools] == [
        ("a", ToolStatus.ERROR),
        ("b", ToolStatus.TIMEOUT),
    ]


def test_a_second_try_begins_anew(run_script):
    script = run_script().asked().started(AgentName.SUPERVISOR)
    script.started(DATA).thought(DATA).called(DATA, "a").returned(DATA, "a", ToolStatus.ABORTED)
    script.started(DATA, try_number=2)
    [step] = state_of(script).steps
    assert (step.status, step.thinking, step.tools) == (AgentStatus.RUNNING, (), ())


def test_a_takeover_keeps_the_finished_steps(run_script):
    script = run_script().asked().started(AgentName.SUPERVISOR).worked(DATA)
    script.started(OPTIMIZATION).thought(OPTIMIZATION)
    script.attempt = 2
    script.resumed(OPTIMIZATION).worked(OPTIMIZATION)
    data, optimization = state_of(script).steps
    assert (data.status, optimization.status) == (AgentStatus.OK, AgentStatus.OK)
    assert len(optimization.thinking) == 1


def test_an_agent_that_failed_for_good_is_shown_as_failed(run_script):
    script = run_script().asked().started(AgentName.SUPERVISOR).started(DATA)
    script.completed(DATA, AgentStatus.FAILED)
    [step] = state_of(script).steps
    assert step.status is AgentStatus.FAILED


def test_an_event_of_a_deleted_thread_says_nothing(run_script):
    script = run_script().asked()
    script.say(EventRedacted(), DATA)
    assert state_of(script).steps == ()


def test_an_end_without_its_beginning_is_passed_over(run_script):
    script = run_script().asked().started(AgentName.SUPERVISOR).started(DATA)
    script.returned(DATA, "never called")
    [step] = state_of(script).steps
    assert step.tools == ()


@given(cut=st.integers(0, 30))
def test_any_beginning_of_a_run_can_be_drawn(run_script, cut):
    script = run_script().whole()
    seen = script.events[:cut]
    state = run_state(script.run_id, RunStatus.RUNNING, seen, seq=cut)
    begun = [event.agent for event in seen if event.type == "agent_started"]
    assert [step.agent for step in state.steps] == [agent for agent in begun if agent in SUB_AGENTS]
    ended = {event.agent for event in seen if event.type == "agent_completed"}
    for step in state.steps:
        assert (step.status is AgentStatus.RUNNING) == (step.agent not in ended)
        assert (step.result is None) == (step.agent not in ended)

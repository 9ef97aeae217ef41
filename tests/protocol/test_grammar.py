"""The grammar of a run: what is legal, and each way to break it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_actors.protocol import (
    SUB_AGENTS,
    AgentName,
    AgentStatus,
    EventType,
    RunGrammar,
    RunStatus,
    ThreadUpdated,
    ToolStatus,
)

SUPERVISOR, DATA, OPTIMIZATION, REPORT = AgentName
EARLY = [RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.CANCELLED]


def check(script, **options):
    return [violation.detail for violation in RunGrammar(**options).check(script.events)]


# -- legal runs ------------------------------------------------------------------------------


def test_a_run_in_which_nothing_goes_wrong(run_script):
    grammar = RunGrammar()

    assert grammar.check(run_script().whole().events) == []
    assert grammar.is_finished
    assert grammar.status is RunStatus.COMPLETED


def test_a_queued_run(run_script):
    script = run_script().asked().queued().started(SUPERVISOR)

    assert check(script) == []


@pytest.mark.parametrize("status", EARLY)
def test_a_run_that_ends_while_it_waits(run_script, status):
    assert check(run_script().asked().queued().finished(status)) == []


def test_tool_calls_may_overlap(run_script):
    script = run_script().asked().started(SUPERVISOR).started(DATA).thought(DATA)
    script.called(DATA, "a").called(DATA, "b").returned(DATA, "a").returned(DATA, "b")

    assert check(script.completed(DATA)) == []


def test_a_sub_agent_that_is_restarted(run_script):
    script = run_script().asked().started(SUPERVISOR).started(DATA).called(DATA, "a")
    script.returned(DATA, "a", ToolStatus.ABORTED).started(DATA, 2).thought(DATA)

    assert check(script.completed(DATA)) == []


def test_a_run_that_another_worker_takes_over(run_script):
    script = run_script().asked().started(SUPERVISOR).worked(DATA).started(OPTIMIZATION)
    script.called(OPTIMIZATION, "a")
    script.attempt = 2
    script.returned(OPTIMIZATION, "a", ToolStatus.ABORTED).resumed(OPTIMIZATION)
    script.started(OPTIMIZATION, 2).thought(OPTIMIZATION).completed(OPTIMIZATION).worked(REPORT)

    assert check(script.completed(SUPERVISOR).answered().finished()) == []


def test_a_takeover_when_only_the_answer_is_left(run_script):
    script = run_script().asked().started(SUPERVISOR)
    for agent in SUB_AGENTS:
        script.worked(agent)
    script.attempt = 2
    script.resumed(SUPERVISOR).completed(SUPERVISOR)

    assert check(script.answered().finished()) == []


@pytest.mark.parametrize("status", EARLY)
def test_a_run_that_ends_between_its_takeover_and_the_next_step_closes_what_was_open(
    run_script, status
):
    """The second worker died behind its first event, and the third one found the run cancelled."""
    script = run_script().asked().started(SUPERVISOR).started(DATA).thought(DATA)
    script.attempt = 2
    script.resumed(DATA)
    script.attempt = 3
    script.completed(DATA, AgentStatus.FAILED).completed(SUPERVISOR, AgentStatus.FAILED)

    assert check(script.finished(status)) == []


def taken_over(script):
    script.asked().started(SUPERVISOR).started(DATA).thought(DATA)
    script.attempt = 2
    return script.resumed(DATA)


def test_nobody_works_between_a_takeover_and_the_next_step(run_script):
    for work in (
        lambda s: s.thought(DATA),
        lambda s: s.called(DATA, "a"),
        lambda s: s.completed(DATA),
        lambda s: s.completed(OPTIMIZATION, AgentStatus.FAILED),
    ):
        (detail,) = check(work(taken_over(run_script())))
        assert "while" in detail


def test_what_was_open_at_a_takeover_is_not_left_open_at_the_end(run_script):
    script = taken_over(run_script()).completed(SUPERVISOR, AgentStatus.FAILED)

    assert check(script) == ["agent_completed(supervisor) while data works"]


def test_a_takeover_before_anything_was_said(run_script):
    """The first worker died between its claim and its first event."""
    script = run_script().asked()
    script.attempt = 2

    assert check(script.started(SUPERVISOR).worked(DATA)) == []


@pytest.mark.parametrize("status", EARLY)
def test_a_run_that_ends_early_closes_what_it_opened_and_answers_with_what_it_has(
    run_script, status
):
    script = run_script().asked().started(SUPERVISOR).worked(DATA).started(OPTIMIZATION)
    script.called(OPTIMIZATION, "a").returned(OPTIMIZATION, "a", ToolStatus.ABORTED)
    script.completed(OPTIMIZATION, AgentStatus.FAILED).completed(SUPERVISOR, AgentStatus.FAILED)

    assert check(script.answered().finished(status, partial=True)) == []


def test_a_run_that_ends_early_with_nothing_to_show(run_script):
    script = run_script().asked().started(SUPERVISOR).started(DATA)
    script.completed(DATA, AgentStatus.FAILED).completed(SUPERVISOR, AgentStatus.FAILED)

    assert check(script.finished(RunStatus.TIMED_OUT)) == []


def test_a_run_that_goes_on_without_a_failed_sub_agent_is_partial(run_script):
    script = run_script().asked().started(SUPERVISOR).worked(DATA).started(OPTIMIZATION)
    script.completed(OPTIMIZATION, AgentStatus.FAILED).worked(REPORT)
    script.completed(SUPERVISOR, AgentStatus.DEGRADED).answered()

    assert check(script.finished(RunStatus.COMPLETED, partial=True)) == []


def test_a_retried_run_has_no_message_of_its_own(run_script):
    script = run_script().queued().started(SUPERVISOR).worked(DATA)

    assert check(script, retried=True) == []
    assert check(script) != []


# -- each way to break it --------------------------------------------------------------------


def begun(script):
    return script.asked().started(SUPERVISOR)


def done(script):
    begun(script)
    for agent in SUB_AGENTS:
        script.worked(agent)
    return script.completed(SUPERVISOR)


BROKEN = {
    "run_queued before its user message": lambda s: s.queued(),
    "run_queued twice": lambda s: s.asked().queued().queued(),
    "message_created before the supervisor started": lambda s: s.asked().asked(),
    "agent_started before the supervisor started": lambda s: s.asked().started(DATA),
    "agent_started while agents work": lambda s: begun(s).started(SUPERVISOR),
    "agent_started(optimization) where data was due": lambda s: begun(s).started(OPTIMIZATION),
    "agent_started(data) where optimization was due": lambda s: begun(s).worked(DATA).worked(DATA),
    "agent_started(data) with open tool calls": lambda s: (
        begun(s).started(DATA).called(DATA, "a").started(DATA, 2)
    ),
    "agent_started(data) is try 1 after 1": lambda s: begun(s).started(DATA).started(DATA),
    "agent_started(data) is try 3 after 1": lambda s: begun(s).started(DATA).started(DATA, 3),
    "agent_thinking of data while None works": lambda s: begun(s).thought(DATA),
    "agent_thinking of report while data works": lambda s: begun(s).started(DATA).thought(REPORT),
    "agent_thinking of supervisor while data works": lambda s: (
        begun(s).started(DATA).thought(SUPERVISOR)
    ),
    "a tool_call_id is used twice": lambda s: (
        begun(s).started(DATA).called(DATA, "a").returned(DATA, "a").called(DATA, "a")
    ),
    "tool_completed without an open tool_executing": lambda s: (
        begun(s).started(DATA).returned(DATA, "a")
    ),
    "agent_completed(data) with open tool calls": lambda s: (
        begun(s).started(DATA).thought(DATA).called(DATA, "a").completed(DATA, AgentStatus.FAILED)
    ),
    "agent_completed(data, ok) without a thought and a tool": lambda s: (
        begun(s).started(DATA).thought(DATA).completed(DATA)
    ),
    "agent_completed(data, degraded) without a thought and a tool": lambda s: (
        begun(s).started(DATA).called(DATA, "a").returned(DATA, "a")
    ).completed(DATA, AgentStatus.DEGRADED),
    "agent_completed of data while None works": lambda s: begun(s).worked(DATA).completed(DATA),
    "agent_completed(supervisor) while data works": lambda s: (
        begun(s).started(DATA).completed(SUPERVISOR)
    ),
    "run_resumed with open tool calls": lambda s: (
        begun(s).started(DATA).called(DATA, "a").resumed(DATA)
    ),
    "run_resumed names report where data was due": lambda s: begun(s).resumed(REPORT),
    "run_resumed before the supervisor started": lambda s: s.asked().resumed(DATA),
    "an answer although no sub-agent had completed": lambda s: (
        begun(s).completed(SUPERVISOR).answered()
    ),
    "run_finished(completed) after the supervisor completed": lambda s: done(s).finished(),
    "run_finished(cancelled) after the supervisor completed": lambda s: done(s).finished(
        RunStatus.CANCELLED
    ),
    "run_finished(completed) before the supervisor started": lambda s: s.asked().finished(),
    "run_finished(cancelled) while agents work": lambda s: begun(s).finished(RunStatus.CANCELLED),
    "run_finished(completed) before every sub-agent completed": lambda s: (
        begun(s).worked(DATA).completed(SUPERVISOR).answered().finished()
    ),
    "run_finished(failed) hides that its answer is partial": lambda s: (
        begun(s).worked(DATA).completed(SUPERVISOR).answered().finished(RunStatus.FAILED)
    ),
    "run_finished(completed) calls partial what is none": lambda s: (
        done(s).answered().finished(partial=True)
    ),
    "run_finished(cancelled) calls partial what is none": lambda s: s.asked().finished(
        RunStatus.CANCELLED, partial=True
    ),
    "run_finished after run_finished": lambda s: s.whole().finished(),
    "thread_updated is no event of a run": lambda s: begun(s).say(ThreadUpdated(title="T")),
}


@pytest.mark.parametrize("detail", BROKEN)
def test_each_broken_rule_is_named(run_script, detail):
    assert detail in check(BROKEN[detail](run_script()))


def test_a_tool_that_comes_back_under_another_name(run_script):
    script = begun(run_script()).started(DATA).called(DATA, "a").returned(DATA, "a")
    last = script.events[-1]
    script.events[-1] = replace(last, payload={**last.payload, "tool": "breakdown"})

    assert check(script) == ["tool_completed names another tool than its tool_executing"]


def test_a_payload_that_does_not_fit_is_named_by_its_fields(run_script):
    script = begun(run_script())
    script.events[-1] = replace(script.events[-1], payload={"status": "secret"})

    (detail,) = check(script)
    assert detail == (
        "payload of agent_started does not fit its model: message, status, step, total_steps"
    )


def test_an_event_of_an_older_attempt_breaks_promise_7(run_script):
    script = begun(run_script()).worked(DATA)
    script.attempt = 2
    script.resumed(OPTIMIZATION)
    script.attempt = 1
    script.started(OPTIMIZATION)

    (violation,) = RunGrammar().check(script.events)
    assert (violation.promise, violation.detail) == (7, "agent_started of an older attempt")


def test_work_of_a_new_attempt_before_it_announced_itself_breaks_promise_7(run_script):
    script = begun(run_script()).started(DATA)
    script.attempt = 2
    script.thought(DATA)

    (violation,) = RunGrammar().check(script.events)
    assert violation.promise == 7
    assert violation.detail == "agent_thinking of a new attempt before run_resumed"


# -- generated runs --------------------------------------------------------------------------


class _Ended(Exception):  # noqa: N818 - leaves the generator early, no error
    """The generated run ends before its time."""


class Generator:
    """Draws a legal run with restarts, takeovers, failures and early ends."""

    def __init__(self, draw, script):
        self.draw = draw
        self.script = script
        self.calls = 0
        self.open = []
        self.statuses = []

    def run(self):
        script = self.script.asked()
        if self.draw(st.booleans()):
            script.queued()
        if self.draw(st.integers(0, 9)) == 0:
            return script.finished(self.draw(st.sampled_from(EARLY)))
        script.started(SUPERVISOR)
        try:
            for agent in SUB_AGENTS:
                self.statuses.append(self.agent(agent))
        except _Ended as ended:
            script.completed(ended.args[0], AgentStatus.FAILED)
            script.completed(SUPERVISOR, AgentStatus.FAILED)
            useful = AgentStatus.OK in self.statuses
            if useful:
                script.answered()
            return script.finished(self.draw(st.sampled_from(EARLY)), partial=useful)
        partial = AgentStatus.FAILED in self.statuses
        return script.completed(SUPERVISOR).answered().finished(partial=partial)

    def agent(self, agent):
        self.script.started(agent)
        first, tries = len(self.script.events), 1
        moves = ["think", "call", "return", "crash", "takeover", "end"]
        for move in self.draw(st.lists(st.sampled_from(moves), max_size=8)):
            if move == "think":
                self.script.thought(agent)
            elif move == "call":
                self.call(agent)
            elif move == "return" and self.open:
                place = self.draw(st.integers(0, len(self.open) - 1))
                self.script.returned(agent, self.open.pop(place))
            elif move in {"crash", "takeover", "end"}:
                self.interrupt(agent, move)
                tries += 1
                self.script.started(agent, tries)
        self.close(agent, ToolStatus.OK)
        said = {event.type for event in self.script.events[first:]}
        useful = {EventType.AGENT_THINKING, EventType.TOOL_COMPLETED} <= said
        status = AgentStatus.OK if useful and self.draw(st.booleans()) else AgentStatus.FAILED
        self.script.completed(agent, status)
        return status

    def call(self, agent):
        self.calls += 1
        self.open.append(f"c{self.calls}")
        self.script.called(agent, self.open[-1])

    def interrupt(self, agent, move):
        self.script.attempt += move == "takeover"
        self.close(agent, ToolStatus.ABORTED)
        if move == "end":
            raise _Ended(agent)
        if move == "takeover":
            self.script.resumed(agent)

    def close(self, agent, status):
        for call in self.open:
            self.script.returned(agent, call, status)
        self.open.clear()


@given(data=st.data())
def test_generated_legal_runs_are_accepted(run_script, data):
    script = Generator(data.draw, run_script()).run()
    grammar = RunGrammar()

    assert grammar.check(script.events) == []
    assert grammar.is_finished


# Thoughts may come any number of times, a restart may fall anywhere: these are not mutations.
FREE = {EventType.AGENT_THINKING, EventType.RUN_RESUMED, EventType.RUN_QUEUED}


def breaks(events):
    grammar = RunGrammar()
    return bool(grammar.check(events)) or not grammar.is_finished


@given(data=st.data())
def test_a_legal_run_without_one_of_its_events_is_rejected(run_script, data):
    events = Generator(data.draw, run_script()).run().events
    # Without the start of a later try, the try before it simply went on.
    places = [
        place
        for place, event in enumerate(events)
        if event.type not in FREE and event.payload.get("try", 1) == 1
    ]
    place = data.draw(st.sampled_from(places))

    assert breaks(events[:place] + events[place + 1 :])


@given(data=st.data())
def test_a_legal_run_with_one_of_its_events_twice_is_rejected(run_script, data):
    events = Generator(data.draw, run_script()).run().events
    free = FREE - {EventType.RUN_QUEUED}
    places = [place for place, event in enumerate(events) if event.type not in free]
    place = data.draw(st.sampled_from(places))

    assert breaks(events[: place + 1] + events[place:])


@given(data=st.data())
def test_a_legal_run_with_an_event_by_another_agent_is_rejected(run_script, data):
    events = Generator(data.draw, run_script()).run().events
    places = [place for place, event in enumerate(events) if event.agent is not None]
    if not places:
        return
    place = data.draw(st.sampled_from(places))
    others = [agent for agent in AgentName if agent is not events[place].agent]
    event = replace(events[place], agent=data.draw(st.sampled_from(others)))

    assert breaks([*events[:place], event, *events[place + 1 :]])


@given(data=st.data())
def test_a_legal_run_whose_end_comes_too_early_is_rejected(run_script, data):
    events = Generator(data.draw, run_script()).run().events
    place = data.draw(st.integers(0, len(events) - 2))

    assert breaks([*events[:place], events[-1], *events[place:-1]])

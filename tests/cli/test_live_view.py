"""What a person or a program sees of a run."""

import io
import json
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from rich.console import Console

from apex_actors.cli.live_view import (
    JsonView,
    LiveView,
    PlainView,
    ViewKind,
    clean,
    open_view,
)
from apex_actors.protocol import (
    AgentCompleted,
    AgentName,
    AgentStarted,
    AgentStatus,
    AgentThinking,
    ChatMessage,
    Event,
    FinalResponse,
    MessageCreated,
    MessageRole,
    RunError,
    RunFinished,
    RunQueued,
    RunResumed,
    RunStatus,
    ToolCompleted,
    ToolExecuting,
    ToolStatus,
)

TS = datetime(2026, 11, 22, 10, tzinfo=UTC)
RUN = UUID("6f1c3f0e-3d67-4a86-9d3a-0c8f6a1d2b11")
DATA = AgentName.DATA


def frame(payload, agent=None, run_id=RUN):
    event = Event.of(payload, seq=1, event_id=uuid4(), ts=TS, run_id=run_id, agent=agent, attempt=1)
    return event.to_wire()


def question(text):
    message = ChatMessage(id=uuid4(), role=MessageRole.USER, content=text, created_at=TS)
    return MessageCreated(message=message)


BEGIN = [
    frame(question("Analyze my AI costs")),
    frame(AgentStarted(message="Planning", step=0, total_steps=3), AgentName.SUPERVISOR),
    frame(AgentStarted(message="Reading usage", step=1, total_steps=3, try_number=2), DATA),
    frame(AgentThinking(reasoning="Totals first", progress=0.25), DATA),
    frame(ToolExecuting(tool_call_id="a", tool="totals", arguments={"days": 30}), DATA),
]
RETURN = frame(
    ToolCompleted(
        tool_call_id="a", tool="totals", status=ToolStatus.OK, result="$12.50", duration_ms=41
    ),
    DATA,
)
DONE = frame(AgentCompleted(status=AgentStatus.OK, result="3 models", duration_ms=1250), DATA)
DONE["agent"] = "data"
END = [
    frame(FinalResponse(content="# Your costs\n\n$12.50 in 30 days.", report={})),
    frame(RunFinished(status=RunStatus.COMPLETED, partial=False)),
]


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def output():
    return io.StringIO()


@pytest.fixture
def console(output):
    return Console(file=output, width=100, force_terminal=False)


@pytest.fixture
def terminal(output):
    return Console(file=output, width=100, force_terminal=True, color_system=None)


def shown(view):
    """The live picture as text."""
    page = Console(width=100, file=io.StringIO())
    page.print(view.picture())
    return page.file.getvalue()


# -- choosing --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("as_json", "interactive", "kind", "view"),
    [
        (True, True, ViewKind.JSON, JsonView),
        (True, False, ViewKind.JSON, JsonView),
        (False, True, ViewKind.LIVE, LiveView),
        (False, False, ViewKind.PLAIN, PlainView),
    ],
)
def test_the_view_fits_who_reads(console, as_json, interactive, kind, view):
    chosen = ViewKind.choose(as_json=as_json, interactive=interactive)

    assert chosen is kind
    assert type(open_view(chosen, console)) is view


# -- JSON ------------------------------------------------------------------------------------


def test_json_lines_are_the_frames(console, output):
    frames = [{"type": "ping", "server_time": "now"}, *BEGIN, *END]
    view = JsonView(console)

    for raw in frames:
        view.frame(raw)
    view.finish()

    assert [json.loads(line) for line in output.getvalue().splitlines()] == frames


def test_json_lines_hold_no_control_codes(console, output):
    """Not even the 8-bit ones that JSON itself would let through."""
    JsonView(console).frame({"type": "x", "text": "\x9b31m\x1b[31m"})

    assert output.getvalue().isascii()
    assert "\x1b" not in output.getvalue()


# -- plain -----------------------------------------------------------------------------------


def test_plain_lines_tell_the_run(console, output):
    view = PlainView(console)

    for raw in [*BEGIN, RETURN, DONE, *END]:
        view.frame(raw)
    view.finish()

    assert output.getvalue().splitlines() == [
        "question: Analyze my AI costs",
        "supervisor: started: Planning",
        "data: started (try 2): Reading usage",
        "data: thinking 25%: Totals first",
        "data: tool totals(days=30)",
        "data: tool totals ok after 41 ms: $12.50",
        "data: done (ok) after 1.2 s: 3 models",
        "answer:",
        "",
        "# Your costs",
        "",
        "$12.50 in 30 days.",
        "",
        "finished: completed",
    ]


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        ({"type": "connection_ready", "user_id": "ann", "org": "acme"}, "connected as ann (acme)"),
        ({"type": "message_accepted", "run_id": "r"}, "accepted as run r"),
        ({"type": "error", "code": "queue_full", "message": "Wait."}, "error: Wait. (queue_full)"),
        ({"type": "service_degraded", "message": "Slow."}, "degraded: Slow."),
        ({"type": "service_recovered", "components": ["a", "b"]}, "recovered: a, b"),
        ({"type": "server_shutdown", "reason": "update"}, "the server restarts: update"),
        (frame(RunQueued(position=2)), "waiting behind 2"),
        (
            frame(RunResumed(attempt=2, next_agent=DATA), AgentName.SUPERVISOR),
            "supervisor: resumed by another worker (attempt 2)",
        ),
        (
            frame(
                RunFinished(
                    status=RunStatus.TIMED_OUT,
                    partial=True,
                    error=RunError(code="timeout", message="Too long", report_id=RUN),
                )
            ),
            f"finished: timed out (partial answer): Too long (report {RUN})",
        ),
    ],
)
def test_other_frames_have_a_line_too(console, output, raw, line):
    PlainView(console).frame(raw)

    assert output.getvalue() == f"{line}\n"


def test_what_tells_a_person_nothing_has_no_line(console, output):
    view = PlainView(console)

    view.frame({"type": "ping", "server_time": "now"})
    view.frame({"type": "of_a_later_version"})

    assert output.getvalue() == ""


@pytest.mark.parametrize("view", [PlainView, LiveView])
def test_texts_cannot_steer_the_terminal_nor_be_markup(terminal, output, view):
    hostile = "\x1b]0;owned\x07\x9b2J[bold]costs[/bold] :smile:"
    shown_to = view(terminal)

    shown_to.frame(frame(question(hostile)))
    shown_to.frame(frame(FinalResponse(content=hostile, report={})))
    shown_to.finish()

    assert "\x1b]0;" not in output.getvalue()
    assert "\x9b" not in output.getvalue()
    assert "[bold]costs[/bold] :smile:" in output.getvalue()


def test_clean_keeps_lines_and_every_script():
    assert clean("a\tb\nc ü 漢 😀\r\x00") == "a\tb\nc ü 漢 😀\ufffd\ufffd"


# -- live ------------------------------------------------------------------------------------


def test_the_live_picture_shows_the_agent_at_work(console):
    clock = Clock()
    view = LiveView(console, clock=clock)
    for raw in BEGIN:
        view.frame(raw)
    clock.now += 3

    picture = shown(view)
    view.finish()

    assert "Analyze my AI costs" in picture
    assert "data Reading usage (try 2) 3.0 s" in picture
    assert "Totals first (25%)" in picture
    assert "totals(days=30)" in picture


def test_the_live_picture_shows_what_is_done(console):
    view = LiveView(console)
    for raw in [*BEGIN, RETURN, DONE]:
        view.frame(raw)

    picture = shown(view)
    view.finish()

    assert "✓ data ok (try 2) 1.2 s" in picture
    assert "✓ totals(days=30) 41 ms  $12.50" in picture
    assert "3 models" in picture
    assert "Totals first" not in picture


def test_the_live_picture_waits_with_the_user(console):
    view = LiveView(console)

    assert "Connecting" in shown(view)
    view.frame(BEGIN[0])
    view.frame(frame(RunQueued(position=2)))
    assert "Waiting behind 2 other" in shown(view)
    view.finish()


def test_the_live_picture_follows_the_accepted_run_only(console):
    """The user's other window may have a run too."""
    other = uuid4()
    view = LiveView(console)
    view.frame(BEGIN[0])
    view.frame({"type": "message_accepted", "run_id": str(RUN)})
    view.frame(frame(question("Something else"), run_id=other))

    picture = shown(view)
    view.finish()

    assert "Analyze my AI costs" in picture
    assert "Something else" not in picture


def test_the_report_is_rendered_at_the_end(terminal, output):
    view = LiveView(terminal)
    for raw in [*BEGIN, RETURN, DONE, *END]:
        view.frame(raw)
    view.finish()

    tail = output.getvalue()[-400:]
    assert "$12.50 in 30 days." in tail
    assert "# Your costs" not in tail
    assert tail.rstrip().endswith("completed")


def test_finishing_before_anything_came_is_no_error(terminal, output):
    LiveView(terminal).finish()

    assert output.getvalue() == ""


def test_a_run_joined_late_is_drawn_from_where_it_is(console):
    view = LiveView(console)
    view.frame(RETURN)
    view.frame(END[1])

    assert "Waiting" in shown(view)
    view.finish()

"""The durable event on the wire."""

import json
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from apex_actors.protocol import (
    PAYLOAD_TYPES,
    AgentCompleted,
    AgentName,
    AgentStarted,
    AgentStatus,
    AgentThinking,
    Artifact,
    ChatMessage,
    Event,
    EventRedacted,
    EventType,
    FinalResponse,
    MessageCreated,
    MessageRole,
    PreferencesUpdated,
    RunError,
    RunFinished,
    RunQueued,
    RunResumed,
    RunStatus,
    ThreadDeleted,
    ThreadUpdated,
    ToolCompleted,
    ToolExecuting,
    ToolStatus,
    UsageImported,
    is_event,
)

ID = UUID("6f1c3f0e-3d67-4a86-9d3a-0c8f6a1d2b11")
TS = datetime(2026, 11, 22, 10, 0, 0, 123000, tzinfo=UTC)

EXAMPLES = [
    (
        MessageCreated(
            message=ChatMessage(id=ID, role=MessageRole.USER, content="hi €", created_at=TS)
        ),
        {
            "message": {
                "id": str(ID),
                "role": "user",
                "content": "hi €",
                "created_at": "2026-11-22T10:00:00.123Z",
            }
        },
    ),
    (RunQueued(position=2), {"position": 2}),
    (
        AgentStarted(message="Reading", step=1, total_steps=3, try_number=2),
        {"status": "running", "message": "Reading", "step": 1, "total_steps": 3, "try": 2},
    ),
    (
        AgentThinking(reasoning="Totals first", progress=0.25),
        {"reasoning": "Totals first", "progress": 0.25},
    ),
    (
        ToolExecuting(tool_call_id="c1", tool="totals", arguments={"days": 30}),
        {"tool_call_id": "c1", "tool": "totals", "arguments": {"days": 30}},
    ),
    (
        ToolCompleted(
            tool_call_id="c1",
            tool="totals",
            status=ToolStatus.TIMEOUT,
            result="No answer",
            duration_ms=5000,
        ),
        {
            "tool_call_id": "c1",
            "tool": "totals",
            "status": "timeout",
            "result": "No answer",
            "duration_ms": 5000,
        },
    ),
    (
        AgentCompleted(status=AgentStatus.DEGRADED, result="Half", duration_ms=7),
        {"status": "degraded", "result": "Half", "duration_ms": 7},
    ),
    (
        RunResumed(attempt=2, next_agent=AgentName.REPORT),
        {"attempt": 2, "next_agent": "report"},
    ),
    (
        FinalResponse(
            content="# Costs",
            report={"total": "1.20"},
            artifacts=(Artifact(name="report", kind="html", url="/api/r"),),
        ),
        {
            "content": "# Costs",
            "report": {"total": "1.20"},
            "artifacts": [{"name": "report", "kind": "html", "url": "/api/r"}],
        },
    ),
    (
        RunFinished(status=RunStatus.COMPLETED, partial=False),
        {"status": "completed", "partial": False},
    ),
    (
        RunFinished(
            status=RunStatus.FAILED,
            partial=True,
            error=RunError(code="internal_error", message="See the report", report_id=ID),
        ),
        {
            "status": "failed",
            "partial": True,
            "error": {
                "code": "internal_error",
                "message": "See the report",
                "report_id": str(ID),
            },
        },
    ),
    (ThreadUpdated(title="Costs"), {"title": "Costs"}),
    (ThreadDeleted(), {}),
    (PreferencesUpdated(preferences={"theme": None}), {"preferences": {"theme": None}}),
    (
        UsageImported(import_id=ID, name="may.csv", inserted=10, rejected=1),
        {
            "import_id": str(ID),
            "name": "may.csv",
            "inserted": 10,
            "duplicates": 0,
            "rejected": 1,
            "undone": False,
        },
    ),
    (EventRedacted(), {}),
]


def event(payload, **fields):
    given = {"seq": 1, "event_id": ID, "ts": TS} | fields
    return Event.of(payload, **given)


def test_the_examples_name_every_type():
    assert {payload.event_type for payload, _ in EXAMPLES} == set(EventType)
    assert set(PAYLOAD_TYPES) == set(EventType)


@pytest.mark.parametrize(("payload", "wire"), EXAMPLES, ids=lambda value: type(value).__name__)
def test_each_payload_on_the_wire_and_back(payload, wire, wire_schema):
    """What is sent is what the protocol's table says, and reads back as the same model."""
    sent = json.loads(event(payload).encode())

    wire_schema.received(sent)
    assert sent["type"] == payload.event_type
    assert sent["payload"] == wire
    assert Event.from_wire(sent).body() == payload


def test_the_envelope_on_the_wire():
    frame = event(
        RunQueued(position=1), seq=7, thread_id=ID, run_id=ID, agent=AgentName.DATA, attempt=2
    ).encode()

    assert json.loads(frame) == {
        "type": "run_queued",
        "seq": 7,
        "event_id": str(ID),
        "ts": "2026-11-22T10:00:00.123Z",
        "thread_id": str(ID),
        "run_id": str(ID),
        "agent": "data",
        "attempt": 2,
        "payload": {"position": 1},
    }


def test_nobody_speaks_no_agent_field():
    assert "agent" not in json.loads(event(ThreadDeleted()).encode())


def test_a_frame_is_encoded_once():
    """A user's connections share the bytes."""
    one = event(RunQueued(position=1))

    assert one.encode() is one.encode()


def test_an_encoded_event_equals_one_that_is_not():
    """The cached bytes are no part of the value."""
    one, other = event(RunQueued(position=1)), event(RunQueued(position=1))
    one.encode()

    assert one == other


def test_times_are_utc_with_milliseconds():
    berlin = timezone(timedelta(hours=1))
    ts = datetime(2026, 11, 22, 11, 0, 0, 999_999, tzinfo=berlin)

    assert json.loads(event(ThreadDeleted(), ts=ts).encode())["ts"] == "2026-11-22T10:00:00.999Z"


def test_a_time_without_zone_cannot_be_sent():
    with pytest.raises(ValueError, match="time zone"):
        event(ThreadDeleted(), ts=datetime(2026, 11, 22)).encode()  # noqa: DTZ001 - the point


def test_a_logged_event_shows_no_payload():
    assert "hush-hush" not in repr(event(ThreadUpdated(title="hush-hush")))


def test_events_and_notices_are_told_apart():
    assert is_event(event(ThreadDeleted()).to_wire())
    assert not is_event({"type": "ping", "server_time": "…"})


GOOD = event(RunQueued(position=1)).to_wire()


@pytest.mark.parametrize(
    "change",
    [
        {"type": "unheard_of"},
        {"type": None},
        {"seq": 0},
        {"seq": True},
        {"seq": "1"},
        {"seq": 2**63},
        {"event_id": None},
        {"event_id": "x"},
        {"ts": 5},
        {"ts": "yesterday"},
        {"ts": "2026-11-22T10:00:00"},
        {"thread_id": "x"},
        {"run_id": 5},
        {"agent": "nobody"},
        {"attempt": -1},
        {"payload": []},
        {"extra": 1},
    ],
    ids=repr,
)
def test_a_frame_that_is_no_event_is_refused(change):
    with pytest.raises(ValueError, match=r".+"):
        Event.from_wire(GOOD | change)


@pytest.mark.parametrize("field", GOOD)
def test_no_field_of_the_envelope_may_be_missing(field):
    with pytest.raises(ValueError, match=field):
        Event.from_wire({name: value for name, value in GOOD.items() if name != field})


@pytest.mark.parametrize("frame", [b"[]", b"1", b"{", "null"])
def test_other_json_is_refused(frame):
    with pytest.raises(ValueError, match=r".+"):
        Event.from_wire(frame)


def test_a_payload_of_another_type_does_not_fit():
    wire = GOOD | {"type": "tool_completed"}

    with pytest.raises(ValidationError):
        Event.from_wire(wire).body()


@pytest.mark.parametrize("status", [RunStatus.WAITING, RunStatus.QUEUED, RunStatus.RUNNING])
def test_a_run_cannot_finish_with_a_status_that_is_no_end(status):
    assert not status.is_terminal
    with pytest.raises(ValidationError):
        RunFinished.model_validate({"status": status, "partial": False})


texts = st.text(st.characters(exclude_categories=["Cs"]))
json_objects = st.dictionaries(
    texts,
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)
moments = st.datetimes(
    min_value=datetime(2000, 1, 1),  # noqa: DTZ001 - the zone is drawn beside it
    timezones=st.just(UTC),
).map(lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000))
ids = st.uuids()


@given(
    arguments=json_objects,
    seq=st.integers(1, 2**63 - 1),
    event_id=ids,
    ts=moments,
    thread_id=st.none() | ids,
    run_id=st.none() | ids,
    agent=st.none() | st.sampled_from(AgentName),
    attempt=st.integers(0, 100),
)
def test_events_survive_the_wire(arguments, **envelope):
    payload = ToolExecuting(tool_call_id="c", tool="t", arguments=arguments)
    sent = Event.of(payload, **envelope)

    received = Event.from_wire(sent.encode())

    assert received == sent
    assert received.body() == payload

"""Replies and notices on the wire, plain and as JSON-RPC."""

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from pydantic import ValidationError

from apex_actors.protocol import (
    AgentName,
    AgentStatus,
    ConnectionReady,
    ErrorCode,
    ErrorNotice,
    HeartbeatAck,
    HistoryMessage,
    MessageAccepted,
    MessageRole,
    Mode,
    Ok,
    PingNotice,
    PongReply,
    Preferences,
    ProtocolViolation,
    Reply,
    ReplyFormat,
    ReplyTo,
    Resumed,
    RunCancelling,
    RunError,
    RunReply,
    RunState,
    RunStatus,
    RunStatusReply,
    RunStep,
    ServerShutdown,
    ServiceDegraded,
    ServiceRecovered,
    Thought,
    ThreadData,
    ThreadHistory,
    Threads,
    ThreadSummary,
    TokenExpiring,
    TokenRefreshed,
    ToolCall,
    ToolStatus,
    encode_reply,
)

ID = UUID("6f1c3f0e-3d67-4a86-9d3a-0c8f6a1d2b11")
TS = datetime(2026, 11, 22, 10, tzinfo=UTC)
WIRE_TS = "2026-11-22T10:00:00.000Z"

STEP = RunStep(
    agent=AgentName.DATA,
    status=AgentStatus.RUNNING,
    thinking=(Thought(reasoning="Totals first", progress=0.5),),
    tools=(ToolCall(tool_call_id="c", tool="totals", arguments={}, status=ToolStatus.RUNNING),),
)
WIRE_STEP = {
    "agent": "data",
    "status": "running",
    "thinking": [{"reasoning": "Totals first", "progress": 0.5}],
    "tools": [
        {
            "tool_call_id": "c",
            "tool": "totals",
            "arguments": {},
            "status": "running",
            "result": None,
            "duration_ms": None,
        }
    ],
    "result": None,
}
WIRE_TIMES = {
    "message_id": None,
    "accepted_at": None,
    "started_at": None,
    "finished_at": None,
    "partial": False,
    "error": None,
}
MESSAGE = HistoryMessage(
    id=ID, role=MessageRole.ASSISTANT, content="# Costs", created_at=TS, run_id=ID
)
WIRE_MESSAGE = {
    "id": str(ID),
    "role": "assistant",
    "content": "# Costs",
    "created_at": WIRE_TS,
    "run_id": str(ID),
}

EXAMPLES = [
    (
        ConnectionReady(
            connection_id="c1",
            user_id="ann",
            org="acme",
            server_time=TS,
            mode=Mode.FULL,
            heartbeat_interval_s=30,
            max_message_bytes=8192,
            token_expires_at=TS,
            thread_id=None,
            epoch="e",
            seq=120,
            recovered=None,
        ),
        {
            "type": "connection_ready",
            "connection_id": "c1",
            "user_id": "ann",
            "org": "acme",
            "server_time": WIRE_TS,
            "protocol": "apex.v1",
            "mode": "full",
            "heartbeat_interval_s": 30,
            "max_message_bytes": 8192,
            "token_expires_at": WIRE_TS,
            "thread_id": None,
            "epoch": "e",
            "seq": 120,
            "recovered": None,
        },
    ),
    (
        Resumed(epoch="e", seq=3, recovered=True),
        {"type": "resumed", "epoch": "e", "seq": 3, "recovered": True},
    ),
    (
        MessageAccepted(
            client_message_id="c",
            message_id=ID,
            thread_id=ID,
            run_id=ID,
            queue_position=0,
            duplicate=False,
        ),
        {
            "type": "message_accepted",
            "client_message_id": "c",
            "message_id": str(ID),
            "thread_id": str(ID),
            "run_id": str(ID),
            "queue_position": 0,
            "duplicate": False,
        },
    ),
    (RunCancelling(run_id=ID), {"type": "run_cancelling", "run_id": str(ID)}),
    (
        RunStatusReply(run_id=ID, status=RunStatus.COMPLETED),
        {"type": "run_status", "run_id": str(ID), "status": "completed"},
    ),
    (
        RunReply(run_id=ID, status=RunStatus.RUNNING, steps=(STEP,), seq=9),
        {
            "type": "run",
            "run_id": str(ID),
            "status": "running",
            "steps": [WIRE_STEP],
            "seq": 9,
            **WIRE_TIMES,
        },
    ),
    (
        Threads(
            threads=(ThreadSummary(thread_id=ID, title="Costs", created_at=TS, updated_at=TS),),
            next=None,
        ),
        {
            "type": "threads",
            "threads": [
                {
                    "thread_id": str(ID),
                    "title": "Costs",
                    "created_at": WIRE_TS,
                    "updated_at": WIRE_TS,
                    "preview": None,
                    "active_run_id": None,
                }
            ],
            "next": None,
        },
    ),
    (
        ThreadHistory(
            thread_id=ID,
            messages=(MESSAGE,),
            runs=(RunState(run_id=ID, status=RunStatus.RUNNING, steps=(STEP,), seq=9),),
            seq=9,
        ),
        {
            "type": "thread_history",
            "thread_id": str(ID),
            "messages": [WIRE_MESSAGE],
            "runs": [
                {
                    "run_id": str(ID),
                    "status": "running",
                    "steps": [WIRE_STEP],
                    "seq": 9,
                    **WIRE_TIMES,
                }
            ],
            "seq": 9,
        },
    ),
    (
        ThreadData(thread_id=ID, title="Costs", messages=(MESSAGE,), seq=9),
        {
            "type": "thread_data",
            "thread_id": str(ID),
            "title": "Costs",
            "messages": [WIRE_MESSAGE],
            "seq": 9,
        },
    ),
    (Ok(), {"type": "ok"}),
    (
        Preferences(preferences={"a": [1, None]}),
        {"type": "preferences", "preferences": {"a": [1, None]}},
    ),
    (
        TokenRefreshed(token_expires_at=TS),
        {"type": "token_refreshed", "token_expires_at": WIRE_TS},
    ),
    (PongReply(server_time=TS), {"type": "pong", "server_time": WIRE_TS}),
    (HeartbeatAck(server_time=TS), {"type": "heartbeat_ack", "server_time": WIRE_TS}),
    (
        ErrorNotice(code=ErrorCode.QUEUE_FULL, message="Wait."),
        {"type": "error", "code": "queue_full", "message": "Wait."},
    ),
    (
        ErrorNotice(
            code=ErrorCode.RATE_LIMITED,
            message="Slower.",
            retry_after_ms=500,
            details={"limit": 5},
        ),
        {
            "type": "error",
            "code": "rate_limited",
            "message": "Slower.",
            "retry_after_ms": 500,
            "details": {"limit": 5},
        },
    ),
    (PingNotice(server_time=TS), {"type": "ping", "server_time": WIRE_TS}),
    (
        ServerShutdown(reason="update", reconnect_after_ms=1500),
        {"type": "server_shutdown", "reason": "update", "reconnect_after_ms": 1500},
    ),
    (
        ServiceDegraded(components=("cache",), message="Slower than usual."),
        {"type": "service_degraded", "components": ["cache"], "message": "Slower than usual."},
    ),
    (
        ServiceRecovered(components=("cache",)),
        {"type": "service_recovered", "components": ["cache"]},
    ),
    (TokenExpiring(expires_in_s=60), {"type": "token_expiring", "expires_in_s": 60}),
]


@pytest.mark.parametrize(("notice", "wire"), EXAMPLES, ids=lambda value: type(value).__name__)
def test_each_notice_on_the_wire_and_back(notice, wire):
    """What is sent is what the protocol says; clients read it with the same model."""
    assert json.loads(notice.encode()) == wire
    assert type(notice).model_validate_json(notice.encode()) == notice
    assert type(notice).model_validate(wire) == notice


@pytest.mark.parametrize(("notice", "wire"), EXAMPLES, ids=lambda value: type(value).__name__)
def test_each_notice_is_what_the_document_says(notice, wire, wire_schema):
    wire_schema.received(wire)
    if isinstance(notice, Reply):
        wire_schema.received(json.loads(encode_reply(notice, ReplyTo("r1"))))
        to = ReplyTo(format=ReplyFormat.JSON_RPC, rpc_id=1)
        wire_schema.received(json.loads(encode_reply(notice, to)))


def test_the_document_forbids_what_no_notice_has(wire_schema):
    """A check that lets everything pass would find nothing."""
    for _, wire in EXAMPLES:
        for name in wire.keys() - {"type", "retry_after_ms", "details"}:
            with pytest.raises(AssertionError):
                wire_schema.received({key: wire[key] for key in wire if key != name})
        with pytest.raises(AssertionError):
            wire_schema.received(wire | {"extra": 1})


def test_a_run_that_failed_says_when_and_why(wire_schema):
    state = RunState(
        run_id=ID,
        status=RunStatus.FAILED,
        steps=(),
        seq=9,
        message_id=ID,
        accepted_at=TS,
        started_at=TS,
        finished_at=TS,
        partial=True,
        error=RunError(code="agent_failed", message="The data agent failed.", report_id=ID),
    )

    wire = json.loads(RunReply.of(state).encode())
    wire_schema.received(wire)
    assert wire == {
        "type": "run",
        "run_id": str(ID),
        "status": "failed",
        "steps": [],
        "seq": 9,
        "message_id": str(ID),
        "accepted_at": WIRE_TS,
        "started_at": WIRE_TS,
        "finished_at": WIRE_TS,
        "partial": True,
        "error": {
            "code": "agent_failed",
            "message": "The data agent failed.",
            "report_id": str(ID),
        },
    }


@pytest.mark.parametrize("kind", [PongReply, HeartbeatAck, PingNotice])
def test_the_time_is_said_with_one_frame_a_millisecond(kind):
    before = datetime.now(UTC)
    said = [kind.now() for _ in range(1000)]
    after = datetime.now(UTC)

    assert len({id(notice) for notice in said}) < len(said)
    assert said[0].encode() is said[0].encode()
    for notice in said:
        # Times on the wire are cut to milliseconds.
        assert before - timedelta(milliseconds=1) < notice.server_time <= after
        assert type(notice) is kind
        assert notice == kind(server_time=notice.server_time)


def test_a_copy_is_encoded_anew():
    """The frame is kept with the notice; a copy that says something else has its own."""
    reply = Ok()
    reply.encode()

    assert json.loads(reply.model_copy(update={"request_id": "r1"}).encode()) == {
        "type": "ok",
        "request_id": "r1",
    }


@pytest.mark.parametrize("request_id", ['"', "\\", "é\u2028", "</script>", "😀" * 128, "\n"])
def test_any_request_id_comes_back_as_it_was(request_id):
    """It is put into a frame that stands already, and must not break out of its place."""
    frame = encode_reply(Ok(), ReplyTo(request_id=request_id))

    assert json.loads(frame) == {"type": "ok", "request_id": request_id}


def test_an_echo_leaves_the_shared_frame_alone():
    pong = PongReply(server_time=TS)
    encode_reply(pong, ReplyTo(request_id="r1"))

    assert json.loads(encode_reply(pong)) == {"type": "pong", "server_time": WIRE_TS}


def test_the_type_comes_first():
    """A person reading the wire, and a parser that dispatches early, look there."""
    assert all(notice.encode().startswith(b'{"type":"') for notice, _ in EXAMPLES)


def test_a_plain_reply_echoes_the_request_id():
    frame = encode_reply(Ok(), ReplyTo(request_id="r1"))

    assert json.loads(frame) == {"type": "ok", "request_id": "r1"}


def test_a_json_rpc_reply_is_the_reply_as_result():
    to = ReplyTo(request_id="r1", format=ReplyFormat.JSON_RPC, rpc_id="a")

    assert json.loads(encode_reply(RunCancelling(run_id=ID), to)) == {
        "jsonrpc": "2.0",
        "id": "a",
        "result": {"type": "run_cancelling", "request_id": "r1", "run_id": str(ID)},
    }


def test_an_error_in_json_rpc_has_its_number_and_our_code():
    error = ErrorNotice(
        code=ErrorCode.RATE_LIMITED, message="Langsamer bitte: höchstens 5.", retry_after_ms=5
    )
    to = ReplyTo(format=ReplyFormat.JSON_RPC, rpc_id=3)

    assert json.loads(encode_reply(error, to)) == {
        "jsonrpc": "2.0",
        "id": 3,
        "error": {
            "code": -32005,
            "message": "Langsamer bitte: höchstens 5.",
            "data": {"code": "rate_limited", "retry_after_ms": 5},
        },
    }


def test_a_notification_gets_no_reply():
    assert encode_reply(Ok(), ReplyTo(format=ReplyFormat.NONE)) is None


def test_a_violation_becomes_its_notice():
    violation = ProtocolViolation(
        ErrorCode.THREAD_BUSY,
        "The thread has a run.",
        request_id="r1",
        retry_after_ms=100,
        details={"thread": 1},
    )

    assert violation.request_id == "r1"
    assert json.loads(encode_reply(violation.notice(), violation.reply_to)) == {
        "type": "error",
        "request_id": "r1",
        "code": "thread_busy",
        "message": "The thread has a run.",
        "retry_after_ms": 100,
        "details": {"thread": 1},
    }


def test_a_notice_with_a_field_nobody_knows_cannot_be_made():
    with pytest.raises(ValidationError):
        Ok(extra=1)


def test_a_history_shows_no_text_when_logged():
    assert "# Costs" not in repr(MESSAGE)

"""Replies and notices on the wire, plain and as JSON-RPC."""

import json
from datetime import UTC, datetime
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
    ReplyFormat,
    ReplyTo,
    Resumed,
    RunCancelling,
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
            "runs": [{"run_id": str(ID), "status": "running", "steps": [WIRE_STEP], "seq": 9}],
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

"""One frame of each kind, made with the models: what the page of the protocol shows."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from apex_actors.protocol import (
    Ack,
    AgentCompleted,
    AgentName,
    AgentStarted,
    AgentStatus,
    AgentThinking,
    Artifact,
    CancelRun,
    ChatMessage,
    ClientMessage,
    ConnectionReady,
    DeleteThread,
    ErrorCode,
    ErrorNotice,
    Event,
    EventPayload,
    EventRedacted,
    FinalResponse,
    GetPreferences,
    GetRun,
    GetThreadHistory,
    Heartbeat,
    HeartbeatAck,
    HistoryMessage,
    ListThreads,
    MessageAccepted,
    MessageCreated,
    MessageRole,
    Mode,
    Notice,
    Ok,
    Ping,
    PingNotice,
    Pong,
    PongReply,
    Preferences,
    PreferencesUpdated,
    RefreshToken,
    RenameThread,
    ReplyFormat,
    ReplyTo,
    Resumed,
    RetryRun,
    RunCancelling,
    RunFinished,
    RunQueued,
    RunReply,
    RunResumed,
    RunState,
    RunStatus,
    RunStatusReply,
    RunStep,
    ServerShutdown,
    ServiceDegraded,
    ServiceRecovered,
    SetPreferences,
    StartAgent,
    StopAgent,
    SwitchThread,
    Thought,
    ThreadData,
    ThreadDeleted,
    ThreadHistory,
    Threads,
    ThreadSummary,
    ThreadUpdated,
    TokenExpiring,
    TokenRefreshed,
    ToolCall,
    ToolCompleted,
    ToolExecuting,
    ToolStatus,
    UsageImported,
    UserMessage,
    encode_reply,
)

THREAD: Final = UUID("0b7f6c1e-5a9d-4f0e-9c61-2f4f0f5f7a10")
RUN: Final = UUID("3d2f8a44-7f0b-4a55-8b1d-6a0f4a5c9e21")
MESSAGE: Final = UUID("c8a1f0de-31b7-4f6a-a2c4-90b1de77c3f5")
ANSWER: Final = UUID("e41d9b02-6c3f-4a0d-8b53-1f7a2c9d8e64")
EVENT: Final = UUID("9f5e3c70-1b24-4d8e-a6f9-3c0b7d2e4f81")
IMPORT: Final = UUID("72c0e5a9-8d14-4b3f-9e27-5a6f1c0d3b98")
EPOCH: Final = "5f2c9f1e-7512048301334519842-1"
NOW: Final = datetime(2026, 11, 22, 10, 0, 0, 123000, tzinfo=UTC)
LATER: Final = datetime(2026, 11, 22, 10, 0, 4, 518000, tzinfo=UTC)
EXPIRY: Final = datetime(2026, 11, 22, 18, 0, 0, tzinfo=UTC)
QUESTION: Final = "Analyze my AI costs"

REQUEST_ID: Final = "r-1"

_QUESTION = HistoryMessage(
    id=MESSAGE, role=MessageRole.USER, content=QUESTION, created_at=NOW, run_id=RUN
)
_STEP = RunStep(
    agent=AgentName.DATA,
    status=AgentStatus.RUNNING,
    thinking=(Thought(reasoning="Which models cost most?", progress=0.4),),
    tools=(
        ToolCall(
            tool_call_id="data-1",
            tool="spend_by_model",
            arguments={"days": 30},
            status=ToolStatus.OK,
            result="5 models, $1,204.18",
            duration_ms=41,
        ),
    ),
)
_RUN = RunState(
    run_id=RUN,
    status=RunStatus.RUNNING,
    steps=(_STEP,),
    seq=127,
    message_id=MESSAGE,
    accepted_at=NOW,
    started_at=NOW,
)

_MESSAGES: Final[Iterable[ClientMessage]] = (
    UserMessage(text=QUESTION, client_message_id="m-1"),
    StartAgent(user_request=QUESTION, thread_id=THREAD, client_message_id="m-2"),
    RetryRun(run_id=RUN),
    CancelRun(run_id=RUN),
    StopAgent(thread_id=THREAD),
    GetRun(run_id=RUN),
    ListThreads(limit=20),
    GetThreadHistory(thread_id=THREAD),
    SwitchThread(thread_id=THREAD),
    RenameThread(thread_id=THREAD, title="AI costs in November"),
    DeleteThread(thread_id=THREAD),
    GetPreferences(),
    SetPreferences(preferences={"time_zone": "Europe/Berlin"}),
    RefreshToken.model_validate({"token": "header.claims.signature"}),
    Ping(),
    Heartbeat(),
    Pong(seq=127),
    Ack(seq=127),
)

_SAID: Final[Iterable[Notice]] = (
    ConnectionReady(
        connection_id="7c1e",
        user_id="ann",
        org="acme",
        server_time=NOW,
        mode=Mode.FULL,
        heartbeat_interval_s=30,
        max_message_bytes=8192,
        token_expires_at=EXPIRY,
        thread_id=THREAD,
        epoch=EPOCH,
        seq=120,
        recovered=True,
    ),
    PingNotice(server_time=NOW),
    TokenExpiring(expires_in_s=60),
    ServerShutdown(reason="The server restarts.", reconnect_after_ms=1420),
    ServiceDegraded(components=("cache",), message="Answers are computed anew."),
    ServiceRecovered(components=("cache",)),
    Resumed(epoch=EPOCH, seq=120, recovered=True),
    MessageAccepted(
        client_message_id="m-1",
        message_id=MESSAGE,
        thread_id=THREAD,
        run_id=RUN,
        queue_position=0,
        duplicate=False,
    ),
    RunCancelling(run_id=RUN),
    RunStatusReply(run_id=RUN, status=RunStatus.COMPLETED),
    RunReply.of(_RUN),
    Threads(
        threads=(
            ThreadSummary(
                thread_id=THREAD,
                title=QUESTION,
                created_at=NOW,
                updated_at=LATER,
                preview="You spent $1,204.18 in the last 30 days.",
            ),
        ),
        next=None,
    ),
    ThreadHistory(thread_id=THREAD, messages=(_QUESTION,), runs=(_RUN,), seq=127),
    ThreadData(thread_id=THREAD, title=QUESTION, messages=(_QUESTION,), seq=127),
    Ok(),
    Preferences(preferences={"time_zone": "Europe/Berlin"}),
    TokenRefreshed(token_expires_at=EXPIRY),
    PongReply(server_time=NOW),
    HeartbeatAck(server_time=NOW),
    ErrorNotice(
        code=ErrorCode.INVALID_MESSAGE,
        message="thread_id must be a UUID.",
        details={"field": "thread_id", "reason": "must be a UUID"},
    ),
)

_PAYLOADS: Final[Iterable[EventPayload]] = (
    MessageCreated(
        message=ChatMessage(id=MESSAGE, role=MessageRole.USER, content=QUESTION, created_at=NOW)
    ),
    RunQueued(position=1),
    AgentStarted(message="Looking at the usage records.", step=1, total_steps=3),
    AgentThinking(reasoning="Which models cost most?", progress=0.4),
    ToolExecuting(tool_call_id="data-1", tool="spend_by_model", arguments={"days": 30}),
    ToolCompleted(
        tool_call_id="data-1",
        tool="spend_by_model",
        status=ToolStatus.OK,
        result="5 models, $1,204.18",
        duration_ms=41,
    ),
    AgentCompleted(status=AgentStatus.OK, result="$1,204.18 in 30 days.", duration_ms=412),
    RunResumed(attempt=2, next_agent=AgentName.OPTIMIZATION),
    FinalResponse(
        content="# Your AI costs\n\nYou spent $1,204.18 in the last 30 days.",
        report={"total": "1204.18", "currency": "USD"},
        artifacts=(Artifact(name="Report", kind="html", url=f"/api/runs/{RUN}/report.html?…"),),
    ),
    RunFinished(status=RunStatus.COMPLETED, partial=False),
    ThreadUpdated(title="AI costs in November"),
    ThreadDeleted(),
    PreferencesUpdated(preferences={"time_zone": "Europe/Berlin"}),
    UsageImported(import_id=IMPORT, name="november.csv", inserted=1204, duplicates=3),
    EventRedacted(),
)

_OF_A_SUB_AGENT: Final = (AgentStarted, AgentThinking, ToolExecuting, ToolCompleted, AgentCompleted)
_OF_THE_SUPERVISOR: Final = (RunResumed, FinalResponse)
_OF_NO_RUN: Final = (PreferencesUpdated, UsageImported)
_OF_A_THREAD: Final = (ThreadUpdated, ThreadDeleted, EventRedacted)


def sent(model: type[ClientMessage]) -> dict[str, Any]:
    """A frame that a client sends."""
    [example] = (message for message in _MESSAGES if type(message) is model)
    frame = example.to_wire()
    return frame if model in {Pong, Ack} else {**frame, "request_id": REQUEST_ID}


def received(model: type[Notice]) -> dict[str, Any]:
    """What the server says, to the request above where it is a reply."""
    [example] = (notice for notice in _SAID if type(notice) is model)
    if "request_id" not in model.model_fields:
        return _read(example.encode())
    return _read(encode_reply(example, ReplyTo(REQUEST_ID)))  # type: ignore[arg-type]


def json_rpc() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """A request as JSON-RPC, what answers it, and how an error would."""
    request = {"jsonrpc": "2.0", "id": 7, "method": "cancel_run", "params": {"run_id": str(RUN)}}
    to = ReplyTo(format=ReplyFormat.JSON_RPC, rpc_id=7)
    error = ErrorNotice(code=ErrorCode.RUN_NOT_FOUND, message="There is no such run.")
    return (
        request,
        _read(encode_reply(RunCancelling(run_id=RUN), to)),
        _read(encode_reply(error, to)),
    )


def event(payload: type[EventPayload]) -> dict[str, Any]:
    """A whole event with this payload."""
    [example] = (said for said in _PAYLOADS if type(said) is payload)
    agent = None
    if payload in _OF_A_SUB_AGENT:
        agent = AgentName.DATA
    elif payload in _OF_THE_SUPERVISOR:
        agent = AgentName.SUPERVISOR
    in_run = payload not in {*_OF_NO_RUN, *_OF_A_THREAD}
    made = Event.of(
        example,
        seq=121,
        event_id=EVENT,
        ts=NOW,
        thread_id=None if payload in _OF_NO_RUN else THREAD,
        run_id=RUN if in_run else None,
        agent=agent,
        attempt=1 if agent else 0,
    )
    return _read(made.encode())


def _read(frame: bytes | None) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(frame or b"")
    return found

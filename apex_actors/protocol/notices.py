"""What the server says beside the log: direct replies and notices (protocol, sections 2, 3, 5).

None of these is numbered, stored or replayed.
"""

from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from apex_actors.protocol.codes import ErrorCode
from apex_actors.protocol.payloads import (
    AgentName,
    AgentStatus,
    ChatMessage,
    Count,
    JsonObject,
    Progress,
    RunStatus,
    ToolStatus,
)
from apex_actors.protocol.scalars import Seq, Timestamp, WireModel, WireUUID

PROTOCOL: Final = "apex.v1"
"""Name of this protocol; the subprotocol that the server selects."""


def _is_none(value: object) -> bool:
    return value is None


class Notice(WireModel):
    """Base of everything the server says that is no event."""

    type: str

    def encode(self) -> bytes:
        """The text frame."""
        return self.model_dump_json().encode()


class Reply(Notice):
    """A direct reply: echoes the request's id where it had one."""

    request_id: str | None = Field(default=None, exclude_if=_is_none)


# -- welcome and resuming --------------------------------------------------------------------


class Mode(StrEnum):
    """What the connection can do."""

    FULL = "full"
    DEGRADED = "degraded"
    """Without the log: no message is accepted, no event comes, until `resumed`."""


class ConnectionReady(Notice):
    """The first frame of every connection."""

    type: Literal["connection_ready"] = "connection_ready"
    connection_id: str
    user_id: str
    org: str
    server_time: Timestamp
    protocol: Literal["apex.v1"] = PROTOCOL
    mode: Annotated[Mode, Field(strict=False)]
    heartbeat_interval_s: Annotated[float, Field(gt=0)] | int
    max_message_bytes: Annotated[int, Field(gt=0)]
    token_expires_at: Timestamp
    thread_id: WireUUID | None
    epoch: str | None
    seq: Seq | None
    recovered: bool | None


class Resumed(Notice):
    """The log is back; events follow from `seq`."""

    type: Literal["resumed"] = "resumed"
    epoch: str
    seq: Seq
    recovered: bool | None


# -- direct replies --------------------------------------------------------------------------


class MessageAccepted(Reply):
    """Message and run are durable."""

    type: Literal["message_accepted"] = "message_accepted"
    client_message_id: str | None
    message_id: WireUUID
    thread_id: WireUUID
    run_id: WireUUID
    queue_position: Count
    """How many runs go before this one; 0 when it starts at once."""
    duplicate: bool


class RunCancelling(Reply):
    """The run is being stopped; its `run_finished` follows."""

    type: Literal["run_cancelling"] = "run_cancelling"
    run_id: WireUUID


class RunStatusReply(Reply):
    """The run had finished before it could be cancelled."""

    type: Literal["run_status"] = "run_status"
    run_id: WireUUID
    status: Annotated[RunStatus, Field(strict=False)]


class Thought(WireModel):
    """One `agent_thinking` of a step."""

    reasoning: str
    progress: Progress


class ToolCall(WireModel):
    """A tool call of a step; `result` and `duration_ms` are null while it runs."""

    tool_call_id: str
    tool: str
    arguments: JsonObject
    status: Annotated[ToolStatus, Field(strict=False)]
    result: str | None = None
    duration_ms: Count | None = None


class RunStep(WireModel):
    """What one agent of a run did so far; `result` is null while it works."""

    agent: Annotated[AgentName, Field(strict=False)]
    status: Annotated[AgentStatus, Field(strict=False)]
    thinking: tuple[Thought, ...] = Field(default=(), strict=False)
    tools: tuple[ToolCall, ...] = Field(default=(), strict=False)
    result: str | None = None


class RunState(WireModel):
    """All that a late joiner needs to draw a run; events up to `seq` are in it."""

    run_id: WireUUID
    status: Annotated[RunStatus, Field(strict=False)]
    steps: tuple[RunStep, ...] = Field(strict=False)
    seq: Seq


class RunReply(Reply):
    """Answers `get_run`; the fields of `RunState`."""

    type: Literal["run"] = "run"
    run_id: WireUUID
    status: Annotated[RunStatus, Field(strict=False)]
    steps: tuple[RunStep, ...] = Field(strict=False)
    seq: Seq


class ThreadSummary(WireModel):
    """A line in the list of threads."""

    thread_id: WireUUID
    title: str | None
    created_at: Timestamp
    updated_at: Timestamp


class Threads(Reply):
    """A page of threads, latest first; `next` is the `before` of the page after."""

    type: Literal["threads"] = "threads"
    threads: tuple[ThreadSummary, ...] = Field(strict=False)
    next: str | None


class HistoryMessage(ChatMessage):
    """A message of a thread, and the run it started or came from."""

    run_id: WireUUID | None


class ThreadHistory(Reply):
    """Messages and runs of a thread as of `seq`."""

    type: Literal["thread_history"] = "thread_history"
    thread_id: WireUUID
    messages: tuple[HistoryMessage, ...] = Field(strict=False)
    runs: tuple[RunState, ...] = Field(strict=False)
    seq: Seq


class ThreadData(Reply):
    """Answers `switch_thread`."""

    type: Literal["thread_data"] = "thread_data"
    thread_id: WireUUID
    title: str | None
    messages: tuple[HistoryMessage, ...] = Field(strict=False)
    seq: Seq


class Ok(Reply):
    """Done; what changed comes as an event."""

    type: Literal["ok"] = "ok"


class Preferences(Reply):
    """All preferences as they are now."""

    type: Literal["preferences"] = "preferences"
    preferences: JsonObject


class TokenRefreshed(Reply):
    """The connection now lives until then."""

    type: Literal["token_refreshed"] = "token_refreshed"
    token_expires_at: Timestamp


class PongReply(Reply):
    """Answers `ping`."""

    type: Literal["pong"] = "pong"
    server_time: Timestamp


class HeartbeatAck(Reply):
    """Answers `heartbeat`."""

    type: Literal["heartbeat_ack"] = "heartbeat_ack"
    server_time: Timestamp


class ErrorNotice(Reply):
    """The request was not served; the connection lives on."""

    type: Literal["error"] = "error"
    code: Annotated[ErrorCode, Field(strict=False)]
    message: str
    retry_after_ms: Count | None = Field(default=None, exclude_if=_is_none)
    details: dict[str, Any] | None = Field(default=None, exclude_if=_is_none)


# -- notices ---------------------------------------------------------------------------------


class PingNotice(Notice):
    """Any frame answers it; `pong {seq}` also confirms what was received."""

    type: Literal["ping"] = "ping"
    server_time: Timestamp


class ServerShutdown(Notice):
    """The server restarts; the delay differs between connections, so that not all come at once."""

    type: Literal["server_shutdown"] = "server_shutdown"
    reason: str
    reconnect_after_ms: Count


class ServiceDegraded(Notice):
    """Parts of the server are away."""

    type: Literal["service_degraded"] = "service_degraded"
    components: tuple[str, ...] = Field(strict=False)
    message: str


class ServiceRecovered(Notice):
    """They are back."""

    type: Literal["service_recovered"] = "service_recovered"
    components: tuple[str, ...] = Field(strict=False)


class TokenExpiring(Notice):
    """Time for `refresh_token`."""

    type: Literal["token_expiring"] = "token_expiring"
    expires_in_s: Count

"""What the server says beside the log: direct replies and notices (protocol, sections 2, 3, 5).

None of these is numbered, stored or replayed.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property, lru_cache
from time import time_ns
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field

from apex_actors.protocol.codes import ErrorCode
from apex_actors.protocol.payloads import (
    AgentName,
    AgentStatus,
    ChatMessage,
    Count,
    JsonObject,
    Progress,
    RunError,
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
        """The text frame. Encoded once: who sends it to many sends the same bytes."""
        return self._frame

    @cached_property
    def _frame(self) -> bytes:
        return self.model_dump_json().encode()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's; the copy is encoded anew."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("_frame", None)
        return copied


class Reply(Notice):
    """A direct reply: echoes the request's id where it had one."""

    request_id: str | None = Field(default=None, exclude_if=_is_none)
    """That of the message which this answers; left out where it had none."""


class ClockNotice(Notice):
    """Base of what tells the server's time and nothing else."""

    server_time: Timestamp
    """The server's clock as it said this."""

    @classmethod
    def now(cls) -> Self:
        """The notice of this millisecond: one instance, and one frame, for all who ask in it."""
        notice: Self = _at(cls, time_ns() // 1_000_000)
        return notice


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=8)
def _at(kind: type[ClockNotice], time_ms: int) -> Any:
    return kind.model_validate({"server_time": _EPOCH + timedelta(milliseconds=time_ms)})


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
    """Names the connection in the server's logs."""
    user_id: str
    """The token's `sub`."""
    org: str
    """The tenant that owns the cost data."""
    server_time: Timestamp
    """The server's clock as it said this."""
    protocol: Literal["apex.v1"] = PROTOCOL
    """Name and version of the protocol."""
    mode: Annotated[Mode, Field(strict=False)]
    """`degraded`: without the log, until `resumed`."""
    heartbeat_interval_s: Annotated[float, Field(gt=0)] | int
    """A `ping` comes this often; a peer silent for two of them is gone."""
    max_message_bytes: Annotated[int, Field(gt=0)]
    """A client's frame must be shorter than this."""
    token_expires_at: Timestamp
    """The connection ends then, unless `refresh_token` comes before."""
    thread_id: WireUUID | None
    """Where messages without `thread_id` go; null: to a new thread."""
    epoch: str | None
    """Names the log's incarnation; null in degraded mode."""
    seq: Seq | None
    """Events follow from here; null in degraded mode."""
    recovered: bool | None
    """Whether all after the client's position follows; null where it named none."""


class Resumed(Notice):
    """The log is back; events follow from `seq`."""

    type: Literal["resumed"] = "resumed"
    epoch: str
    """As in `connection_ready`."""
    seq: Seq
    """Events follow from here."""
    recovered: bool | None
    """As in `connection_ready`."""


# -- direct replies --------------------------------------------------------------------------


class MessageAccepted(Reply):
    """Message and run are durable."""

    type: Literal["message_accepted"] = "message_accepted"
    client_message_id: str | None
    """As the client gave it."""
    message_id: WireUUID
    """The message as it stands in the thread."""
    thread_id: WireUUID
    """The thread, a new one perhaps; it is the connection's current one now."""
    run_id: WireUUID
    """The run that answers the message; its events carry this id."""
    queue_position: Count
    """How many runs go before this one; 0 when it starts at once."""
    duplicate: bool
    """Whether the message had been accepted before, under the same `client_message_id`."""


class RunCancelling(Reply):
    """The run is being stopped; its `run_finished` follows."""

    type: Literal["run_cancelling"] = "run_cancelling"
    run_id: WireUUID
    """The run."""


class RunStatusReply(Reply):
    """The run had finished before it could be cancelled."""

    type: Literal["run_status"] = "run_status"
    run_id: WireUUID
    """The run."""
    status: Annotated[RunStatus, Field(strict=False)]
    """How it had ended."""


class Thought(WireModel):
    """One `agent_thinking` of a step."""

    reasoning: str
    """As in the event."""
    progress: Progress
    """As in the event."""


class ToolCall(WireModel):
    """A tool call of a step; `result` and `duration_ms` are null while it runs."""

    tool_call_id: str
    """As in the events."""
    tool: str
    """The tool's name."""
    arguments: JsonObject
    """What it was called with."""
    status: Annotated[ToolStatus, Field(strict=False)]
    """`running` until it has completed."""
    result: str | None = None
    """A summary."""
    duration_ms: Count | None = None
    """How long the call took."""


class RunStep(WireModel):
    """What one agent of a run did so far; `result` is null while it works."""

    agent: Annotated[AgentName, Field(strict=False)]
    """A sub-agent."""
    status: Annotated[AgentStatus, Field(strict=False)]
    """`running` until it has completed."""
    thinking: tuple[Thought, ...] = Field(default=(), strict=False)
    """What it considered, in order; of its latest try only."""
    tools: tuple[ToolCall, ...] = Field(default=(), strict=False)
    """What it called, in order; of its latest try only."""
    result: str | None = None
    """A summary."""


class RunState(WireModel):
    """All that a late joiner needs to draw a run; events up to `seq` are in it."""

    run_id: WireUUID
    """The run."""
    status: Annotated[RunStatus, Field(strict=False)]
    """Where it stands."""
    steps: tuple[RunStep, ...] = Field(strict=False)
    """What each sub-agent that began did so far, in the order they work."""
    seq: Seq
    """Events up to here are in it: drop them when they come."""
    message_id: WireUUID | None = None
    """The user's message that the run answers; a retry has that of the run before."""
    accepted_at: Timestamp | None = None
    """When the run was stored."""
    started_at: Timestamp | None = None
    """When its supervisor began; null while it waits, and when it was cancelled waiting."""
    finished_at: Timestamp | None = None
    """When it ended; null until then."""
    partial: bool = False
    """Whether the answer lacks a part; said when the run has ended."""
    error: RunError | None = None
    """Why the run did not complete; null where it did, and until it ends."""


class RunReply(RunState, Reply):
    """Answers `get_run`; the fields of `RunState`."""

    type: Literal["run"] = "run"

    @classmethod
    def of(cls, state: RunState) -> Self:
        """The reply that says `state`."""
        return cls(**dict(state))


class ThreadSummary(WireModel):
    """A line in the list of threads."""

    thread_id: WireUUID
    """The thread."""
    title: str | None
    """Made from the first message until somebody renames the thread."""
    created_at: Timestamp
    """When its first message was written."""
    updated_at: Timestamp
    """When its latest message was written: what the list is sorted by."""
    preview: str | None = None
    """Beginning of the latest message, in one line."""
    active_run_id: WireUUID | None = None
    """The run that goes on or waits first; null when the thread is idle."""


class Threads(Reply):
    """A page of threads, latest first; `next` is the `before` of the page after."""

    type: Literal["threads"] = "threads"
    threads: tuple[ThreadSummary, ...] = Field(strict=False)
    """The page."""
    next: str | None
    """`before` of the next page; null after the last."""


class HistoryMessage(ChatMessage):
    """A message of a thread, and the run it started or came from."""

    run_id: WireUUID | None
    """The run it started, or came from."""


class ThreadHistory(Reply):
    """Messages and runs of a thread as of `seq`."""

    type: Literal["thread_history"] = "thread_history"
    thread_id: WireUUID
    """The thread."""
    messages: tuple[HistoryMessage, ...] = Field(strict=False)
    """Oldest first."""
    runs: tuple[RunState, ...] = Field(strict=False)
    """The runs that these messages started or came from."""
    seq: Seq
    """Events up to here are in it: drop them when they come."""


class ThreadData(Reply):
    """Answers `switch_thread`."""

    type: Literal["thread_data"] = "thread_data"
    thread_id: WireUUID
    """The thread, now the current one."""
    title: str | None
    """As in the list of threads."""
    messages: tuple[HistoryMessage, ...] = Field(strict=False)
    """The latest of them, oldest first."""
    seq: Seq
    """Events up to here are in it: drop them when they come."""


class Ok(Reply):
    """Done; what changed comes as an event."""

    type: Literal["ok"] = "ok"


class Preferences(Reply):
    """All preferences as they are now."""

    type: Literal["preferences"] = "preferences"
    preferences: JsonObject
    """Name → value."""


class TokenRefreshed(Reply):
    """The connection now lives until then."""

    type: Literal["token_refreshed"] = "token_refreshed"
    token_expires_at: Timestamp
    """When the new token expires."""


class PongReply(ClockNotice, Reply):
    """Answers `ping`."""

    type: Literal["pong"] = "pong"


class HeartbeatAck(ClockNotice, Reply):
    """Answers `heartbeat`."""

    type: Literal["heartbeat_ack"] = "heartbeat_ack"


class ErrorNotice(Reply):
    """The request was not served; the connection lives on."""

    type: Literal["error"] = "error"
    code: Annotated[ErrorCode, Field(strict=False)]
    """What is wrong, for programs."""
    message: str
    """What is wrong and what to do, for people."""
    retry_after_ms: Count | None = Field(default=None, exclude_if=_is_none)
    """The same message may be sent again after this time."""
    details: dict[str, Any] | None = Field(default=None, exclude_if=_is_none)
    """Which field, which limit; never a value that the client sent."""


# -- notices ---------------------------------------------------------------------------------


class PingNotice(ClockNotice):
    """Any frame answers it; `pong {seq}` also confirms what was received."""

    type: Literal["ping"] = "ping"


class ServerShutdown(Notice):
    """The server restarts; the delay differs between connections, so that not all come at once."""

    type: Literal["server_shutdown"] = "server_shutdown"
    reason: str
    """For people."""
    reconnect_after_ms: Count
    """When to come back; another moment for each connection."""


class ServiceDegraded(Notice):
    """Parts of the server are away."""

    type: Literal["service_degraded"] = "service_degraded"
    components: tuple[str, ...] = Field(strict=False)
    """Which parts."""
    message: str
    """What does not work meanwhile, for people."""


class ServiceRecovered(Notice):
    """They are back."""

    type: Literal["service_recovered"] = "service_recovered"
    components: tuple[str, ...] = Field(strict=False)
    """Which parts."""


class TokenExpiring(Notice):
    """Time for `refresh_token`."""

    type: Literal["token_expiring"] = "token_expiring"
    expires_in_s: Count
    """The connection is closed with 4401 then."""

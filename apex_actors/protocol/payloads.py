"""What the durable events say: one immutable model an event type (protocol, section 4)."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, JsonValue

from apex_actors.protocol.scalars import Timestamp, WireModel, WireUUID


class EventType(StrEnum):
    """Types of durable events."""

    MESSAGE_CREATED = "message_created"
    RUN_QUEUED = "run_queued"
    AGENT_STARTED = "agent_started"
    AGENT_THINKING = "agent_thinking"
    TOOL_EXECUTING = "tool_executing"
    TOOL_COMPLETED = "tool_completed"
    AGENT_COMPLETED = "agent_completed"
    RUN_RESUMED = "run_resumed"
    FINAL_RESPONSE = "final_response"
    RUN_FINISHED = "run_finished"
    THREAD_UPDATED = "thread_updated"
    THREAD_DELETED = "thread_deleted"
    PREFERENCES_UPDATED = "preferences_updated"
    USAGE_IMPORTED = "usage_imported"
    EVENT_REDACTED = "event_redacted"


class AgentName(StrEnum):
    """Who speaks in a run."""

    SUPERVISOR = "supervisor"
    DATA = "data"
    OPTIMIZATION = "optimization"
    REPORT = "report"


SUB_AGENTS: Final = (AgentName.DATA, AgentName.OPTIMIZATION, AgentName.REPORT)
"""In the order they work."""


class MessageRole(StrEnum):
    """Who wrote a message."""

    USER = "user"
    ASSISTANT = "assistant"


class RunStatus(StrEnum):
    """Where a run stands; the last four are terminal and never change."""

    WAITING = "waiting"
    """Behind another run of its thread, or for a place under the user's cap."""
    QUEUED = "queued"
    """Ready for a worker."""
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Whether the run has ended."""
        return self not in {RunStatus.WAITING, RunStatus.QUEUED, RunStatus.RUNNING}


class AgentStatus(StrEnum):
    """How an agent fares."""

    RUNNING = "running"
    OK = "ok"
    DEGRADED = "degraded"
    """Finished with less than it wanted: its result says what is missing."""
    FAILED = "failed"


class ToolStatus(StrEnum):
    """How a tool call fares."""

    RUNNING = "running"
    """Only in the state of a run; a `tool_completed` has one of the others."""
    OK = "ok"
    ERROR = "error"
    TIMEOUT = "timeout"
    ABORTED = "aborted"
    """Closed for a call whose outcome nobody knows: its worker was lost or its run ended."""


JsonObject = dict[str, JsonValue]
Count = Annotated[int, Field(ge=0)]
DurationMs = Annotated[int, Field(ge=0)]
Progress = Annotated[float, Field(ge=0, le=1, strict=False)]
TerminalRunStatus = Literal[
    RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.CANCELLED
]
FinalAgentStatus = Literal[AgentStatus.OK, AgentStatus.DEGRADED, AgentStatus.FAILED]
FinalToolStatus = Literal[ToolStatus.OK, ToolStatus.ERROR, ToolStatus.TIMEOUT, ToolStatus.ABORTED]


class EventPayload(WireModel):
    """Base of the payloads; a payload knows the type of its event."""

    event_type: ClassVar[EventType]

    def to_json(self) -> dict[str, Any]:
        """The JSON-ready mapping that is stored and sent."""
        return self.model_dump(mode="json")


class ChatMessage(WireModel):
    """A message as it stands in its thread."""

    id: WireUUID
    role: Annotated[MessageRole, Field(strict=False)]
    content: Annotated[str, Field(repr=False)]
    created_at: Timestamp


class MessageCreated(EventPayload):
    """A message stands in the thread."""

    event_type = EventType.MESSAGE_CREATED
    message: ChatMessage


class RunQueued(EventPayload):
    """The run waits; `position` runs will go before it."""

    event_type = EventType.RUN_QUEUED
    position: Count


class AgentStarted(EventPayload):
    """An agent begins, for the `try`-th time, step `step` of `total_steps`."""

    event_type = EventType.AGENT_STARTED
    status: Literal[AgentStatus.RUNNING] = AgentStatus.RUNNING
    message: str
    step: Count
    total_steps: Count
    try_number: Annotated[int, Field(ge=1, alias="try")] = 1


class AgentThinking(EventPayload):
    """What the agent considers, and how far it is (0 to 1)."""

    event_type = EventType.AGENT_THINKING
    reasoning: str
    progress: Progress


class ToolExecuting(EventPayload):
    """A tool is being called."""

    event_type = EventType.TOOL_EXECUTING
    tool_call_id: Annotated[str, Field(min_length=1)]
    tool: Annotated[str, Field(min_length=1)]
    arguments: JsonObject


class ToolCompleted(EventPayload):
    """The call is over; `result` is a summary for people."""

    event_type = EventType.TOOL_COMPLETED
    tool_call_id: Annotated[str, Field(min_length=1)]
    tool: Annotated[str, Field(min_length=1)]
    status: FinalToolStatus
    result: str
    duration_ms: DurationMs


class AgentCompleted(EventPayload):
    """The agent is done; `result` is a summary for people."""

    event_type = EventType.AGENT_COMPLETED
    status: FinalAgentStatus
    result: str
    duration_ms: DurationMs


class RunResumed(EventPayload):
    """Another worker took the run over and goes on with `next_agent`.

    `next_agent` is the supervisor where only the answer is left to be given.
    """

    event_type = EventType.RUN_RESUMED
    attempt: Annotated[int, Field(ge=1)]
    next_agent: Annotated[AgentName, Field(strict=False)]


class Artifact(WireModel):
    """A file that belongs to an answer; the URL is good for a short time."""

    name: str
    kind: str
    url: str


class FinalResponse(EventPayload):
    """The answer: Markdown for people, and the same as structure."""

    event_type = EventType.FINAL_RESPONSE
    content: Annotated[str, Field(repr=False)]
    report: Annotated[JsonObject, Field(repr=False)]
    artifacts: tuple[Artifact, ...] = Field(default=(), strict=False)


class RunError(WireModel):
    """Why a run did not complete; `report_id` names the stored error report."""

    code: str
    message: str
    report_id: WireUUID | None = None


class RunFinished(EventPayload):
    """The run has ended; nothing of it follows."""

    event_type = EventType.RUN_FINISHED
    status: TerminalRunStatus
    partial: bool
    error: RunError | None = Field(default=None, exclude_if=lambda error: error is None)


class ThreadUpdated(EventPayload):
    """The event's thread has another title."""

    event_type = EventType.THREAD_UPDATED
    title: str


class ThreadDeleted(EventPayload):
    """The event's thread is gone."""

    event_type = EventType.THREAD_DELETED


class PreferencesUpdated(EventPayload):
    """All preferences as they are now."""

    event_type = EventType.PREFERENCES_UPDATED
    preferences: JsonObject


class UsageImported(EventPayload):
    """Usage records came in, or (`undone`) an import was taken back."""

    event_type = EventType.USAGE_IMPORTED
    import_id: WireUUID
    name: str
    inserted: Count
    duplicates: Count = 0
    rejected: Count = 0
    undone: bool = False


class EventRedacted(EventPayload):
    """Stands where an event of a deleted thread stood, and keeps its `seq`."""

    event_type = EventType.EVENT_REDACTED


PAYLOAD_TYPES: Final[Mapping[EventType, type[EventPayload]]] = MappingProxyType(
    {
        payload.event_type: payload
        for payload in (
            MessageCreated,
            RunQueued,
            AgentStarted,
            AgentThinking,
            ToolExecuting,
            ToolCompleted,
            AgentCompleted,
            RunResumed,
            FinalResponse,
            RunFinished,
            ThreadUpdated,
            ThreadDeleted,
            PreferencesUpdated,
            UsageImported,
            EventRedacted,
        )
    }
)
"""Event type → the model of its payload."""

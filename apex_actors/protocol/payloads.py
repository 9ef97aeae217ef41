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
    """Of a user's message: the `message_id` of its `message_accepted`."""
    role: Annotated[MessageRole, Field(strict=False)]
    """Who wrote it."""
    content: Annotated[str, Field(repr=False)]
    """What the user wrote, or the answer in Markdown."""
    created_at: Timestamp
    """When it was stored."""


class MessageCreated(EventPayload):
    """A message stands in the thread."""

    event_type = EventType.MESSAGE_CREATED
    message: ChatMessage
    """The message."""


class RunQueued(EventPayload):
    """The run waits; `position` runs will go before it."""

    event_type = EventType.RUN_QUEUED
    position: Count
    """How many runs go before."""


class AgentStarted(EventPayload):
    """An agent begins, for the `try`-th time, step `step` of `total_steps`."""

    event_type = EventType.AGENT_STARTED
    status: Literal[AgentStatus.RUNNING] = AgentStatus.RUNNING
    """Always the same."""
    message: str
    """What it is about to do, for people."""
    step: Count
    """Which step of the run this is; 0 for the supervisor."""
    total_steps: Count
    """How many steps the run has."""
    try_number: Annotated[int, Field(ge=1, alias="try")] = 1
    """Counts from 1; more where the agent is started again."""


class AgentThinking(EventPayload):
    """What the agent considers, and how far it is (0 to 1)."""

    event_type = EventType.AGENT_THINKING
    reasoning: str
    """For people."""
    progress: Progress
    """Of the agent's own work."""


class ToolExecuting(EventPayload):
    """A tool is being called."""

    event_type = EventType.TOOL_EXECUTING
    tool_call_id: Annotated[str, Field(min_length=1)]
    """Finds the call's `tool_completed`; calls may overlap."""
    tool: Annotated[str, Field(min_length=1)]
    """The tool's name."""
    arguments: JsonObject
    """What it is called with."""


class ToolCompleted(EventPayload):
    """The call is over; `result` is a summary for people."""

    event_type = EventType.TOOL_COMPLETED
    tool_call_id: Annotated[str, Field(min_length=1)]
    """That of the call's `tool_executing`."""
    tool: Annotated[str, Field(min_length=1)]
    """The tool's name."""
    status: FinalToolStatus
    """`aborted`: nobody knows how it ended, because its worker was lost or its run ended."""
    result: str
    """A summary."""
    duration_ms: DurationMs
    """How long the call took."""


class AgentCompleted(EventPayload):
    """The agent is done; `result` is a summary for people."""

    event_type = EventType.AGENT_COMPLETED
    status: FinalAgentStatus
    """`degraded`: done with less than it wanted; `result` says what is missing."""
    result: str
    """A summary."""
    duration_ms: DurationMs
    """How long the agent took."""


class RunResumed(EventPayload):
    """Another worker took the run over and goes on with `next_agent`.

    `next_agent` is the supervisor where only the answer is left to be given.
    """

    event_type = EventType.RUN_RESUMED
    attempt: Annotated[int, Field(ge=1)]
    """Counts the workers that claimed the run."""
    next_agent: Annotated[AgentName, Field(strict=False)]
    """Who goes on."""


class Artifact(WireModel):
    """A file that belongs to an answer; the URL is good for a short time."""

    name: str
    """For people."""
    kind: str
    """The format, such as `html` or `svg`."""
    url: str
    """Where to get it, without a token; good for a short time."""


class FinalResponse(EventPayload):
    """The answer: Markdown for people, and the same as structure."""

    event_type = EventType.FINAL_RESPONSE
    content: Annotated[str, Field(repr=False)]
    """Markdown."""
    report: Annotated[JsonObject, Field(repr=False)]
    """The same figures as structure; empty where the answer is only text."""
    artifacts: tuple[Artifact, ...] = Field(default=(), strict=False)
    """Files that belong to the answer."""


class RunError(WireModel):
    """Why a run did not complete; `report_id` names the stored error report."""

    code: str
    """For programs."""
    message: str
    """For people."""
    report_id: WireUUID | None = None
    """Finds the stored error report."""


class RunFinished(EventPayload):
    """The run has ended; nothing of it follows."""

    event_type = EventType.RUN_FINISHED
    status: TerminalRunStatus
    """How it ended."""
    partial: bool
    """Whether an answer was given that lacks a part."""
    error: RunError | None = Field(default=None, exclude_if=lambda error: error is None)
    """Why it did not complete; left out where it did."""


class ThreadUpdated(EventPayload):
    """The event's thread has another title."""

    event_type = EventType.THREAD_UPDATED
    title: str
    """The new one."""


class ThreadDeleted(EventPayload):
    """The event's thread is gone."""

    event_type = EventType.THREAD_DELETED


class PreferencesUpdated(EventPayload):
    """All preferences as they are now."""

    event_type = EventType.PREFERENCES_UPDATED
    preferences: JsonObject
    """Name → value, all of them."""


class UsageImported(EventPayload):
    """Usage records came in, or (`undone`) an import was taken back."""

    event_type = EventType.USAGE_IMPORTED
    import_id: WireUUID
    """Names the import, to undo it."""
    name: str
    """What was imported."""
    inserted: Count
    """Records that came in, or went out."""
    duplicates: Count = 0
    """Records that were there already."""
    rejected: Count = 0
    """Records that could not be read."""
    undone: bool = False
    """Whether the import was taken back."""


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

"""What is known of a run so far, gathered from its events: the state behind the views."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from apex_actors.protocol import (
    SUB_AGENTS,
    AgentCompleted,
    AgentName,
    AgentStarted,
    AgentStatus,
    AgentThinking,
    Event,
    FinalResponse,
    MessageCreated,
    MessageRole,
    RunFinished,
    RunQueued,
    ToolCompleted,
    ToolExecuting,
    ToolStatus,
)


@dataclass(slots=True)
class ToolPicture:
    """A tool call."""

    tool: str
    arguments: dict[str, Any]
    status: ToolStatus = ToolStatus.RUNNING
    result: str = ""
    duration_ms: int | None = None


@dataclass(slots=True)
class AgentPicture:
    """An agent at work, or done."""

    name: AgentName
    message: str
    started_s: float
    try_number: int = 1
    status: AgentStatus = AgentStatus.RUNNING
    thought: str = ""
    progress: float = 0.0
    tools: dict[str, ToolPicture] = field(default_factory=dict)
    result: str = ""
    duration_ms: int | None = None


class RunPicture:
    """Fed the events of one run; a view draws it at any time. `clock` counts seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.question = ""
        self.position: int | None = None
        """How many runs go before, while the run waits."""
        self.agents: dict[AgentName, AgentPicture] = {}
        self.answer: FinalResponse | None = None
        self.outcome: RunFinished | None = None

    def apply(self, event: Event) -> None:
        """Take in one more event; ValueError where its payload is not what its type says."""
        body = event.body()
        match body:
            case MessageCreated() if body.message.role is MessageRole.USER:
                self.question = body.message.content
            case RunQueued():
                self.position = body.position
            case FinalResponse():
                self.answer = body
            case RunFinished():
                self.outcome = body
            case AgentStarted() if event.agent is not None:
                self.position = None
                self.agents[event.agent] = AgentPicture(
                    event.agent, body.message, self._clock(), body.try_number
                )
            case AgentThinking() | ToolExecuting() | ToolCompleted() | AgentCompleted():
                agent = self.agents.get(event.agent) if event.agent is not None else None
                # Of a run that was joined late the beginning is missing.
                if agent is not None:
                    _work(agent, body)

    @property
    def sub_agents(self) -> list[AgentPicture]:
        """Those that began, in the order they work."""
        return [self.agents[name] for name in SUB_AGENTS if name in self.agents]

    def elapsed_s(self, agent: AgentPicture) -> float:
        """How long the agent has worked, or worked in all."""
        if agent.duration_ms is not None:
            return agent.duration_ms / 1000
        return self._clock() - agent.started_s


def _work(
    agent: AgentPicture, body: AgentThinking | ToolExecuting | ToolCompleted | AgentCompleted
) -> None:
    match body:
        case AgentThinking():
            agent.thought = body.reasoning
            agent.progress = body.progress
        case ToolExecuting():
            agent.tools[body.tool_call_id] = ToolPicture(body.tool, dict(body.arguments))
        case ToolCompleted():
            tool = agent.tools.setdefault(body.tool_call_id, ToolPicture(body.tool, {}))
            tool.status = body.status
            tool.result = body.result
            tool.duration_ms = body.duration_ms
        case AgentCompleted():
            agent.status = body.status
            agent.result = body.result
            agent.duration_ms = body.duration_ms

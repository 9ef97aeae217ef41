"""What a run has opened and not yet closed: agents at work, tool calls in flight."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from apex_actors.protocol.events import Event
from apex_actors.protocol.payloads import (
    AgentCompleted,
    AgentName,
    AgentStatus,
    EventPayload,
    EventType,
    ToolCompleted,
    ToolStatus,
)


@dataclass(frozen=True, slots=True)
class Said:
    """One payload and who says it; None where nobody does."""

    agent: AgentName | None
    payload: EventPayload


@dataclass(frozen=True, slots=True)
class _OpenTool:
    agent: AgentName | None
    tool: str
    since: datetime


@dataclass(slots=True)
class RunLedger:
    """Fed with all that a run says, in order; knows what an early end or a takeover must close.

    The grammar of a run asks that every ``tool_executing`` and ``agent_started`` has its end.
    """

    _tools: dict[str, _OpenTool] = field(default_factory=dict)
    _agents: dict[AgentName, datetime] = field(default_factory=dict)
    _tries: dict[AgentName, int] = field(default_factory=dict)

    @classmethod
    def of(cls, events: Iterable[Event]) -> "RunLedger":
        """The ledger of a run as the log tells it."""
        ledger = cls()
        for event in events:
            ledger._note(event.type, event.agent, event.payload, event.ts)
        return ledger

    def note(self, said: Said, ts: datetime) -> None:
        """Take notice of ``said``."""
        if said.payload.event_type in _NOTED:
            self._note(said.payload.event_type, said.agent, said.payload.to_json(), ts)

    def tries(self, agent: AgentName) -> int:
        """How often the agent has been started in this run."""
        return self._tries.get(agent, 0)

    def close_tools(self) -> list[Said]:
        """The ends of the tool calls in flight, as aborted."""
        now = datetime.now(UTC)
        return [
            Said(
                tool.agent,
                ToolCompleted(
                    tool_call_id=call_id,
                    tool=tool.tool,
                    status=ToolStatus.ABORTED,
                    result="The call was given up: its outcome is not known.",
                    duration_ms=_ms(tool.since, now),
                ),
            )
            for call_id, tool in self._tools.items()
        ]

    def close_all(self, reason: str) -> list[Said]:
        """The ends of everything open, the supervisor's last."""
        now = datetime.now(UTC)
        agents = sorted(self._agents.items(), key=lambda item: item[0] is AgentName.SUPERVISOR)
        return self.close_tools() + [
            Said(
                agent,
                AgentCompleted(
                    status=AgentStatus.FAILED, result=reason, duration_ms=_ms(since, now)
                ),
            )
            for agent, since in agents
        ]

    def _note(self, kind: EventType, agent: AgentName | None, payload: Any, ts: datetime) -> None:
        match kind:
            case EventType.TOOL_EXECUTING:
                self._tools[payload["tool_call_id"]] = _OpenTool(agent, payload["tool"], ts)
            case EventType.TOOL_COMPLETED:
                self._tools.pop(payload["tool_call_id"], None)
            case EventType.AGENT_STARTED if agent is not None:
                self._agents.setdefault(agent, ts)
                self._tries[agent] = self._tries.get(agent, 0) + 1
            case EventType.AGENT_COMPLETED if agent is not None:
                self._agents.pop(agent, None)


_NOTED = frozenset(
    {
        EventType.TOOL_EXECUTING,
        EventType.TOOL_COMPLETED,
        EventType.AGENT_STARTED,
        EventType.AGENT_COMPLETED,
    }
)


def _ms(since: datetime, now: datetime) -> int:
    return max(0, round((now - since).total_seconds() * 1000))

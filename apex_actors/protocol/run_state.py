"""From a run's events to its state: all that somebody who comes late needs to draw it."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from apex_actors.protocol.events import Event
from apex_actors.protocol.notices import RunState, RunStep, Thought, ToolCall
from apex_actors.protocol.payloads import (
    SUB_AGENTS,
    AgentName,
    AgentStatus,
    EventType,
    RunStatus,
    ToolStatus,
)


def run_state(run_id: UUID, status: RunStatus, events: Iterable[Event], *, seq: int) -> RunState:
    """The state of a run after ``events`` (all of the run's up to ``seq``, in order)."""
    steps: dict[AgentName, dict[str, Any]] = {}
    for event in events:
        if event.agent not in SUB_AGENTS or event.type is EventType.EVENT_REDACTED:
            continue
        step = steps.setdefault(
            event.agent,
            {"status": AgentStatus.RUNNING, "thinking": [], "tools": {}, "result": None},
        )
        _apply(step, event)
    return RunState(
        run_id=run_id,
        status=status,
        steps=tuple(
            RunStep(
                agent=agent,
                status=step["status"],
                thinking=tuple(step["thinking"]),
                tools=tuple(ToolCall(**tool) for tool in step["tools"].values()),
                result=step["result"],
            )
            for agent, step in steps.items()
        ),
        seq=seq,
    )


def _apply(step: dict[str, Any], event: Event) -> None:
    payload = event.payload
    match event.type:
        case EventType.AGENT_STARTED:
            # A restarted agent begins anew: what the failed try said is history.
            step.update(status=AgentStatus.RUNNING, thinking=[], tools={}, result=None)
        case EventType.AGENT_THINKING:
            step["thinking"].append(
                Thought(reasoning=payload["reasoning"], progress=payload["progress"])
            )
        case EventType.TOOL_EXECUTING:
            step["tools"][payload["tool_call_id"]] = {
                "tool_call_id": payload["tool_call_id"],
                "tool": payload["tool"],
                "arguments": payload["arguments"],
                "status": ToolStatus.RUNNING,
            }
        case EventType.TOOL_COMPLETED:
            tool = step["tools"].get(payload["tool_call_id"])
            if tool is not None:
                tool.update(
                    status=ToolStatus(payload["status"]),
                    result=payload["result"],
                    duration_ms=payload["duration_ms"],
                )
        case EventType.AGENT_COMPLETED:
            step.update(status=AgentStatus(payload["status"]), result=payload["result"])

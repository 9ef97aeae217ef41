"""From a run's events to its state: all that somebody who comes late needs to draw it."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from apex_actors.protocol.events import Event
from apex_actors.protocol.notices import RunState, RunStep, Thought, ToolCall
from apex_actors.protocol.payloads import (
    SUB_AGENTS,
    AgentName,
    AgentStatus,
    EventType,
    MessageRole,
    RunError,
    RunStatus,
    ToolStatus,
)


def run_state(
    run_id: UUID,
    status: RunStatus,
    events: Iterable[Event],
    *,
    seq: int,
    message_id: UUID | None = None,
    accepted_at: datetime | None = None,
    started_at: datetime | None = None,
    finished_at: datetime | None = None,
    partial: bool | None = None,
    error: RunError | None = None,
) -> RunState:
    """The state of a run after ``events`` (all of the run's up to ``seq``, in order).

    What its row says goes before what can be read from the events, some of which may have been
    trimmed: message, times, ``partial`` and ``error``.
    """
    steps: dict[AgentName, dict[str, Any]] = {}
    for event in events:
        match event.type:
            case EventType.MESSAGE_CREATED if _is_question(event):
                message_id = message_id or UUID(event.payload["message"]["id"])
                accepted_at = accepted_at or event.ts
            case EventType.AGENT_STARTED if event.agent is AgentName.SUPERVISOR:
                started_at = started_at or event.ts
            case EventType.RUN_FINISHED:
                finished_at = finished_at or event.ts
                partial = event.payload["partial"] if partial is None else partial
                if error is None and event.payload.get("error") is not None:
                    error = RunError.model_validate(event.payload["error"])
            case EventType.EVENT_REDACTED:
                pass
            case _ if event.agent in SUB_AGENTS:
                _apply(steps.setdefault(event.agent, _new_step()), event)
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
        message_id=message_id,
        accepted_at=accepted_at,
        started_at=started_at,
        finished_at=finished_at,
        partial=bool(partial),
        error=error,
    )


def _is_question(event: Event) -> bool:
    return bool(event.payload["message"]["role"] == MessageRole.USER)


def _new_step() -> dict[str, Any]:
    return {"status": AgentStatus.RUNNING, "thinking": [], "tools": {}, "result": None}


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

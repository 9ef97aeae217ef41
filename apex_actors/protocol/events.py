"""The durable event: an envelope with a place in its user's log.

Hands on what stands in the envelope, the names and payloads of `payloads`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Self
from uuid import UUID

from apex_actors.protocol.payloads import (
    PAYLOAD_TYPES,
    SUB_AGENTS,
    AgentCompleted,
    AgentName,
    AgentStarted,
    AgentStatus,
    AgentThinking,
    Artifact,
    ChatMessage,
    EventPayload,
    EventRedacted,
    EventType,
    FinalResponse,
    MessageCreated,
    MessageRole,
    PreferencesUpdated,
    RunError,
    RunFinished,
    RunQueued,
    RunResumed,
    RunStatus,
    ThreadDeleted,
    ThreadUpdated,
    ToolCompleted,
    ToolExecuting,
    ToolStatus,
    UsageImported,
)
from apex_actors.protocol.scalars import MAX_SEQ, format_timestamp, parse_timestamp

__all__ = [
    "PAYLOAD_TYPES",
    "SUB_AGENTS",
    "AgentCompleted",
    "AgentName",
    "AgentStarted",
    "AgentStatus",
    "AgentThinking",
    "Artifact",
    "ChatMessage",
    "Event",
    "EventPayload",
    "EventRedacted",
    "EventType",
    "FinalResponse",
    "MessageCreated",
    "MessageRole",
    "PreferencesUpdated",
    "RunError",
    "RunFinished",
    "RunQueued",
    "RunResumed",
    "RunStatus",
    "ThreadDeleted",
    "ThreadUpdated",
    "ToolCompleted",
    "ToolExecuting",
    "ToolStatus",
    "UsageImported",
    "is_event",
]

_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_REQUIRED: Final = frozenset(
    {"type", "seq", "event_id", "ts", "thread_id", "run_id", "attempt", "payload"}
)
_KNOWN: Final = _REQUIRED | {"agent"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event of a user's log, as stored and as sent.

    `payload` is JSON-ready (`EventPayload.to_json`) and must not be changed afterwards.
    `attempt` counts the workers that claimed the run; it is 0 for events of no run.
    """

    type: EventType
    seq: int
    event_id: UUID
    ts: datetime
    thread_id: UUID | None = None
    run_id: UUID | None = None
    agent: AgentName | None = None
    attempt: int = 0
    payload: Mapping[str, Any] = field(repr=False)
    _frame: bytes | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        payload: EventPayload,
        *,
        seq: int,
        event_id: UUID,
        ts: datetime,
        thread_id: UUID | None = None,
        run_id: UUID | None = None,
        agent: AgentName | None = None,
        attempt: int = 0,
    ) -> Self:
        """The event that says `payload`."""
        return cls(
            type=payload.event_type,
            seq=seq,
            event_id=event_id,
            ts=ts,
            thread_id=thread_id,
            run_id=run_id,
            agent=agent,
            attempt=attempt,
            payload=payload.to_json(),
        )

    def encode(self) -> bytes:
        """The text frame. Encoded once: all connections of the user share the same bytes."""
        frame = self._frame
        if frame is None:
            frame = _ENCODER.encode(self.to_wire()).encode()
            object.__setattr__(self, "_frame", frame)
        return frame

    def to_wire(self) -> dict[str, Any]:
        """The frame as a mapping; `agent` is left out where nobody speaks."""
        wire: dict[str, Any] = {
            "type": self.type,
            "seq": self.seq,
            "event_id": str(self.event_id),
            "ts": format_timestamp(self.ts),
            "thread_id": None if self.thread_id is None else str(self.thread_id),
            "run_id": None if self.run_id is None else str(self.run_id),
        }
        if self.agent is not None:
            wire["agent"] = self.agent
        wire["attempt"] = self.attempt
        wire["payload"] = self.payload
        return wire

    @classmethod
    def from_wire(
        cls, wire: bytes | str | Mapping[str, Any], *, ignore_unknown: bool = False
    ) -> Self:
        """Read a frame; ValueError with the field's name when it is not an event.

        `ignore_unknown`: a newer server may say more than we know. The payload is taken as it is:
        `body` checks it.
        """
        raw = json.loads(wire) if isinstance(wire, bytes | str) else wire
        if not isinstance(raw, Mapping):
            raise ValueError("an event is a JSON object")  # noqa: TRY004 - bad data, not a bad call
        missing = _REQUIRED - raw.keys()
        unknown = set() if ignore_unknown else raw.keys() - _KNOWN
        if missing or unknown:
            wrong = ", ".join(sorted(missing or unknown))
            raise ValueError(f"not the fields of an event: {wrong}")
        agent = raw.get("agent")
        return cls(
            type=EventType(raw["type"]),
            seq=_integer(raw, "seq", least=1),
            event_id=_uuid(raw, "event_id"),
            ts=_moment(raw["ts"]),
            thread_id=None if raw["thread_id"] is None else _uuid(raw, "thread_id"),
            run_id=None if raw["run_id"] is None else _uuid(raw, "run_id"),
            agent=None if agent is None else AgentName(agent),
            attempt=_integer(raw, "attempt", least=0),
            payload=_object(raw, "payload"),
        )

    def body(self, *, ignore_unknown: bool = False) -> EventPayload:
        """The payload as its model; pydantic.ValidationError (a ValueError) where it does not fit.

        `ignore_unknown`: as in `from_wire`.
        """
        return PAYLOAD_TYPES[self.type].model_validate(
            self.payload, extra="ignore" if ignore_unknown else None
        )


def is_event(wire: Mapping[str, Any]) -> bool:
    """Whether a received frame is a durable event (only these are numbered) or a notice."""
    return "event_id" in wire


def _integer(raw: Mapping[str, Any], name: str, *, least: int) -> int:
    value = raw[name]
    if type(value) is not int or not least <= value <= MAX_SEQ:
        raise ValueError(f"{name} must be an integer from {least}")
    return value


def _uuid(raw: Mapping[str, Any], name: str) -> UUID:
    value = raw[name]
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a UUID")  # noqa: TRY004 - bad data, not a bad call
    return UUID(value)


def _moment(value: Any) -> datetime:
    if not isinstance(value, str):
        raise ValueError("ts must be a timestamp")  # noqa: TRY004 - bad data, not a bad call
    return parse_timestamp(value)


def _object(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = raw[name]
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} must be an object")  # noqa: TRY004 - bad data, not a bad call
    return value

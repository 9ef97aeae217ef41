"""JSON Schemas of everything on the wire, made from the models.

They describe frames as they are sent: `type` is always there, `try` has its name of the wire, ids
and times are strings. Messages appear in their own names only; aliases, nesting under `payload`
and JSON-RPC are ways to write the same message, and the documents say so in words.
"""

from collections.abc import Iterable
from typing import Any, Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from apex_actors.protocol.exchanges import NOTICES, REPLIES
from apex_actors.protocol.messages import MESSAGE_TYPES
from apex_actors.protocol.payloads import PAYLOAD_TYPES, AgentName, EventPayload, EventType
from apex_actors.protocol.scalars import MAX_ID_CHARS, MAX_SEQ

REF: Final = "#/components/schemas/"

Schema = dict[str, Any]


def wire_schemas() -> dict[str, Schema]:
    """Name → schema: each message, reply and notice under its model's name, each event as
    `AgentStartedEvent` with its payload as `AgentStarted`, the frames of JSON-RPC, and what these
    are made of.
    """
    received: list[type[BaseModel]] = list(MESSAGE_TYPES.values())
    sent: list[type[BaseModel]] = [*REPLIES, *NOTICES, *PAYLOAD_TYPES.values()]
    _, made = models_json_schema(
        [
            *_in_mode("validation", received),
            *_in_mode("serialization", sent),
        ],
        ref_template=REF + "{model}",
        schema_generator=_Plain,
    )
    schemas: dict[str, Schema] = dict(made["$defs"])
    for model in received:
        _require(schemas[model.__name__], model, is_sent=False)
    for model in (*sent, *_parts(sent)):
        _require(schemas[model.__name__], model, is_sent=True)
    for kind, payload in PAYLOAD_TYPES.items():
        schemas[event_name(payload)] = _event(kind, payload)
    schemas |= _json_rpc([reply.__name__ for reply in REPLIES])
    return schemas


def _in_mode(
    mode: JsonSchemaMode, models: Iterable[type[BaseModel]]
) -> list[tuple[type[BaseModel], JsonSchemaMode]]:
    return [(model, mode) for model in models]


def event_name(payload: type[EventPayload]) -> str:
    """The schema's name of the whole event with this payload."""
    return payload.__name__ + "Event"


class _Plain(GenerateJsonSchema):
    """Without titles, which would only repeat the fields' names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - the base's signature
        return False


def _parts(models: Iterable[type[BaseModel]]) -> set[type[BaseModel]]:
    """The models that these are made of."""
    found: set[type[BaseModel]] = set()
    waiting: list[object] = [
        field.annotation for model in models for field in model.model_fields.values()
    ]
    while waiting:
        part = waiting.pop()
        if isinstance(part, type) and issubclass(part, BaseModel):
            if part not in found:
                found.add(part)
                waiting += [field.annotation for field in part.model_fields.values()]
        else:
            waiting += getattr(part, "__args__", ())
    return found


def _require(schema: Schema, model: type[BaseModel], *, is_sent: bool) -> None:
    """Say which fields are always there: of a frame of ours, all that are not left out."""
    names = [
        field.serialization_alias or name
        for name, field in model.model_fields.items()
        if name == "type" or (_is_always_sent(field) if is_sent else field.is_required())
    ]
    if names:
        schema["required"] = names
    for name, shape in schema.get("properties", {}).items():
        if name in names:
            # What is always there has no default.
            shape.pop("default", None)
        elif is_sent:
            # What is left out where there is nothing to say is never null.
            shape.pop("default", None)
            shape.update(next(kind for kind in shape.pop("anyOf") if kind != {"type": "null"}))


def _is_always_sent(field: FieldInfo) -> bool:
    return field.exclude_if is None


def _event(kind: EventType, payload: type[EventPayload]) -> Schema:
    nullable_id = {"anyOf": [{"type": "string", "format": "uuid"}, {"type": "null"}]}
    return {
        "type": "object",
        "description": (payload.__doc__ or "").split("\n\n")[0],
        "properties": {
            "type": {"type": "string", "const": str(kind)},
            "seq": {
                "type": "integer",
                "minimum": 1,
                "maximum": MAX_SEQ,
                "description": "Its place in the user's log.",
            },
            "event_id": {
                "type": "string",
                "format": "uuid",
                "description": "Names the event for good.",
            },
            "ts": {
                "type": "string",
                "format": "date-time",
                "description": "When it was stored.",
            },
            "thread_id": nullable_id
            | {"description": "The thread it belongs to; null where it is the user's."},
            "run_id": nullable_id | {"description": "The run it belongs to, or null."},
            "agent": {
                "type": "string",
                "enum": [str(name) for name in AgentName],
                "description": "Who speaks; left out where nobody does.",
            },
            "attempt": {
                "type": "integer",
                "minimum": 0,
                "description": "Counts the workers that claimed the run; 0 outside of runs.",
            },
            "payload": {
                "description": "What it says; another object for each type.",
                "allOf": [{"$ref": REF + payload.__name__}],
            },
        },
        "required": [
            "type",
            "seq",
            "event_id",
            "ts",
            "thread_id",
            "run_id",
            "attempt",
            "payload",
        ],
        "additionalProperties": False,
    }


def _json_rpc(replies: Iterable[str]) -> dict[str, Schema]:
    version = {"type": "string", "const": "2.0"}
    answered = {"anyOf": [{"type": ["string", "integer"]}, {"type": "null"}]}
    return {
        "JsonRpcRequest": {
            "type": "object",
            "description": "A message in the clothes of JSON-RPC 2.0; without `id` it gets no answer.",
            "properties": {
                "jsonrpc": version,
                "id": {
                    "anyOf": [
                        {"type": "string", "maxLength": MAX_ID_CHARS},
                        {"type": "integer"},
                        {"type": "null"},
                    ]
                },
                "method": {"type": "string", "description": "The message's type or an alias."},
                "params": {"type": "object", "description": "The message's fields."},
            },
            "required": ["jsonrpc", "method"],
            "additionalProperties": False,
        },
        "JsonRpcResponse": {
            "type": "object",
            "description": "A direct reply in the clothes of JSON-RPC 2.0.",
            "properties": {
                "jsonrpc": version,
                "id": answered,
                "result": {"anyOf": [{"$ref": REF + name} for name in replies]},
            },
            "required": ["jsonrpc", "id", "result"],
            "additionalProperties": False,
        },
        "JsonRpcError": {
            "type": "object",
            "description": "An `error` in the clothes of JSON-RPC 2.0.",
            "properties": {
                "jsonrpc": version,
                "id": answered,
                "error": {
                    "type": "object",
                    "properties": {
                        "code": {"type": "integer"},
                        "message": {"type": "string"},
                        "data": {
                            "type": "object",
                            "properties": {
                                "code": {"$ref": REF + "ErrorCode"},
                                "request_id": {"type": "string"},
                                "retry_after_ms": {"type": "integer", "minimum": 0},
                                "details": {"type": "object"},
                            },
                            "required": ["code"],
                            "additionalProperties": False,
                        },
                    },
                    "required": ["code", "message", "data"],
                    "additionalProperties": False,
                },
            },
            "required": ["jsonrpc", "id", "error"],
            "additionalProperties": False,
        },
    }

"""OpenTelemetry spans of model calls, as OTLP JSON.

From opentelemetry-proto (`resourceSpans`, `scopeSpans`, `spans`; the Collector's file exporter writes
one such document a line) and the semantic conventions for GenAI spans, whose older names
(`gen_ai.system`, `gen_ai.usage.prompt_tokens`, `gen_ai.usage.completion_tokens`) are read too. Input
tokens include the cache by the conventions; where more was cached than came in, an old library has
told them beside each other. Spans of agents, workflows and tools repeat what their model calls used
and are left out, as is every span that is about something else.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from apex_actors.costs.importers.builder import RecordBuilder, source_id
from apex_actors.costs.importers.fields import (
    FieldError,
    between_ms,
    count,
    decimal,
    maybe_count,
    maybe_moment,
    money,
    text,
)
from apex_actors.costs.importers.formats import (
    FileFormat,
    Format,
    Reading,
    SourceKind,
    SourceRow,
)
from apex_actors.costs.importers.names import bare_model, service_class
from apex_actors.costs.importers.rows import Row
from apex_actors.costs.importers.tokens import including_cache
from apex_actors.costs.records import Status

_AROUND = {"create_agent", "execute_tool", "invoke_agent", "invoke_workflow", "plan"}
"""Operations that call no model themselves."""

_MODEL_CALLS = {"chat", "completion", "embeddings", "generate_content", "text_completion"}
"""Operations that are counted even where they tell no tokens, if they failed."""

_USAGE = "gen_ai.usage."
_INPUT = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens")
_OUTPUT = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens")
_READ = (
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "gen_ai.usage.details.cache_read_tokens",
    "gen_ai.usage.details.cache_read_input_tokens",
    "gen_ai.usage.prompt_tokens_details.cached_tokens",
)
_WRITTEN = (
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
    "gen_ai.usage.details.cache_write_tokens",
    "gen_ai.usage.details.cache_creation_input_tokens",
)
_REASONING = (
    "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.usage.reasoning_tokens",
    "gen_ai.usage.details.reasoning_tokens",
)
_TIER = (
    "openai.response.service_tier",
    "gen_ai.openai.response.service_tier",
    "openai.request.service_tier",
    "gen_ai.openai.request.service_tier",
)
_COST = ("gen_ai.usage.cost", "gen_ai.usage.total_cost", "operation.cost")
_ENVIRONMENT = ("deployment.environment.name", "deployment.environment")

_NANOSECONDS = Decimal(10**9)
_ERROR_CODES = {"2", "STATUS_CODE_ERROR"}


def _is_span(span: Mapping[str, Any], parents: tuple[Any, ...] = ()) -> str | None:
    if parents and {"traceId", "spanId"} <= span.keys():
        return "OTLP JSON with resourceSpans, scopeSpans and spans"
    return None


def _record(row: SourceRow, builder: RecordBuilder) -> Mapping[str, Any] | None:
    span = row.fields
    said = _attributes(span)
    operation = text(said, "gen_ai.operation.name")
    if operation in _AROUND or not _is_model_call(said, operation):
        return None
    failed = text(span, "status.code") in _ERROR_CODES or "error.type" in said
    if not failed and maybe_count(said, *_INPUT) is None and maybe_count(said, *_OUTPUT) is None:
        raise FieldError("gen_ai.usage.input_tokens: is required where the call went well")
    model = builder.model(text(said, "gen_ai.response.model", "gen_ai.request.model"))
    provider = builder.provider(text(said, "gen_ai.provider.name", "gen_ai.system"), model)
    # Around a span are the export, the spans of its resource, and those of its scope.
    _export, of_resource, _of_scope = row.parents
    resource = _attributes(of_resource.get("resource"))
    start = _moment(span, "startTimeUnixNano")
    end = _moment(span, "endTimeUnixNano")
    if start is None:
        raise FieldError("startTimeUnixNano: is required")
    output = count(said, *_OUTPUT)
    return {
        "record_id": _id(span),
        "occurred_at": start,
        "provider": provider,
        "model": bare_model(model, provider),
        "processing": service_class(text(said, *_TIER)),
        **including_cache(
            count(said, *_INPUT), read=count(said, *_READ), write_5m=count(said, *_WRITTEN)
        ),
        "output_tokens": output,
        "reasoning_tokens": min(count(said, *_REASONING), output),
        "latency_ms": between_ms(start, end),
        "status": Status.ERROR if failed else Status.OK,
        "finish_reason": _finish_reason(said),
        "user": text(said, "user.id", "enduser.id"),
        "feature": text(resource, "service.name"),
        "environment": text(resource, *_ENVIRONMENT),
        "session_id": text(said, "gen_ai.conversation.id", "session.id"),
        "temperature": decimal(said, "gen_ai.request.temperature"),
        "reported_cost": money(said, *_COST),
    }


def _is_model_call(said: Mapping[str, Any], operation: str | None) -> bool:
    return operation in _MODEL_CALLS or any(name.startswith(_USAGE) for name in said)


def _id(span: Mapping[str, Any]) -> str | None:
    trace, own = text(span, "traceId"), text(span, "spanId")
    return None if trace is None or own is None else source_id("otel", f"{trace}-{own}")


def _moment(span: Mapping[str, Any], name: str) -> datetime | None:
    nanoseconds = decimal(span, name)
    if nanoseconds is None:
        return None
    return maybe_moment({name: nanoseconds / _NANOSECONDS}, name)


def _finish_reason(said: Mapping[str, Any]) -> str | None:
    reasons = said.get("gen_ai.response.finish_reasons")
    if isinstance(reasons, list):
        return next((reason for reason in reasons if isinstance(reason, str) and reason), None)
    return reasons if isinstance(reasons, str) and reasons else None


def _attributes(holder: object) -> dict[str, Any]:
    listed = holder.get("attributes") if isinstance(holder, Mapping) else None
    if listed is None:
        return {}
    if not isinstance(listed, list):
        raise FieldError("attributes: must be a list")
    return {
        item["key"]: _value(item.get("value"))
        for item in listed
        if isinstance(item, Mapping) and isinstance(item.get("key"), str)
    }


def _value(holder: object) -> Any:
    """A value of OTLP's `AnyValue`; whole numbers are written as texts there."""
    if not isinstance(holder, Mapping):
        return None
    for name in ("stringValue", "intValue", "doubleValue", "boolValue"):
        if name in holder:
            return holder[name]
    array = holder.get("arrayValue")
    if isinstance(array, Mapping) and isinstance(array.get("values"), list):
        return [_value(item) for item in array["values"]]
    return None


def _read(reading: Reading) -> Iterator[Row]:
    return reading.each(_record)


OPENTELEMETRY = Format(
    FileFormat.OPENTELEMETRY,
    SourceKind.REQUESTS,
    _read,
    row=_is_span,
    paths=(("resourceSpans", "scopeSpans", "spans"),),
)

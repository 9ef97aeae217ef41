"""Langfuse observations: the API's v2, the export to blob storage and the export from the UI.

From langfuse.com's API reference (`GET /api/public/v2/observations`) and its reference of exported
fields. The API writes `usageDetails`, the blob export `usage_details`; both are read, as JSON lines, as
an array, under `data`, or as CSV. Only observations that called a model are records: the spans around
them would count the same tokens again. Usage is told in parts by name, where `input` has usually been
told without the cache; the total tells. Costs are dollars. Level ERROR is a failed request.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from apex_actors.costs.importers.builder import RecordBuilder, source_id
from apex_actors.costs.importers.fields import (
    FieldError,
    between_ms,
    count,
    decimal,
    items,
    maybe_count,
    maybe_moment,
    milliseconds,
    moment,
    money,
    nested,
    text,
)
from apex_actors.costs.importers.formats import (
    FileFormat,
    Format,
    Reading,
    SourceKind,
    SourceRow,
)
from apex_actors.costs.importers.names import bare_model
from apex_actors.costs.importers.rows import Row
from apex_actors.costs.importers.tokens import beside_cache, including_cache
from apex_actors.costs.records import Status

_MODEL_CALLS = {"GENERATION", "EMBEDDING"}
_SECOND_MS = 1000

_READ = ("input_cached_tokens", "cache_read_input_tokens", "input_cache_read", "cached_tokens")
_WRITTEN_HOUR = ("input_cache_creation_1h", "cache_creation_1h", "ephemeral_1h_input_tokens")
_WRITTEN_SHORT = ("input_cache_creation_5m", "cache_creation_5m", "ephemeral_5m_input_tokens")
_WRITTEN = ("cache_creation_input_tokens", "input_cache_creation", "input_cache_write")
_REASONING = ("output_reasoning_tokens", "output_reasoning", "reasoning_tokens")
_INPUT = ("input", "prompt_tokens", "input_tokens", "promptTokens")
_OUTPUT = ("output", "completion_tokens", "output_tokens", "completionTokens")
_TOTAL = ("total", "total_tokens", "totalTokens")


def _is_observation(row: Any, _parents: object = ()) -> str | None:
    for usage, trace, start in (
        ("usageDetails", "traceId", "startTime"),
        ("usage_details", "trace_id", "start_time"),
    ):
        names = (trace, "type", start, "level", usage)
        if all(name in row for name in names):
            return f"observations with the fields {', '.join(names)}"
    return None


def _record(row: SourceRow, builder: RecordBuilder) -> Mapping[str, Any] | None:
    seen = row.fields
    if (text(seen, "type") or "").upper() not in _MODEL_CALLS:
        return None
    model = builder.model(text(seen, "providedModelName", "provided_model_name", "model"))
    provider = builder.provider(None, model)
    start = moment(seen, "startTime", "start_time")
    end = maybe_moment(seen, "endTime", "end_time")
    first = maybe_moment(seen, "completionStartTime", "completion_start_time")
    own = text(seen, "id")
    failed = text(seen, "level") == "ERROR"
    parameters = nested(seen, "modelParameters", "model_parameters")
    return {
        "record_id": None if own is None else source_id("langfuse", own),
        "occurred_at": start,
        "provider": provider,
        "model": bare_model(model, provider),
        **_tokens(nested(seen, "usageDetails", "usage_details"), failed=failed),
        "latency_ms": between_ms(start, end)
        if end is not None
        else milliseconds(seen, "latency", unit_ms=_SECOND_MS),
        "ttft_ms": between_ms(start, first)
        if first is not None
        else milliseconds(seen, "timeToFirstToken", "time_to_first_token", unit_ms=_SECOND_MS),
        "status": Status.ERROR if failed else Status.OK,
        "user": text(seen, "userId", "user_id"),
        "feature": text(seen, "traceName", "trace_name"),
        "environment": text(seen, "environment"),
        "session_id": text(seen, "sessionId", "session_id"),
        "temperature": decimal(parameters, "temperature"),
        "reported_cost": _cost(seen),
        "tags": {tag: "true" for tag in items(seen, "tags") if isinstance(tag, str) and tag},
    }


def _tokens(usage: Mapping[str, Any], *, failed: bool) -> dict[str, int]:
    if not usage and not failed:
        raise FieldError("usageDetails: is required")
    read = _first(usage, _READ)
    hour = _first(usage, _WRITTEN_HOUR)
    # The plain name is the sum where the lives are told as well.
    short = _first(usage, _WRITTEN_SHORT) or max(_first(usage, _WRITTEN) - hour, 0)
    plain = count(usage, *_INPUT)
    reasoning = _first(usage, _REASONING)
    answer = count(usage, *_OUTPUT)
    total = maybe_count(usage, *_TOTAL)
    cached = read + short + hour
    # Parts that add up to the total stand beside each other; else the small ones are in the large.
    if total is not None and total == plain + answer:
        return {
            **including_cache(plain, read=read, write_5m=short, write_1h=hour),
            "output_tokens": answer,
            "reasoning_tokens": min(reasoning, answer),
        }
    if total is not None and total == plain + cached + answer:
        output = answer
    else:
        output = answer + reasoning
    return {
        **beside_cache(plain, read=read, write_5m=short, write_1h=hour),
        "output_tokens": output,
        "reasoning_tokens": min(reasoning, output),
    }


def _first(usage: Mapping[str, Any], names: tuple[str, ...]) -> int:
    return count(usage, *names)


def _cost(seen: Mapping[str, Any]) -> Any:
    details = nested(seen, "costDetails", "cost_details")
    total = money(details, "total")
    if total is not None:
        return total
    parts = [money(details, name) for name in details]
    if parts:
        return sum(part for part in parts if part is not None)
    return money(seen, "totalCost", "total_cost", "calculatedTotalCost")


def _read(reading: Reading) -> Iterator[Row]:
    return reading.each(_record)


LANGFUSE = Format(
    FileFormat.LANGFUSE,
    SourceKind.REQUESTS,
    _read,
    columns=_is_observation,
    row=_is_observation,
    paths=((), ("data",)),
)

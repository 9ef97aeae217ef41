"""LiteLLM spend logs: one request a row, as JSON, JSON lines or CSV of `LiteLLM_SpendLogs`.

From BerriAI/litellm: the table's schema, `GET /spend/logs` (an array) and `/spend/logs/ui` (under
`data`). The tokens of each kind stand in `metadata.usage_object`. Prompt tokens include the cache,
except in old versions, where more was read from the cache than was asked. `spend` is in dollars and
computed by LiteLLM. A failed row counts as what it says: the provider may have billed it. What
LiteLLM's own cache answered was asked of no provider: it has no tokens and costs nothing.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from apex_actors.costs.importers.builder import RecordBuilder, source_id
from apex_actors.costs.importers.fields import (
    between_ms,
    count,
    flag,
    items,
    maybe_moment,
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
    named,
)
from apex_actors.costs.importers.names import bare_model, service_class
from apex_actors.costs.importers.rows import Row
from apex_actors.costs.importers.tokens import including_cache
from apex_actors.costs.records import Status

_FIELDS = ("request_id", "call_type", "spend", "startTime")


def _record(row: SourceRow, builder: RecordBuilder) -> Mapping[str, Any]:
    log = row.fields
    metadata = nested(log, "metadata")
    usage = nested(metadata, "usage_object")
    named_model = builder.model(text(log, "model", "model_group"))
    provider = builder.provider(text(log, "custom_llm_provider"), named_model)
    start = moment(log, "startTime")
    end = maybe_moment(log, "endTime")
    first = maybe_moment(log, "completionStartTime")
    request_id = text(log, "request_id")
    return {
        "record_id": None if request_id is None else source_id("litellm", request_id),
        "occurred_at": start,
        "provider": provider,
        "model": bare_model(named_model, provider),
        "processing": service_class(usage.get("service_tier")),
        **_tokens(log, usage),
        "latency_ms": between_ms(start, end),
        # Without streaming the first token is said to have come with the last.
        "ttft_ms": between_ms(start, first) if first != end else None,
        "status": Status.ERROR if _failed(log, metadata) else Status.OK,
        "user": text(log, "end_user", "user"),
        "team": text(metadata, "user_api_key_team_alias") or text(log, "team_id"),
        "session_id": text(log, "session_id"),
        "reported_cost": money(log, "spend"),
        "tags": _tags(log),
    }


def _tokens(log: Mapping[str, Any], usage: Mapping[str, Any]) -> dict[str, int]:
    if flag(log, "cache_hit"):
        return {"input_tokens": 0, "output_tokens": 0}
    details = nested(usage, "prompt_tokens_details")
    lives = nested(details, "cache_creation_token_details")
    hour = count(lives, "ephemeral_1h_input_tokens")
    written = count(usage, "cache_creation_input_tokens") or count(details, "cache_creation_tokens")
    read = count(usage, "cache_read_input_tokens") or count(details, "cached_tokens")
    output = count(log, "completion_tokens") or count(usage, "completion_tokens")
    reasoning = count(usage, "completion_tokens_details.reasoning_tokens")
    return {
        **including_cache(
            count(log, "prompt_tokens") or count(usage, "prompt_tokens"),
            read=read,
            write_5m=max(written - hour, 0),
            write_1h=hour,
        ),
        "output_tokens": output,
        "reasoning_tokens": min(reasoning, output),
    }


def _failed(log: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    return "failure" in {text(log, "status"), text(metadata, "status")}


def _tags(log: Mapping[str, Any]) -> dict[str, str]:
    tags: dict[str, str] = {}
    for tag in items(log, "request_tags"):
        if isinstance(tag, str) and tag.strip():
            name, _colon, value = tag.partition(":")
            tags[name.strip()] = value.strip() or "true"
    if flag(log, "cache_hit"):
        tags["cache_hit"] = "true"
    return tags


def _read(reading: Reading) -> Iterator[Row]:
    return reading.each(_record)


LITELLM = Format(
    FileFormat.LITELLM,
    SourceKind.REQUESTS,
    _read,
    columns=named("CSV with the columns", *_FIELDS),
    row=named("JSON with the fields", *_FIELDS),
    paths=((), ("data",)),
)

"""OpenRouter's activity export: one request a row, as CSV.

From the columns that openrouter.ai's activity page writes (guide "Activity export"; public readers of
such files). Costs are what OpenRouter charged, in dollars, discounts for the cache already taken off;
what a provider billed on the user's own key stands apart, as the tag `byok_cost`. Completion tokens
include reasoning. Times are UTC. The finish reason is the normalised one; the provider's own is the
tag `native_finish_reason`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from apex_actors.costs.importers.builder import RecordBuilder, source_id
from apex_actors.costs.importers.fields import count, flag, milliseconds, moment, money, text
from apex_actors.costs.importers.formats import (
    FileFormat,
    Format,
    Reading,
    SourceKind,
    SourceRow,
    named,
)
from apex_actors.costs.importers.rows import Row
from apex_actors.costs.importers.tokens import including_cache
from apex_actors.costs.records import Status

_FIELDS = ("created_at", "cost_total", "tokens_prompt", "tokens_completion", "model_permaslug")
_TAGS = {
    "upstream_provider": "provider_name",
    "native_finish_reason": "finish_reason_raw",
    "api_key_name": "api_key_name",
}


def _record(row: SourceRow, builder: RecordBuilder) -> Mapping[str, Any]:
    log = row.fields
    model = builder.model(text(log, "model_permaslug"))
    variant = text(log, "variant")
    generation = text(log, "generation_id")
    output = count(log, "tokens_completion")
    finish = text(log, "finish_reason_normalized")
    tags = {tag: value for tag, name in _TAGS.items() if (value := text(log, name)) is not None}
    byok = money(log, "byok_usage_inference")
    if byok:
        tags["byok_cost"] = format(byok, "f")
    return {
        "record_id": None if generation is None else source_id("openrouter", generation),
        "occurred_at": moment(log, "created_at"),
        "provider": "openrouter",
        "model": model if variant in {None, "standard"} else f"{model}:{variant}",
        **including_cache(count(log, "tokens_prompt"), read=count(log, "tokens_cached")),
        "output_tokens": output,
        "reasoning_tokens": min(count(log, "tokens_reasoning"), output),
        "latency_ms": milliseconds(log, "generation_time_ms"),
        "ttft_ms": milliseconds(log, "time_to_first_token_ms"),
        "status": Status.ERROR if finish == "error" else Status.OK,
        "finish_reason": "cancelled" if flag(log, "cancelled") else finish,
        "user": text(log, "user"),
        "feature": text(log, "app_name"),
        "reported_cost": money(log, "cost_total"),
        "tags": tags,
    }


def _read(reading: Reading) -> Iterator[Row]:
    return reading.each(_record)


OPENROUTER = Format(
    FileFormat.OPENROUTER,
    SourceKind.REQUESTS,
    _read,
    columns=named("CSV with the columns", *_FIELDS),
)

"""OpenAI's organization usage and costs APIs: pages of time buckets, as JSON.

From the SDK's types `openai.types.admin.organization` (`usage_completions_response`,
`usage_costs_response`; `GET /v1/organization/usage/...` and `/v1/organization/costs`). Input tokens
include cached and cache-write tokens. The record knows two lives of cache writes; OpenAI's 30 minutes
and 12 hours have one price in the catalogue and both stand as the short one. Costs are in the
currency they name (dollars), and belong to a model only where they are grouped by line item, which
reads ``gpt-5-2025-08-07, input``.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from apex_actors.costs.importers.buckets import first_group, groups
from apex_actors.costs.importers.builder import NO_MODEL, RecordBuilder, bucket_id
from apex_actors.costs.importers.fields import FieldError, count, flag, moment, money, text
from apex_actors.costs.importers.formats import (
    FileFormat,
    Format,
    Reading,
    SourceKind,
    SourceRow,
)
from apex_actors.costs.importers.names import service_class
from apex_actors.costs.importers.rows import Row
from apex_actors.costs.importers.tokens import including_cache
from apex_actors.costs.records import Grain, Processing

_USAGE = "organization.usage."
_COSTS = "organization.costs.result"

_USAGE_GROUPS = (
    "object", "project_id", "user_id", "api_key_id", "model", "batch", "service_tier", "api_source",
)  # fmt: skip
_COST_GROUPS = ("object", "project_id", "api_key_id", "line_item")


def _object(bucket: Mapping[str, Any]) -> str | None:
    """What the bucket's groups call themselves; empty for a bucket without any."""
    if bucket.get("object") != "bucket" or "start_time" not in bucket:
        return None
    group = first_group(bucket)
    return "" if group is None else str(group.get("object"))


def _is_usage(bucket: Mapping[str, Any], _parents: object = ()) -> str | None:
    found = _object(bucket)
    if found is None or not (found == "" or found.startswith(_USAGE)):
        return None
    return "JSON buckets of OpenAI's organization.usage"


def _is_costs(bucket: Mapping[str, Any], _parents: object = ()) -> str | None:
    return "JSON buckets of OpenAI's organization.costs" if _object(bucket) == _COSTS else None


def _usage(row: SourceRow, builder: RecordBuilder) -> Mapping[str, Any]:
    group = row.fields
    if "input_tokens" not in group:
        raise FieldError("input_tokens: is required; this usage is not measured in tokens")
    start = moment(row.parents[-1], "start_time")
    processing = service_class(group.get("service_tier"))
    if flag(group, "batch"):
        processing = Processing.BATCH
    return {
        "record_id": bucket_id("openai-usage", start, _dimensions(group, _USAGE_GROUPS)),
        "occurred_at": start,
        "grain": Grain.BUCKET,
        "request_count": count(group, "num_model_requests"),
        "provider": "openai",
        "model": builder.model(text(group, "model")),
        "processing": processing,
        **including_cache(
            count(group, "input_tokens"),
            read=count(group, "input_cached_tokens"),
            write_5m=count(group, "input_cache_write_tokens"),
        ),
        "output_tokens": count(group, "output_tokens"),
        "user": text(group, "user_id"),
        "team": text(group, "project_id"),
        "tags": _tags(group, "api_key_id", "api_source"),
    }


def _costs(row: SourceRow, _builder: RecordBuilder) -> Mapping[str, Any]:
    group = row.fields
    start = moment(row.parents[-1], "start_time")
    amount = money(group, "amount.value")
    if amount is None:
        raise FieldError("amount.value: is required")
    line_item = text(group, "line_item")
    return {
        "record_id": bucket_id("openai-costs", start, _dimensions(group, _COST_GROUPS)),
        "occurred_at": start,
        "grain": Grain.BUCKET,
        "request_count": 0,
        "provider": "openai",
        # Not by option: an amount that is told for all models is no single model's.
        "model": NO_MODEL if line_item is None else line_item.split(", ")[0],
        "input_tokens": 0,
        "output_tokens": 0,
        "reported_cost": amount,
        "currency": (text(group, "amount.currency") or "usd").upper(),
        "team": text(group, "project_id"),
        "tags": _tags(group, "api_key_id", "line_item"),
    }


def _dimensions(group: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: group.get(name) for name in names}


def _tags(group: Mapping[str, Any], *names: str) -> dict[str, str]:
    return {name: value for name in names if (value := text(group, name)) is not None}


def _read_usage(reading: Reading) -> Iterator[Row]:
    return reading.each(_usage, parts=groups)


def _read_costs(reading: Reading) -> Iterator[Row]:
    return reading.each(_costs, parts=groups)


OPENAI_COSTS = Format(
    FileFormat.OPENAI_COSTS,
    SourceKind.COST_REPORT,
    _read_costs,
    row=_is_costs,
    paths=(("data",), ()),
)
OPENAI_USAGE = Format(
    FileFormat.OPENAI_USAGE,
    SourceKind.USAGE_REPORT,
    _read_usage,
    row=_is_usage,
    paths=(("data",), ()),
)

"""Anthropic's usage and cost reports: pages of time buckets, as JSON.

From the Admin API's reference (`GET /v1/organizations/usage_report/messages` and
`/v1/organizations/cost_report`) and the SDK's types `anthropic.types.beta.organization`. Input is told
WITHOUT the cache: uncached tokens, reads, and writes for 5 minutes and for an hour stand apart. The
report has no number of requests in most groupings. Costs are decimal texts in the lowest unit of the
currency: ``"123.45"`` in USD are 1.2345 dollars.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from apex_actors.costs.importers.buckets import first_group, groups
from apex_actors.costs.importers.builder import NO_MODEL, RecordBuilder, bucket_id
from apex_actors.costs.importers.fields import (
    FieldError,
    count,
    decimal,
    moment,
    rounded,
    text,
)
from apex_actors.costs.importers.formats import (
    FileFormat,
    Format,
    Reading,
    SourceKind,
    SourceRow,
)
from apex_actors.costs.importers.names import service_class
from apex_actors.costs.importers.rows import Row
from apex_actors.costs.importers.tokens import beside_cache
from apex_actors.costs.records import Grain

_MEASURES = frozenset({
    "uncached_input_tokens", "cache_creation", "cache_read_input_tokens", "output_tokens",
    "server_tool_use", "requests", "amount", "currency", "list_amount",
})  # fmt: skip
"""What a group measures; all else is what it groups by, also what is added to the API later."""

_TAGS = (
    "api_key_id", "context_window", "inference_geo", "speed", "product", "account_id",
    "service_account_id", "cost_type", "token_type", "description",
)  # fmt: skip

_CENT = -2


def _is_usage(bucket: Mapping[str, Any], _parents: object = ()) -> str | None:
    if not {"starting_at", "ending_at", "results"} <= bucket.keys():
        return None
    group = first_group(bucket)
    if group is not None and "uncached_input_tokens" not in group:
        return None
    return "JSON buckets with starting_at, ending_at and results, as of Anthropic's usage report"


def _is_costs(bucket: Mapping[str, Any], _parents: object = ()) -> str | None:
    if not {"starting_at", "ending_at", "results"} <= bucket.keys():
        return None
    group = first_group(bucket)
    if group is None or not {"amount", "currency"} <= group.keys():
        return None
    return "JSON buckets with starting_at and results with an amount, as of Anthropic's cost report"


def _usage(row: SourceRow, builder: RecordBuilder) -> Mapping[str, Any]:
    group = row.fields
    start = moment(row.parents[-1], "starting_at")
    return {
        **_common("anthropic-usage", row),
        "occurred_at": start,
        "request_count": count(group, "requests"),
        "model": builder.model(text(group, "model")),
        **beside_cache(
            count(group, "uncached_input_tokens"),
            read=count(group, "cache_read_input_tokens"),
            write_5m=count(group, "cache_creation.ephemeral_5m_input_tokens"),
            write_1h=count(group, "cache_creation.ephemeral_1h_input_tokens"),
        ),
        "output_tokens": count(group, "output_tokens"),
    }


def _costs(row: SourceRow, _builder: RecordBuilder) -> Mapping[str, Any]:
    group = row.fields
    cents = decimal(group, "amount")
    if cents is None:
        raise FieldError("amount: is required")
    return {
        **_common("anthropic-costs", row),
        "occurred_at": moment(row.parents[-1], "starting_at"),
        "request_count": 0,
        # Not by option: an amount that is told for all models is no single model's.
        "model": text(group, "model") or NO_MODEL,
        "input_tokens": 0,
        "output_tokens": 0,
        "reported_cost": rounded(cents.scaleb(_CENT)),
        "currency": (text(group, "currency") or "USD").upper(),
    }


def _common(source: str, row: SourceRow) -> dict[str, Any]:
    group = row.fields
    start = moment(row.parents[-1], "starting_at")
    dimensions = {name: value for name, value in group.items() if name not in _MEASURES}
    return {
        "record_id": bucket_id(source, start, dimensions),
        "grain": Grain.BUCKET,
        "provider": "anthropic",
        "processing": service_class(group.get("service_tier")),
        "team": text(group, "workspace_id"),
        "tags": {name: value for name in _TAGS if (value := text(group, name)) is not None},
    }


def _read_usage(reading: Reading) -> Iterator[Row]:
    return reading.each(_usage, parts=groups)


def _read_costs(reading: Reading) -> Iterator[Row]:
    return reading.each(_costs, parts=groups)


ANTHROPIC_COSTS = Format(
    FileFormat.ANTHROPIC_COSTS,
    SourceKind.COST_REPORT,
    _read_costs,
    row=_is_costs,
    paths=(("data",), ()),
)
ANTHROPIC_USAGE = Format(
    FileFormat.ANTHROPIC_USAGE,
    SourceKind.USAGE_REPORT,
    _read_usage,
    row=_is_usage,
    paths=(("data",), ()),
)

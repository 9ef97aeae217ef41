"""Helicone requests: the answer of its query API and what its export tool writes of it.

From docs.helicone.ai (`POST /v1/request/query-clickhouse`, schema `HeliconeRequest`) and the package
`@helicone/export`, which writes a JSON array, JSON lines or CSV. `costUSD` and `cost` are dollars; the
first goes before. Whether prompt tokens include the cache depends on the provider and on Helicone's
version; `total_tokens` tells. A request that Helicone's own cache answered was asked of no provider:
it has no tokens and costs nothing.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from apex_actors.costs.importers.builder import RecordBuilder, source_id
from apex_actors.costs.importers.fields import (
    count,
    decimal,
    labels,
    maybe_count,
    milliseconds,
    moment,
    money,
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
from apex_actors.costs.importers.names import bare_model
from apex_actors.costs.importers.rows import Row
from apex_actors.costs.importers.tokens import by_total
from apex_actors.costs.records import Status

_FIELDS = ("request_id", "request_created_at", "response_status", "prompt_tokens")
_NO_REFERENCE = "00000000-0000-0000-0000-000000000000"
_ANSWERED = range(200, 400)
_SESSION = "Helicone-Session-Id"


def _record(row: SourceRow, builder: RecordBuilder) -> Mapping[str, Any]:
    log = row.fields
    model = builder.model(text(log, "model_override", "response_model", "model", "request_model"))
    provider = builder.provider(text(log, "provider"), model)
    request_id = text(log, "request_id")
    properties = labels(log, "request_properties", "properties")
    status = decimal(log, "response_status")
    from_cache = text(log, "cache_reference_id") not in {None, _NO_REFERENCE}
    if from_cache:
        tokens = {"input_tokens": 0, "output_tokens": 0}
    else:
        output = count(log, "completion_tokens")
        tokens = {
            **by_total(
                count(log, "prompt_tokens"),
                output,
                maybe_count(log, "total_tokens"),
                read=count(log, "prompt_cache_read_tokens"),
                write=count(log, "prompt_cache_write_tokens"),
            ),
            "output_tokens": output,
        }
    session = properties.pop(_SESSION, None)
    return {
        "record_id": None if request_id is None else source_id("helicone", request_id),
        "occurred_at": moment(log, "request_created_at"),
        "provider": provider,
        "model": bare_model(model, provider),
        **tokens,
        "latency_ms": milliseconds(log, "delay_ms"),
        "ttft_ms": milliseconds(log, "time_to_first_token"),
        "status": Status.OK if status is None or int(status) in _ANSWERED else Status.ERROR,
        "user": text(log, "request_user_id", "helicone_user"),
        "session_id": session,
        "reported_cost": money(log, "costUSD", "cost"),
        "tags": {**properties, **({"cache_hit": "true"} if from_cache else {})},
    }


def _read(reading: Reading) -> Iterator[Row]:
    return reading.each(_record)


HELICONE = Format(
    FileFormat.HELICONE,
    SourceKind.REQUESTS,
    _read,
    columns=named("CSV with the columns", *_FIELDS),
    row=named("JSON with the fields", *_FIELDS),
    paths=((), ("data",)),
)

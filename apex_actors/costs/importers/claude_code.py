"""Claude Code's sessions: what the program writes while it works, as JSON lines.

From public descriptions of ``~/.claude/projects/*/*.jsonl`` and of the API's usage. An answer is
written in several lines, one a block of content, that repeat the usage of the one request they came
from (`requestId`), growing until the last; a resumed session copies lines of another. So a request is
one record, of the line that tells the most output. `usage.iterations` repeats the totals and is not
added. Input excludes the cache. Lines about anything but a model's answer are left out, and so are
answers that the program made up itself (`<synthetic>`).
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apex_actors.costs.importers.builder import RecordBuilder, source_id
from apex_actors.costs.importers.fields import FieldError, count, moment, money, nested, text
from apex_actors.costs.importers.formats import (
    FileFormat,
    Format,
    Reading,
    SourceKind,
    SourceRow,
)
from apex_actors.costs.importers.names import service_class
from apex_actors.costs.importers.rows import RejectedRow, Row
from apex_actors.costs.importers.tokens import beside_cache

_OPEN_REQUESTS = 10_000
"""Requests whose further lines are waited for. A line that comes later still is the same record
again, which an import takes once."""

_SYNTHETIC = "<synthetic>"


@dataclass(slots=True)
class _Request:
    """What is known of a request so far."""

    number: int
    content: bytes
    fields: dict[str, Any]
    first_at: datetime
    output_tokens: int


def _is_session(line: Mapping[str, Any], _parents: object = ()) -> str | None:
    if {"sessionId", "uuid", "type", "message", "timestamp"} <= line.keys():
        return "JSON lines with the fields sessionId, uuid, type, message and timestamp"
    return None


def _read(reading: Reading) -> Iterator[Row]:
    builder = reading.builder()
    requests: OrderedDict[str, _Request] = OrderedDict()
    for row in reading.rows():
        if isinstance(row, RejectedRow):
            yield row
            continue
        try:
            found = _request(row, builder)
        except FieldError as error:
            yield RejectedRow(row.number, str(error))
            continue
        if found is None:
            continue
        record_id = found.fields["record_id"]
        if record_id is None:
            yield builder.row(found.number, found.content, found.fields)
            continue
        known = requests.pop(record_id, None)
        requests[record_id] = found if known is None else _fuller(known, found)
        if len(requests) > _OPEN_REQUESTS:
            yield _finished(requests.popitem(last=False)[1], builder)
    for request in requests.values():
        yield _finished(request, builder)


def _request(row: SourceRow, builder: RecordBuilder) -> _Request | None:
    line = row.fields
    if line.get("type") != "assistant":
        return None
    message = nested(line, "message")
    model = text(message, "model")
    if model == _SYNTHETIC or not nested(message, "usage"):
        return None
    usage = nested(message, "usage")
    at = moment(line, "timestamp")
    output = count(usage, "output_tokens")
    hour = count(usage, "cache_creation.ephemeral_1h_input_tokens")
    written = count(usage, "cache_creation_input_tokens")
    own = text(line, "requestId") or text(message, "id")
    reasoning = count(usage, "output_tokens_details.thinking_tokens")
    tags = {}
    if line.get("isSidechain") is True:
        tags["subagent"] = "true"
    if text(usage, "speed") == "fast":
        tags["speed"] = "fast"
    fields = {
        "record_id": None if own is None else source_id("claude-code", own),
        "occurred_at": at,
        "provider": "anthropic",
        "model": builder.model(model),
        "processing": service_class(usage.get("service_tier")),
        **beside_cache(
            count(usage, "input_tokens"),
            read=count(usage, "cache_read_input_tokens"),
            write_5m=max(written - hour, count(usage, "cache_creation.ephemeral_5m_input_tokens")),
            write_1h=hour,
        ),
        "output_tokens": output,
        "reasoning_tokens": min(reasoning, output),
        "finish_reason": text(message, "stop_reason"),
        "session_id": text(line, "sessionId"),
        "reported_cost": money(line, "costUSD"),
        "tags": tags,
    }
    return _Request(row.number, row.content, fields, at, output)


def _fuller(known: _Request, found: _Request) -> _Request:
    """The later line, unless it tells less; the request began with the earliest."""
    kept = found if found.output_tokens >= known.output_tokens else known
    kept.first_at = min(known.first_at, found.first_at)
    return kept


def _finished(request: _Request, builder: RecordBuilder) -> Row:
    fields = {**request.fields, "occurred_at": request.first_at}
    return builder.row(request.number, request.content, fields)


CLAUDE_CODE = Format(FileFormat.CLAUDE_CODE, SourceKind.REQUESTS, _read, row=_is_session)

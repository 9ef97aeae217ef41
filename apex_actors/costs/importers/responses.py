"""Bodies of providers' responses, one a line, read by the price library's own extractors.

A line is the body itself or an envelope around it: what OpenAI's and Anthropic's batches give back, or
an object with the body under `body`, `response` or `response_body` and beside it what the body lacks
(`provider`, `timestamp`, `id`). A body of many providers looks the same: the provider is the one that
is told, else whose model it is, else the first in the catalogue that can read it. The time is the
body's, where it has one, else `start` of the options. Where two kinds of API of a provider can read
a body, the one that finds more in it is meant.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from genai_prices import Usage
from genai_prices.data_snapshot import find_provider_by_id, get_snapshot
from genai_prices.types import Provider

from apex_actors.costs.importers.builder import RecordBuilder, source_id
from apex_actors.costs.importers.fields import FieldError, maybe_count, maybe_moment, pick, text
from apex_actors.costs.importers.formats import (
    FileFormat,
    Format,
    Reading,
    SourceKind,
    SourceRow,
)
from apex_actors.costs.importers.names import known_provider, provider_of_model, service_class
from apex_actors.costs.importers.rows import Row, in_utc
from apex_actors.costs.importers.tokens import InputTokens, including_cache
from apex_actors.costs.records import Processing, Status

_BODIES = ("response.body", "result.message", "body", "response", "response_body")
_MODELS = ("model", "modelVersion", "response.model", "message.model")
_TIMES = ("timestamp", "occurred_at", "created_at", "time")
_OWN_TIMES = ("created", "created_at", "createTime", "response.created_at")
_IDS = ("id", "responseId", "response_id")
_FINISH = ("stop_reason", "stopReason", "incomplete_details.reason")


@dataclass(frozen=True, slots=True)
class _Extraction:
    """What one extractor of the library found in a body."""

    provider: str
    model: str | None
    usage: Usage

    def found(self) -> tuple[int, int]:
        """How much it found: kinds of tokens, then input tokens."""
        kinds = [key for key, value in vars(self.usage).items() if value]
        return len(kinds), int(self.usage.reported_value("input_tokens"))


def _is_body(row: Mapping[str, Any], _parents: object = ()) -> str | None:
    body, _around = _unwrapped(row)
    if not any(isinstance(body.get(name), Mapping) for name in ("usage", "usageMetadata", "meta")):
        return None
    found = next(_extractions(body, get_snapshot().providers), None)
    return None if found is None else "bodies of responses, in which a provider's usage was found"


def _record(row: SourceRow, builder: RecordBuilder) -> Mapping[str, Any]:
    body, around = _unwrapped(row.fields)
    told = text(around, "provider")
    found = _extracted(body, told or builder.options.provider)
    model = builder.model(found.model or text(body, *_MODELS))
    usage = found.usage
    output = _count(usage, "output_tokens")
    tier = text(body, "usage.service_tier", "service_tier")
    own = text(body, *_IDS) or text(around, *_IDS)
    return {
        "record_id": None if own is None else source_id("response", own),
        "occurred_at": _time(body, around, builder.options.start),
        "provider": found.provider,
        "model": model.removeprefix("models/"),
        "processing": Processing.BATCH if "custom_id" in around else service_class(tier),
        **_input(usage),
        "output_tokens": output,
        "reasoning_tokens": min(_count(usage, "output_reasoning_tokens"), output),
        "latency_ms": maybe_count(around, "latency_ms", "duration_ms"),
        "status": Status.OK,
        "finish_reason": _finish_reason(body),
        "user": text(around, "user"),
        "session_id": text(around, "session_id"),
    }


def _unwrapped(row: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The body, and what stands around it."""
    for name in _BODIES:
        body = pick(row, name)
        # The event that ends a stream of OpenAI has its response inside, and is itself the body.
        if isinstance(body, Mapping) and "usage" not in row and row.get("type") != "response.done":
            return body, row
    return row, {}


def _extracted(body: Mapping[str, Any], told: str | None) -> _Extraction:
    providers = get_snapshot().providers
    if told is not None:
        provider = find_provider_by_id(providers, known_provider(told))
        if provider is None:
            raise FieldError("provider: is not in the price catalogue, so its bodies can't be read")
        return _fullest(_extractions(body, [provider]))
    model = text(body, *_MODELS)
    owner = None if model is None else provider_of_model(model)
    if owner is not None and (provider := find_provider_by_id(providers, owner)) is not None:
        try:
            return _fullest(_extractions(body, [provider]))
        except FieldError:
            # Someone else's API may have answered for that model.
            pass
    first = next(_extractions(body, providers), None)
    if first is None:
        raise FieldError("usage: is in no form that a known provider has")
    return _fullest(
        found for found in _extractions(body, providers) if found.provider == first.provider
    )


def _fullest(found: Iterable[_Extraction]) -> _Extraction:
    best = max(found, key=_Extraction.found, default=None)
    if best is None:
        raise FieldError("usage: is in no form that the provider has")
    return best


def _extractions(body: Mapping[str, Any], providers: Iterable[Provider]) -> Iterator[_Extraction]:
    for provider in providers:
        for extractor in provider.extractors or ():
            try:
                model, usage = extractor.extract(body)
            except (ValueError, TypeError, ArithmeticError):
                continue
            yield _Extraction(provider.id, model, usage)


def _input(usage: Usage) -> InputTokens:
    hour = _count(usage, "cache_write_1h_tokens")
    # The plain number is the sum of all lives; the library reads them from different places.
    written = max(
        _count(usage, "cache_write_tokens"), _count(usage, "cache_write_5m_tokens") + hour
    )
    return including_cache(
        _count(usage, "input_tokens"),
        read=_count(usage, "cache_read_tokens"),
        write_5m=written - hour,
        write_1h=hour,
    )


def _count(usage: Usage, name: str) -> int:
    return maybe_count({name: usage.reported_value(name)}, name) or 0


def _time(body: Mapping[str, Any], around: Mapping[str, Any], start: datetime | None) -> datetime:
    told = maybe_moment(around, *_TIMES) or maybe_moment(body, *_OWN_TIMES)
    if told is not None:
        return told
    if start is None:
        raise FieldError("occurred_at: the body has no time; say when it was (start)")
    return in_utc(start)


def _finish_reason(body: Mapping[str, Any]) -> str | None:
    for answers in ("choices", "candidates"):
        listed = body.get(answers)
        if isinstance(listed, list) and listed and isinstance(listed[0], Mapping):
            return text(listed[0], "finish_reason", "finishReason")
    return text(body, *_FINISH)


def _read(reading: Reading) -> Iterator[Row]:
    return reading.each(_record)


RESPONSE_BODIES = Format(FileFormat.RESPONSE_BODIES, SourceKind.REQUESTS, _read, row=_is_body)

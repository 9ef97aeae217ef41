"""All formats, in the order in which a file is held against them: the pickiest first."""

from collections.abc import Iterator

from apex_actors.costs.importers.anthropic import ANTHROPIC_COSTS, ANTHROPIC_USAGE
from apex_actors.costs.importers.claude_code import CLAUDE_CODE
from apex_actors.costs.importers.focus import FOCUS
from apex_actors.costs.importers.formats import (
    FileFormat,
    Format,
    Reading,
    SourceKind,
    named,
)
from apex_actors.costs.importers.helicone import HELICONE
from apex_actors.costs.importers.langfuse import LANGFUSE
from apex_actors.costs.importers.litellm import LITELLM
from apex_actors.costs.importers.native import csv_rows, jsonl_rows
from apex_actors.costs.importers.openai import OPENAI_COSTS, OPENAI_USAGE
from apex_actors.costs.importers.openrouter import OPENROUTER
from apex_actors.costs.importers.opentelemetry import OPENTELEMETRY
from apex_actors.costs.importers.responses import RESPONSE_BODIES
from apex_actors.costs.importers.rows import Row
from apex_actors.costs.importers.traces import azure_rows, mooncake_rows

_AZURE = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
_NATIVE = ("occurred_at", "provider", "model", "input_tokens", "output_tokens")


def _native_jsonl(reading: Reading) -> Iterator[Row]:
    return jsonl_rows(iter(reading.lines), tenant=reading.tenant)


def _native_csv(reading: Reading) -> Iterator[Row]:
    return csv_rows(iter(reading.lines), tenant=reading.tenant)


def _azure(reading: Reading) -> Iterator[Row]:
    return azure_rows(iter(reading.lines), tenant=reading.tenant, options=reading.options)


def _mooncake(reading: Reading) -> Iterator[Row]:
    return mooncake_rows(iter(reading.lines), tenant=reading.tenant, options=reading.options)


def _is_azure(columns: tuple[str, ...]) -> str | None:
    return f"CSV with the columns {', '.join(_AZURE)}" if columns == _AZURE else None


FORMATS = (
    Format(
        FileFormat.MOONCAKE_TRACE,
        SourceKind.TRACE,
        _mooncake,
        row=named(
            "JSON lines with the fields", "timestamp", "input_length", "output_length", "hash_ids"
        ),
    ),
    Format(FileFormat.AZURE_TRACE, SourceKind.TRACE, _azure, columns=_is_azure),
    Format(
        FileFormat.NATIVE_JSONL,
        SourceKind.REQUESTS,
        _native_jsonl,
        row=named("JSON lines with the fields", "occurred_at", "model"),
    ),
    Format(
        FileFormat.NATIVE_CSV,
        SourceKind.REQUESTS,
        _native_csv,
        columns=named("CSV with the columns", *_NATIVE),
    ),
    OPENAI_COSTS,
    OPENAI_USAGE,
    ANTHROPIC_COSTS,
    ANTHROPIC_USAGE,
    OPENTELEMETRY,
    CLAUDE_CODE,
    LITELLM,
    LANGFUSE,
    HELICONE,
    OPENROUTER,
    FOCUS,
    RESPONSE_BODIES,
)

BY_NAME = {known.format: known for known in FORMATS}

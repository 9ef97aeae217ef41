"""What a format is, and the rows of any that are JSON or CSV."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from apex_actors.costs.importers.builder import RecordBuilder
from apex_actors.costs.importers.cells import CsvRows
from apex_actors.costs.importers.documents import Path, elements
from apex_actors.costs.importers.fields import FieldError, no_constant
from apex_actors.costs.importers.lines import LineSource
from apex_actors.costs.importers.rows import ImportOptions, RejectedRow, Row

TOO_LONG = "the line is too long to be a row"


class FileFormat(StrEnum):
    """The formats that can be read."""

    NATIVE_JSONL = "native-jsonl"
    NATIVE_CSV = "native-csv"
    AZURE_TRACE = "azure-2023-trace"
    MOONCAKE_TRACE = "mooncake-trace"
    OPENAI_USAGE = "openai-usage"
    OPENAI_COSTS = "openai-costs"
    ANTHROPIC_USAGE = "anthropic-usage"
    ANTHROPIC_COSTS = "anthropic-costs"
    RESPONSE_BODIES = "response-bodies"
    LITELLM = "litellm-spend-logs"
    LANGFUSE = "langfuse-observations"
    HELICONE = "helicone-requests"
    OPENROUTER = "openrouter-activity"
    OPENTELEMETRY = "opentelemetry-genai-spans"
    FOCUS = "focus"
    CLAUDE_CODE = "claude-code-session"


class SourceKind(StrEnum):
    """Who speaks in a file, and of what. The same spend may stand in several of them.

    In the order in which they count where nothing else is chosen.
    """

    REQUESTS = "requests"
    """Single requests with their tokens: a gateway's log, an application's own records."""
    USAGE_REPORT = "usage_report"
    """A provider's sums of tokens by time and group."""
    COST_REPORT = "cost_report"
    """A provider's amounts of money by time and group: what the invoice is made of."""
    TRACE = "trace"
    """Published traffic, for experiments: nobody's spend."""

    @property
    def said(self) -> str:
        """In words, of a provider's: "the single requests"."""
        return (
            "the single requests"
            if self is SourceKind.REQUESTS
            else f"the {self.replace('_', ' ')}"
        )


class Layout(StrEnum):
    """How rows stand in a file."""

    LINES = "lines"
    """One JSON object a line."""
    DOCUMENT = "document"
    """JSON of any other layout."""
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One row as its source wrote it."""

    number: int
    fields: Mapping[str, Any]
    content: bytes
    parents: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """A file being read: where its rows stand, and for whom they are read."""

    lines: LineSource
    layout: Layout
    path: Path
    tenant: str
    options: ImportOptions

    def builder(self) -> RecordBuilder:
        """Makes records for this import."""
        return RecordBuilder(tenant=self.tenant, options=self.options)

    def rows(self) -> Iterator[SourceRow | RejectedRow]:
        """The rows of JSON or CSV, not yet understood."""
        match self.layout:
            case Layout.LINES:
                return _line_rows(self.lines)
            case Layout.DOCUMENT:
                return _document_rows(self.lines, self.path)
            case Layout.CSV:
                return _csv_rows(self.lines)

    def each(
        self,
        convert: Callable[[SourceRow, RecordBuilder], Mapping[str, Any] | None],
        *,
        parts: Callable[[SourceRow], Iterator[SourceRow | RejectedRow]] | None = None,
    ) -> Iterator[Row]:
        """The records of the rows.

        Args:
            convert: says what a row means as fields of a record, raising `FieldError` where it
                can't be read; None: it is about something else.
            parts: takes a row apart first, where it holds several records.
        """
        builder = self.builder()
        for row in self.rows():
            if isinstance(row, RejectedRow):
                yield row
                continue
            for part in (row,) if parts is None else parts(row):
                if isinstance(part, RejectedRow):
                    yield part
                    continue
                try:
                    fields = convert(part, builder)
                except FieldError as error:
                    yield RejectedRow(part.number, str(error))
                    continue
                if fields is not None:
                    yield builder.row(part.number, part.content, fields)


@dataclass(frozen=True, slots=True)
class Format:
    """A format: how it is recognised, whose word it is, and how it is read."""

    format: FileFormat
    kind: SourceKind
    read: Callable[[Reading], Iterator[Row]]
    columns: Callable[[tuple[str, ...]], str | None] | None = None
    """By what the format is recognised in the names of a CSV file's columns; None: it is not it."""
    row: Callable[[Mapping[str, Any], tuple[dict[str, Any], ...]], str | None] | None = None
    """By what it is recognised in one row of JSON and its surroundings."""
    paths: tuple[Path, ...] = ((),)
    """Where in a JSON document its rows may stand."""


def named(what: str, *names: str) -> Callable[..., str | None]:
    """Recognises by columns or fields that must all be there."""

    def recognise(found: Any, _parents: object = ()) -> str | None:
        if all(name in found for name in names):
            return f"{what} {', '.join(names)}"
        return None

    return recognise


def _line_rows(lines: LineSource) -> Iterator[SourceRow | RejectedRow]:
    for line in lines:
        if line.content is None:
            yield RejectedRow(line.number, TOO_LONG)
            continue
        if not line.content.strip():
            continue
        try:
            fields = json.loads(line.content, parse_float=Decimal, parse_constant=no_constant)
        except (ValueError, RecursionError, InvalidOperation):
            fields = None
        if isinstance(fields, dict):
            yield SourceRow(line.number, fields, line.content)
        else:
            yield RejectedRow(line.number, "not a JSON object in UTF-8")


def _document_rows(lines: LineSource, path: Path) -> Iterator[SourceRow | RejectedRow]:
    for element in elements(lines, path):
        if element.reason is not None:
            yield RejectedRow(element.number, element.reason)
        else:
            yield SourceRow(element.number, element.value, element.content, element.parents)


def _csv_rows(lines: LineSource) -> Iterator[SourceRow | RejectedRow]:
    rows = CsvRows(iter(lines))
    for row in rows:
        if isinstance(row, RejectedRow):
            yield row
        else:
            yield SourceRow(row.line, dict(zip(rows.columns, row.cells, strict=True)), row.content)

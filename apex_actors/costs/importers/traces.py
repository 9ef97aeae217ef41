"""Public traffic traces: real token counts and times, but no model, user or price.

- Azure 2023 (Azure/AzurePublicDataset, `AzureLLMInferenceTrace`): CSV, times in UTC.
- Mooncake (kvcache-ai/Mooncake, FAST25 release): JSON lines, times in milliseconds from the start
  and a hash for each 512-token prefix block, covering all blocks before it.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from apex_actors.costs.importers.errors import MissingOptionError
from apex_actors.costs.importers.formats import TOO_LONG
from apex_actors.costs.importers.lines import Line
from apex_actors.costs.importers.rows import ImportOptions, RejectedRow, Row, in_utc, row_id
from apex_actors.costs.records import UsageRecord, refusal

_AZURE_CELLS = 3


def azure_rows(lines: Iterator[Line], *, tenant: str, options: ImportOptions) -> Iterator[Row]:
    """The rows of an Azure 2023 trace; `options.start` moves its first row there.

    Raises:
        MissingOptionError: provider or model is not given.
    """
    return _azure_rows(lines, _Fields(tenant=tenant, options=options))


def mooncake_rows(lines: Iterator[Line], *, tenant: str, options: ImportOptions) -> Iterator[Row]:
    """The rows of a Mooncake trace, which begins at `options.start`.

    Raises:
        MissingOptionError: provider, model or start is not given.
    """
    if options.start is None:
        raise MissingOptionError(
            "This trace has no dates, only times from its start. Say when it began (start)."
        )
    return _mooncake_rows(lines, _Fields(tenant=tenant, options=options), in_utc(options.start))


class _Fields:
    """What all records of a trace have in common."""

    def __init__(self, *, tenant: str, options: ImportOptions) -> None:
        if options.provider is None or options.model is None:
            raise MissingOptionError(
                "This trace doesn't say which model was used. Name the provider and the model."
            )
        self._common: dict[str, Any] = {
            "tenant": tenant,
            "provider": options.provider,
            "model": options.model,
            "processing": options.processing,
            "user": options.user,
            "team": options.team,
            "feature": options.feature,
            "environment": options.environment,
            "deferrable": options.deferrable,
            "tags": options.tags,
        }
        self.start = options.start
        # The same trace read with other options is other traffic.
        self._salt = options.model_dump_json().encode()

    def row(self, line: Line, content: bytes, **fields: object) -> Row:
        try:
            return UsageRecord.model_validate(
                {
                    **self._common,
                    "record_id": row_id(self._salt, content, line.number),
                    **fields,
                }
            )
        except ValidationError as error:
            return RejectedRow(line.number, refusal(error))


def _azure_rows(lines: Iterator[Line], fields: _Fields) -> Iterator[Row]:
    next(lines, None)
    shift: timedelta | None = None if fields.start is not None else timedelta()
    for line in lines:
        if line.content is None:
            yield RejectedRow(line.number, TOO_LONG)
            continue
        if not line.content.strip():
            continue
        cells = line.content.split(b",")
        if len(cells) != _AZURE_CELLS:
            yield RejectedRow(line.number, "must have 3 cells")
            continue
        try:
            moment = in_utc(datetime.fromisoformat(cells[0].decode("ascii")))
        except ValueError:
            yield RejectedRow(line.number, "TIMESTAMP: must be a date and time")
            continue
        if not (_is_count(cells[1]) and _is_count(cells[2])):
            yield RejectedRow(line.number, "ContextTokens, GeneratedTokens: must be whole numbers")
            continue
        if shift is None and fields.start is not None:
            shift = in_utc(fields.start) - moment
        yield fields.row(
            line,
            line.content,
            occurred_at=moment + (shift or timedelta()),
            input_tokens=int(cells[1]),
            output_tokens=int(cells[2]),
        )


def _mooncake_rows(lines: Iterator[Line], fields: _Fields, start: datetime) -> Iterator[Row]:
    for line in lines:
        if line.content is None:
            yield RejectedRow(line.number, TOO_LONG)
            continue
        if not line.content.strip():
            continue
        try:
            row = json.loads(line.content)
            offset = timedelta(milliseconds=_count(row["timestamp"]))
            input_tokens = _count(row["input_length"])
            output_tokens = _count(row["output_length"])
            blocks = tuple(_count(block) for block in row["hash_ids"])
            moment = start.astimezone(UTC) + offset
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            yield RejectedRow(
                line.number,
                "must be a JSON object with whole numbers in timestamp, input_length and "
                "output_length, and a list of them in hash_ids",
            )
            continue
        yield fields.row(
            line,
            line.content,
            occurred_at=moment,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            prefix_block_hashes=blocks,
        )


def _is_count(cell: bytes) -> bool:
    text = cell.strip()
    return text.isdigit() and len(text) <= 13  # noqa: PLR2004 - no request has 10^13 tokens


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError
    return value

"""The native formats: one usage record a line, as a JSON object or as a CSV row.

In CSV an empty cell means that the field is absent, `prefix_block_hashes` are numbers with blanks
between them, and `tags` is a JSON object.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from pydantic import ValidationError

from apex_actors.costs.importers.cells import CsvRows
from apex_actors.costs.importers.errors import UnreadableFileError
from apex_actors.costs.importers.fields import FieldError, no_constant
from apex_actors.costs.importers.formats import TOO_LONG
from apex_actors.costs.importers.lines import Line
from apex_actors.costs.importers.rows import RejectedRow, Row, row_id
from apex_actors.costs.records import (
    FIELDS,
    Grain,
    Processing,
    Status,
    UsageRecord,
    refusal,
)


def jsonl_rows(lines: Iterator[Line], *, tenant: str) -> Iterator[Row]:
    """The rows of a native JSONL file."""
    for line in lines:
        if line.content is None:
            yield RejectedRow(line.number, TOO_LONG)
            continue
        if not line.content.strip():
            continue
        try:
            fields = json.loads(line.content, parse_float=Decimal, parse_constant=no_constant)
        except (ValueError, RecursionError, InvalidOperation):
            yield RejectedRow(line.number, "not a JSON object in UTF-8")
            continue
        if not isinstance(fields, dict):
            yield RejectedRow(line.number, "not a JSON object in UTF-8")
            continue
        # Absent and null mean the same.
        present = {name: value for name, value in fields.items() if value is not None}
        yield _row(present, line.content, line.number, tenant)


def csv_rows(lines: Iterator[Line], *, tenant: str) -> Iterator[Row]:
    """The rows of a native CSV file, whose first line names the columns.

    Raises:
        UnreadableFileError: a column is named twice or is no field of the usage record.
    """
    rows = CsvRows(lines)
    columns = rows.columns
    unknown = len([name for name in columns if name not in FIELDS])
    if unknown or len(set(columns)) != len(columns):
        raise UnreadableFileError(
            f"{unknown} of the {len(columns)} column names are not fields of the usage record, or "
            f"one stands twice. The fields are: {', '.join(sorted(FIELDS))}."
        )
    for row in rows:
        if isinstance(row, RejectedRow):
            yield row
            continue
        try:
            fields = _from_cells(dict(zip(columns, row.cells, strict=True)))
        except FieldError as error:
            yield RejectedRow(row.line, str(error))
        else:
            yield _row(fields, row.content, row.line, tenant)


def _row(fields: dict[str, Any], content: bytes, number: int, tenant: str) -> Row:
    owner = fields.get("tenant")
    if owner is not None and owner != tenant:
        return RejectedRow(number, "tenant: is another one than the importing tenant")
    fields["tenant"] = tenant
    if "record_id" not in fields:
        fields["record_id"] = row_id(b"", content, number)
    try:
        for name, convert in _CONVERSIONS.items():
            if name in fields:
                fields[name] = convert(name, fields[name])
        return UsageRecord.model_validate(fields)
    except FieldError as error:
        return RejectedRow(number, str(error))
    except ValidationError as error:
        return RejectedRow(number, refusal(error))


def _moment(name: str, value: object) -> datetime:
    try:
        # A number or a list is no date either; fromisoformat refuses it with a TypeError.
        return datetime.fromisoformat(value)  # type: ignore[arg-type]  # refused at run time
    except (ValueError, TypeError):
        raise FieldError(
            f"{name}: must be a date and time in ISO 8601 with a time zone, such as "
            "2026-11-22T10:00:00Z"
        ) from None


def _decimal(name: str, value: object) -> Decimal:
    if isinstance(value, int | str | Decimal) and not isinstance(value, bool):
        with suppress(InvalidOperation):
            return Decimal(value)
    raise FieldError(f"{name}: must be a decimal number")


def _hashes(name: str, value: object) -> tuple[object, ...]:
    if not isinstance(value, list):
        raise FieldError(f"{name}: must be a list of whole numbers")
    return tuple(value)


def _member(kind: type[Grain | Processing | Status]) -> Callable[[str, object], object]:
    members = {str(member): member for member in kind}
    known = ", ".join(members)

    def convert(name: str, value: object) -> object:
        member = members.get(value) if isinstance(value, str) else None
        if member is None:
            raise FieldError(f"{name}: must be one of {known}")
        return member

    return convert


_CONVERSIONS: dict[str, Callable[[str, Any], object]] = {
    "occurred_at": _moment,
    "grain": _member(Grain),
    "processing": _member(Processing),
    "status": _member(Status),
    "temperature": _decimal,
    "reported_cost": _decimal,
    "prefix_block_hashes": _hashes,
}
"""What JSON has no type for."""


def _from_cells(cells: dict[str, str]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, cell in cells.items():
        text = cell.strip()
        if not text:
            continue
        if name in _WHOLE_NUMBERS:
            fields[name] = _whole(name, text)
        elif name == "deferrable":
            fields[name] = _boolean(name, text)
        elif name == "prefix_block_hashes":
            fields[name] = [_whole(name, part) for part in text.split()]
        elif name == "tags":
            fields[name] = _object(name, text)
        else:
            fields[name] = text
    return fields


_WHOLE_NUMBERS = frozenset(
    name for name in FIELDS if name.endswith(("_tokens", "_ms")) or name == "request_count"
)


def _whole(name: str, text: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 20):  # noqa: PLR2004 - a 64-bit number has at most 20 digits
        raise FieldError(f"{name}: must be a whole number")
    return int(text)


def _boolean(name: str, text: str) -> bool:
    match text.lower():
        case "true" | "1" | "yes":
            return True
        case "false" | "0" | "no":
            return False
    raise FieldError(f"{name}: must be true or false")


def _object(name: str, text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise FieldError(f"{name}: must be a JSON object of names and texts") from None

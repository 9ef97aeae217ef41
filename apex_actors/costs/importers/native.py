"""The native formats: one usage record a line, as a JSON object or as a CSV row.

In CSV an empty cell means that the field is absent, `prefix_block_hashes` are numbers with blanks
between them, and `tags` is a JSON object.
"""

import json
import re
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
    owner = f',"tenant":{json.dumps(tenant)}}}'.encode()
    for line in lines:
        if line.content is None:
            yield RejectedRow(line.number, TOO_LONG)
            continue
        content = line.content.strip()
        if not content:
            continue
        row = _quickly(content, owner)
        yield _carefully(line.content, line.number, tenant) if row is None else row


def _quickly(content: bytes, owner: bytes) -> UsageRecord | None:
    """The record of a line that is as it should be, validated as it is parsed; None: look again.

    Left to the careful way is all that the two could take for different things: an owner or no id
    in the row, escapes, numbers that would be binary before they are decimal, moments in other
    forms, and whatever is wrong.
    """
    if (
        b"\\" in content
        or b'"tenant"' in content
        or b'"record_id"' not in content
        or not _MOMENT.search(content)
        or _DECIMAL_AS_NUMBER.search(content)
        or not content.endswith(b"}")
    ):
        return None
    try:
        return _VALIDATE(content[:-1] + owner)
    except ValidationError:
        return None


#: ``model_validate_json`` without its wrapper, which takes a tenth of the time.
_VALIDATE: Callable[[bytes], UsageRecord] = UsageRecord.__pydantic_validator__.validate_json

_MOMENT = re.compile(rb'"occurred_at": ?"\d{4}-\d\d-\d\d[T ]\d\d:\d\d')
_DECIMAL_AS_NUMBER = re.compile(rb'"(?:reported_cost|temperature)"\s*:\s*[^"\s]')


def _carefully(content: bytes, number: int, tenant: str) -> Row:
    try:
        fields = _DECODER.decode(content.decode())
    except (ValueError, RecursionError, InvalidOperation):
        return RejectedRow(number, "not a JSON object in UTF-8")
    if not isinstance(fields, dict):
        return RejectedRow(number, "not a JSON object in UTF-8")
    # Absent and null mean the same.
    present = {name: value for name, value in fields.items() if value is not None}
    return _row(present, content, number, tenant)


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


_DECODER = json.JSONDecoder(parse_float=Decimal, parse_constant=no_constant)

"""Which format a file has, told by its content: names of files and media types lie."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from itertools import islice
from typing import Any

from apex_actors.costs.importers.documents import Path, elements
from apex_actors.costs.importers.errors import UnknownFormatError, UnreadableFileError
from apex_actors.costs.importers.fields import no_constant
from apex_actors.costs.importers.formats import FileFormat, Format, Layout
from apex_actors.costs.importers.registry import FORMATS


@dataclass(frozen=True, slots=True)
class Detection:
    """The format, and in what it was recognised."""

    format: FileFormat
    reason: str
    layout: Layout = field(default=Layout.LINES, repr=False)
    path: Path = field(default=(), repr=False)
    """Where the rows stand, where the layout is a document."""


_MOST_ROWS = 20
"""A file whose first rows are all broken is not recognised by guessing on."""

Found = tuple[dict[str, Any], tuple[dict[str, Any], ...]]


def detect(head: bytes) -> Detection:
    """The format of a file that begins like this.

    Args:
        head: the first bytes, decompressed; whole rows of it are looked at.

    Raises:
        UnknownFormatError: it is empty or none of the known formats.
    """
    start = head.lstrip()
    if not start:
        raise UnknownFormatError("The file is empty.")
    found = _json(start) if start[:1] in {b"{", b"["} else _csv(start)
    if found is None:
        known = ", ".join(FileFormat)
        raise UnknownFormatError(
            f"The file is in none of the known formats ({known}). A native CSV file starts with a "
            f"line of column names, a native JSONL file has one object a line; both need "
            f"occurred_at, provider, model, input_tokens, output_tokens."
        )
    return found


def _json(head: bytes) -> Detection | None:
    rows = list(islice(_line_objects(head), _MOST_ROWS))
    found = _in_rows(rows, FORMATS, ())
    if found is not None:
        return Detection(*found, layout=Layout.LINES)
    for path in dict.fromkeys(path for known in FORMATS for path in known.paths):
        rows = list(islice(_objects(head, path), _MOST_ROWS))
        found = _in_rows(rows, FORMATS, path)
        if found is not None:
            return Detection(*found, layout=Layout.DOCUMENT, path=path)
    return None


def _in_rows(
    rows: list[Found], formats: Iterable[Format], path: Path
) -> tuple[FileFormat, str] | None:
    for known in formats:
        if known.row is None or path not in known.paths:
            continue
        for row, parents in rows:
            reason = known.row(row, parents)
            if reason is not None:
                return known.format, reason
    return None


def _line_objects(head: bytes) -> Iterator[Found]:
    for line in head.splitlines():
        try:
            row = json.loads(line, parse_float=Decimal, parse_constant=no_constant)
        except (ValueError, RecursionError, InvalidOperation):
            continue
        if isinstance(row, dict):
            yield row, ()


def _objects(head: bytes, path: Path) -> Iterator[Found]:
    try:
        for element in elements(io.BytesIO(head), path):
            if element.reason is None:
                yield element.value, element.parents
    except UnreadableFileError:
        # The beginning of a file breaks off anywhere.
        return


def _csv(head: bytes) -> Detection | None:
    try:
        line = head.splitlines()[0].decode()
        columns = tuple(name.strip() for name in next(csv.reader([line])))
    except (UnicodeDecodeError, csv.Error, StopIteration):
        return None
    for known in FORMATS:
        reason = known.columns(columns) if known.columns is not None else None
        if reason is not None:
            return Detection(known.format, reason, layout=Layout.CSV)
    return None

"""Which format a file has, told by its content: names of files and media types lie."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from apex_actors.costs.importers.errors import UnknownFormatError


class FileFormat(StrEnum):
    """The formats that can be read."""

    NATIVE_JSONL = "native-jsonl"
    NATIVE_CSV = "native-csv"
    AZURE_TRACE = "azure-2023-trace"
    MOONCAKE_TRACE = "mooncake-trace"


@dataclass(frozen=True, slots=True)
class Detection:
    """The format, and in what it was recognised."""

    format: FileFormat
    reason: str


_REQUIRED = ("occurred_at", "provider", "model", "input_tokens", "output_tokens")
_AZURE = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
_MOONCAKE = ("timestamp", "input_length", "output_length", "hash_ids")
_MOST_LINES = 20
"""A file whose first rows are all broken is not recognised by guessing on."""


def detect(head: bytes) -> Detection:
    """The format of a file that begins like this.

    Args:
        head: the first bytes, decompressed; whole lines of it are looked at.

    Raises:
        UnknownFormatError: it is empty or none of the known formats.
    """
    lines = list(_first_lines(head))
    if not lines:
        raise UnknownFormatError("The file is empty.")
    found = _jsonl(lines) if lines[0].startswith(b"{") else _csv(lines[0])
    if found is None:
        known = ", ".join(FileFormat)
        raise UnknownFormatError(
            f"The file is in none of the known formats ({known}). A native CSV file starts with a "
            f"line of column names, a native JSONL file has one object a line; both need "
            f"{', '.join(_REQUIRED)}."
        )
    return found


def _first_lines(head: bytes) -> Iterator[bytes]:
    taken = 0
    for line in head.splitlines():
        if line.strip():
            yield line.strip()
            taken += 1
        if taken == _MOST_LINES:
            return


def _jsonl(lines: list[bytes]) -> Detection | None:
    for line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(row, dict):
            continue
        if all(name in row for name in _MOONCAKE):
            return Detection(
                FileFormat.MOONCAKE_TRACE,
                f"JSON lines with the fields {', '.join(_MOONCAKE)}",
            )
        if "occurred_at" in row and "model" in row:
            return Detection(
                FileFormat.NATIVE_JSONL, "JSON lines with the fields occurred_at and model"
            )
    return None


def _csv(line: bytes) -> Detection | None:
    try:
        columns = [name.strip() for name in next(csv.reader([line.decode()]))]
    except (UnicodeDecodeError, csv.Error, StopIteration):
        return None
    if tuple(columns) == _AZURE:
        return Detection(FileFormat.AZURE_TRACE, f"CSV with the columns {', '.join(_AZURE)}")
    if all(name in columns for name in _REQUIRED):
        return Detection(FileFormat.NATIVE_CSV, f"CSV with the columns {', '.join(_REQUIRED)}")
    return None

"""Rows of a file or of the sample, parsed, priced and encoded for COPY: work for another process."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import BinaryIO, Final, TypeAlias

from apex_actors.costs.importers import (
    ImportOptions,
    RejectedRow,
    Row,
    SourceKind,
    open_usage_file,
)
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.costs.sample import sample_records
from apex_actors.storage.usage_copy import copy_line

BATCH_ROWS: Final = 1_000
"""Rows encoded at a time: some 30 ms, and under a megabyte."""

MAX_KEPT_REJECTS: Final = 10_000
"""Refused rows that are kept with line and reason; beyond it they are only counted."""

SAMPLE_FORMAT: Final = "sample"


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file of any known format; the file itself travels beside."""

    tenant: str
    name: str
    options: ImportOptions | None = None
    max_bytes: int | None = None
    """How much may come out of it, decompressed; None: any amount."""


@dataclass(frozen=True, slots=True)
class SampleSource:
    """The sample data that is shipped with the package, ending at ``today``."""

    tenant: str
    today: date
    name: str = "sample data"


ImportSource: TypeAlias = FileSource | SampleSource


@dataclass(frozen=True, slots=True)
class Opened:
    """What the source is: its format, and in what that was recognised."""

    format: str
    reason: str
    source_kind: SourceKind


@dataclass(frozen=True, slots=True)
class Encoded:
    """How many rows have been read; line and reason of those that were refused."""

    accepted: int = 0
    rejected: int = 0
    rejects: tuple[tuple[int, str], ...] = ()


def encode(
    source: ImportSource,
    import_number: int,
    catalogue: PriceCatalogue,
    *,
    file: BinaryIO | None = None,
) -> Generator[Opened | bytes | Encoded, None, None]:
    """First what the source is, then its good rows in COPY's text format, then the counts.

    Raises UsageFileError when the source can't be read, also in the middle.
    """
    opened, rows = _open(source, file)
    yield opened
    accepted = rejected = 0
    rejects: list[tuple[int, str]] = []
    while batch := list(islice(rows, BATCH_ROWS)):
        lines: list[str] = []
        for row in batch:
            if isinstance(row, RejectedRow):
                rejected += 1
                if len(rejects) < MAX_KEPT_REJECTS:
                    rejects.append((row.line, row.reason))
            else:
                lines.append(copy_line(row, import_id=import_number, catalogue=catalogue))
        accepted += len(lines)
        yield "".join(lines).encode()
    yield Encoded(accepted, rejected, tuple(rejects))


def _open(source: ImportSource, file: BinaryIO | None) -> tuple[Opened, Iterator[Row]]:
    if isinstance(source, SampleSource):
        rows = iter(sample_records(source.today, tenant=source.tenant))
        return Opened(SAMPLE_FORMAT, "shipped with apex_actors", SourceKind.REQUESTS), rows
    if file is None:
        raise TypeError("a source of this kind needs its file")
    usage_file = open_usage_file(
        file, tenant=source.tenant, options=source.options, max_bytes=source.max_bytes
    )
    detection = usage_file.detection
    return Opened(detection.format.value, detection.reason, usage_file.kind), usage_file.rows

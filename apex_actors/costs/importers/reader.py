"""Opens a usage file of any known format."""

from collections.abc import Iterator
from typing import BinaryIO

from apex_actors.costs.importers.detect import Detection, detect
from apex_actors.costs.importers.formats import Reading, SourceKind
from apex_actors.costs.importers.lines import LineSource
from apex_actors.costs.importers.registry import BY_NAME
from apex_actors.costs.importers.rows import ImportOptions, Row


class UsageFile:
    """A recognised file and its rows, read as they are asked for."""

    def __init__(self, *, detection: Detection, kind: SourceKind, rows: Iterator[Row]) -> None:
        self.detection = detection
        self.kind = kind
        self.rows = rows


def open_usage_file(
    file: BinaryIO,
    *,
    tenant: str,
    options: ImportOptions | None = None,
    max_bytes: int | None = None,
) -> UsageFile:
    """Recognises the file and reads it as usage of the tenant.

    Args:
        file: open for reading bytes, plain or gzip; it need not be seekable, and stays open.
        tenant: who owns the usage; a row that names another tenant is refused.
        options: what the format itself doesn't say.
        max_bytes: how much may come out of it, decompressed; None: any amount.

    Raises:
        UnknownFormatError: the file is empty or of no known format.
        UnreadableFileError: the file is damaged; also while rows are read.
        FileTooLargeError: more than `max_bytes` come out of it; also while rows are read.
        MissingOptionError: the format needs an option that is not given.
    """
    chosen = options if options is not None else ImportOptions()
    lines = LineSource(file, max_bytes=max_bytes)
    detection = detect(lines.head)
    known = BY_NAME[detection.format]
    reading = Reading(
        lines=lines,
        layout=detection.layout,
        path=detection.path,
        tenant=tenant,
        options=chosen,
    )
    return UsageFile(detection=detection, kind=known.kind, rows=known.read(reading))

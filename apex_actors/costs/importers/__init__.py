"""Readers of usage files: bytes in, normalised records and refused rows out.

Each format is recognised by its content and streamed, so that a file of any size is read in constant
memory; gzip is seen through. Nothing here knows of prices or of a database.
"""

from apex_actors.costs.importers.detect import Detection, detect
from apex_actors.costs.importers.errors import UnknownFormatError, UnreadableFileError
from apex_actors.costs.importers.formats import FileFormat, SourceKind
from apex_actors.costs.importers.reader import UsageFile, open_usage_file
from apex_actors.costs.importers.rows import ImportOptions, RejectedRow, Row

__all__ = [
    "Detection",
    "FileFormat",
    "ImportOptions",
    "RejectedRow",
    "Row",
    "SourceKind",
    "UnknownFormatError",
    "UnreadableFileError",
    "UsageFile",
    "detect",
    "open_usage_file",
]

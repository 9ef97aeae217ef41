"""Lines of a file of any size, plain or gzip, in constant memory."""

import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from apex_actors.costs.importers.errors import FileTooLargeError, UnreadableFileError

HEAD_BYTES = 512 * 1024
"""How much of the file is looked at to recognise its format; rows that hold whole prompts are long."""

MAX_LINE_BYTES = 4 * 1024 * 1024
"""Longest line that is read whole: a prompt of 65,536 prefix blocks takes under 2 MiB."""

_GZIP_MAGIC = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its end; `content` is None where the line is too long to be a row."""

    number: int
    content: bytes | None


class LineSource:
    """The beginning of a file and all its lines.

    Args:
        file: open for reading bytes; it need not be seekable, and stays open.
        max_bytes: how much may come out of it, decompressed; None: any amount. A small gzip file
            may hold a thousand times its size.

    Raises:
        UnreadableFileError: it calls itself gzip and is not.
        FileTooLargeError: more than `max_bytes` come out of it; also while lines are read.
    """

    def __init__(self, file: BinaryIO, *, max_bytes: int | None = None) -> None:
        first = _read_full(file, HEAD_BYTES)
        stream: io.RawIOBase = _Chained(first, file)
        if first.startswith(_GZIP_MAGIC):
            stream = _Guarded(gzip.GzipFile(fileobj=io.BufferedReader(stream)))
        if max_bytes is not None:
            stream = _Limited(stream, max_bytes)
        self._stream = io.BufferedReader(stream, buffer_size=HEAD_BYTES)
        self._is_begun = False
        self.head = self._stream.peek(HEAD_BYTES)[:HEAD_BYTES].removeprefix(_BOM)

    def read(self, size: int, /) -> bytes:
        """The file as it stands, instead of its lines."""
        data = self._stream.read(size)
        if self._is_begun:
            return data
        self._is_begun = True
        # Where the byte order mark was all that was asked for, its absence would look like the end.
        return data.removeprefix(_BOM) or self._stream.read(size)

    def __iter__(self) -> Iterator[Line]:
        number = 0
        while True:
            content = self._stream.readline(MAX_LINE_BYTES)
            if not content:
                return
            number += 1
            if len(content) == MAX_LINE_BYTES and not content.endswith(b"\n"):
                self._skip_line()
                yield Line(number, None)
                continue
            if number == 1:
                content = content.removeprefix(_BOM)
            yield Line(number, content.rstrip(b"\r\n"))

    def _skip_line(self) -> None:
        while True:
            more = self._stream.readline(MAX_LINE_BYTES)
            if not more or more.endswith(b"\n"):
                return


def _read_full(file: BinaryIO, size_bytes: int) -> bytes:
    # A pipe or an upload may give less than asked for before its end.
    parts: list[bytes] = []
    missing = size_bytes
    while missing > 0:
        part = file.read(missing)
        if not part:
            break
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


class _Chained(io.RawIOBase):
    """What was read already, then the rest of the file."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]  # typeshed's Buffer is only in 3.12
        data, self._head = self._head, b""
        if not data:
            data = self._rest.read(len(buffer)) or b""
        taken = data[: len(buffer)]
        self._head = data[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)


class _Guarded(io.RawIOBase):
    """Decompressed bytes; damage is told as what it means to the user."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]  # typeshed's Buffer is only in 3.12
        try:
            data = self._stream.read(len(buffer))
        except (EOFError, OSError, zlib.error) as error:
            raise UnreadableFileError(
                "The gzip file is damaged or breaks off. Compress it again; nothing was imported."
            ) from error
        buffer[: len(data)] = data
        return len(data)


class _Limited(io.RawIOBase):
    """The same bytes, up to a number of them."""

    def __init__(self, stream: io.RawIOBase, max_bytes: int) -> None:
        self._stream = stream
        self._max_bytes = max_bytes
        self._read_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]  # typeshed's Buffer is only in 3.12
        taken = self._stream.readinto(buffer) or 0
        self._read_bytes += taken
        if self._read_bytes > self._max_bytes:
            raise FileTooLargeError(
                f"The file holds more than {self._max_bytes:,} bytes. Split it; nothing was imported."
            )
        return taken

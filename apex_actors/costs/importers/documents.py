"""Rows of JSON documents of any size, in constant memory: one row at a time is held, and no more.

A document is walked from its outside: the arrays on the way to the rows are entered, everything else
is skipped over or, where it is small, kept as what the rows' surroundings say. The bytes of a row are
found by its brackets and parsed only then, so that a row which is no JSON is refused alone.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol

from apex_actors.costs.importers.errors import UnreadableFileError
from apex_actors.costs.importers.fields import no_constant

MAX_ROW_BYTES = 16 * 1024 * 1024
"""Longest row that is read: a provider's bucket with 40,000 groups takes as much."""

MAX_CONTEXT_BYTES = 256 * 1024
"""Longest value around the rows that is kept for them."""

_CHUNK_BYTES = 64 * 1024

_BLANK = b" \t\r\n"
_PLAIN = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
"""What neither opens nor closes anything: whole texts among it, at one go."""
_OUTSIDE = re.compile(rb'["{}\[\]]')
_INSIDE = re.compile(rb'["\\]')
_SCALAR_END = re.compile(rb"[ \t\r\n,:\]}\[{]")

Path = tuple[str, ...]


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """Up to so many bytes; none at the end."""


@dataclass(frozen=True, slots=True)
class Element:
    """One row of a document."""

    number: int
    """Its place among the rows, counted from 1."""
    content: bytes
    value: Any
    parents: tuple[dict[str, Any], ...] = ()
    """What the objects around it said before it, from the outside in."""
    reason: str | None = None
    """Why it is no row; then there is no value."""


def elements(stream: Readable, path: Path) -> Iterator[Element]:
    """The rows of all documents that stand one after the other in the stream.

    Args:
        stream: of bytes in UTF-8.
        path: names of the arrays to enter, from the outside in; the last one's items are the rows.
            Arrays without a name (around the whole, or in each other) are always entered. An empty
            path: the rows are the outermost objects.

    Raises:
        UnreadableFileError: the document breaks off, or its brackets don't match.
    """
    return _Walk(stream, path).rows()


class _Walk:
    def __init__(self, stream: Readable, path: Path) -> None:
        self._scanner = _Scanner(stream)
        self._path = path
        self._number = 0

    def rows(self) -> Iterator[Element]:
        try:
            while self._scanner.peek() is not None:
                yield from self._value(self._path, ())
        except RecursionError:
            raise self._damaged() from None

    def _value(self, path: Path, parents: tuple[dict[str, Any], ...]) -> Iterator[Element]:
        first = self._scanner.peek()
        if first == b"[":
            yield from self._array(path, parents)
        elif first == b"{" and path:
            yield from self._object(path, parents)
        elif first in {b"]", b"}", b",", b":", None}:
            raise self._damaged()
        else:
            yield self._row(parents)

    def _array(self, path: Path, parents: tuple[dict[str, Any], ...]) -> Iterator[Element]:
        self._scanner.take()
        while (first := self._scanner.peek()) != b"]":
            if first == b",":
                self._scanner.take()
                continue
            yield from self._value(path, parents)
        self._scanner.take()

    def _object(self, path: Path, parents: tuple[dict[str, Any], ...]) -> Iterator[Element]:
        around: dict[str, Any] = {}
        entered = False
        self._scanner.take()
        while (first := self._scanner.peek()) != b"}":
            if first == b",":
                self._scanner.take()
                continue
            if first != b'"':
                raise self._damaged()
            name = self._parsed(self._scanner.value(MAX_CONTEXT_BYTES))
            if self._scanner.peek() != b":":
                raise self._damaged()
            self._scanner.take()
            first = self._scanner.peek()
            if name == path[0] and first in {b"[", b"{"}:
                entered = True
                yield from self._value(path[1:], (*parents, around))
            elif (content := self._scanner.value(MAX_CONTEXT_BYTES)) is not None:
                around[name] = self._parsed(content)
        self._scanner.take()
        if not entered:
            self._number += 1
            yield Element(self._number, b"", None, reason=f"has no {path[0]}")

    def _row(self, parents: tuple[dict[str, Any], ...]) -> Element:
        content = self._scanner.value(MAX_ROW_BYTES)
        self._number += 1
        if content is None:
            return Element(self._number, b"", None, reason="is too long to be a row")
        try:
            value = json.loads(content, parse_float=Decimal, parse_constant=no_constant)
        except (ValueError, RecursionError, InvalidOperation):
            value = None
        if not isinstance(value, dict):
            return Element(self._number, b"", None, reason="not a JSON object in UTF-8")
        return Element(self._number, content, value, parents)

    def _parsed(self, content: bytes | None) -> Any:
        try:
            if content is not None:
                return json.loads(content, parse_float=Decimal, parse_constant=no_constant)
        except (ValueError, RecursionError, InvalidOperation):
            pass
        raise self._damaged()

    def _damaged(self) -> UnreadableFileError:
        return UnreadableFileError(
            f"The JSON is damaged or breaks off after row {self._number}. Nothing was imported."
        )


class _Scanner:
    """Values in a stream of JSON, told apart by brackets and quotes alone."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._buffer = b""
        self._at = 0

    def peek(self) -> bytes | None:
        """The next byte that is not blank; None at the end."""
        while True:
            while self._at < len(self._buffer):
                byte = self._buffer[self._at : self._at + 1]
                if byte not in _BLANK:
                    return byte
                self._at += 1
            if not self._refill():
                return None

    def take(self) -> None:
        """Goes on behind the byte that was peeked."""
        self._at += 1

    def value(self, max_bytes: int) -> bytes | None:
        """The value that begins at the byte that was peeked; None where it is longer than allowed.

        Raises:
            UnreadableFileError: it never ends.
        """
        parts: list[bytes] = []
        size = 0
        for part in self._parts():
            size += len(part)
            if size <= max_bytes:
                parts.append(part)
            else:
                parts.clear()
        return b"".join(parts) if size <= max_bytes else None

    def _parts(self) -> Iterator[bytes]:
        """The value piece by piece, as far as each piece of the stream reaches."""
        if self._buffer[self._at : self._at + 1] not in {b"{", b"[", b'"'}:
            yield from self._scalar()
            return
        depth = 0
        in_text = False
        begin = at = self._at
        while True:
            if in_text:
                found = _INSIDE.search(self._buffer, at)
            else:
                plain = _PLAIN.match(self._buffer, at) if depth else None
                found = _OUTSIDE.search(self._buffer, plain.end() if plain else at)
            if found is None:
                yield self._buffer[begin:]
                # What an escape takes along may stand in the next piece.
                over = max(at - len(self._buffer), 0)
                self._at = len(self._buffer)
                if not self._refill():
                    raise UnreadableFileError(
                        "The JSON breaks off in the middle of a value. Nothing was imported."
                    )
                begin, at = 0, over
                continue
            at = found.end()
            match found[0]:
                case b"\\":
                    at += 1
                    continue
                case b'"':
                    in_text = not in_text
                case b"{" | b"[":
                    depth += 1
                case _:
                    depth -= 1
            if depth == 0 and not in_text:
                self._at = at
                yield self._buffer[begin:at]
                return

    def _scalar(self) -> Iterator[bytes]:
        while True:
            found = _SCALAR_END.search(self._buffer, self._at)
            end = found.start() if found else len(self._buffer)
            yield self._buffer[self._at : end]
            self._at = end
            if found or not self._refill():
                return

    def _refill(self) -> bool:
        self._buffer = self._buffer[self._at :] + self._stream.read(_CHUNK_BYTES)
        self._at = 0
        return bool(self._buffer)

"""Rows of a CSV file as columns and cells; what is no row is refused and the others go on."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass

from apex_actors.costs.importers.errors import UnreadableFileError
from apex_actors.costs.importers.lines import Line
from apex_actors.costs.importers.rows import RejectedRow

NOT_UTF8 = "not UTF-8, or the line is too long to be a row"


@dataclass(frozen=True, slots=True)
class Cells:
    """One row. It may span lines; `line` is where it ends."""

    line: int
    cells: list[str]
    content: bytes


class CsvRows:
    """The first line's names of columns, then the rows below it.

    Raises:
        UnreadableFileError: a quote in the first line is not closed, so that no row can be found.
    """

    def __init__(self, lines: Iterator[Line]) -> None:
        self._line = 0
        self._reader = csv.reader(self._texts(lines), strict=True)
        try:
            names = next(filter(None, self._reader), [])
        except csv.Error:
            names = ["\n"]
        if any("\n" in name for name in names):
            raise UnreadableFileError(
                "The line of column names has a quote that is not closed. Nothing was imported."
            )
        self.columns = [name.strip() for name in names]

    def __iter__(self) -> Iterator[Cells | RejectedRow]:
        while True:
            first = self._line + 1
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except csv.Error:
                yield RejectedRow(self._line, "not a CSV row" + self._since(first))
                continue
            if not any(cells):
                continue
            if len(cells) != len(self.columns):
                yield RejectedRow(
                    self._line,
                    "has another number of cells than there are columns" + self._since(first),
                )
                continue
            try:
                content = "\x1f".join(cells).encode()
            except UnicodeEncodeError:
                yield RejectedRow(self._line, NOT_UTF8)
                continue
            yield Cells(self._line, cells, content)

    def _since(self, first: int) -> str:
        # A quote that is never closed takes the lines after it along; they are to be found again.
        return f" (it takes lines {first} to {self._line})" if first < self._line else ""

    def _texts(self, lines: Iterator[Line]) -> Iterator[str]:
        for line in lines:
            self._line = line.number
            # Bytes that are not UTF-8 become surrogates, which refuse their own row and no other;
            # a line that is too long is given as such a row.
            content = b"\xff" if line.content is None else line.content
            yield content.decode(errors="surrogateescape") + "\n"

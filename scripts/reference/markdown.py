"""Pieces of Markdown that the pages share."""

import inspect
from collections.abc import Iterator, Sequence

NOTICE = "<!-- Written by scripts/make_reference.py from the code: do not edit by hand. -->"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines of a table."""
    for cells in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(_cell(text) for text in cells)} |"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "&#124;").split("\n"))


def first_paragraph(documented: type) -> str:
    """What the docstring begins with, in one line."""
    text = (inspect.getdoc(documented) or "").split("\n\n")[0]
    return " ".join(text.replace("``", "`").split())

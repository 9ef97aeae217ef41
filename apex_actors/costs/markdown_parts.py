"""Parts of a Markdown text: tables, lists and names that stay what they are."""

import re
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

_MEANINGFUL = re.compile(r"([\\`*_\[\]<>|~&])")
"""What Markdown could read as more than itself within a line; no text of a user begins a line."""

ABSENT = "\N{EN DASH}"
"""Stands where there is no figure."""


def escape(text: str) -> str:
    """The text as itself: no character of it is taken for Markdown."""
    return _MEANINGFUL.sub(r"\\\1", text)


def bullets(items: Iterable[str]) -> str:
    """A list of one line each."""
    return "\n".join(f"- {item}" for item in items)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Iterable[int] = ()) -> str:
    """A table; the columns numbered in `right` hold figures and are aligned so."""
    aligned = set(right)
    rule = ["---:" if column in aligned else "---" for column in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def or_dash(value: Decimal | None, shown: Callable[[Decimal], str]) -> str:
    """The figure as it is shown, or the sign for none."""
    return ABSENT if value is None else shown(value)

"""Named SQL: statements live in ``queries/<noun>.sql`` and are called by name.

A file is plain SQL that a person can run in psql; each statement is introduced by a line
``-- name: verb_noun``. Comments inside a statement stay with it, so that
``pg_stat_activity`` shows which one is running. What statements share stands in a file of its own,
whose text takes the place of a line ``-- include: noun``; it may include others.
"""

import re
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

_NAME_LINE = re.compile(r"^-- name: (?P<name>[a-z][a-z0-9_]*)\s*$", re.MULTILINE)
_INCLUDE_LINE = re.compile(r"^-- include: (?P<noun>[a-z][a-z0-9_]*)\s*$", re.MULTILINE)


def parse_queries(text: str, *, origin: str) -> Mapping[str, bytes]:
    """Split ``text`` into its named statements.

    Raises ValueError for a name used twice or a name without a statement; both are mistakes of
    the programmer, found at import.
    """
    queries: dict[str, bytes] = {}
    matches = list(_NAME_LINE.finditer(text))
    ends = [match.start() for match in matches[1:]] + [len(text)]
    for match, end in zip(matches, ends, strict=True):
        name = match["name"]
        statement = text[match.end() : end].strip().rstrip(";")
        if name in queries:
            raise ValueError(f"{origin}: query {name!r} is defined twice")
        if not statement:
            raise ValueError(f"{origin}: query {name!r} has no statement")
        queries[name] = f"/* {name} */ {statement}".encode()
    return MappingProxyType(queries)


def load_queries(noun: str) -> Mapping[str, bytes]:
    """Read the named statements of ``queries/<noun>.sql``.

    They are bytes, because psycopg takes those from anywhere and strings only from literals.
    """
    return parse_queries(_read(noun), origin=f"{noun}.sql")


def _read(noun: str) -> str:
    resource = files("apex_actors.storage") / "queries" / f"{noun}.sql"
    text = resource.read_text(encoding="utf-8")
    return _INCLUDE_LINE.sub(lambda line: _read(line["noun"]), text)

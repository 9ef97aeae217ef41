"""Error reports, for operators: what made runs fail."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from apex_actors.storage.database import Database
from apex_actors.storage.sql import load_queries

QUERIES = load_queries("error_reports")

_PREFIX: Final = re.compile(r"[0-9a-f]{1,32}")


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """What went wrong in a run; secrets were taken out of message and stack before they were stored."""

    id: UUID
    created_at: datetime
    kind: str
    """The name of the exception's class."""
    message: str
    stack: str
    context: Mapping[str, Any]
    run_id: UUID | None
    org: str | None
    sub: str | None
    """Whose run it was."""


class ErrorReports:
    """Reading side of error reports."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def latest(
        self,
        *,
        limit: int,
        org: str | None = None,
        sub: str | None = None,
        since: datetime | None = None,
    ) -> list[ErrorReport]:
        """At most ``limit`` of them, the latest first; of a user, and since a moment, if given."""
        values = {"limit": limit, "org": org, "sub": sub, "since": since}
        async with self._database.connection() as connection:
            cursor = await connection.execute(QUERIES["latest_error_reports"], values)
            return [ErrorReport(**row) for row in await cursor.fetchall()]

    async def beginning_with(self, prefix: str, *, limit: int) -> list[ErrorReport]:
        """At most ``limit`` whose id begins so, in the order of their ids.

        Raises ValueError for what is no beginning of an id.
        """
        digits = prefix.replace("-", "").lower()
        if _PREFIX.fullmatch(digits) is None:
            raise ValueError("an id, or its beginning, has hexadecimal digits and hyphens only")
        first, last = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
        values = {"first": first, "last": last, "limit": limit}
        async with self._database.connection() as connection:
            cursor = await connection.execute(QUERIES["error_reports_between"], values)
            return [ErrorReport(**row) for row in await cursor.fetchall()]

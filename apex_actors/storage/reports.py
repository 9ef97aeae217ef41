"""The answers of runs, for downloads."""

from dataclasses import dataclass, field
from uuid import UUID

from apex_actors.protocol.identity import Identity
from apex_actors.storage.database import Database
from apex_actors.storage.sql import load_queries

QUERIES = load_queries("reports")


@dataclass(frozen=True, slots=True)
class Report:
    """What a run answered: ``content`` is Markdown, ``report`` JSON text."""

    run_id: UUID
    content: str = field(repr=False)
    report: str = field(repr=False)


class ReportStore:
    """Reading side of answers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_user(self, identity: Identity, run_id: UUID) -> Report | None:
        """The answer of a run of this user; None alike for another's, for none and for no answer."""
        return await self._load(run_id, org=identity.org, sub=identity.sub)

    async def of_anybody(self, run_id: UUID) -> Report | None:
        """The answer of a run, whoever asked: only after a signed link to it was checked."""
        return await self._load(run_id, org=None, sub=None)

    async def _load(self, run_id: UUID, *, org: str | None, sub: str | None) -> Report | None:
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                QUERIES["report_of_run"], {"run_id": run_id, "org": org, "sub": sub}
            )
            row = await cursor.fetchone()
        return None if row is None else Report(**row)

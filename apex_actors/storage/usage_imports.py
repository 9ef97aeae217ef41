"""Imports as a user sees them: made with an event of the user's log, listed, undone."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict

from apex_actors.costs.importers import ImportOptions, SourceKind
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.protocol.events import Event
from apex_actors.protocol.payloads import UsageImported
from apex_actors.storage import tenants
from apex_actors.storage import usage_import as importing
from apex_actors.storage import usage_sources as sources
from apex_actors.storage.database import Connection, Database
from apex_actors.storage.event_log import Draft, append
from apex_actors.storage.sql import load_queries
from apex_actors.storage.usage_encoding import FileSource
from apex_actors.storage.usage_import import ImportSummary, one
from apex_actors.storage.work import ThreadRunner, WorkRunner

QUERIES = load_queries("usage_imports")


class ImportRecord(BaseModel):
    """An import in the list of a tenant's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    import_id: UUID
    name: str
    format: str
    reason: str
    """In what the format was recognised."""
    source_kind: SourceKind
    price_version: str
    rows: int
    """Rows of the file, refused ones too."""
    inserted: int
    """Records that count as this import's now."""
    duplicates: int
    """Rows that another import had brought already."""
    rejected: int
    started_at: AwareDatetime
    finished_at: AwareDatetime | None


class UndoSummary(BaseModel):
    """What undoing an import did."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    import_id: UUID
    name: str
    removed: int
    """Records of the import that are gone."""
    restored: int
    """Of these, records that a later import had as well: they count as that one's now."""
    data_version: int


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A file is imported; ``events`` are to be announced."""

    summary: ImportSummary
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Undone:
    """An import is undone; ``events`` are to be announced."""

    summary: UndoSummary
    events: tuple[Event, ...]


class UsageImports:
    """Changes to the usage of tenants in the name of a user, whose log tells of each.

    A transaction locks the tenant first and the user's row last, just before it commits: an import
    may take minutes, and a user's log must not wait so long.

    :param database: an open database, for short questions.
    :param bulk: one for what takes long, so that it keeps nobody else from a connection; None:
        the same.
    :param work: does the parsing and pricing; None: threads.
    :param clock: the aware moment "now".
    """

    def __init__(
        self,
        database: Database,
        *,
        bulk: Database | None = None,
        work: WorkRunner | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._bulk = database if bulk is None else bulk
        self._work = ThreadRunner() if work is None else work
        self._clock = clock

    async def upload(
        self,
        user_id: int,
        tenant: str,
        file: BinaryIO,
        *,
        name: str,
        catalogue: PriceCatalogue,
        options: ImportOptions | None = None,
        max_bytes: int | None = None,
    ) -> Uploaded:
        """Import a file of any known format, all or nothing, with its ``usage_imported``.

        :param file: open for reading bytes, plain or gzip; read beside the event loop.
        :param name: what the user calls the file.
        :param max_bytes: how much may come out of it, decompressed; None: any amount.
        :raises UsageFileError: the file can't be read; nothing was imported.
        """
        source = FileSource(tenant=tenant, name=name, options=options, max_bytes=max_bytes)
        async with self._bulk.transaction() as connection:
            summary = await importing.import_rows(
                connection,
                source,
                file=file,
                catalogue=catalogue,
                work=self._work,
                started_at=self._clock(),
            )
            summary = await importing.finish(connection, summary, finished_at=self._clock())
            events = await _tell(
                connection,
                user_id,
                UsageImported(
                    import_id=summary.import_id,
                    name=name,
                    inserted=summary.inserted,
                    duplicates=summary.duplicates,
                    rejected=summary.rejected,
                ),
            )
        return Uploaded(summary, events)

    async def page(
        self, tenant: str, *, limit: int, before: UUID | None
    ) -> tuple[ImportRecord, ...]:
        """The latest ``limit`` imports before the import ``before``, latest first."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                QUERIES["list_imports"], {"tenant": tenant, "limit": limit, "before": before}
            )
            return tuple(ImportRecord(**row) for row in await cursor.fetchall())

    async def undo(self, user_id: int, tenant: str, import_id: UUID) -> Undone | None:
        """Make it as if the file had never been imported; None: the tenant has no such import.

        Records that a later import brought as well become that one's, as it brought them.
        """
        async with self._bulk.transaction() as connection:
            data_version = await tenants.lock(connection, tenant)
            cursor = await connection.execute(
                QUERIES["lock_import"], {"tenant": tenant, "import_id": import_id}
            )
            batch = await cursor.fetchone()
            if batch is None:
                return None
            removed, restored = await _take_back(connection, tenant, batch["id"])
            if removed:
                data_version = await tenants.bump(connection, tenant)
            events = await _tell(
                connection,
                user_id,
                UsageImported(
                    import_id=import_id,
                    name=batch["name"],
                    inserted=batch["inserted"],
                    duplicates=batch["duplicates"],
                    rejected=batch["rejected"],
                    undone=True,
                ),
            )
        return Undone(
            UndoSummary(
                import_id=import_id,
                name=batch["name"],
                removed=removed,
                restored=restored,
                data_version=data_version,
            ),
            events,
        )


async def _take_back(connection: Connection, tenant: str, number: int) -> tuple[int, int]:
    """Remove the records of import ``number`` and put in what had come second to them.

    How many were removed and restored. The tenant must be locked.
    """
    await connection.execute(importing.QUERIES["create_incoming"])
    await sources.prepare(connection)
    whose = {"tenant": tenant, "number": number}
    await connection.execute(QUERIES["fill_incoming"], whose)
    removed = 0
    for query, sign in (("remove_records", -1), ("remove_reconciling", 1)):
        removal = await connection.execute(QUERIES[query], whose | {"sign": sign})
        gone = await removal.fetchone()
        removed += gone["removed"] if gone else 0
    merged = await one(connection, "merge_incoming", sign=1)
    await sources.settle(connection, tenant)
    if removed:
        await sources.drop_empty(connection, tenant)
    await connection.execute(QUERIES["count_restored"])
    await connection.execute(QUERIES["drop_duplicates"], {"number": number})
    await connection.execute(QUERIES["delete_import"], {"number": number})
    return removed, merged["inserted"]


async def _tell(connection: Connection, user_id: int, payload: UsageImported) -> tuple[Event, ...]:
    appending = await append(connection, user_id, [Draft(payload)])
    return tuple(await appending.events())

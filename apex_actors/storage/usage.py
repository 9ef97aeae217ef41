"""Usage of AI models: importing it and asking about it."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import BinaryIO
from uuid import UUID

from psycopg import Rollback

from apex_actors.costs.filters import EVERYTHING, Filters
from apex_actors.costs.importers import ImportOptions
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.costs.summary import (
    Breakdown,
    DayPoint,
    Dimension,
    Extent,
    Totals,
    UnpricedGroup,
    UsageSummary,
)
from apex_actors.costs.timerange import TimeRange
from apex_actors.storage import tenants
from apex_actors.storage import usage_analysis as analysis
from apex_actors.storage import usage_import as importing
from apex_actors.storage import usage_sources as sources
from apex_actors.storage.database import Database
from apex_actors.storage.prices import own_prices
from apex_actors.storage.usage_encoding import (
    SAMPLE_FORMAT,
    FileSource,
    ImportSource,
    SampleSource,
)
from apex_actors.storage.usage_import import ImportSummary
from apex_actors.storage.usage_reader import UsageReader
from apex_actors.storage.work import ThreadRunner, WorkRunner


def _utc_now() -> datetime:
    return datetime.now(UTC)


class UsageRepository:
    """The usage of all tenants; every method is about one of them.

    :param database: an open database, for short questions.
    :param bulk: one for what takes long, so that it keeps nobody else from a connection; None:
        the same.
    :param work: does the parsing and pricing of imports; None: threads.
    :param clock: the aware moment "now".
    """

    def __init__(
        self,
        database: Database,
        *,
        bulk: Database | None = None,
        work: WorkRunner | None = None,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._database = database
        self._bulk = database if bulk is None else bulk
        self._work = ThreadRunner() if work is None else work
        self._clock = clock

    @property
    def reader(self) -> UsageReader:
        """Reads single requests from anywhere, over connections of its own."""
        return UsageReader(self._bulk.conninfo, self._bulk.niceness)

    async def import_file(
        self,
        tenant: str,
        file: BinaryIO,
        *,
        name: str,
        catalogue: PriceCatalogue,
        options: ImportOptions | None = None,
        dry_run: bool = False,
    ) -> ImportSummary:
        """Import a file of any known format, all or nothing.

        Good rows go in, bad ones are kept aside with line and reason; rows that the tenant has
        already change nothing.

        :param file: open for reading bytes, plain or gzip; read beside the event loop.
        :param name: what the user calls the file.
        :param dry_run: do all of it, say what came of it, and keep nothing.
        :raises UsageFileError: the file can't be read; nothing was imported.
        """
        return await self._import(
            FileSource(tenant=tenant, name=name, options=options),
            catalogue,
            file,
            dry_run=dry_run,
        )

    async def import_sample(
        self, tenant: str, today: date, *, catalogue: PriceCatalogue
    ) -> ImportSummary | None:
        """Load the sample data, ending at ``today``; None: the tenant has them already."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                importing.QUERIES["has_sample"],
                {"tenant": tenant, "format": SAMPLE_FORMAT},
            )
            row = await cursor.fetchone()
        if row is not None and row["loaded"]:
            return None
        return await self._import(SampleSource(tenant=tenant, today=today), catalogue)

    async def rejects(self, tenant: str, import_id: UUID) -> tuple[tuple[int, str], ...]:
        """Line and reason of the refused rows of an import; empty for another tenant's."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                importing.QUERIES["list_rejects"], {"tenant": tenant, "import_id": import_id}
            )
            return tuple((row["line"], row["reason"]) for row in await cursor.fetchall())

    async def rebuild_rollups(self, tenant: str) -> int:
        """Sum all records of the tenant up anew, in one transaction; how many there are.

        What an import keeps up to date is the same already. For records that were written into the
        table by other means; their import must be in the list of imports.
        """
        async with self._bulk.transaction() as connection:
            await tenants.lock(connection, tenant)
            records = await sources.rebuild(connection, tenant)
            await tenants.bump(connection, tenant)
        return records

    async def prices(self, tenant: str, catalogue: PriceCatalogue) -> PriceCatalogue:
        """The catalogue as the tenant pays it: with its own prices, where it has any."""
        async with self._database.connection() as connection:
            return await own_prices(connection, tenant, catalogue)

    async def data_version(self, tenant: str) -> int:
        """Changes with every import that changed something; 0 before the first."""
        async with self._database.connection() as connection:
            return await analysis.data_version(connection, tenant)

    async def extent(self, tenant: str) -> Extent | None:
        """When the tenant's records begin and end; None where there are none."""
        async with self._database.connection() as connection:
            return await analysis.extent(connection, tenant)

    async def totals(
        self, tenant: str, time_range: TimeRange, *, filters: Filters = EVERYTHING
    ) -> Totals:
        """The sums of the range; all 0 where there are no records."""
        async with self._database.connection() as connection:
            return await analysis.totals(connection, tenant, time_range, filters=filters)

    async def breakdown(
        self,
        tenant: str,
        time_range: TimeRange,
        dimension: Dimension,
        *,
        limit: int = 10,
        filters: Filters = EVERYTHING,
    ) -> Breakdown:
        """The ``limit`` most expensive values of a dimension, and the others as one."""
        async with self._database.connection() as connection:
            return await analysis.breakdown(
                connection, tenant, time_range, dimension, limit, filters=filters
            )

    async def daily(
        self, tenant: str, time_range: TimeRange, *, filters: Filters = EVERYTHING
    ) -> tuple[DayPoint, ...]:
        """Each local day of the range; days without records are there with zeros."""
        async with self._database.connection() as connection:
            return await analysis.daily(connection, tenant, time_range, filters=filters)

    async def unpriced(
        self, tenant: str, time_range: TimeRange, *, filters: Filters = EVERYTHING
    ) -> tuple[UnpricedGroup, ...]:
        """What has no price, and why; most tokens first."""
        async with self._database.connection() as connection:
            return await analysis.unpriced(connection, tenant, time_range, filters=filters)

    async def summary(
        self,
        tenant: str,
        time_range: TimeRange,
        *,
        dimensions: Sequence[Dimension] = (
            Dimension.MODEL,
            Dimension.FEATURE,
            Dimension.TEAM,
            Dimension.USER,
            Dimension.ENVIRONMENT,
        ),
        limit: int = 10,
        filters: Filters = EVERYTHING,
    ) -> UsageSummary:
        """All answers about a range in one snapshot, so that they agree with each other."""
        async with self._bulk.transaction() as connection:
            await connection.execute("set transaction isolation level repeatable read, read only")
            return UsageSummary(
                as_of=self._clock(),
                data_version=await analysis.data_version(connection, tenant),
                totals=await analysis.totals(connection, tenant, time_range, filters=filters),
                breakdowns=tuple(
                    [
                        await analysis.breakdown(
                            connection, tenant, time_range, dimension, limit, filters=filters
                        )
                        for dimension in dimensions
                    ]
                ),
                daily=await analysis.daily(connection, tenant, time_range, filters=filters),
                unpriced=await analysis.unpriced(connection, tenant, time_range, filters=filters),
            )

    async def _import(
        self,
        source: ImportSource,
        catalogue: PriceCatalogue,
        file: BinaryIO | None = None,
        *,
        dry_run: bool = False,
    ) -> ImportSummary:
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
            if dry_run:
                raise Rollback
        return summary

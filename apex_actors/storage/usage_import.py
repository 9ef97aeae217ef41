"""Importing usage: a file or the sample becomes records, prices and rollups in one transaction."""

import asyncio
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from typing import Any, BinaryIO

from pydantic import AwareDatetime, BaseModel, ConfigDict

from apex_actors.costs.importers import (
    ImportOptions,
    RejectedRow,
    Row,
    UsageFile,
    open_usage_file,
)
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.costs.sample import sample_records
from apex_actors.costs.summary import share
from apex_actors.storage.database import Connection
from apex_actors.storage.sql import load_queries
from apex_actors.storage.usage_copy import copy_line

QUERIES = load_queries("usage_import")

BATCH_ROWS = 1_000
"""Rows parsed and priced in a thread at a time: some 30 ms, and under a megabyte."""

MAX_KEPT_REJECTS = 10_000
"""Refused rows that are kept with line and reason; beyond it they are only counted."""

SAMPLE_FORMAT = "sample"


class ImportSummary(BaseModel):
    """What an import did. Money is US dollars, exact, of the rows that were new."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    import_id: int
    tenant: str
    name: str
    format: str
    reason: str
    """In what the format was recognised."""
    rows: int
    """Rows of the file, refused ones too."""
    inserted: int
    duplicates: int
    """Rows that were there already; nothing was changed for them."""
    rejected: int
    first_rejects: tuple[tuple[int, str], ...]
    """Line and reason of the first refused rows."""
    requests: int
    priced_requests: int
    tokens: int
    priced_tokens: int
    computed_cost: Decimal
    reported_requests: int
    """Requests with a reported cost in US dollars and a computed one."""
    reported_cost: Decimal
    reported_computed_cost: Decimal
    """What the catalogue computes for those; the difference is theirs."""
    price_version: str
    data_version: int
    started_at: AwareDatetime
    finished_at: AwareDatetime

    @property
    def priced_request_share(self) -> Decimal:
        """Priced coverage by requests."""
        return share(self.priced_requests, self.requests)

    @property
    def priced_token_share(self) -> Decimal:
        """Priced coverage by tokens."""
        return share(self.priced_tokens, self.tokens)


class ImportSource:
    """Where the rows come from, opened and read in a worker thread."""

    def __init__(self, *, tenant: str, name: str) -> None:
        self.tenant = tenant
        self.name = name

    def open(self) -> tuple[str, str, Iterator[Row]]:
        """The format, in what it was recognised, and the rows."""
        raise NotImplementedError


class FileSource(ImportSource):
    """A file of any known format."""

    def __init__(
        self, *, tenant: str, name: str, file: BinaryIO, options: ImportOptions | None
    ) -> None:
        super().__init__(tenant=tenant, name=name)
        self._file = file
        self._options = options

    def open(self) -> tuple[str, str, Iterator[Row]]:
        """See ``ImportSource``; raises ``UsageFileError`` for a file that can't be read."""
        opened: UsageFile = open_usage_file(self._file, tenant=self.tenant, options=self._options)
        return opened.detection.format.value, opened.detection.reason, opened.rows


class SampleSource(ImportSource):
    """The sample data that is shipped with the package."""

    def __init__(self, *, tenant: str, today: date) -> None:
        super().__init__(tenant=tenant, name="sample data")
        self._today = today

    def open(self) -> tuple[str, str, Iterator[Row]]:
        """See ``ImportSource``."""
        return (
            SAMPLE_FORMAT,
            "shipped with apex_actors",
            sample_records(self._today, tenant=self.tenant),
        )


class _Encoder:
    """Parses, prices and encodes rows batch by batch; used by one thread at a time."""

    def __init__(self, rows: Iterator[Row], *, import_id: int, catalogue: PriceCatalogue) -> None:
        self._rows = rows
        self._import_id = import_id
        self._catalogue = catalogue
        self.accepted = 0
        self.rejected = 0
        self.rejects: list[RejectedRow] = []

    def next_batch(self) -> bytes | None:
        """The next rows in COPY's text format; None at the end."""
        lines: list[str] = []
        seen = 0
        for row in islice(self._rows, BATCH_ROWS):
            seen += 1
            if isinstance(row, RejectedRow):
                self.rejected += 1
                if len(self.rejects) < MAX_KEPT_REJECTS:
                    self.rejects.append(row)
            else:
                lines.append(copy_line(row, import_id=self._import_id, catalogue=self._catalogue))
        self.accepted += len(lines)
        return "".join(lines).encode() if seen else None


async def import_rows(
    connection: Connection,
    source: ImportSource,
    *,
    catalogue: PriceCatalogue,
    started_at: datetime,
) -> ImportSummary:
    """Imports all rows of the source; the caller's transaction makes it one change.

    Reading, pricing and encoding run in a thread, a batch at a time, so that the event loop stays
    free. Rows whose id the tenant has already are left alone.

    Raises UsageFileError when the source can't be read; the transaction must not be committed then.
    """
    file_format, reason, rows = await asyncio.to_thread(source.open)
    await connection.execute(QUERIES["wait_for_other_imports"])
    batch = await _one(
        connection,
        "insert_batch",
        tenant=source.tenant,
        name=source.name,
        format=file_format,
        reason=reason,
        price_version=catalogue.version,
        started_at=started_at,
    )
    import_id: int = batch["id"]
    encoder = _Encoder(rows, import_id=import_id, catalogue=catalogue)
    await connection.execute(QUERIES["create_incoming"])
    async with (
        connection.cursor() as cursor,
        cursor.copy(QUERIES["copy_incoming"]) as copy,
    ):
        while (data := await asyncio.to_thread(encoder.next_batch)) is not None:
            await copy.write(data)

    await connection.execute(QUERIES["ensure_tenant"], {"tenant": source.tenant})
    version = await _one(connection, "lock_tenant", tenant=source.tenant)
    merged = await _one(connection, "merge_incoming")
    inserted: int = merged.pop("inserted")
    if inserted:
        # Nothing new leaves the version, and with it every cached answer, as it is.
        version = await _one(connection, "bump_data_version", tenant=source.tenant)
    await connection.execute(
        QUERIES["insert_rejects"],
        {
            "import_id": import_id,
            "lines": [reject.line for reject in encoder.rejects],
            "reasons": [reject.reason for reject in encoder.rejects],
        },
    )
    return ImportSummary(
        import_id=import_id,
        tenant=source.tenant,
        name=source.name,
        format=file_format,
        reason=reason,
        rows=encoder.accepted + encoder.rejected,
        inserted=inserted,
        duplicates=encoder.accepted - inserted,
        rejected=encoder.rejected,
        first_rejects=tuple((reject.line, reject.reason) for reject in encoder.rejects[:10]),
        price_version=catalogue.version,
        data_version=version["data_version"],
        started_at=started_at,
        finished_at=started_at,
        **merged,
    )


async def finish(
    connection: Connection, summary: ImportSummary, *, finished_at: datetime
) -> ImportSummary:
    """Writes the counts into the batch, in the same transaction."""
    await connection.execute(
        QUERIES["finish_batch"],
        {
            "import_id": summary.import_id,
            "rows": summary.rows,
            "inserted": summary.inserted,
            "duplicates": summary.duplicates,
            "rejected": summary.rejected,
            "finished_at": finished_at,
        },
    )
    return summary.model_copy(update={"finished_at": finished_at})


async def _one(connection: Connection, query: str, **parameters: object) -> dict[str, Any]:
    cursor = await connection.execute(QUERIES[query], parameters or None)
    row = await cursor.fetchone()
    if row is None:
        raise AssertionError(f"The query {query} always has a row.")
    return row

"""Importing usage: a file or the sample becomes records, prices and rollups in one transaction."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime
from decimal import Decimal
from typing import Any, BinaryIO, Final, TypeVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict

from apex_actors.costs.money import total
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.costs.summary import share
from apex_actors.storage.database import Connection
from apex_actors.storage.read_ahead import read_ahead
from apex_actors.storage.sql import load_queries
from apex_actors.storage.usage_encoding import Encoded, ImportSource, Opened, encode
from apex_actors.storage.work import WorkRunner

QUERIES = load_queries("usage_import")

T = TypeVar("T")

MERGED_BATCHES: Final = 16
"""Batches that become records at once: few enough for memory, enough for a statement."""

_COUNTS: Final = (
    "requests",
    "priced_requests",
    "tokens",
    "priced_tokens",
    "reported_requests",
)
_AMOUNTS: Final = ("computed_cost", "reported_cost", "reported_computed_cost")


class ImportSummary(BaseModel):
    """What an import did. Money is US dollars, exact, of the rows that were new."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    import_id: UUID
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


async def import_rows(
    connection: Connection,
    source: ImportSource,
    *,
    file: BinaryIO | None,
    catalogue: PriceCatalogue,
    work: WorkRunner,
    started_at: datetime,
) -> ImportSummary:
    """Imports all rows of the source; the caller's transaction makes it one change.

    Reading, pricing and encoding are done by ``work``, so that the event loop stays free: it only
    hands on what comes. Rows whose id the tenant has already are left alone.

    Raises UsageFileError when the source can't be read, and WorkError; the transaction must not be
    committed then.
    """
    number: int = (await one(connection, "next_number"))["number"]
    async with aclosing(work.stream(encode, source, number, catalogue, file=file)) as encoded:
        opened: Opened = await anext(encoded)
        await connection.execute(QUERIES["wait_for_other_imports"])
        batch = await one(
            connection,
            "insert_batch",
            number=number,
            tenant=source.tenant,
            name=source.name,
            format=opened.format,
            reason=opened.reason,
            price_version=catalogue.version,
            started_at=started_at,
        )
        await connection.execute(QUERIES["create_incoming"])
        await connection.execute(QUERIES["ensure_tenant"], {"tenant": source.tenant})
        counted = Encoded()
        merged: list[dict[str, Any]] = []
        # The next rows are encoded while these are merged.
        async with read_ahead(encoded, limit=MERGED_BATCHES) as batches:
            while chunk := [batch async for batch in _first(batches, MERGED_BATCHES)]:
                if isinstance(chunk[-1], Encoded):
                    counted = chunk.pop()
                if chunk:
                    merged.append(await _merge(connection, source.tenant, chunk))

    version = await one(connection, "lock_tenant", tenant=source.tenant)
    inserted = sum(part["inserted"] for part in merged)
    if inserted:
        # Nothing new leaves the version, and with it every cached answer, as it is.
        version = await one(connection, "bump_data_version", tenant=source.tenant)
    await connection.execute(
        QUERIES["insert_rejects"],
        {
            "import_id": number,
            "lines": [line for line, _ in counted.rejects],
            "reasons": [reason for _, reason in counted.rejects],
        },
    )
    return ImportSummary(
        import_id=batch["public_id"],
        tenant=source.tenant,
        name=source.name,
        format=opened.format,
        reason=opened.reason,
        rows=counted.accepted + counted.rejected,
        inserted=inserted,
        duplicates=counted.accepted - inserted,
        rejected=counted.rejected,
        first_rejects=counted.rejects[:10],
        price_version=catalogue.version,
        data_version=version["data_version"],
        started_at=started_at,
        finished_at=started_at,
        **{name: sum(part[name] for part in merged) for name in _COUNTS},
        **{name: total(part[name] for part in merged) for name in _AMOUNTS},
    )


async def _first(batches: AsyncGenerator[T, None], count: int) -> AsyncGenerator[T, None]:
    """The next of them, up to ``count``; the others stay."""
    for _ in range(count):
        try:
            yield await anext(batches)
        except StopAsyncIteration:
            return


async def _merge(connection: Connection, tenant: str, batches: Sequence[bytes]) -> dict[str, Any]:
    """Makes records of the rows that are new, and keeps the others apart; what it added."""
    async with connection.cursor() as cursor, cursor.copy(QUERIES["copy_incoming"]) as copy:
        for batch in batches:
            await copy.write(batch)
    await one(connection, "lock_tenant", tenant=tenant)
    merged = await one(connection, "merge_incoming", sign=1)
    if merged["inserted"] < sum(batch.count(b"\n") for batch in batches):
        await connection.execute(QUERIES["keep_duplicates"])
    await connection.execute(QUERIES["empty_incoming"])
    return merged


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


async def one(connection: Connection, query: str, **parameters: object) -> dict[str, Any]:
    """The one row of a statement of ``QUERIES`` that always has one."""
    cursor = await connection.execute(QUERIES[query], parameters or None)
    row = await cursor.fetchone()
    if row is None:
        raise AssertionError(f"The query {query} always has a row.")
    return row

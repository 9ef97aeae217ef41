"""Importing usage: a file or the sample becomes records, prices and rollups in one transaction."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, BinaryIO, Final, TypeVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict

from apex_actors.costs.money import total
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.costs.summary import UnpricedGroup, share
from apex_actors.storage import tenants
from apex_actors.storage import usage_sources as sources
from apex_actors.storage.database import Connection
from apex_actors.storage.prices import own_prices
from apex_actors.storage.read_ahead import read_ahead
from apex_actors.storage.sql import load_queries
from apex_actors.storage.usage_encoding import Encoded, ImportSource, Opened, encode
from apex_actors.storage.usage_sources import Covered
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
    """What an import did. Money is US dollars, exact, of the rows that were new or replaced others."""

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
    replaced: int = 0
    """Buckets that were there with another value, which this one took the place of."""
    duplicates: int
    """Rows that were there already; nothing was changed for them."""
    covered: tuple[Covered, ...] = ()
    """What does not count, because another source tells of the same days; it only reconciles."""
    unpriced: tuple[UnpricedGroup, ...] = ()
    """Models without a price, most tokens first, with the reason; the first ten."""
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
    hands on what comes. The tenant's own prices go before those of the catalogue. Rows whose id the
    tenant has already are left alone.

    Raises UsageFileError when the source can't be read, and WorkError; the transaction must not be
    committed then.
    """
    catalogue = await own_prices(connection, source.tenant, catalogue)
    number: int = (await one(connection, "next_number"))["number"]
    async with aclosing(work.stream(encode, source, number, catalogue, file=file)) as encoded:
        opened: Opened = await anext(encoded)
        await tenants.wait_for_others(connection)
        batch = await one(
            connection,
            "insert_batch",
            number=number,
            tenant=source.tenant,
            name=source.name,
            format=opened.format,
            reason=opened.reason,
            source_kind=opened.source_kind,
            price_version=catalogue.version,
            started_at=started_at,
        )
        await connection.execute(QUERIES["create_incoming"])
        await sources.prepare(connection)
        counted = Encoded()
        merged: list[_Merged] = []
        # The next rows are encoded while these are merged.
        async with read_ahead(encoded, limit=MERGED_BATCHES) as batches:
            while chunk := [batch async for batch in _first(batches, MERGED_BATCHES)]:
                if isinstance(chunk[-1], Encoded):
                    counted = chunk.pop()
                if chunk:
                    merged.append(await _merge(connection, source.tenant, chunk))

    version = await tenants.lock(connection, source.tenant)
    moved = await sources.settle(connection, source.tenant)
    sums = _Merged.total(merged)
    if sums.again or moved:
        await sources.drop_empty(connection, source.tenant)
    inserted = sums.owned - sums.again
    if inserted or sums.replaced or moved:
        # Nothing new leaves the version, and with it every cached answer, as it is.
        version = await tenants.bump(connection, source.tenant)
    await connection.execute(
        QUERIES["count_batch"],
        {
            "number": number,
            "rows": counted.accepted + counted.rejected,
            "inserted": sums.owned,
            "duplicates": counted.accepted - sums.owned,
            "rejected": counted.rejected,
        },
    )
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
        replaced=sums.replaced,
        duplicates=counted.accepted - inserted - sums.replaced,
        covered=await sources.covered(connection, source.tenant, number) if moved else (),
        unpriced=await _unpriced(connection, number, sums.counts),
        rejected=counted.rejected,
        first_rejects=counted.rejects[:10],
        price_version=catalogue.version,
        data_version=version,
        started_at=started_at,
        finished_at=started_at,
        **sums.counts,
        **sums.amounts,
    )


@dataclass(frozen=True, slots=True)
class _Merged:
    """What some rows came to."""

    owned: int
    """Rows that are records of this import now."""
    again: int
    """Of these, buckets that were there already."""
    replaced: int
    """Of these, such as say something else now."""
    counts: Mapping[str, int]
    amounts: Mapping[str, Decimal]

    @classmethod
    def total(cls, parts: Sequence["_Merged"]) -> "_Merged":
        """All of them together."""
        return cls(
            owned=sum(part.owned for part in parts),
            again=sum(part.again for part in parts),
            replaced=sum(part.replaced for part in parts),
            counts={name: sum(part.counts[name] for part in parts) for name in _COUNTS},
            amounts={name: total(part.amounts[name] for part in parts) for name in _AMOUNTS},
        )


async def _first(batches: AsyncGenerator[T, None], count: int) -> AsyncGenerator[T, None]:
    """The next of them, up to ``count``; the others stay."""
    for _ in range(count):
        try:
            yield await anext(batches)
        except StopAsyncIteration:
            return


async def _merge(connection: Connection, tenant: str, batches: Sequence[bytes]) -> _Merged:
    """Makes records of the rows that are new, and keeps the others apart."""
    async with connection.cursor() as cursor, cursor.copy(QUERIES["copy_incoming"]) as copy:
        for batch in batches:
            await copy.write(batch)
    await tenants.lock(connection, tenant)
    again, replaced = await _replace_buckets(connection, tenant)
    merged = await one(connection, "merge_incoming", sign=1)
    owned: int = merged["inserted"]
    if owned < sum(batch.count(b"\n") for batch in batches):
        await connection.execute(QUERIES["keep_duplicates"])
    await connection.execute(QUERIES["empty_incoming"])
    return _Merged(
        owned=owned,
        again=again,
        replaced=replaced,
        counts={name: merged[name] for name in _COUNTS},
        amounts={name: merged[name] for name in _AMOUNTS},
    )


async def _replace_buckets(connection: Connection, tenant: str) -> tuple[int, int]:
    """Take away the buckets that come again; how many, and how many of them have changed."""
    if (await one(connection, "has_incoming_buckets"))["found"]:
        await connection.execute(QUERIES["drop_repeated_buckets"])
    if not await sources.has_buckets(connection, tenant):
        return 0, 0
    found = await one(connection, "find_replaced")
    if found["found"]:
        await connection.execute(QUERIES["replace_counted"], {"sign": -1})
        await connection.execute(QUERIES["replace_reconciling"], {"sign": 1})
    return found["found"], found["changed"]


async def _unpriced(
    connection: Connection, number: int, merged: Mapping[str, int]
) -> tuple[UnpricedGroup, ...]:
    if (merged["requests"], merged["tokens"]) == (
        merged["priced_requests"],
        merged["priced_tokens"],
    ):
        return ()
    cursor = await connection.execute(QUERIES["unpriced_of_import"], {"number": number})
    return tuple(UnpricedGroup(**row) for row in await cursor.fetchall())


async def finish(
    connection: Connection, summary: ImportSummary, *, finished_at: datetime
) -> ImportSummary:
    """Writes into the batch when it was finished, in the same transaction."""
    await connection.execute(
        QUERIES["finish_batch"],
        {"import_id": summary.import_id, "finished_at": finished_at},
    )
    return summary.model_copy(update={"finished_at": finished_at})


async def one(connection: Connection, query: str, **parameters: object) -> dict[str, Any]:
    """The one row of a statement of ``QUERIES`` that always has one."""
    cursor = await connection.execute(QUERIES[query], parameters or None)
    row = await cursor.fetchone()
    if row is None:
        raise AssertionError(f"The query {query} always has a row.")
    return row

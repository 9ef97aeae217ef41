"""Prices what a tenant has used anew, after the catalogue or the tenant's own prices have changed.

Records are taken in batches; each batch is one short transaction that corrects the sums with the
records, so that every answer in between is right for the prices that its records have. Whoever is
interrupted begins again: what has its new price already changes no more.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from apex_actors.costs.money import from_units, to_units
from apex_actors.costs.prices import PriceCatalogue, Unpriced
from apex_actors.costs.records import Grain, Processing, UsageRecord
from apex_actors.storage import tenants
from apex_actors.storage import usage_sources as sources
from apex_actors.storage.database import Connection, Database
from apex_actors.storage.prices import QUERIES, own_prices

BATCH_RECORDS: Final = 5_000
"""Records priced in one transaction: some tenths of a second, for which an import may wait."""

_NOT_PRICE: Final = frozenset({"import_id", "computed_cost", "unpriced_reason"})


class ModelRepricing(BaseModel):
    """What new prices change for a model. Money is US dollars, exact."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: str
    model: str
    records: int
    """Records whose price has changed."""
    old_cost: Decimal
    """Of these records, those without a price not counted."""
    new_cost: Decimal
    became_priced: int
    became_unpriced: int


class RepricingSummary(BaseModel):
    """What new prices change in all, for the records that count. Money is US dollars, exact."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant: str
    price_version: str
    dry_run: bool
    records: int
    """Records that were looked at."""
    changed: int
    old_cost: Decimal
    """Of all records that were looked at."""
    new_cost: Decimal
    became_priced: int
    became_unpriced: int
    models: tuple[ModelRepricing, ...]
    """Models with a change, the greatest difference first."""


@dataclass(slots=True)
class _Tally:
    records: int = 0
    old: int = 0
    new: int = 0
    became_priced: int = 0
    became_unpriced: int = 0


@dataclass(slots=True)
class _Difference:
    records: int = 0
    old: int = 0
    new: int = 0
    models: dict[tuple[str, str], _Tally] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _NewPrice:
    row: dict[str, Any]
    cost: Decimal | None
    reason: str | None


class Repricing:
    """Prices the records of tenants anew.

    :param bulk: an open database for what takes long.
    :param batch_records: how many records a transaction prices.
    """

    def __init__(self, bulk: Database, *, batch_records: int = BATCH_RECORDS) -> None:
        if batch_records < 1:
            raise ValueError("batch_records: must be at least 1")
        self._bulk = bulk
        self._batch_records = batch_records

    async def run(
        self,
        tenant: str,
        *,
        catalogue: PriceCatalogue,
        dry_run: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> RepricingSummary:
        """Price all records of the tenant as its prices are now, and say what that changes.

        :param catalogue: the list prices; the tenant's own go before them.
        :param dry_run: change nothing, only say what would change.
        :param progress: is told how many records that count have been looked at.
        """
        async with self._bulk.connection() as connection:
            prices = await own_prices(connection, tenant, catalogue)
        difference = _Difference()

        def tell(rows: Sequence[dict[str, Any]], priced: Sequence[_NewPrice]) -> None:
            _add(difference, rows, priced)
            if progress is not None:
                progress(difference.records)

        await self._each(tenant, prices, "counted", dry_run=dry_run, tell=tell)
        if not dry_run:
            await self._each(tenant, prices, "reconciling", dry_run=False, tell=None)
            await self._beaten(tenant, prices)
            async with self._bulk.connection() as connection:
                await connection.execute(
                    QUERIES["mark_imports"], {"tenant": tenant, "price_version": prices.version}
                )
        return _summary(tenant, prices.version, difference, dry_run=dry_run)

    async def _each(
        self,
        tenant: str,
        prices: PriceCatalogue,
        side: str,
        *,
        dry_run: bool,
        tell: Callable[[Sequence[dict[str, Any]], Sequence[_NewPrice]], None] | None,
    ) -> None:
        after, after_id = datetime.min.replace(tzinfo=UTC), ""
        while True:
            async with self._bulk.transaction() as connection:
                if not dry_run:
                    await tenants.lock(connection, tenant)
                rows = await _fetch(
                    connection,
                    f"next_{side}",
                    tenant=tenant,
                    after=after,
                    after_id=after_id,
                    limit=self._batch_records,
                )
                priced = await asyncio.to_thread(_reprice, rows, prices)
                if priced and not dry_run:
                    await _store(connection, tenant, side, priced)
            if not rows:
                return
            if tell is not None:
                tell(rows, priced)
            after, after_id = rows[-1]["occurred_at"], rows[-1]["record_id"]

    async def _beaten(self, tenant: str, prices: PriceCatalogue) -> None:
        """What came second may come back by an undo: with the new price."""
        after_id, after_import = "", 0
        while True:
            async with self._bulk.transaction() as connection:
                await tenants.lock(connection, tenant)
                rows = await _fetch(
                    connection,
                    "next_beaten",
                    tenant=tenant,
                    after_id=after_id,
                    after_import=after_import,
                    limit=self._batch_records,
                )
                if not rows:
                    return
                priced = await asyncio.to_thread(_reprice, rows, prices)
                await connection.execute(
                    QUERIES["reprice_beaten"],
                    _arrays(priced)
                    | {
                        "tenant": tenant,
                        "imports": [new.row["import_id"] for new in priced],
                    },
                )
            after_id, after_import = rows[-1]["record_id"], rows[-1]["import_id"]


async def _fetch(connection: Connection, query: str, **parameters: object) -> list[dict[str, Any]]:
    cursor = await connection.execute(QUERIES[query], parameters)
    return await cursor.fetchall()


async def _store(
    connection: Connection, tenant: str, side: str, priced: Sequence[_NewPrice]
) -> None:
    await sources.prepare(connection)
    await connection.execute(QUERIES["create_repriced"])
    await connection.execute(QUERIES["fill_repriced"], _arrays(priced))
    # Out of the sums with the old price, and in again with the new one.
    out, back = (-1, 1) if side == "counted" else (1, -1)
    await connection.execute(QUERIES[f"unsum_{side}"], {"tenant": tenant, "sign": out})
    await connection.execute(QUERIES[f"reprice_{side}"], {"tenant": tenant, "sign": back})
    await sources.drop_empty(connection, tenant)
    await tenants.bump(connection, tenant)


def _arrays(priced: Sequence[_NewPrice]) -> dict[str, object]:
    return {
        "ids": [new.row["record_id"] for new in priced],
        "costs": [new.cost for new in priced],
        "reasons": [new.reason for new in priced],
    }


def _reprice(rows: Sequence[dict[str, Any]], prices: PriceCatalogue) -> list[_NewPrice]:
    """The rows whose price is another one now."""
    changed: list[_NewPrice] = []
    for row in rows:
        # Not validated: it was, when it came.
        record = UsageRecord.model_construct(
            **{name: value for name, value in row.items() if name not in _NOT_PRICE}
            | {"grain": Grain(row["grain"]), "processing": Processing(row["processing"])}
        )
        price = prices.price(record)
        cost, reason = (
            (None, price.reason) if isinstance(price, Unpriced) else (from_units(price), None)
        )
        if (cost, reason) != (row["computed_cost"], row["unpriced_reason"]):
            changed.append(_NewPrice(row, cost, reason))
    return changed


def _add(
    difference: _Difference, rows: Sequence[dict[str, Any]], priced: Sequence[_NewPrice]
) -> None:
    before = sum(_units(row["computed_cost"]) for row in rows)
    difference.records += len(rows)
    difference.old += before
    difference.new += before
    for new in priced:
        old_cost = new.row["computed_cost"]
        tally = difference.models.setdefault((new.row["provider"], new.row["model"]), _Tally())
        tally.records += 1
        tally.old += _units(old_cost)
        tally.new += _units(new.cost)
        tally.became_priced += old_cost is None and new.cost is not None
        tally.became_unpriced += old_cost is not None and new.cost is None
        difference.new += _units(new.cost) - _units(old_cost)


def _units(cost: Decimal | None) -> int:
    return 0 if cost is None else to_units(cost)


def _summary(
    tenant: str, price_version: str, difference: _Difference, *, dry_run: bool
) -> RepricingSummary:
    tallies = sorted(
        difference.models.items(), key=lambda item: (-abs(item[1].new - item[1].old), item[0])
    )
    return RepricingSummary(
        tenant=tenant,
        price_version=price_version,
        dry_run=dry_run,
        records=difference.records,
        changed=sum(tally.records for _, tally in tallies),
        old_cost=from_units(difference.old),
        new_cost=from_units(difference.new),
        became_priced=sum(tally.became_priced for _, tally in tallies),
        became_unpriced=sum(tally.became_unpriced for _, tally in tallies),
        models=tuple(
            ModelRepricing(
                provider=provider,
                model=model,
                records=tally.records,
                old_cost=from_units(tally.old),
                new_cost=from_units(tally.new),
                became_priced=tally.became_priced,
                became_unpriced=tally.became_unpriced,
            )
            for (provider, model), tally in tallies
        ),
    )

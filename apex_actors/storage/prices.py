"""Prices that tenants have negotiated: kept in versions, of which the last one holds."""

from datetime import datetime
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict

from apex_actors.costs.price_override import PriceOverride
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.costs.tenant_prices import TenantPrices
from apex_actors.storage import tenants
from apex_actors.storage.database import Connection, Database
from apex_actors.storage.savings import all_days_due
from apex_actors.storage.sql import load_queries

QUERIES: Final = load_queries("prices")


class StoredOverride(BaseModel):
    """A version of a tenant's own prices."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    created_at: AwareDatetime
    override: PriceOverride | None
    """None: the tenant went back to list prices."""


async def own_prices(
    connection: Connection, tenant: str, catalogue: PriceCatalogue
) -> PriceCatalogue:
    """The catalogue as the tenant pays it now; the catalogue itself where nothing is negotiated."""
    stored = await _current(connection, tenant)
    if stored is None or stored.override is None:
        return catalogue
    return TenantPrices(catalogue, stored.override)


class PriceStore:
    """The own prices of tenants.

    What was priced before keeps its price until it is priced anew (see `Repricing`).

    :param database: an open database, for short questions.
    :param bulk: one for what may wait for an import; None: the same.
    """

    def __init__(self, database: Database, *, bulk: Database | None = None) -> None:
        self._database = database
        self._bulk = database if bulk is None else bulk

    async def prices(self, tenant: str, catalogue: PriceCatalogue) -> PriceCatalogue:
        """The catalogue as the tenant pays it now."""
        async with self._database.connection() as connection:
            return await own_prices(connection, tenant, catalogue)

    async def current(self, tenant: str) -> StoredOverride | None:
        """What holds now; None where the tenant never had prices of its own."""
        async with self._database.connection() as connection:
            return await _current(connection, tenant)

    async def versions(self, tenant: str, *, limit: int = 100) -> tuple[StoredOverride, ...]:
        """The latest versions, latest first."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                QUERIES["list_overrides"], {"tenant": tenant, "limit": limit}
            )
            return tuple(_stored(**row) for row in await cursor.fetchall())

    async def put(self, tenant: str, override: PriceOverride) -> StoredOverride:
        """Let these rules hold from now on; the same as hold already make no new version."""
        return await self._store(tenant, override)

    async def clear(self, tenant: str) -> StoredOverride | None:
        """Let list prices hold from now on; None where they do already."""
        stored = await self.current(tenant)
        if stored is None or stored.override is None:
            return None
        return await self._store(tenant, None)

    async def _store(self, tenant: str, override: PriceOverride | None) -> StoredOverride:
        async with self._bulk.transaction() as connection:
            await tenants.lock(connection, tenant)
            before = await _current(connection, tenant)
            if before is not None and before.override == override:
                return before
            cursor = await connection.execute(
                QUERIES["add_override"],
                {
                    "tenant": tenant,
                    "document": None if override is None else override.model_dump_json(),
                },
            )
            row = await cursor.fetchone()
            if row is None:
                raise AssertionError("What was inserted is returned.")
            # Answers name the prices they were made with: none of before is to be found again.
            await tenants.bump(connection, tenant)
            await all_days_due(connection, tenant)
            return _stored(**row)


async def _current(connection: Connection, tenant: str) -> StoredOverride | None:
    cursor = await connection.execute(QUERIES["current_override"], {"tenant": tenant})
    row = await cursor.fetchone()
    return None if row is None else _stored(**row)


def _stored(
    *, version: int, document: dict[str, object] | None, created_at: datetime
) -> StoredOverride:
    # Amounts stand in the document as text, so that no digit of them is lost.
    override = None if document is None else PriceOverride.model_validate(document)
    return StoredOverride(version=version, created_at=created_at, override=override)

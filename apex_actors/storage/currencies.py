"""Costs reported in other currencies: shown apart, and converted only by rates that the tenant gave."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from apex_actors.costs.timerange import TimeRange
from apex_actors.storage import tenants
from apex_actors.storage.database import Database
from apex_actors.storage.sql import load_queries

QUERIES: Final = load_queries("currencies")

MAX_RATES: Final = 20_000
"""A rate for each day of ten years, in five currencies."""


class CurrencyRate(BaseModel):
    """What a unit of a currency is worth from a day on, until the next rate."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    day: date
    """The first day of UTC on which it holds."""
    usd: Annotated[Decimal, Field(gt=0, le=10**9, max_digits=30, decimal_places=18)]
    """US dollars for one unit."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.currency == "USD":
            raise ValueError("currency: US dollars need no rate")
        return self


class CurrencyRates(BaseModel):
    """All rates of a tenant; one for each currency and day."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    rates: Annotated[tuple[CurrencyRate, ...], Field(max_length=MAX_RATES)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len({(rate.currency, rate.day) for rate in self.rates}) < len(self.rates):
            raise ValueError("rates: a currency has two rates on one day")
        return self


class ReportedInCurrency(BaseModel):
    """What providers reported in one currency that is not US dollars; exact amounts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    currency: str
    requests: int
    amount: Decimal
    """All of it, in the currency."""
    converted_amount: Decimal
    """The part of it that there are rates for, in the currency."""
    converted_usd: Decimal
    """That part in US dollars."""


class CurrencyStore:
    """Rates of tenants, and what is converted by them.

    :param database: an open database, for short questions.
    :param bulk: one for what may wait for an import; None: the same.
    """

    def __init__(self, database: Database, *, bulk: Database | None = None) -> None:
        self._database = database
        self._bulk = database if bulk is None else bulk

    async def rates(self, tenant: str) -> CurrencyRates:
        """All rates that the tenant has given."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(QUERIES["rates"], {"tenant": tenant})
            return CurrencyRates(
                rates=tuple(CurrencyRate(**row) for row in await cursor.fetchall())
            )

    async def put(self, tenant: str, rates: CurrencyRates) -> None:
        """Let these rates hold, and none of those before."""
        given = rates.rates
        async with self._bulk.transaction() as connection:
            await tenants.lock(connection, tenant)
            await connection.execute(QUERIES["forget_rates"], {"tenant": tenant})
            await connection.execute(
                QUERIES["add_rates"],
                {
                    "tenant": tenant,
                    "currencies": [rate.currency for rate in given],
                    "days": [rate.day for rate in given],
                    "usd": [rate.usd for rate in given],
                },
            )
            # Answers with converted amounts are not to be found again.
            await tenants.bump(connection, tenant)

    async def reported(self, tenant: str, time_range: TimeRange) -> Sequence[ReportedInCurrency]:
        """What was reported in other currencies than US dollars, each currency apart."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                QUERIES["reported"],
                {"tenant": tenant, "start": time_range.start, "end": time_range.end},
            )
            return tuple(ReportedInCurrency(**row) for row in await cursor.fetchall())

"""``/api/prices``: what a tenant has negotiated; it goes before the list prices. And its rates of currencies."""

from typing import Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import AwareDatetime, BaseModel, ConfigDict

from apex_actors.costs.price_override import (
    PriceDocumentError,
    PriceOverride,
    PriceRule,
    parse_price_document,
)
from apex_actors.costs.tenant_prices import TenantPrices
from apex_actors.gateway.http.access import DataChanger, User, only_query
from apex_actors.gateway.http.errors import ApiError, errors
from apex_actors.gateway.http.services import HttpServices, Services
from apex_actors.storage.currencies import CurrencyRates
from apex_actors.storage.prices import StoredOverride

PATH: Final = "/api/prices"
RATES_PATH: Final = "/api/prices/rates"


class OwnPrices(BaseModel):
    """The tenant's own prices. Amounts are US dollars for a million tokens, as decimal text."""

    model_config = ConfigDict(extra="forbid")

    version: int
    """Counts the changes; 0: there never were any."""
    created_at: AwareDatetime | None
    """When this version was set."""
    price_version: str
    """Names all prices that hold now, those of the catalogue too."""
    prices: tuple[PriceRule, ...]
    """Empty: list prices hold."""


def router() -> APIRouter:
    """The routes."""
    routes = APIRouter(
        tags=["prices"], responses=errors(401, 422, 503), dependencies=[Depends(only_query())]
    )

    @routes.get(PATH, response_model=OwnPrices)
    async def show(user: User, services: Services) -> Response:
        """The organisation's own prices as they hold now."""
        return _answer(services, await services.prices.current(user.org))

    @routes.put(
        PATH,
        response_model=OwnPrices,
        responses=errors(403, 413),
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {"schema": PriceOverride.model_json_schema()},
                    "application/toml": {"schema": {"type": "string"}},
                    "text/csv": {"schema": {"type": "string"}},
                },
            }
        },
    )
    async def replace(request: Request, user: DataChanger, services: Services) -> Response:
        """Let these prices hold from now on, and none of those before.

        The body is a document in JSON, TOML or CSV, told by its content. What is imported from now
        on is priced by it; what was imported before keeps its costs until they are recomputed.
        """
        try:
            override = parse_price_document(await request.body())
        except PriceDocumentError as error:
            raise ApiError(422, str(error)) from None
        return _answer(services, await services.prices.put(user.org, override))

    @routes.delete(PATH, response_model=OwnPrices, responses=errors(403))
    async def clear(user: DataChanger, services: Services) -> Response:
        """Let list prices hold from now on; what was imported before keeps its costs."""
        cleared = await services.prices.clear(user.org)
        return _answer(services, cleared or await services.prices.current(user.org))

    @routes.get(RATES_PATH, response_model=CurrencyRates)
    async def rates(user: User, services: Services) -> Response:
        """The rates by which the organisation's costs in other currencies are converted."""
        found = await services.currencies.rates(user.org)
        return Response(found.model_dump_json(), media_type="application/json")

    @routes.put(RATES_PATH, response_model=CurrencyRates, responses=errors(403, 413))
    async def replace_rates(
        rates: CurrencyRates, user: DataChanger, services: Services
    ) -> Response:
        """Let these rates hold, and none of those before. Write amounts as text: they are exact."""
        await services.currencies.put(user.org, rates)
        return Response(rates.model_dump_json(), media_type="application/json")

    return routes


def _answer(services: HttpServices, stored: StoredOverride | None) -> Response:
    override = None if stored is None else stored.override
    prices = services.catalogue
    if override is not None:
        prices = TenantPrices(prices, override)
    answer = OwnPrices(
        version=0 if stored is None else stored.version,
        created_at=None if stored is None else stored.created_at,
        price_version=prices.version,
        prices=() if override is None else override.prices,
    )
    return Response(answer.model_dump_json(), media_type="application/json")

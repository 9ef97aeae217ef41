"""``/api/usage``: what a tenant's usage comes to, and where it came from."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from apex_actors.costs.summary import Dimension, UsageSummary
from apex_actors.costs.timerange import TimeRange
from apex_actors.gateway.http.access import DataChanger, User, only_query
from apex_actors.gateway.http.errors import ApiError, errors, not_found
from apex_actors.gateway.http.parameters import Before, Limit, parse_cursor, parse_id
from apex_actors.gateway.http.services import Services
from apex_actors.storage.currencies import ReportedInCurrency
from apex_actors.storage.usage_imports import ImportRecord, UndoSummary
from apex_actors.storage.usage_sources import Overlap

#: Ten years: every day of the range is a line of the answer.
MAX_DAYS: Final = 3660

#: Days of a summary that names none.
DEFAULT_DAYS: Final = 30


class ImportList(BaseModel):
    """A page of imports, latest first; `next` is the `before` of the page after."""

    imports: tuple[ImportRecord, ...]
    next: str | None


class CurrencyList(BaseModel):
    """Costs reported in other currencies. Amounts are exact, as decimal text."""

    currencies: tuple[ReportedInCurrency, ...]


class OverlapList(BaseModel):
    """Days that several sources tell of. Money is US dollars, exact, as decimal text."""

    overlaps: tuple[Overlap, ...]


class DaysQuery(BaseModel):
    """The days that an answer is about."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    first_day: date | None = None
    last_day: date | None = None
    time_zone: str = Field(default="UTC", max_length=64)


class RangeQuery(DaysQuery):
    """The days that a summary is about, and how many models and features it names."""

    limit: int = Field(default=10, ge=1, le=100)


class UsageAnswer(UsageSummary):
    """What the usage of a time range comes to. Money is US dollars, exact, as decimal text."""

    time_range: TimeRange


def router() -> APIRouter:
    """The routes, without the upload."""
    routes = APIRouter(tags=["usage"], responses=errors(401, 422, 503))

    @routes.get("/api/usage/summary", response_model=UsageAnswer)
    async def summary(
        user: User, services: Services, query: Annotated[RangeQuery, Query()]
    ) -> Response:
        """Cost, tokens and requests of whole local days, in all, by model, by feature, by day.

        The days `first_day` and `last_day` are both in it. Without them: the last 30 days; with
        `last_day` alone: the 30 days up to it; with `first_day` alone: from it until today.
        """
        time_range = _days(query.first_day, query.last_day, query.time_zone)
        found = await services.usage.summary(
            user.org,
            time_range,
            dimensions=(Dimension.MODEL, Dimension.FEATURE),
            limit=query.limit,
        )
        answer = UsageAnswer.model_construct(time_range=time_range, **dict(found))
        return Response(answer.model_dump_json(), media_type="application/json")

    @routes.get("/api/usage/currencies", response_model=CurrencyList)
    async def currencies(
        user: User, services: Services, query: Annotated[DaysQuery, Query()]
    ) -> Response:
        """What providers reported in other currencies than US dollars, each currency apart.

        Converted is only what the organisation gave rates for.
        """
        time_range = _days(query.first_day, query.last_day, query.time_zone)
        found = await services.currencies.reported(user.org, time_range)
        answer = CurrencyList(currencies=tuple(found))
        return Response(answer.model_dump_json(), media_type="application/json")

    @routes.get("/api/usage/overlaps", response_model=OverlapList)
    async def overlaps(
        user: User, services: Services, query: Annotated[DaysQuery, Query()]
    ) -> Response:
        """Days of a provider that more than one source tells of, with what each of them says.

        One kind of source counts for each provider and day of UTC: single requests, or else a
        provider's usage report, or else its cost report. The others only reconcile.
        """
        time_range = _days(query.first_day, query.last_day, query.time_zone)
        found = await services.sources.overlaps(user.org, time_range)
        return Response(
            OverlapList(overlaps=found).model_dump_json(), media_type="application/json"
        )

    @routes.get(
        "/api/usage/imports",
        response_model=ImportList,
        dependencies=[Depends(only_query("limit", "before"))],
    )
    async def imports(
        user: User, services: Services, limit: Limit = 50, before: Before = None
    ) -> Response:
        """The tenant's imports, latest first."""
        # One more than asked for: whether there is a page behind this one.
        found = await services.imports.page(user.org, limit=limit + 1, before=parse_cursor(before))
        more = len(found) > limit
        page = ImportList(
            imports=found[:limit], next=str(found[limit - 1].import_id) if more else None
        )
        return Response(page.model_dump_json(), media_type="application/json")

    @routes.delete(
        "/api/usage/imports/{import_id}",
        response_model=UndoSummary,
        responses=errors(403, 404),
        dependencies=[Depends(only_query())],
    )
    async def undo(import_id: str, user: DataChanger, services: Services) -> Response:
        """Undo an import, as if the file had never come: its records go, and the sums with them.

        Records that a later import brought as well become that one's, as it brought them.
        """
        number = parse_id(import_id, "import")
        position = await services.log.open(user)
        undone = await services.imports.undo(position.user_id, user.org, number)
        if undone is None:
            raise not_found("import")
        services.announcer.events_committed(position.user_id, undone.events)
        return Response(undone.summary.model_dump_json(), media_type="application/json")

    return routes


def _days(first: date | None, last: date | None, time_zone: str) -> TimeRange:
    try:
        today = TimeRange.last_days(1, datetime.now(UTC), time_zone).first_day
    except ValueError:
        raise ApiError(422, "time_zone: not a known IANA time zone.") from None
    if last is None:
        last = today if first is None else max(first, today)
    if first is None:
        first = max(last, date.min + timedelta(DEFAULT_DAYS)) - timedelta(DEFAULT_DAYS - 1)
    if not 0 <= (last - first).days < MAX_DAYS:
        raise ApiError(
            422, f"first_day, last_day: from 1 to {MAX_DAYS} days, the first one before the last."
        )
    try:
        return TimeRange.days(first, last, time_zone)
    except (ValueError, OverflowError):
        raise ApiError(422, "first_day, last_day: days that there are no moments for.") from None

"""What a run answered, in every form: Markdown, HTML, JSON, CSV, charts as SVG."""

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response
from pydantic import ValidationError

from apex_actors.costs.charts import ChartName, Theme, chart, charts_of
from apex_actors.costs.html import render_html
from apex_actors.costs.report import CostReport
from apex_actors.costs.report_csv import render_csv
from apex_actors.gateway.chart_renderer import ChartsBusyError
from apex_actors.gateway.http.access import Reader, only_query
from apex_actors.gateway.http.chart_cache import ChartCache
from apex_actors.gateway.http.errors import ApiError, errors, not_found
from apex_actors.gateway.http.headers import DOCUMENT_POLICY
from apex_actors.gateway.http.parameters import parse_id
from apex_actors.gateway.http.services import HttpServices, Services
from apex_actors.storage.reports import Report

#: The forms of a report: the kind of the artifact, the ending of its path, its media type.
FORMS: Final = (
    ("markdown", "md", "text/markdown; charset=utf-8"),
    ("html", "html", "text/html; charset=utf-8"),
    ("json", "json", "application/json"),
    ("csv", "csv", "text/csv; charset=utf-8; header=present"),
)

_MEDIA_TYPES: Final = {ending: media_type for _, ending, media_type in FORMS}

SVG: Final = "image/svg+xml"

#: A signed link is all that is needed to show an artifact, on whichever page.
_EMBEDDABLE: Final = {
    "Content-Security-Policy": DOCUMENT_POLICY,
    "Cross-Origin-Resource-Policy": "cross-origin",
}


async def _stored(run_id: str, reader: Reader, services: Services) -> Report:
    number = parse_id(run_id, "report")
    if reader is None:
        found = await services.reports.of_anybody(number)
    else:
        found = await services.reports.of_user(reader, number)
    if found is None:
        raise not_found("report")
    return found


StoredReport = Annotated[Report, Depends(_stored)]


def router() -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["reports"], responses=errors(401, 404, 422, 503))
    signed = [Depends(only_query("expires", "signature"))]

    @routes.get("/api/runs/{run_id}/report.md", response_class=Response, dependencies=signed)
    async def report_markdown(stored: StoredReport) -> Response:
        """The answer as Markdown."""
        return _download(stored, "md", stored.content)

    @routes.get("/api/runs/{run_id}/report.html", response_class=Response, dependencies=signed)
    async def report_html(stored: StoredReport) -> Response:
        """The answer as a self-contained page."""
        return _download(stored, "html", await asyncio.to_thread(render_html, stored.content))

    @routes.get("/api/runs/{run_id}/report.json", dependencies=signed)
    async def report_json(stored: StoredReport) -> Response:
        """The answer's figures as structure."""
        return _download(stored, "json", stored.report)

    @routes.get("/api/runs/{run_id}/report.csv", response_class=Response, dependencies=signed)
    async def report_csv(stored: StoredReport) -> Response:
        """The answer's figures as one table, safe to open in a spreadsheet."""
        return _download(stored, "csv", await asyncio.to_thread(_csv, stored))

    @routes.get(
        "/api/runs/{run_id}/charts/{name}.svg",
        response_class=Response,
        dependencies=[Depends(only_query("expires", "signature", "theme"))],
    )
    async def report_chart(
        stored: StoredReport,
        name: str,
        services: Services,
        theme: Annotated[Theme, Query(description="The ground it is shown on.")] = Theme.LIGHT,
    ) -> Response:
        """A picture of the answer's figures; `GET /api/runs/{run_id}` names those there are."""
        return Response(
            await _svg(stored, name, theme, services),
            media_type=SVG,
            headers=_EMBEDDABLE | _disposition("inline", f"{name}-{stored.run_id}.svg"),
        )

    return routes


async def charts_in(stored: Report) -> tuple[ChartName, ...] | None:
    """The pictures that a stored answer's figures allow; None where it is no cost report."""
    report = await asyncio.to_thread(_figures, stored)
    return None if report is None else charts_of(report)


def _download(stored: Report, ending: str, content: str) -> Response:
    # What a browser can show safely it may show; tables and sources are kept.
    how = "inline" if ending == "html" else "attachment"
    return Response(
        content,
        media_type=_MEDIA_TYPES[ending],
        headers=_EMBEDDABLE | _disposition(how, f"cost-report-{stored.run_id}.{ending}"),
    )


def _disposition(how: str, name: str) -> dict[str, str]:
    # Names are made of an id and words of ours: nothing in them needs quoting.
    return {"Content-Disposition": f'{how}; filename="{name}"'}


def _csv(stored: Report) -> str:
    report = _figures(stored)
    if report is None:
        raise not_found("report")
    return render_csv(report)


async def _svg(stored: Report, name: str, theme: Theme, services: HttpServices) -> str:
    if name not in list(ChartName):
        raise not_found("chart")
    chosen = ChartName(name)
    cache = ChartCache(services.cache)
    svg = await cache.get(stored.run_id, chosen, theme)
    if svg is not None:
        return svg
    report = await asyncio.to_thread(_figures, stored)
    spec = None if report is None else chart(report, chosen, theme)
    if spec is None:
        raise not_found("chart")
    try:
        svg = await services.charts.render(spec)
    except ChartsBusyError:
        raise ApiError(
            503,
            "Too many charts are being drawn: try again.",
            code="charts_busy",
            headers={"Retry-After": "1"},
        ) from None
    await cache.put(stored.run_id, chosen, theme, svg)
    return svg


def _figures(stored: Report) -> CostReport | None:
    try:
        return CostReport.model_validate_json(stored.report)
    except ValidationError:
        # Another pipeline's answer, or an older version's.
        return None

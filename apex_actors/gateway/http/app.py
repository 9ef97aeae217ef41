"""The ASGI application of a gateway, put together from its routers."""

from fastapi import FastAPI

from apex_actors import __version__
from apex_actors.gateway.http import (
    admin,
    development,
    documents,
    health,
    metrics,
    page,
    prices,
    reports,
    runs,
    threads,
    uploads,
    usage,
)
from apex_actors.gateway.http.body_limit import BodyLimit
from apex_actors.gateway.http.cors import Cors
from apex_actors.gateway.http.errors import ErrorGuard, add_error_handlers
from apex_actors.gateway.http.headers import HeadAsGet, SecurityHeaders
from apex_actors.gateway.http.measure import Measure
from apex_actors.gateway.http.services import HttpServices


def build_app(services: HttpServices) -> FastAPI:
    """The ASGI application of a gateway."""
    app = FastAPI(
        title="apex_actors",
        version=__version__,
        description=documents.DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        # Served by a route of ours, with what the framework leaves out.
        openapi_url=None,
        # A redirect would be built from the Host header.
        redirect_slashes=False,
    )
    app.state.services = services
    add_error_handlers(app)
    # For the other processes of the group, which ask past the routes.
    app.state.own_metrics = own = metrics.OwnMetrics(services)
    for router in (
        health.router(),
        metrics.router(own, services),
        documents.router(app, max_message_bytes=services.max_message_bytes),
        threads.router(),
        runs.router(),
        reports.router(),
        usage.router(),
        prices.router(),
        uploads.router(services.settings),
        admin.router(),
        page.router(),
    ):
        app.include_router(router)
    if services.issue_token is not None:
        app.include_router(development.router())
    page.mount_files(app)
    _add_middleware(app, services)
    return app


def _add_middleware(app: FastAPI, services: HttpServices) -> None:
    # The last one added sees a request first.
    app.add_middleware(BodyLimit, limits={uploads.PATH: services.settings.upload_max_bytes})
    app.add_middleware(ErrorGuard)
    app.add_middleware(Cors, allowed_origins=services.allowed_origins)
    app.add_middleware(Measure, metrics=services.metrics)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(HeadAsGet)

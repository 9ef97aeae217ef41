"""``/healthz``, ``/readyz``, and what plain HTTP gets at ``/ws``."""

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from apex_actors.gateway.http.errors import ApiError, errors
from apex_actors.gateway.http.services import Services


class Alive(BaseModel):
    """The process is alive."""

    status: str


class Readiness(BaseModel):
    """Whether new connections are welcome, and ``up`` or ``down`` for each component."""

    ready: bool
    draining: bool
    components: dict[str, str]


def router() -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["operation"])

    @routes.get("/healthz", response_model=Alive)
    async def healthz() -> JSONResponse:
        """The process is alive."""
        return JSONResponse({"status": "ok"})

    @routes.get(
        "/readyz",
        response_model=Readiness,
        responses={503: {"model": Readiness, "description": "Not ready for new connections"}},
    )
    async def readyz(services: Services) -> JSONResponse:
        """Whether new connections are welcome, with the state of every component."""
        report = await services.health.report()
        body = {
            "ready": report.ready,
            "draining": report.draining,
            "components": dict(report.components),
        }
        return JSONResponse(body, status_code=200 if report.ready else 503)

    @routes.get("/ws", status_code=426, response_class=Response, responses=errors(426))
    async def upgrade_required() -> Response:
        """WebSockets only: a request without an upgrade ends here."""
        raise ApiError(
            426,
            "Connect to /ws with a WebSocket.",
            headers={"Upgrade": "websocket", "Connection": "Upgrade"},
        )

    return routes

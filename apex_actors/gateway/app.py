"""The HTTP side of the gateway: the chat page, health, development tokens, reports."""

import contextlib
import ipaddress
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException as StarletteHTTPException

from apex_actors import __version__
from apex_actors.costs.html import render_html
from apex_actors.gateway.health import Health
from apex_actors.gateway.tokens import InvalidTokenError, TokenAuthority, VerifiedToken
from apex_actors.protocol.scalars import format_timestamp
from apex_actors.storage.errors import StorageError
from apex_actors.storage.event_log import EventLog
from apex_actors.storage.runs import RunStore, StoredResult

STATIC: Final = Path(__file__).parent / "static"

#: Tokens of the development sign-in live for a working day.
DEVELOPMENT_TOKEN_LIFE_S: Final = 12 * 3600

#: Scripts, styles and connections from this server alone; nothing inline, no frames, no forms.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)

#: Reports carry their style inside and run no script.
REPORT_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"
)

DEFAULT_HEADERS: Final = {
    # Modules of two versions must never meet: browsers ask, and mostly hear 304.
    "Cache-Control": "no-cache",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class HttpServices:
    """What the routes need; ``development_org`` None switches the development sign-in off."""

    authority: TokenAuthority
    health: Health
    log: EventLog
    runs: RunStore
    development_org: str | None


class DevelopmentSignIn(BaseModel):
    """Who wants a token."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    sub: str = Field(min_length=1, max_length=128)
    org: str | None = Field(default=None, min_length=1, max_length=128)


def _services(request: Request) -> HttpServices:
    services: HttpServices = request.app.state.services
    return services


Services = Annotated[HttpServices, Depends(_services)]


def _authenticated(request: Request, services: Services) -> VerifiedToken:
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        with contextlib.suppress(InvalidTokenError):
            return services.authority.verify(credentials.strip())
    raise HTTPException(401, "A valid bearer token is needed.", {"WWW-Authenticate": "Bearer"})


async def _report(
    run_id: UUID, services: Services, token: Annotated[VerifiedToken, Depends(_authenticated)]
) -> StoredResult:
    position = await services.log.open(token.identity)
    stored = await services.runs.result(position.user_id, run_id)
    if stored is None or stored.content is None:
        raise HTTPException(404, "There is no such report.")
    return stored


StoredReport = Annotated[StoredResult, Depends(_report)]


def build_app(services: HttpServices) -> FastAPI:
    """The ASGI application of a gateway."""
    app = FastAPI(
        title="apex_actors", version=__version__, docs_url=None, redoc_url=None, openapi_url=None
    )
    app.state.services = services
    app.middleware("http")(_add_default_headers)
    app.exception_handler(StarletteHTTPException)(_http_error)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(StorageError)(_degraded)
    _add_health(app, services.health)
    _add_reports(app)
    if services.development_org is not None:
        _add_sign_in(app, services.authority, services.development_org)
    _add_page(app)
    return app


def _add_health(app: FastAPI, health: Health) -> None:
    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process is alive."""
        return {"status": "ok"}

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        """Whether new connections are welcome, with the state of every component."""
        report = await health.report()
        body = {
            "ready": report.ready,
            "draining": report.draining,
            "components": dict(report.components),
        }
        return JSONResponse(body, status_code=200 if report.ready else 503)

    @app.get("/ws")
    async def upgrade_required() -> Response:
        """WebSockets only: a request without an upgrade ends here."""
        raise HTTPException(426, "Connect to /ws with a WebSocket.", {"Upgrade": "websocket"})


def _add_reports(app: FastAPI) -> None:
    @app.get("/api/runs/{run_id}/report.md")
    async def report_markdown(stored: StoredReport) -> Response:
        """The answer as Markdown."""
        return Response(stored.content, media_type="text/markdown; charset=utf-8")

    @app.get("/api/runs/{run_id}/report.html")
    async def report_html(stored: StoredReport) -> Response:
        """The answer as a self-contained page."""
        return Response(
            render_html(stored.content or ""),
            media_type="text/html; charset=utf-8",
            headers={"Content-Security-Policy": REPORT_POLICY},
        )

    @app.get("/api/runs/{run_id}/report.json")
    async def report_json(stored: StoredReport) -> JSONResponse:
        """The answer's figures as structure."""
        return JSONResponse(stored.report)


def _add_sign_in(app: FastAPI, authority: TokenAuthority, default_org: str) -> None:
    @app.post("/dev/token")
    async def development_token(request: Request, sign_in: DevelopmentSignIn) -> dict[str, str]:
        """A token for the asking: in development mode, from this machine, only."""
        client = request.client
        if (
            client is None
            or not _is_loopback(client.host)
            or not _is_loopback(request.url.hostname)
        ):
            # The name it was asked under counts too: a page elsewhere may have a name of its own
            # point to this machine, and would be let in as one of ours.
            raise HTTPException(403, "Development tokens are for this machine only.")
        token, expires_at = authority.issue(
            sub=sign_in.sub,
            org=sign_in.org or default_org,
            lifetime_s=DEVELOPMENT_TOKEN_LIFE_S,
        )
        return {"token": token, "expires_at": format_timestamp(expires_at)}


def _is_loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _add_page(app: FastAPI) -> None:
    @app.get("/")
    async def page() -> FileResponse:
        """The chat page."""
        return FileResponse(STATIC / "index.html")

    app.mount("/static", StaticFiles(directory=STATIC), name="static")


async def _add_default_headers(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    response = await call_next(request)
    for name, value in DEFAULT_HEADERS.items():
        response.headers.setdefault(name, value)
    return response


async def _http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, StarletteHTTPException)  # noqa: S101 - what it was registered for
    return _error(
        error.status_code, _CODES.get(error.status_code, "error"), error.detail, error.headers
    )


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what it was registered for
    problems = [
        f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
        for problem in error.errors()
    ]
    return _error(422, "invalid_message", "; ".join(problems))


async def _degraded(_: Request, __: Exception) -> JSONResponse:
    return _error(503, "service_degraded", "The database is away: try again.", {"Retry-After": "1"})


def _error(status: int, code: str, message: str, headers: Any = None) -> JSONResponse:
    body = {"error": {"code": code, "message": message}}
    return JSONResponse(body, status_code=status, headers=headers)


_CODES: Final = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    426: "upgrade_required",
}

"""The chat page and its files."""

from pathlib import Path
from typing import Final

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from apex_actors.gateway.http.measure import FILES

STATIC: Final = Path(__file__).parents[1] / "static"


def router() -> APIRouter:
    """The page."""
    routes = APIRouter()

    @routes.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        """The chat page."""
        return FileResponse(STATIC / "index.html")

    return routes


def mount_files(app: FastAPI) -> None:
    """Serve what the page loads."""
    app.mount(FILES, StaticFiles(directory=STATIC), name="static")

"""``POST /api/usage``: a file of usage records comes in and is imported.

The file is received whole, into a temporary file, before the importer sees it: a client that sends
slowly holds neither a database connection nor its tenant's lock, and what breaks off changed
nothing. Memory stays bounded however large it is.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from email.message import Message
from pathlib import PurePosixPath
from typing import Annotated, BinaryIO, Final, cast

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from apex_actors.costs.importers import ImportOptions
from apex_actors.costs.records import Name, Processing
from apex_actors.gateway.http.access import DataChanger
from apex_actors.gateway.http.errors import ApiError, errors
from apex_actors.gateway.http.services import Services
from apex_actors.gateway.settings import HttpSettings
from apex_actors.storage.usage_import import ImportSummary

PATH: Final = "/api/usage"

#: What has come in is written to disk in pieces of this size, in a thread.
PIECE_BYTES: Final = 1024 * 1024

MAX_NAME_CHARS: Final = 200

#: How a file is called that has no name.
NAMELESS: Final = "upload"

#: The content decides about the format; these are only what a client could mean by it.
MEDIA_TYPES: Final = frozenset(
    {
        "application/gzip",
        "application/json",
        "application/jsonl",
        "application/octet-stream",
        "application/x-gzip",
        "application/x-ndjson",
        "text/csv",
        "text/plain",
    }
)


class UploadQuery(BaseModel):
    """The file's name, and what traffic traces do not say themselves."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: str | None = Field(default=None, max_length=MAX_NAME_CHARS)
    provider: Name | None = None
    model: Name | None = None
    start: AwareDatetime | None = None
    processing: Processing = Processing.STANDARD
    user: Name | None = None
    team: Name | None = None
    feature: Name | None = None
    environment: Name | None = None
    deferrable: bool | None = None

    def options(self) -> ImportOptions:
        """As the importer takes them."""
        return ImportOptions(**self.model_dump(exclude={"name"}))


class UploadSlots:
    """How many files are under way: a few in all, and one of each tenant."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._tenants: set[str] = set()

    @contextmanager
    def taken(self, tenant: str) -> Iterator[None]:
        """Hold a place for the tenant; raises ApiError with 429 or 503."""
        if tenant in self._tenants:
            raise ApiError(
                429,
                "A file of this organisation is being imported: send the next one after it.",
                headers={"Retry-After": "5"},
            )
        if len(self._tenants) >= self._at_once:
            raise ApiError(
                503,
                "Too many files are being imported: try again.",
                code="too_many_uploads",
                headers={"Retry-After": "5"},
            )
        self._tenants.add(tenant)
        try:
            yield
        finally:
            self._tenants.discard(tenant)


def router(settings: HttpSettings) -> APIRouter:
    """The route."""
    routes = APIRouter(tags=["usage"])
    slots = UploadSlots(settings.uploads_at_once)

    @routes.post(
        PATH,
        response_model=ImportSummary,
        responses=errors(401, 403, 408, 413, 415, 422, 429, 503),
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    media_type: {"schema": {"type": "string", "format": "binary"}}
                    for media_type in sorted(MEDIA_TYPES)
                },
            }
        },
    )
    async def upload(
        request: Request,
        user: DataChanger,
        services: Services,
        query: Annotated[UploadQuery, Query()],
    ) -> Response:
        """Import a file of usage records, plain or gzip, all or nothing.

        The body is the file itself. Its format is told by its content. Its name is `name`, else the
        `filename` of Content-Disposition.
        """
        check_media_type(request)
        name = file_name(request, query)
        with slots.taken(user.org):
            async with received(request, timeout_s=settings.upload_timeout_s) as file:
                position = await services.log.open(user)
                uploaded = await services.imports.upload(
                    position.user_id,
                    user.org,
                    file,
                    name=name,
                    catalogue=services.catalogue,
                    options=query.options(),
                    max_bytes=settings.upload_unpacked_max_bytes,
                )
        services.announcer.events_committed(position.user_id, uploaded.events)
        return Response(uploaded.summary.model_dump_json(), media_type="application/json")

    return routes


def check_media_type(request: Request) -> None:
    """Refuse what can't be a file of usage records; raises ApiError with 415."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type and media_type not in MEDIA_TYPES:
        raise ApiError(
            415,
            "The body must be the file itself, as one of " + ", ".join(sorted(MEDIA_TYPES)) + ".",
        )
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    # A body that was compressed on its way is a gzip file, which the importer sees through.
    if encoding not in {"identity", "gzip"}:
        raise ApiError(415, "Content-Encoding: identity or gzip.")


def file_name(request: Request, query: UploadQuery) -> str:
    """What the client calls the file, without folders; raises ApiError where that is no name."""
    name = query.name
    if name is None:
        header = Message()
        header["content-disposition"] = request.headers.get("content-disposition", "")
        name = header.get_filename()
    if name is None:
        return NAMELESS
    name = PurePosixPath(name.replace("\\", "/")).name.strip()
    if not name or len(name) > MAX_NAME_CHARS or not name.isprintable():
        raise ApiError(422, f"name: 1 to {MAX_NAME_CHARS} characters that can be printed.")
    return name


@asynccontextmanager
async def received(request: Request, *, timeout_s: float) -> AsyncIterator[BinaryIO]:
    """The whole body as a temporary file at its beginning, gone afterwards.

    Raises ApiError with 408 when it has not come after ``timeout_s``; ClientDisconnect.
    """
    with tempfile.TemporaryFile() as opened:
        file = cast("BinaryIO", opened)
        try:
            async with asyncio.timeout(timeout_s):
                await _receive(request, file)
        except TimeoutError:
            raise ApiError(
                408,
                f"The file did not come within {timeout_s:g} seconds.",
                headers={"Connection": "close"},
            ) from None
        file.seek(0)
        yield file


async def _receive(request: Request, file: BinaryIO) -> None:
    piece = bytearray()
    async for chunk in request.stream():
        piece += chunk
        if len(piece) >= PIECE_BYTES:
            await asyncio.to_thread(file.write, piece)
            piece = bytearray()
    await asyncio.to_thread(file.write, piece)

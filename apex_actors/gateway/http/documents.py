"""``/openapi.json`` and ``/asyncapi.json``: the routes and the wire as documents, from the code."""

import asyncio
import json
from functools import cache
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, Response

from apex_actors import __version__
from apex_actors.protocol.asyncapi import asyncapi_document

DESCRIPTION: Final = (
    "Plain HTTP beside the WebSocket at /ws. Every answer that is no success has the body "
    '`{"error": {"code", "message"}}`. HEAD is taken wherever GET is. Query parameters that a path '
    "does not know are refused."
)


def router(app: FastAPI, *, max_message_bytes: int) -> APIRouter:
    """The routes: whoever has no token may know what needs one.

    The documents are made when they are first asked for, in a thread: that takes a while.
    """
    routes = APIRouter()

    @cache
    def of_the_routes() -> str:
        return json.dumps(app.openapi(), separators=(",", ":"))

    @cache
    def of_the_wire() -> dict[str, Any]:
        return asyncapi_document(
            version=__version__, server="http://localhost", max_message_bytes=max_message_bytes
        )

    @routes.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        """The OpenAPI document."""
        return Response(await asyncio.to_thread(of_the_routes), media_type="application/json")

    @routes.get("/asyncapi.json", include_in_schema=False)
    async def asyncapi(request: Request) -> JSONResponse:
        """The AsyncAPI document, of the server under the name it was asked by."""
        document = await asyncio.to_thread(of_the_wire)
        where = {
            "host": request.url.netloc,
            "protocol": "wss" if request.url.scheme == "https" else "ws",
        }
        servers = {name: server | where for name, server in document["servers"].items()}
        return JSONResponse(document | {"servers": servers})

    return routes

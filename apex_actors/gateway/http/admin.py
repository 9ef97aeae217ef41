"""``/api/admin``: what an operator may see."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from apex_actors.gateway.connection_info import ConnectionInfo
from apex_actors.gateway.http.access import Admin, only_query
from apex_actors.gateway.http.errors import ApiError, errors
from apex_actors.gateway.http.parameters import Before, Limit
from apex_actors.gateway.http.services import Services
from apex_actors.protocol.scalars import Timestamp, format_timestamp, parse_timestamp

Who = Annotated[str | None, Query(min_length=1, max_length=128)]


class ConnectionLine(BaseModel):
    """One live connection."""

    connection_id: str
    node: str
    org: str
    sub: str
    address: str
    connected_at: Timestamp
    last_sign_of_life_s: float
    seq: int | None
    acknowledged: int
    thread_id: str | None
    outbound_bytes: int
    token_expires_at: Timestamp


class ConnectionList(BaseModel):
    """A page of connections, latest first; `next` is the `before` of the page after."""

    connections: tuple[ConnectionLine, ...]
    total: int
    """Connections that fit the filter."""
    next: str | None


def router() -> APIRouter:
    """The route."""
    routes = APIRouter(tags=["operation"], responses=errors(401, 403, 422, 503))

    @routes.get(
        "/api/admin/connections",
        response_model=ConnectionList,
        dependencies=[Depends(only_query("org", "sub", "limit", "before"))],
    )
    async def connections(
        _: Admin,
        services: Services,
        org: Who = None,
        sub: Who = None,
        limit: Limit = 50,
        before: Before = None,
    ) -> JSONResponse:
        """The live connections of all processes on this port, latest first; of one user if named."""
        here, elsewhere = await asyncio.gather(
            services.connections(org, sub), services.group.connections(org, sub)
        )
        return JSONResponse(page([*here, *elsewhere], limit=limit, before=before))

    return routes


def page(found: Sequence[ConnectionInfo], *, limit: int, before: str | None) -> dict[str, Any]:
    """The ``limit`` latest connections behind the cursor ``before``, JSON-ready."""
    behind = found
    if before is not None:
        place = _parse(before)
        behind = [info for info in found if _place(info) < place]
    latest = sorted(behind, key=_place, reverse=True)
    shown = latest[:limit]
    return {
        "connections": [_line(info) for info in shown],
        "total": len(found),
        "next": _cursor(shown[-1]) if len(latest) > limit else None,
    }


def _place(info: ConnectionInfo) -> tuple[datetime, str]:
    return info.connected_at, info.connection_id


def _cursor(info: ConnectionInfo) -> str:
    # Exact to the microsecond: the place itself, so that it holds when the connection is gone.
    return f"{info.connected_at.isoformat()}~{info.connection_id}"


def _parse(cursor: str) -> tuple[datetime, str]:
    moment, _, connection_id = cursor.partition("~")
    try:
        return parse_timestamp(moment), connection_id
    except ValueError:
        raise ApiError(422, "before: must be the `next` of an earlier page.") from None


def _line(info: ConnectionInfo) -> dict[str, Any]:
    return asdict(info) | {
        "connected_at": format_timestamp(info.connected_at),
        "token_expires_at": format_timestamp(info.token_expires_at),
        "thread_id": None if info.thread_id is None else str(info.thread_id),
        "last_sign_of_life_s": round(info.last_sign_of_life_s, 3),
    }

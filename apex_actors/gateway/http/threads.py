"""``/api/threads``: what a user has asked and was answered."""

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from apex_actors.gateway.http.access import Token, only_query
from apex_actors.gateway.http.errors import errors
from apex_actors.gateway.http.parameters import Before, Limit, parse_id
from apex_actors.gateway.http.services import Services
from apex_actors.protocol.messages import DEFAULT_PAGE
from apex_actors.protocol.notices import ThreadHistory, Threads


def router() -> APIRouter:
    """The routes."""
    routes = APIRouter(
        tags=["threads"],
        responses=errors(401, 404, 422, 503),
        dependencies=[Depends(only_query("limit", "before"))],
    )

    @routes.get("/api/threads", response_model=Threads)
    async def list_threads(
        user: Token, services: Services, limit: Limit = DEFAULT_PAGE, before: Before = None
    ) -> Response:
        """A page of the user's threads, latest first: the wire's `threads`."""
        page = await services.threads.threads(user, limit=limit, before=before)
        return Response(page.encode(), media_type="application/json")

    @routes.get("/api/threads/{thread_id}", response_model=ThreadHistory)
    async def thread_history(
        thread_id: str,
        user: Token,
        services: Services,
        limit: Limit = DEFAULT_PAGE,
        before: Before = None,
    ) -> Response:
        """A page of a thread with the state of its runs: the wire's `thread_history`."""
        history = await services.threads.history(
            user, parse_id(thread_id, "thread"), limit=limit, before=before
        )
        return Response(history.encode(), media_type="application/json")

    return routes

"""Counts requests and how long they take."""

import time
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from apex_actors.gateway.metrics import OTHER, GatewayMetrics

FILES: Final = "/static"


class Measure:
    """Tells the metrics of every answer: by the route's template, because paths have no end."""

    def __init__(self, app: ASGIApp, *, metrics: GatewayMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        status = 0
        began_at = time.perf_counter()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            self._metrics.request(
                scope["method"], _route(scope), status, time.perf_counter() - began_at
            )


def _route(scope: Scope) -> str:
    if scope["path"].startswith(f"{FILES}/"):
        return FILES
    template = getattr(scope.get("route"), "path", None)
    return template if isinstance(template, str) else OTHER

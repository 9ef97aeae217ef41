"""``/metrics`` for Prometheus."""

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder

from apex_actors.actors import ActorDeadError, ActorSystem
from apex_actors.gateway.http.access import check_bearer
from apex_actors.gateway.http.development import is_local
from apex_actors.gateway.http.errors import ApiError, errors
from apex_actors.gateway.http.services import HttpServices
from apex_actors.gateway.metrics import NodeState, StateCollector
from apex_actors.gateway.registry_messages import RegistryStatistics
from apex_actors.protocol.identity import Role

#: A proxy before us says so: what it forwards comes from elsewhere, whatever the socket says.
FORWARDING_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


def router(registry: CollectorRegistry, services: HttpServices) -> APIRouter:
    """The route; ``registry`` is filled here and belongs to this application alone."""
    state = StateCollector()
    for collector in (state, services.metrics):
        registry.register(collector)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    routes = APIRouter(tags=["operation"])

    @routes.get("/metrics", response_class=Response, responses=errors(401, 403))
    async def metrics(request: Request) -> Response:
        """Everything counted and measured, for Prometheus.

        For this machine, for tokens with role `admin`, and where `gateway.http.metrics_open` says
        so for whoever reaches the port.
        """
        await _check(request, services)
        state.state = await _state(services)
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"Content-Type": media_type})

    return routes


async def _check(request: Request, services: HttpServices) -> None:
    if services.settings.metrics_open:
        return
    forwarded = any(name in request.headers for name in FORWARDING_HEADERS)
    if is_local(request) and not forwarded:
        return
    token = await check_bearer(request, services)
    if Role.ADMIN not in token.identity.roles:
        raise ApiError(403, "A token with role admin is needed.")


async def _state(services: HttpServices) -> NodeState:
    report = await services.health.report()
    try:
        live = await services.statistics()
    except ActorDeadError:
        # The node is being stopped: its last figures are still of use.
        live = RegistryStatistics(0, 0)
    return NodeState(
        connections=live.connections,
        users=live.users,
        actors=len(ActorSystem.current().alive()),
        tasks=len(asyncio.all_tasks()),
        ready=report.ready,
        draining=report.draining,
        components=report.components,
        pool=services.pool_statistics(),
    )

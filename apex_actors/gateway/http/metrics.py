"""``/metrics`` for Prometheus."""

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    Metric,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder

from apex_actors.actors import ActorDeadError, ActorSystem
from apex_actors.gateway.http.access import check_bearer
from apex_actors.gateway.http.development import is_local
from apex_actors.gateway.http.errors import ApiError, errors
from apex_actors.gateway.http.services import HttpServices
from apex_actors.gateway.metrics import NodeState, StateCollector
from apex_actors.gateway.metrics_sum import SummedMetrics
from apex_actors.gateway.registry_messages import RegistryStatistics
from apex_actors.protocol.identity import Role

#: A proxy before us says so: what it forwards comes from elsewhere, whatever the socket says.
FORWARDING_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


class OwnMetrics:
    """All that this process counts and measures; the registry belongs to its application alone."""

    def __init__(self, services: HttpServices) -> None:
        self._services = services
        self._state = StateCollector()
        self._registry = CollectorRegistry()
        for collector in (self._state, services.metrics):
            self._registry.register(collector)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    async def families(self) -> list[Metric]:
        """The families as they are now."""
        self._state.state = await _state(self._services)
        return list(self._registry.collect())


def router(own: OwnMetrics, services: HttpServices) -> APIRouter:
    """The route."""
    routes = APIRouter(tags=["operation"])

    @routes.get("/metrics", response_class=Response, responses=errors(401, 403))
    async def metrics(request: Request) -> Response:
        """Everything counted and measured by all processes on this port, for Prometheus.

        For this machine, for tokens with role `admin`, and where `gateway.http.metrics_open` says
        so for whoever reaches the port.
        """
        await _check(request, services)
        here, elsewhere = await asyncio.gather(own.families(), services.group.metrics())
        registry = CollectorRegistry()
        registry.register(SummedMetrics([here, *elsewhere, _group(services, 1 + len(elsewhere))]))
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


def _group(services: HttpServices, answering: int) -> list[Metric]:
    return [
        GaugeMetricFamily(
            "apex_group_processes", "Processes on this port.", value=services.group.processes
        ),
        GaugeMetricFamily(
            "apex_group_answering", "Those whose figures are in this answer.", value=answering
        ),
    ]


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

"""The gateway of a node: door, connections, HTTP and listener, put together in order."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from apex_actors.actors import Actor, ActorRef
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.gateway.auth import (
    KeyWatch,
    LinkSigner,
    LookThrough,
    PublishedKeys,
    Revocations,
    RevocationWatch,
    TokenAuthority,
    TokenVerifier,
    VerifiedToken,
    watch_interval_s,
)
from apex_actors.gateway.chart_renderer import ChartRenderer
from apex_actors.gateway.connection import ConnectionActor, ConnectionServices
from apex_actors.gateway.connection_info import ConnectionInfo
from apex_actors.gateway.greeter import Greeter
from apex_actors.gateway.handlers import RunStateHandlers, ThreadHandlers, assemble
from apex_actors.gateway.handlers.tokens import TokenHandlers
from apex_actors.gateway.handshake import Admitted, Doorkeeper
from apex_actors.gateway.health import Health
from apex_actors.gateway.http import HttpServices, build_app
from apex_actors.gateway.http.metrics import OwnMetrics
from apex_actors.gateway.http.services import Alone
from apex_actors.gateway.http.stored_threads import StoredThreads
from apex_actors.gateway.limits import REGISTRATION_LIFE_S, Limits, LimitsSync
from apex_actors.gateway.metrics import GatewayMetrics
from apex_actors.gateway.registry import ConnectionRegistry
from apex_actors.gateway.registry_messages import (
    CloseExcess,
    Describe,
    GetStatistics,
    ListConnections,
    RegistryStatistics,
    TokensRevoked,
)
from apex_actors.gateway.router import HandlerPart, MessageRouter
from apex_actors.gateway.session_keeper import SessionKeeper
from apex_actors.gateway.socket_messages import SocketMessages
from apex_actors.gateway.websocket_protocol import WebSocketProtocol
from apex_actors.server.announcer import NodeAnnouncer
from apex_actors.server.bring_up import Foundation
from apex_actors.server.component_watch import ComponentWatch
from apex_actors.server.settings import Mode, Settings
from apex_actors.server.siblings import GetConnections, GetMetrics, Siblings
from apex_actors.server.stores import Stores
from apex_actors.server.uvicorn_server import UvicornServer, build_server
from apex_actors.storage.cache import ResultCache
from apex_actors.storage.database import Database
from apex_actors.storage.errors import StorageUnavailableError
from apex_actors.storage.reports import ReportStore
from apex_actors.storage.revocations import RevocationStore
from apex_actors.storage.shared_limits import SharedLimits

A = TypeVar("A", bound=Actor)

#: The tenant of the sample data, and of everybody who signs in by the development page.
DEVELOPMENT_ORG: Final = "demo"

#: Between two looks after the components of the node, in seconds.
WATCH_INTERVAL_S: Final = 1.0


class StartVital(Protocol):
    """Starts an actor without which the node is none, and stops it with the node."""

    def __call__(
        self, actor_class: type[A], /, *, handles_all: bool = False, **arguments: Any
    ) -> ActorRef[A]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayParts:
    """What the gateway is given by its node."""

    settings: Settings
    name: str
    stores: Stores
    announcer: NodeAnnouncer
    catalogue: PriceCatalogue
    links: LinkSigner
    foundation: Foundation
    health: Health
    metrics: GatewayMetrics
    authority: TokenAuthority | None
    """Issues tokens too; None where others do, with keys that they publish."""
    handlers: Sequence[HandlerPart]
    """Those that only the socket has."""
    threads: ThreadHandlers
    run_states: RunStateHandlers
    siblings: Siblings | None
    """The other processes of the group; None for a node alone."""
    start_vital: StartVital
    stack: AsyncExitStack
    """Undoes at the node's end what is begun here."""


class GatewayPart:
    """Starts the actors of the gateway, and builds the server that lets clients in to them."""

    def __init__(self, parts: GatewayParts) -> None:
        self._parts = parts
        self._settings = parts.settings
        self.registry: ActorRef[ConnectionRegistry]
        self.doorkeeper: Doorkeeper
        self.server: UvicornServer

    async def start(self) -> None:
        """Start all of it but the listener."""
        parts, gateway = self._parts, self._settings.gateway
        start = parts.start_vital
        self.registry = start(
            ConnectionRegistry,
            log=parts.stores.log,
            heartbeat_interval_s=gateway.heartbeat_interval_s,
            poll_interval_s=gateway.poll_interval_s,
        )
        parts.announcer.attach(registry=self.registry)
        limits = self._start_limits()
        revocations = await self._start_revocations()
        verifier = await self._start_verifier()
        self.doorkeeper = Doorkeeper(
            verifier=verifier,
            revocations=revocations,
            limits=limits,
            metrics=self._parts.metrics,
            allowed_origins=gateway.allowed_origins,
        )
        greeter = start(Greeter, log=parts.stores.log, timeout_s=gateway.greeting_timeout_s)
        start(
            ComponentWatch,
            health=parts.health,
            listeners=(self.registry, greeter),
            interval_s=WATCH_INTERVAL_S,
        )
        tokens = TokenHandlers(verifier=verifier, revocations=revocations)
        services = ConnectionServices(
            log=parts.stores.log,
            greeter=greeter,
            registry=self.registry,
            sessions=start(
                SessionKeeper,
                handles_all=True,
                sessions=parts.stores.sessions,
                interval_s=gateway.session_interval_s,
            ),
            router=MessageRouter(
                assemble(*parts.handlers, parts.threads, parts.run_states, tokens)
            ),
            limits=limits,
            revocations=revocations,
            metrics=self._parts.metrics,
            settings=gateway,
            node=parts.name,
        )

        def welcome(socket: WebSocketProtocol, admitted: Admitted) -> SocketMessages:
            ref = ConnectionActor.start(socket=socket, admitted=admitted, services=services)
            return SocketMessages(ref, parts.metrics)

        app = build_app(self._http_services(verifier, revocations))
        if parts.siblings is not None:
            await self._answer_siblings(parts.siblings, app.state.own_metrics)
        self.server = build_server(
            app,
            doorkeeper=self.doorkeeper,
            welcome=welcome,
            settings=gateway,
        )

    def _start_limits(self) -> Limits:
        parts, gateway = self._parts, self._settings.gateway
        limits = Limits(gateway.limits, largest_message_bytes=gateway.max_message_bytes)
        registry = self.registry
        parts.start_vital(
            LimitsSync,
            limits=limits,
            shared=SharedLimits(parts.stores.cache, process=parts.name, life_s=REGISTRATION_LIFE_S),
            close_newest=lambda key, count: registry.try_tell(CloseExcess(key, count)),
            sync_interval_s=gateway.limits.sync_interval_s,
        )
        return limits

    async def _start_revocations(self) -> Revocations:
        parts, poll_s = self._parts, self._settings.auth.revocation_poll_s
        revocations = Revocations(poll_interval_s=poll_s)
        registry = self.registry
        watch = parts.start_vital(
            RevocationWatch,
            store=parts.stores.revocations,
            revocations=revocations,
            interval_s=poll_s,
            on_change=lambda: registry.try_tell(TokensRevoked()),
        )
        await watch.started()

        async def look(database: Database) -> None:
            if not await watch.ask_async(LookThrough(RevocationStore(database))):
                raise StorageUnavailableError("revoked tokens cannot be looked up yet")

        # Where the database comes late, nobody may use a token that was revoked long ago.
        parts.foundation.prepare_with(look)
        return revocations

    async def _start_verifier(self) -> TokenVerifier:
        auth = self._settings.auth
        if self._parts.authority is not None:
            return self._parts.authority
        keys = PublishedKeys.of(auth)
        watch = self._parts.start_vital(KeyWatch, keys=keys, interval_s=watch_interval_s(auth))
        await watch.started()
        return TokenVerifier(keys=keys, settings=auth)

    def _http_services(self, verifier: TokenVerifier, revocations: Revocations) -> HttpServices:
        parts, settings, stores = self._parts, self._settings, self._parts.stores
        charts = ChartRenderer()
        parts.stack.push_async_callback(charts.close)
        authority = parts.authority if settings.mode is Mode.DEVELOPMENT else None

        async def verify(encoded: str) -> VerifiedToken:
            token = await verifier.authenticate(encoded)
            revocations.check(token)
            return token

        return HttpServices(
            verify=verify,
            verify_link=parts.links.verify,
            sign_link=parts.links.sign,
            issue_token=None if authority is None else authority.issue,
            development_org=None if authority is None else DEVELOPMENT_ORG,
            health=parts.health,
            metrics=self._parts.metrics,
            connections=self.connections,
            statistics=self.statistics,
            pool_statistics=stores.database.statistics,
            log=stores.log,
            threads=StoredThreads(log=stores.log, threads=parts.threads, runs=parts.run_states),
            reports=ReportStore(stores.database),
            charts=charts,
            cache=ResultCache(stores.cache),
            usage=stores.usage,
            imports=stores.imports,
            prices=stores.prices,
            sources=stores.sources,
            currencies=stores.currencies,
            catalogue=parts.catalogue,
            announcer=parts.announcer,
            settings=settings.gateway.http,
            allowed_origins=settings.gateway.allowed_origins,
            max_message_bytes=settings.gateway.max_message_bytes,
            group=parts.siblings or Alone(),
        )

    async def _answer_siblings(self, siblings: Siblings, own_metrics: OwnMetrics) -> None:
        async def answer(question: object) -> object:
            match question:
                case GetMetrics():
                    return await own_metrics.families()
                case GetConnections(org, sub):
                    return await self.connections(org, sub)
                case _:
                    raise TypeError(f"{type(question).__name__} is no question of a sibling")

        self._parts.stack.push_async_callback(siblings.close)
        await siblings.serve(answer)

    # What is asked of it while it runs.

    async def statistics(self) -> RegistryStatistics:
        """How many connections and users there are."""
        statistics: RegistryStatistics = await self.registry.ask_async(GetStatistics())
        return statistics

    async def connections(self, org: str | None, sub: str | None) -> Sequence[ConnectionInfo]:
        """Each live connection as it is now, of an organisation or user where one is named."""
        refs = await self.registry.ask_async(ListConnections(org=org, sub=sub))
        answers = await asyncio.gather(
            *(ref.ask_async(Describe()) for ref in refs), return_exceptions=True
        )
        return [answer for answer in answers if isinstance(answer, ConnectionInfo)]

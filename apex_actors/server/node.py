"""One node: the only place where the parts are put together, and taken apart again in order."""

import asyncio
import contextlib
import logging
import signal
import socket
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self

from apex_actors.actors import ActorDeadError, ActorRef
from apex_actors.agents import CostPipeline
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.execution import (
    Acceptance,
    Drain,
    ExecutionEngineFactory,
    Worker,
)
from apex_actors.gateway.app import HttpServices, build_app
from apex_actors.gateway.connection import ConnectionActor, ConnectionServices, SocketMessages
from apex_actors.gateway.handlers import ChatHandlers
from apex_actors.gateway.handshake import Admitted, Doorkeeper
from apex_actors.gateway.health import Health
from apex_actors.gateway.registry import CloseAll, ConnectionRegistry, GetStatistics
from apex_actors.gateway.router import MessageRouter
from apex_actors.gateway.tokens import TokenAuthority
from apex_actors.gateway.websocket_protocol import WebSocketProtocol
from apex_actors.server.announcer import NodeAnnouncer, WakeUpRelay
from apex_actors.server.secrets import development_secret
from apex_actors.server.settings import Mode, Settings
from apex_actors.server.uvicorn_server import UvicornServer, build_server, listen
from apex_actors.storage.cache import Cache, ResultCache, SessionCache, WakeUps
from apex_actors.storage.database import Database
from apex_actors.storage.embedded import EmbeddedServers, default_data_dir
from apex_actors.storage.event_log import EventLog
from apex_actors.storage.migrate import migrate
from apex_actors.storage.runs import RunStore
from apex_actors.storage.threads import ThreadStore
from apex_actors.storage.usage import UsageRepository

logger = logging.getLogger(__name__)

#: The tenant of the sample data, and of everybody who signs in by the development page.
DEVELOPMENT_ORG: Final = "demo"

#: Between two looks after the embedded servers, in seconds.
WATCH_INTERVAL_S: Final = 1.0

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

#: Connections close within this time of a shutdown, each at its own moment.
CLOSE_SPREAD_S: Final = 0.5


class NodeFailedError(Exception):
    """A part without which a node is none has died; its log says why. Start the node again."""


class Part(StrEnum):
    """What a node does."""

    ALL = "all"
    GATEWAY = "gateway"
    WORKER = "worker"

    @property
    def serves(self) -> bool:
        """Whether clients connect to it."""
        return self is not Part.WORKER

    @property
    def works(self) -> bool:
        """Whether it executes runs."""
        return self is not Part.GATEWAY


@dataclass(slots=True)
class _Stores:
    database: Database
    cache: Cache
    log: EventLog = field(init=False)
    runs: RunStore = field(init=False)
    threads: ThreadStore = field(init=False)
    usage: UsageRepository = field(init=False)

    def __post_init__(self) -> None:
        self.log = EventLog(self.database)
        self.runs = RunStore(self.database)
        self.threads = ThreadStore(self.database)
        self.usage = UsageRepository(self.database)


class Node:
    """A running node, from ``start`` to ``stop``; also an async context manager.

    Started in this order, stopped in the reverse one: embedded servers, schema, pools, actors,
    listener. ``stop`` drains first: nobody new is let in, runs may finish within the grace
    period, what is left is given back to other workers, clients are told and closed.
    """

    def __init__(self, settings: Settings, *, part: Part = Part.ALL) -> None:
        self._settings = settings
        self._part = part
        self.name = uuid.uuid4().hex[:12]
        self._stack = AsyncExitStack()
        self._announcer = NodeAnnouncer()
        self.registry: ActorRef[ConnectionRegistry] | None = None
        self._worker: ActorRef[Worker] | None = None
        self._server: UvicornServer | None = None
        self._health: Health | None = None
        self._doorkeeper: Doorkeeper | None = None
        self.stores: _Stores
        self.authority: TokenAuthority
        self.catalogue = PriceCatalogue()
        self.port = 0
        self._draining = False
        self._vital: list[ActorRef[Any]] = []

    @property
    def url(self) -> str:
        """Where browsers go."""
        host = self._settings.host
        shown = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104 - only compared
        return f"http://[{shown}]:{self.port}" if ":" in shown else f"http://{shown}:{self.port}"

    @property
    def data_dir(self) -> Path:
        """The folder of this node's own files."""
        return self._settings.data_dir or default_data_dir()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start all parts; what has been started is stopped again when one of them fails."""
        try:
            database_url, redis_url = await self._start_servers()
            await migrate(database_url)
            self.stores = await self._open_stores(database_url, redis_url)
            await self._start_relay()
            if self._part.works:
                self._start_worker()
            if self._part.serves:
                await self._start_gateway()
        except BaseException:
            await self._stack.aclose()
            raise

    async def stop(self) -> None:
        """Drain and stop; idempotent."""
        self._draining = True
        if self._health is not None:
            self._health.draining = True
        if self._doorkeeper is not None:
            self._doorkeeper.draining = True
        await self._drain_worker()
        await self._stack.aclose()

    async def run_until_signal(self, *, on_ready: Callable[[], None] = lambda: None) -> None:
        """Start, call ``on_ready``, serve until SIGTERM or SIGINT, drain, stop.

        Raises NodeFailedError, after the same orderly stop, when a vital actor died.
        """
        loop = asyncio.get_running_loop()
        signalled = asyncio.Event()
        for number in _SIGNALS:
            loop.add_signal_handler(number, signalled.set)
        try:
            async with self:
                on_ready()
                died = await self._wait_for_end(signalled)
                # A second signal ends at once: what was acknowledged is in the database.
                for number in _SIGNALS:
                    loop.remove_signal_handler(number)
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)
        if died:
            raise NodeFailedError(f"{died} died and the node with it: see the log above")

    async def _wait_for_end(self, signalled: asyncio.Event) -> str | None:
        """Until a signal comes (None), or a vital actor dies (its name)."""
        waits: dict[asyncio.Task[Any], str | None] = {asyncio.create_task(signalled.wait()): None}
        for ref in self._vital:
            waits[asyncio.ensure_future(ref.stopped())] = ref.actor_class.__name__
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()
            await asyncio.wait(waits)
        return next((waits[task] for task in done), None)

    # Starting.

    async def _start_servers(self) -> tuple[str, str]:
        settings = self._settings
        given_database = _revealed(settings.database_url)
        given_redis = _revealed(settings.redis_url)
        if given_database and given_redis:
            return given_database, given_redis
        servers = EmbeddedServers(
            data_dir=self.data_dir, postgres=not given_database, valkey=not given_redis
        )
        await asyncio.to_thread(servers.start)
        self._stack.push_async_callback(asyncio.to_thread, servers.stop)
        self._start_task(self._watch(servers))
        return given_database or servers.database_url, given_redis or servers.redis_url

    async def _open_stores(self, database_url: str, redis_url: str) -> _Stores:
        database = Database(
            database_url,
            max_size=self._settings.database_connections,
            application_name=f"apex-{self.name}",
        )
        self._stack.push_async_callback(database.close)
        await database.open()
        cache = Cache(redis_url)
        self._stack.push_async_callback(cache.close)
        return _Stores(database, cache)

    async def _start_relay(self) -> None:
        wake_ups = WakeUps(self.stores.cache, node=self.name)
        relay = WakeUpRelay.start(wake_ups=wake_ups, announcer=self._announcer)
        self._stop_with_node(relay)
        self._announcer.attach(relay=relay)

    def _start_worker(self) -> None:
        pipeline = CostPipeline(
            usage=self.stores.usage,
            catalogue=self.catalogue,
            cache=ResultCache(self.stores.cache),
        )
        factory = ExecutionEngineFactory(
            database=self.stores.database,
            announcer=self._announcer,
            pipelines={CostPipeline.name: pipeline},
            settings=self._settings.execution,
        )
        self._worker = Worker.start(
            name=self.name,
            runs=self.stores.runs,
            factory=factory,
            settings=self._settings.execution,
        )
        self._stop_with_node(self._worker)
        self._announcer.attach(worker=self._worker)

    async def _start_gateway(self) -> None:
        settings, stores = self._settings, self.stores
        registry = ConnectionRegistry.start(
            log=stores.log,
            heartbeat_interval_s=settings.gateway.heartbeat_interval_s,
            poll_interval_s=settings.gateway.poll_interval_s,
        )
        self.registry = registry
        self._announcer.attach(registry=registry)
        self._stop_with_node(registry)
        self.authority = TokenAuthority(secret=self._secret(), settings=settings.auth)
        self._doorkeeper = Doorkeeper(
            authority=self.authority, allowed_origins=settings.gateway.allowed_origins
        )
        services = ConnectionServices(
            log=stores.log,
            sessions=SessionCache(stores.cache),
            registry=registry,
            router=MessageRouter(self._handlers().table()),
            settings=settings.gateway,
        )

        def welcome(socket: WebSocketProtocol, admitted: Admitted) -> SocketMessages:
            return SocketMessages(
                ConnectionActor.start(socket=socket, admitted=admitted, services=services)
            )

        checks = {"database": stores.database.is_up, "cache": stores.cache.is_up}
        if self._worker is not None:
            checks["worker"] = self._worker_is_up
        self._health = Health(checks, required=frozenset({"database"}))
        development = settings.mode is Mode.DEVELOPMENT
        app = build_app(
            HttpServices(
                authority=self.authority,
                health=self._health,
                log=stores.log,
                runs=stores.runs,
                development_org=DEVELOPMENT_ORG if development else None,
            )
        )
        self._server = build_server(
            app, doorkeeper=self._doorkeeper, welcome=welcome, settings=settings.gateway
        )
        await self._serve(listen(settings.host, settings.port, any_free=development))
        self._stack.push_async_callback(self._close_connections)

    async def _worker_is_up(self) -> bool:
        return self._worker is not None and self._worker.is_alive()

    def _handlers(self) -> ChatHandlers:
        acceptance = Acceptance(
            database=self.stores.database,
            announcer=self._announcer,
            settings=self._settings.execution,
        )
        return ChatHandlers(
            acceptance=acceptance,
            threads=self.stores.threads,
            pipeline=CostPipeline.name,
            is_draining=lambda: self._draining,
        )

    async def _serve(self, sock: socket.socket) -> None:
        server = self._server
        assert server is not None  # noqa: S101 - set by the caller
        self.port = sock.getsockname()[1]
        serving = asyncio.create_task(server.serve(sockets=[sock]))

        async def finish() -> None:
            server.should_exit = True
            await serving

        self._stack.push_async_callback(finish)
        while not server.started:
            if serving.done():
                await serving
            await asyncio.sleep(0.005)

    def _secret(self) -> str:
        return _revealed(self._settings.auth.secret) or development_secret(self.data_dir)

    # Stopping.

    async def _drain_worker(self) -> None:
        if self._worker is None:
            return
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self._settings.grace_period_s
        with contextlib.suppress(ActorDeadError):
            while await self._worker.ask_async(Drain()) > 0 and loop.time() < give_up_at:  # noqa: ASYNC110 - it is asked anew
                await asyncio.sleep(0.05)

    async def _close_connections(self) -> None:
        registry = self.registry
        if registry is None:
            return
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + CLOSE_SPREAD_S + self._settings.gateway.close_timeout_s
        # A registry that died has told nobody: uvicorn closes what is left.
        with contextlib.suppress(ActorDeadError):
            registry.tell(CloseAll(spread_s=CLOSE_SPREAD_S))
            while loop.time() < give_up_at:
                if (await registry.ask_async(GetStatistics())).connections == 0:
                    return
                await asyncio.sleep(0.02)

    # Helpers.

    def _stop_with_node(self, ref: ActorRef[Any]) -> None:
        self._vital.append(ref)

        async def stop() -> None:
            ref.kill()
            await ref.stopped()

        self._stack.push_async_callback(stop)

    def _start_task(self, coroutine: Any) -> None:
        task = asyncio.create_task(coroutine)

        async def cancel() -> None:
            task.cancel()
            await asyncio.wait([task])

        self._stack.push_async_callback(cancel)

    async def _watch(self, servers: EmbeddedServers) -> None:
        """Bring back an embedded server that died."""
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            try:
                if await asyncio.to_thread(servers.ensure_running):
                    logger.warning("an embedded server had died and is back")
                    if not self._settings.redis_url:
                        await self.stores.cache.use(servers.redis_url)
            except Exception:
                logger.exception("an embedded server cannot be brought back")


def _revealed(secret: Any) -> str | None:
    return None if secret is None else secret.get_secret_value()

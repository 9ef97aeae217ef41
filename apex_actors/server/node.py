"""One node: the only place where the parts are put together, and taken apart again in order."""

import asyncio
import contextlib
import logging
import signal
import socket
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from apex_actors.actors import Actor, ActorDeadError, ActorRef
from apex_actors.agents import CostPipeline, SavingsKeeper
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.execution import (
    Acceptance,
    Cancellation,
    Drain,
    ExecutionEngineFactory,
    HandOver,
    Making,
    Pipeline,
    RetentionJanitor,
    RunSweeper,
    ThreadJanitor,
    ThreadService,
    Worker,
    WorkPool,
)
from apex_actors.gateway.auth import LinkSigner, TokenAuthority
from apex_actors.gateway.handlers import (
    LivenessHandlers,
    PreferenceHandlers,
    RunHandlers,
    RunStateHandlers,
    ThreadHandlers,
    WithFallback,
)
from apex_actors.gateway.health import Health
from apex_actors.gateway.http.chart_cache import ChartCache
from apex_actors.gateway.metrics import GatewayMetrics
from apex_actors.gateway.registry import ConnectionRegistry
from apex_actors.gateway.registry_messages import CloseAll, GetStatistics
from apex_actors.gateway.router import HandlerPart
from apex_actors.gateway.settings import Algorithm
from apex_actors.server.announcer import NodeAnnouncer, WakeUpRelay
from apex_actors.server.bring_up import BringUp, Foundation
from apex_actors.server.data_servers import DataServers
from apex_actors.server.gateway_part import DEVELOPMENT_ORG, GatewayPart, GatewayParts
from apex_actors.server.secrets import development_secret, revealed
from apex_actors.server.server_urls import ServerUrls
from apex_actors.server.settings import Mode, Settings
from apex_actors.server.siblings import Siblings
from apex_actors.server.stores import Stores, build_stores
from apex_actors.server.tuning import responsive
from apex_actors.server.uvicorn_server import UvicornServer, browser_url, listen
from apex_actors.storage.cache import ResultCache
from apex_actors.storage.embedded import default_data_dir
from apex_actors.storage.retention import Retention
from apex_actors.storage.wake_ups import WakeUps

__all__ = ["DEVELOPMENT_ORG", "Node", "NodeFailedError", "Part"]

logger = logging.getLogger(__name__)

A = TypeVar("A", bound=Actor)

#: The listener waits no longer for a database that does not answer, in seconds.
LISTEN_ANYWAY_S: Final = 1.5

#: Nor does ``start`` from then on, in seconds: a machine under load answers by now.
START_ANYWAY_S: Final = 3.5

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

#: Connections close within this time of a shutdown, each at its own moment.
CLOSE_SPREAD_S: Final = 0.5

#: What part of the grace period running work has; the rest is for closing connections.
WORK_SHARE: Final = 0.8

#: Connections get this time to close at least, in seconds, however short the grace period is.
SHORTEST_CLOSING_S: Final = 1.0


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


class Node:
    """A running node, from ``start`` to ``stop``; also an async context manager.

    Started in this order, stopped in the reverse one: embedded servers, schema, pools, actors,
    listener. A database that is away is not waited for: the rest starts without it, every use of
    it fails at once, and BringUp does what it is needed for when it is there. ``stop`` drains
    first: nobody new is let in, runs may finish within the grace period, what is left is given back
    to other workers, clients are told and closed.

    :param urls: servers that others look after, as of the processes of a group.
    :param listener: a listening socket that others share; this node's closes before it drains, so
        that whoever comes then is let in by another.
    :param siblings: the other processes of its group.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        part: Part = Part.ALL,
        urls: ServerUrls | None = None,
        listener: socket.socket | None = None,
        siblings: Siblings | None = None,
    ) -> None:
        self._settings = settings
        self._part = part
        self._urls = urls
        self._shared_listener = listener
        self._siblings = siblings
        self.name = uuid.uuid4().hex[:12]
        self._stack = AsyncExitStack()
        self.metrics = GatewayMetrics()
        self._announcer = NodeAnnouncer(self.metrics)
        self.registry: ActorRef[ConnectionRegistry] | None = None
        self._worker: ActorRef[Worker] | None = None
        self._making: Making | None = None
        self._gateway: GatewayPart | None = None
        self._health: Health | None = None
        self._threads: ThreadService
        self.stores: Stores
        self.foundation: Foundation
        self.authority: TokenAuthority
        self.links: LinkSigner
        self.catalogue = PriceCatalogue()
        self.port = 0
        self._draining = False
        self._stopped = False
        self._connections_told = 0
        self._vital: list[ActorRef[Any]] = []

    @property
    def url(self) -> str:
        """Where browsers go."""
        return browser_url(self._settings.host, self.port)

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
        """Start all parts; what has been started is stopped again when one of them fails.

        Returns without the database where that is away, and raises where it is there and is not
        for this server: DatabaseRefusedError, MigrationError.
        """
        try:
            await self._start_bring_up(await self._start_servers())
            self._start_relay()
            self._start_janitors()
            if self._part.works:
                self._start_worker()
            if self._part.serves:
                await self._start_gateway()
            await self.foundation.first_try(START_ANYWAY_S)
        except BaseException:
            await self._stack.aclose()
            raise

    async def stop(self) -> None:
        """Drain and stop; idempotent."""
        self._draining = True
        if self._health is not None:
            self._health.draining = True
        if self._gateway is not None:
            self._gateway.doorkeeper.draining = True
            if self._shared_listener is not None:
                self._gateway.server.stop_listening()
        finished, handed_over = await self._drain_worker()
        await self._stack.aclose()
        if not self._stopped:
            self._stopped = True
            logger.info(
                "node %s stopped: %d runs finished, %d handed over, %d connections told",
                self.name,
                finished,
                handed_over,
                self._connections_told,
            )

    async def use_redis(self, url: str) -> None:
        """Go on with another Redis or Valkey; the node must have started."""
        await self.stores.cache.use(url)

    async def run_until_signal(
        self,
        *,
        on_ready: Callable[[], None] = lambda: None,
        stopping: asyncio.Event | None = None,
    ) -> None:
        """Start, call ``on_ready``, serve until SIGTERM or SIGINT or ``stopping``, drain, stop.

        Raises NodeFailedError, after the same orderly stop, when a vital actor died.
        """
        loop = asyncio.get_running_loop()
        signalled = asyncio.Event() if stopping is None else stopping
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        for number in _SIGNALS:
            loop.add_signal_handler(number, signalled.set)
        try:
            async with self:
                with responsive():
                    on_ready()
                    died = await self._wait_for_end(signalled)
                # A second signal ends at once, as it would any program: what was acknowledged is in
                # the database. Python's own handler of SIGINT would unwind for as long as it takes.
                for number in _SIGNALS:
                    loop.remove_signal_handler(number)
                    signal.signal(number, signal.SIG_DFL)
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)
                signal.signal(number, before[number] or signal.SIG_DFL)
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

    async def _start_servers(self) -> DataServers:
        servers = DataServers(self._settings, data_dir=self.data_dir, urls=self._urls)
        await servers.start()
        self._stack.push_async_callback(servers.stop)
        return servers

    async def _start_bring_up(self, servers: DataServers) -> None:
        self.stores = build_stores(
            self._settings,
            database_url=servers.database_url,
            redis_url=servers.redis_url,
            node=self.name,
            stack=self._stack,
        )
        servers.watch(self.use_redis)
        self.links = LinkSigner(lifetime_s=self._settings.auth.artifact_lifetime_s)
        self.foundation = Foundation(servers.database_url, stores=self.stores, links=self.links)
        self._start_vital(BringUp, foundation=self.foundation)
        await self.foundation.first_try(LISTEN_ANYWAY_S)

    def _make_work_pool(self) -> None:
        self._work = WorkPool(size=self._settings.execution.work_processes)
        self._stack.push_async_callback(self._work.close)

    def _start_relay(self) -> None:
        wake_ups = WakeUps(self.stores.cache, node=self.name)
        relay = self._start_vital(WakeUpRelay, wake_ups=wake_ups, announcer=self._announcer)
        self._announcer.attach(relay=relay)

    def _start_janitors(self) -> None:
        stores, retention = self.stores, self._settings.retention
        self._threads = ThreadService(
            database=stores.database,
            announcer=self._announcer,
            sessions=stores.sessions,
            on_deletion_requested=self._announcer.deletion_requested,
            on_runs_removed=ChartCache(ResultCache(stores.cache)).forget,
        )
        janitor = self._start_vital(ThreadJanitor, database=stores.database, threads=self._threads)
        self._announcer.attach(janitor=janitor)
        self._start_vital(
            RunSweeper,
            runs=stores.runs,
            announcer=self._announcer,
            settings=self._settings.execution,
        )
        self._start_vital(
            RetentionJanitor,
            retention=Retention(stores.database, retention),
            interval_s=retention.interval_s,
        )

    def _pipelines(self) -> dict[str, Pipeline]:
        """What this node's runs may ask for, by name."""
        pipeline = CostPipeline(
            usage=self.stores.usage,
            savings=self.stores.savings,
            catalogue=self.catalogue,
            cache=ResultCache(self.stores.cache),
            work=self._work,
            sign_link=self.links.sign,
        )
        return {CostPipeline.name: pipeline}

    def _start_worker(self) -> None:
        self._make_work_pool()
        self._start_vital(
            SavingsKeeper,
            savings=self.stores.savings,
            usage=self.stores.usage,
            catalogue=self.catalogue,
            work=self._work,
        )
        factory = ExecutionEngineFactory(
            database=self.stores.database,
            announcer=self._announcer,
            pipelines=self._pipelines(),
            settings=self._settings.execution,
        )
        self._making = factory.making
        self._worker = self._start_vital(
            Worker,
            name=self.name,
            runs=self.stores.runs,
            factory=factory,
            settings=self._settings.execution,
        )
        self._announcer.attach(worker=self._worker)

    async def _start_gateway(self) -> None:
        settings, stores = self._settings, self.stores
        self._health = self._start_health()
        shared_secret = settings.auth.algorithm is Algorithm.HS256
        if shared_secret:
            self.authority = TokenAuthority(secret=self._secret(), settings=settings.auth)
        gateway = self._gateway = GatewayPart(
            GatewayParts(
                settings=settings,
                name=self.name,
                stores=stores,
                announcer=self._announcer,
                catalogue=self.catalogue,
                links=self.links,
                foundation=self.foundation,
                health=self._health,
                metrics=self.metrics,
                authority=self.authority if shared_secret else None,
                handlers=self._handlers(),
                threads=ThreadHandlers(
                    threads=stores.threads, service=self._threads, sessions=stores.sessions
                ),
                run_states=RunStateHandlers(runs=stores.run_records),
                siblings=self._siblings,
                start_vital=self._start_vital,
                stack=self._stack,
            )
        )
        await gateway.start()
        self.registry = gateway.registry
        development = settings.mode is Mode.DEVELOPMENT
        await self._serve(
            gateway.server,
            self._shared_listener or listen(settings.host, settings.port, any_free=development),
        )
        self._stack.push_async_callback(self._close_connections)

    def _start_health(self) -> Health:
        checks = {
            "database": self.stores.database.is_up,
            "schema": self.foundation.is_up,
            "cache": self.stores.cache.is_up,
        }
        if self._worker is not None:
            checks["worker"] = self._worker_is_up
            checks["agents"] = self._agents_are_up
        return Health(checks, required=frozenset({"database"}))

    async def _worker_is_up(self) -> bool:
        return self._worker is not None and self._worker.is_alive()

    async def _agents_are_up(self) -> bool:
        return self._making is not None and self._making.works

    def _handlers(self) -> tuple[HandlerPart, ...]:
        stores, execution = self.stores, self._settings.execution
        acceptance = Acceptance(
            database=stores.database, announcer=self._announcer, settings=execution
        )
        cancellation = Cancellation(
            database=stores.database, announcer=self._announcer, settings=execution
        )
        return (
            LivenessHandlers(),
            WithFallback(
                RunHandlers(
                    acceptance=acceptance,
                    cancellation=cancellation,
                    pipeline=CostPipeline.name,
                    is_draining=lambda: self._draining,
                )
            ),
            PreferenceHandlers(preferences=stores.preferences, announcer=self._announcer),
        )

    async def _serve(self, server: UvicornServer, sock: socket.socket) -> None:
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
        return revealed(self._settings.auth.secret) or development_secret(self.data_dir)

    # Stopping.

    async def _drain_worker(self) -> tuple[int, int]:
        """Let runs finish, hand the others over; returns how many of each there were."""
        if self._worker is None:
            return 0, 0
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self._settings.grace_period_s * WORK_SHARE
        under_way = left = handed_over = 0
        with contextlib.suppress(ActorDeadError):
            under_way = left = await self._worker.ask_async(Drain())
            while left > 0 and loop.time() < give_up_at:
                await asyncio.sleep(0.05)
                left = await self._worker.ask_async(Drain())
            # Now, and not when the connections have closed: others go on with it at once.
            handed_over = await self._worker.ask_async(HandOver())
        return under_way - left, handed_over

    async def _close_connections(self) -> None:
        registry = self.registry
        if registry is None:
            return
        loop = asyncio.get_running_loop()
        closing_s = max(SHORTEST_CLOSING_S, self._settings.grace_period_s * (1 - WORK_SHARE))
        closing_s = min(closing_s, CLOSE_SPREAD_S + self._settings.gateway.close_timeout_s)
        give_up_at = loop.time() + closing_s
        # A registry that died has told nobody: uvicorn closes what is left.
        with contextlib.suppress(ActorDeadError):
            self._connections_told = (await registry.ask_async(GetStatistics())).connections
            registry.tell(CloseAll(spread_s=CLOSE_SPREAD_S))
            while loop.time() < give_up_at:
                if (await registry.ask_async(GetStatistics())).connections == 0:
                    return
                await asyncio.sleep(0.02)

    # Helpers.

    def _start_vital(
        self, actor_class: type[A], /, *, handles_all: bool = False, **arguments: Any
    ) -> ActorRef[A]:
        """Start an actor that the node cannot be without; it stops with the node.

        ``handles_all``: only behind the messages that wait for it by then.
        """
        ref = actor_class.start(**arguments)
        self._vital.append(ref)

        async def stop() -> None:
            if handles_all:
                await ref.stop_async()
            else:
                ref.kill()
                await ref.stopped()

        self._stack.push_async_callback(stop)
        return ref

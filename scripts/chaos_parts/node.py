"""One process of the product: a gateway, a worker or both, with the pipeline of chaos."""

import asyncio
import os
import signal
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Final

import psycopg
import uvloop

from apex_actors.agents import CostPipeline
from apex_actors.execution import ExecutionSettings, Pipeline
from apex_actors.server.logs import configure_logging
from apex_actors.server.node import Node, Part
from apex_actors.server.settings import Mode, Settings
from apex_actors.storage.cache import ResultCache
from apex_actors.storage.errors import StorageError
from chaos_parts import halts
from chaos_parts.lines import HOST
from chaos_parts.mutants import MUTANTS
from chaos_parts.pipeline import EffectPipeline, Scene

FREEZE_SIGNAL: Final = signal.SIGUSR1
"""Its event loop stands still for ``freeze_s``."""

HALT_SIGNAL: Final = signal.SIGUSR2
"""It stops between two statements of one of its next transactions."""

NOT_STARTED: Final = 3
"""Exit code of a node that found no database: start it again."""

EXECUTION: Final = ExecutionSettings(
    lease_s=2, poll_interval_s=0.1, run_limit_s=15.0, tool_limit_s=1.0, max_attempts=10
)
"""Short, so that a minute holds many takeovers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What a node's process is told at its start."""

    part: Part
    database_url: str
    redis_url: str
    secret: str
    data_dir: Path
    """Unused by a node with both databases given, but it must not be somebody's."""
    log_path: Path
    effects_port: int
    mutant: str | None
    seed: str
    freeze_s: float
    execution: ExecutionSettings = EXECUTION
    slowness: float = 1.0
    """So many times as long as else a tool takes."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The node is up; ``port`` is 0 where it serves nobody."""

    name: str
    port: int


@dataclass(frozen=True, slots=True)
class Halted:
    """The process is about to stop; behind so many statements of a transaction, 0: all of them."""

    place: int


class ChaosNode(Node):
    """The product's node with another pipeline under the name of its own."""

    effects_port = 0
    slowness = 1.0

    def _pipelines(self) -> dict[str, Pipeline]:
        scene = Scene(
            effects_port=self.effects_port,
            cache=ResultCache(self.stores.cache),
            slowness=self.slowness,
        )
        return {CostPipeline.name: EffectPipeline(scene)}


def run(orders: Orders, report: Connection) -> None:
    """The whole life of the process."""
    log = os.open(orders.log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(log, sys.stdout.fileno())
    os.dup2(log, sys.stderr.fileno())
    if orders.mutant is not None:
        MUTANTS[orders.mutant].apply()
    stops = halts.Halts(
        random=Random(orders.seed),  # noqa: S311 - repeatable, not secret
        tell=lambda place: report.send(Halted(place)),
    )
    halts.install(stops)
    settings = Settings(
        mode=Mode.PRODUCTION,
        host=HOST,
        port=0,
        data_dir=orders.data_dir,
        database_url=orders.database_url,
        redis_url=orders.redis_url,
        database_connections=8,
        grace_period_s=1.0,
        log_level="info",
        log_format="json",
        auth={"secret": orders.secret},
        gateway={
            "heartbeat_interval_s": 1.0,
            "session_interval_s": 1.0,
            "close_timeout_s": 1.0,
            "limits": {"handshakes_per_s": 1000.0, "handshakes_burst": 10_000},
        },
        execution=orders.execution,
    )
    configure_logging(level=settings.log_level, style=settings.log_format)
    node = ChaosNode(settings, part=orders.part)
    node.effects_port, node.slowness = orders.effects_port, orders.slowness
    try:
        uvloop.run(_serve(node, stops, orders, report))
    except (StorageError, psycopg.OperationalError, OSError):
        sys.exit(NOT_STARTED)


async def _serve(node: Node, stops: halts.Halts, orders: Orders, report: Connection) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(FREEZE_SIGNAL, time.sleep, orders.freeze_s)
    loop.add_signal_handler(HALT_SIGNAL, stops.arm)
    await node.run_until_signal(on_ready=lambda: report.send(Ready(node.name, node.port)))

"""One user's events to 1,000 connections, in frames delivered per second.

Ours appends an event to the user's log, commits, announces it to its registry, and goes on with the
next one when an earlier one has arrived everywhere; some are on their way at the same time, so that
a commit does not leave the server idle. The baselines write a frame of the same length to all
connections in a loop.
"""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from apex_actors.protocol.events import Event
from benchmarks.figures import Goal, Target
from benchmarks.gateway import visitors
from benchmarks.gateway.clients import Crowd, Handshakes, close_all
from benchmarks.gateway.node import STEP
from benchmarks.gateway.servers import Server
from benchmarks.gateway.sides import Side
from benchmarks.gateway.visitors import Tickets
from benchmarks.settings import Settings

CONNECTIONS: Final = 1_000
EVENTS: Final = 50
WARM_UP_EVENTS: Final = 5
ON_THEIR_WAY: Final = 2

USER: Final = "reader"

RATE: Final = "fan_out_per_s"
CPU: Final = "fan_out_cpu_us"
BUSY: Final = "fan_out_busy_percent"

GOALS: Final = (
    Goal(RATE, "frames/s", Target("ratio", ">=", 0.5)),
    Goal(CPU, "us", note="CPU time of the server's process for each frame", is_cost=True),
    Goal(BUSY, "percent", note="how busy the server's process kept a core meanwhile"),
)

_MARK: Final = f'"type":"{STEP.event_type}"'.encode()


class Readers:
    """The connections of one user at one server."""

    def __init__(self, server: Server, tickets: Tickets, settings: Settings) -> None:
        self._server = server
        self._count = settings.size(CONNECTIONS)
        self._events = settings.size(EVENTS)
        self._sockets = Handshakes(
            server.port,
            tickets.requests(server, [USER] * self._count),
            visitors.greeting(server.side),
        ).keep()
        self._crowd = Crowd(self._sockets)
        self._arguments: dict[str, Any] = (
            {"user": USER} if server.side is Side.OURS else {"frame": _frame()}
        )
        self._deliver(settings.size(WARM_UP_EVENTS))

    def read(self) -> Mapping[str, float]:
        """One measurement."""
        before = self._server.used()
        began = time.perf_counter()
        self._deliver(self._events)
        seconds = time.perf_counter() - began
        used = self._server.used().since(before)
        frames = self._events * self._count
        return {
            RATE: frames / seconds,
            CPU: 1e6 * used.cpu_s / frames,
            BUSY: used.busy_percent,
        }

    def leave(self) -> None:
        """Cut the connections."""
        self._crowd.close()
        close_all(self._sockets)

    def _deliver(self, events: int) -> None:
        sent = arrived = 0
        while arrived < events * self._count:
            while sent < events and sent - arrived // self._count < ON_THEIR_WAY:
                self._server.tell("fan_out", **self._arguments)
                sent += 1
            arrived += self._crowd.take(_MARK)
        for _ in range(events):
            self._server.reply()


def _frame() -> bytes:
    """What ours sends, with other numbers in it."""
    some_id = UUID(int=0)
    return Event.of(STEP, seq=1_000, event_id=some_id, ts=datetime.now(UTC)).encode()

"""``ping`` and ``pong``: what one message costs the server's process in CPU time.

Each of some clients sends a ping and, when the pong is there, the next one. There are so many of
them that the server always has something to do: its process must be busy, or idle turns of its
loop would count as the cost of messages. The baselines send the ping itself back. In the burst
each client is several pings ahead, which makes system calls rare and leaves the work that is done
for each message.
"""

from collections.abc import Mapping
from typing import Final

from benchmarks.figures import Goal, Target
from benchmarks.gateway import frames, visitors
from benchmarks.gateway.clients import Crowd, Handshakes, close_all
from benchmarks.gateway.servers import Server
from benchmarks.gateway.visitors import Tickets
from benchmarks.settings import Settings

CLIENTS: Final = 128
"""Each a user of its own."""

MEASURE_S: Final = 2.0
WARM_UP_S: Final = 0.5
BURST: Final = 8

CPU: Final = "ping_pong_cpu_us"
BUSY: Final = "ping_pong_busy_percent"
BURST_CPU: Final = "ping_pong_burst_cpu_us"

GOALS: Final = (
    Goal(CPU, "us", Target("ratio", ">=", 0.6), is_cost=True),
    Goal(
        BUSY,
        "percent",
        Target("ours", ">=", 95),
        "how busy the server's process kept a core meanwhile",
    ),
    Goal(BURST_CPU, "us", note=f"with {BURST} pings under way on each connection", is_cost=True),
)


class Players:
    """Clients of one server that stay connected through all rounds."""

    def __init__(self, server: Server, tickets: Tickets, settings: Settings) -> None:
        names = [f"player-{number}" for number in range(settings.size(CLIENTS))]
        self._server = server
        self._settings = settings
        self._sockets = Handshakes(
            server.port, tickets.requests(server, names), visitors.greeting(server.side)
        ).keep()
        self._crowd = Crowd(self._sockets)

    def play(self) -> Mapping[str, float]:
        """One measurement."""
        cpu_us, busy_percent = self._volley(1)
        burst_cpu_us, _ = self._volley(BURST)
        return {CPU: cpu_us, BUSY: busy_percent, BURST_CPU: burst_cpu_us}

    def leave(self) -> None:
        """Cut the connections."""
        self._crowd.close()
        close_all(self._sockets)

    def _volley(self, window: int) -> tuple[float, float]:
        self._send_for(self._settings.seconds(WARM_UP_S), window)
        before = self._server.used()
        replies = self._send_for(self._settings.seconds(MEASURE_S), window)
        used = self._server.used().since(before)
        return 1e6 * used.cpu_s / replies, used.busy_percent

    def _send_for(self, seconds: float, window: int) -> int:
        return self._crowd.volley(
            frames.PING_MESSAGE,
            window=window,
            mark=visitors.pong(self._server.side),
            seconds=seconds,
        )

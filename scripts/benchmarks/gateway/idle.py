"""10,000 idle connections: how much memory each of them takes, and what they cost while idle.

Each is a user of its own, has been greeted, and answers heartbeats. Bytes are what the memory that
is the server's process's own has grown by; what the kernel holds for a socket is not counted. The
CPU time of the idle ones is that of the server's process and of the processes of its databases.
The bare class sends as many heartbeats, from one timer; uvicorn's own has a timer for each
connection, and pings of the protocol.
"""

import resource
from typing import Final

from benchmarks.figures import Goal, Target
from benchmarks.gateway import visitors
from benchmarks.gateway.board import Board
from benchmarks.gateway.clients import Crowd, Handshakes, close_all
from benchmarks.gateway.servers import Server
from benchmarks.gateway.sides import Side
from benchmarks.gateway.visitors import Tickets
from benchmarks.settings import Settings

CONNECTIONS: Final = 10_000
FIRST_ONES: Final = 200
"""Connected before memory is weighed: what the first ones load and fill is no connection's."""

HEARTBEAT_INTERVAL_S: Final = 30.0
MEASURE_S: Final = 60.0
SETTLE_S: Final = 3.0
"""From the last connection until nothing of their beginnings is going on any more."""

BYTES: Final = "bytes_per_connection"
CPU: Final = "idle_10k_cpu_percent"

GOALS: Final = (
    Goal(BYTES, "bytes", Target("ours", "<=", 16 * 1024)),
    Goal(CPU, "percent", Target("ours", "<=", 5)),
)

SPARE_DESCRIPTORS: Final = 500
"""What a server or the clients need besides the connections."""


def idle_connections(board: Board) -> int:
    """How many there may be; says so on the board when the system allows for less."""
    wanted = board.settings.size(CONNECTIONS)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # Inherited by the servers' processes.
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard == resource.RLIM_INFINITY or hard >= wanted + SPARE_DESCRIPTORS:
        return wanted
    allowed = max(1, hard - SPARE_DESCRIPTORS)
    board.do_not_judge(CPU, f"only {allowed:,} connections: a process may have {hard:,} files open")
    return allowed


def heartbeat_interval_s(settings: Settings) -> float:
    """The default one; at a smaller scale shorter, so that heartbeats come at all."""
    return max(1.0, settings.seconds(HEARTBEAT_INTERVAL_S))


def measure(server: Server, tickets: Tickets, board: Board, count: int) -> None:
    """Connect ``count`` users to a fresh server and leave them idle."""
    settings = board.settings
    greeting = visitors.greeting(server.side)
    requests = tickets.requests(server, [f"idle-{number}" for number in range(count)])
    first_ones = min(settings.size(FIRST_ONES), count - 1) if count > 1 else 0
    sockets = Handshakes(server.port, requests[:first_ones], greeting).keep()
    crowd = Crowd(sockets)
    crowd.answer_pings(settings.seconds(SETTLE_S))
    before_bytes = server.held_bytes()
    for sock in Handshakes(server.port, requests[first_ones:], greeting).keep():
        crowd.add(sock)
        sockets.append(sock)
    crowd.answer_pings(settings.seconds(SETTLE_S))
    grown = server.held_bytes() - before_bytes
    before, databases_before = server.used(), server.databases_used()
    crowd.answer_pings(settings.seconds(MEASURE_S))
    used = server.used().since(before)
    databases = server.databases_used().since(databases_before)
    board.add(
        server.side,
        {BYTES: grown / (count - first_ones), CPU: used.core_percent + databases.core_percent},
    )
    if server.side is Side.OURS:
        board.remark(CPU, f"{databases.core_percent:.2f} of ours are the databases'")
    crowd.close()
    close_all(sockets)

"""The gateway against a bare echo over the same protocol class, in the same run.

Each server runs in a process of its own: a whole node with its databases; the protocol class with
an echo behind it and no actor; and, as a second baseline, uvicorn's own WebSocket class. This
process plays the clients. CPU times are those that the system has counted for a server's process.
"""

import secrets
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from benchmarks.contest import Progress
from benchmarks.figures import Figure
from benchmarks.gateway import connects, fan_out, idle, ping_pong, under_load
from benchmarks.gateway.board import Board
from benchmarks.gateway.servers import running
from benchmarks.gateway.sides import Options, Side
from benchmarks.gateway.visitors import Tickets
from benchmarks.settings import Settings

__all__ = ["measure"]

GOALS: Final = (
    *ping_pong.GOALS,
    *connects.GOALS,
    *idle.GOALS,
    *fan_out.GOALS,
    *under_load.GOALS,
)


def measure(settings: Settings, tell: Progress) -> Sequence[Figure]:
    """All figures of the gateway."""
    board = Board(settings)
    # First, because servers inherit how many files a process may have open.
    connections = idle.idle_connections(board)
    with _own_options() as options:
        tickets = Tickets(options.secret)
        _measure_in_turns(board, options, tickets, tell)
        quicker = options.with_heartbeats(idle.heartbeat_interval_s(settings))
        for side in Side:
            tell(f"idle connections: {side}")
            with running(side, quicker, settings) as server:
                idle.measure(server, tickets, board, connections)
        tell(under_load.P99)
        with (
            running(Side.OURS, options, settings) as node,
            running(Side.BARE, options, settings) as bare,
        ):
            under_load.measure(node, bare, tickets, board, options.data_dir.parent)
    return board.figures(GOALS)


def _measure_in_turns(board: Board, options: Options, tickets: Tickets, tell: Progress) -> None:
    """What is measured of servers that live through all rounds, one after another in each."""
    settings = board.settings
    with ExitStack() as stack:
        servers = [stack.enter_context(running(side, options, settings)) for side in Side]
        players = [ping_pong.Players(server, tickets, settings) for server in servers]
        for number in range(1, settings.rounds + 1):
            tell(f"round {number} of {settings.rounds}: {ping_pong.CPU}")
            for server, group in zip(servers, players, strict=True):
                board.add(server.side, group.play())
        for group in players:
            group.leave()
        readers = [fan_out.Readers(server, tickets, settings) for server in servers]
        for number in range(1, settings.rounds + 1):
            tell(f"round {number} of {settings.rounds}: {fan_out.RATE}")
            for server, audience in zip(servers, readers, strict=True):
                board.add(server.side, audience.read())
        for audience in readers:
            audience.leave()
        comers = [connects.Comers(server, tickets, settings) for server in servers]
        for number in range(1, settings.rounds + 1):
            tell(f"round {number} of {settings.rounds}: {connects.CPU}")
            for server, crowd in zip(servers, comers, strict=True):
                board.add(server.side, crowd.come_and_go())


@contextmanager
def _own_options() -> Iterator[Options]:
    """A secret and a data folder for this run alone."""
    folder = Path(tempfile.mkdtemp(prefix="apex-bench-"))
    try:
        # The account of the embedded servers must get through.
        folder.chmod(0o711)
        yield Options(secret=secrets.token_urlsafe(48), data_dir=folder / "data")
    finally:
        shutil.rmtree(folder)

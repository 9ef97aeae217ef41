"""``ping`` and ``pong`` while a large import and ten analyses run in the same process.

A client sends a ping every 10 ms, whether or not the last pong has come, and takes the time from
the moment at which the ping was due. Ten users of one tenant ask at once what can be saved, and
again whenever they have their answer, until the import of a file is over. The baseline is a bare
echo in a process of its own that is pinged in the same way at the same time: what the machine
itself, its cores being busy with databases and analyses, makes a ping wait for.
"""

import collections
import select
import socket
import time
from pathlib import Path
from typing import Final

from benchmarks.figures import Goal, Target, percentile
from benchmarks.gateway import frames, visitors
from benchmarks.gateway.board import Board
from benchmarks.gateway.clients import RECEIVE_BYTES, BrokenRunError, Handshakes, close_all
from benchmarks.gateway.servers import Server
from benchmarks.gateway.sides import Side
from benchmarks.gateway.visitors import Tickets

ORG: Final = "analysed"
ANALYSTS: Final = 10
IMPORTED_ROWS: Final = 300_000
ROWS_A_MINUTE: Final = 3
PERIOD_S: Final = 0.01
LIMIT_S: Final = 240.0

P99: Final = "ping_under_load_ms_p99"
P50: Final = "ping_under_load_ms_p50"

GOALS: Final = (Goal(P99, "ms", Target("ours", "<=", 50)), Goal(P50, "ms"))

_ASK: Final = frames.masked(b'{"type":"user_message","text":"Analyze my AI costs"}')
_HEARTBEAT: Final = b'{"type":"ping"'
_REFUSED: Final = b'{"type":"error"'
_ENDED: Final = b'"type":"run_finished"'
_COMPLETED: Final = b'"status":"completed"'


class Pinger:
    """Pings one server at a fixed rate, and takes the times of the pongs in milliseconds."""

    def __init__(self, sock: socket.socket, side: Side) -> None:
        self.sock = sock
        self._pong = visitors.pong(side)
        self._due: collections.deque[float] = collections.deque()
        self._rest = b""
        self.delays_ms: list[float] = []

    def ping(self, due_s: float) -> None:
        """Send one that was due at that time."""
        self.sock.send(frames.PING_MESSAGE)
        self._due.append(due_s)

    def receive(self) -> None:
        """Take what has come."""
        now_s = time.perf_counter()
        found, self._rest = _texts(self.sock, self._rest)
        for text in found:
            if self._pong in text:
                self.delays_ms.append(1000 * (now_s - self._due.popleft()))

    @property
    def waits(self) -> bool:
        """Whether a pong has not come yet."""
        return bool(self._due)


class Analyst:
    """Asks, and asks again after each answer."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._rest = b""
        self.answers = 0
        self.failures = 0

    def ask(self) -> None:
        """Ask for an analysis."""
        self.sock.send(_ASK)

    def receive(self) -> None:
        """Take what has come."""
        found, self._rest = _texts(self.sock, self._rest)
        for text in found:
            if text.startswith(_HEARTBEAT):
                # Its answer may take longer than a silent client is kept.
                self.sock.send(frames.PONG_MESSAGE)
            elif text.startswith(_REFUSED):
                raise BrokenRunError(f"an analyst was refused: {text!r}")
            elif _ENDED in text:
                self.answers += _COMPLETED in text
                self.failures += _COMPLETED not in text
                self.ask()


def measure(node: Server, bare: Server, tickets: Tickets, board: Board, folder: Path) -> None:
    """Ping both servers while the node works."""
    rows = board.settings.size(IMPORTED_ROWS)
    path = _usage_file(folder, rows)
    node.ask("load_sample", org=ORG)
    pingers = [Pinger(_connect(server, tickets, "pinger"), server.side) for server in (node, bare)]
    analysts = [
        Analyst(_connect(node, tickets, f"analyst-{number}", ORG))
        for number in range(board.settings.size(ANALYSTS))
    ]
    try:
        for analyst in analysts:
            analyst.ask()
        node.tell("import_file", org="imported", path=path)
        seconds = _watch(node, pingers, analysts)
        if node.reply() != rows:
            raise BrokenRunError("the import has left rows out")
    finally:
        close_all([*(pinger.sock for pinger in pingers), *(analyst.sock for analyst in analysts)])
    for pinger, side in zip(pingers, (Side.OURS, Side.BARE), strict=True):
        delays_ms = pinger.delays_ms
        board.add(side, {P99: percentile(delays_ms, 99), P50: percentile(delays_ms, 50)})
    answers = sum(analyst.answers for analyst in analysts)
    failures = sum(analyst.failures for analyst in analysts)
    board.remark(
        P99,
        f"an import of {rows:,} rows took {seconds:.0f} s, in which {len(analysts)} analyses were"
        f" always running, {answers} completed and {failures} failed; the baseline is an echo in"
        " another process, pinged meanwhile",
    )


def _watch(node: Server, pingers: list[Pinger], analysts: list[Analyst]) -> float:
    """Ping until the import is over; returns how long that took, in seconds."""
    epoll = select.epoll()
    everybody: list[Pinger | Analyst] = [*pingers, *analysts]
    members = {each.sock.fileno(): each for each in everybody}
    for descriptor in members:
        epoll.register(descriptor, select.EPOLLIN)
    began = due_s = time.perf_counter()
    over = False
    try:
        while not over or any(pinger.waits for pinger in pingers):
            now_s = time.perf_counter()
            if now_s - began > LIMIT_S:
                raise BrokenRunError("the import does not end")
            over = over or node.has_replied
            if not over and now_s >= due_s:
                for pinger in pingers:
                    pinger.ping(due_s)
                due_s += PERIOD_S
            for descriptor, _ in epoll.poll(max(0.0, due_s - now_s) if not over else PERIOD_S):
                members[descriptor].receive()
    finally:
        epoll.close()
    return time.perf_counter() - began


def _connect(server: Server, tickets: Tickets, name: str, org: str | None = None) -> socket.socket:
    requests = tickets.requests(server, [name], org)
    return Handshakes(server.port, requests, visitors.greeting(server.side)).keep()[0]


def _texts(sock: socket.socket, rest: bytes) -> tuple[list[bytes], bytes]:
    data = sock.recv(RECEIVE_BYTES)
    if not data:
        raise BrokenRunError("the server has closed a connection")
    data = rest + data
    end = 0
    found = []
    for opcode, begin, end in frames.split(data):
        if opcode == frames.TEXT:
            found.append(data[begin:end])
    return found, data[end:]


def _usage_file(folder: Path, rows: int) -> Path:
    """A CSV file of usage records, some in each minute of the last months."""
    path = folder / "usage.csv"
    columns = "record_id,occurred_at,provider,model,input_tokens,output_tokens,user,feature"
    now = int(time.time())
    step_s = 60 // ROWS_A_MINUTE
    with path.open("w", encoding="ascii") as file:
        file.write(f"{columns}\n")
        for number in range(rows):
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - (rows - number) * step_s))
            file.write(
                f"row-{number},{at},openai,gpt-5-mini,{300 + number % 1700},{20 + number % 380},"
                f"user-{number % 97},feature-{number % 7}\n"
            )
    return path

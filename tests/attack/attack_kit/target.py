"""The node under attack: in a thread and on the event loop it has in production, and watched."""

import asyncio
import contextlib
import io
import logging
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
import uvloop

from apex_actors.actors import ActorSystem
from apex_actors.gateway.registry import GetStatistics
from apex_actors.server.logs import configure_logging
from apex_actors.server.node import Node
from apex_actors.server.settings import Settings
from attack_kit.wire import Answer, Wire, handshake, message

T = TypeVar("T")

#: How long what a connection has left may take to go.
GONE_S = 60.0

#: What may not stand in a line of a log: it would begin another line, or steer a terminal.
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")


class LogWatch(logging.Handler):
    """Keeps all that is logged, as the server's own formatters write it."""

    def __init__(self) -> None:
        super().__init__(level=logging.DEBUG)
        self.records: list[logging.LogRecord] = []
        self.lines: list[str] = []
        self.errors = 0
        """How many records tell of a fault."""
        self._formatters: list[logging.Formatter] = []

    @contextmanager
    def installed(self) -> Iterator["LogWatch"]:
        """See everything that ``log_level = "debug"`` shows, in both formats."""
        root = logging.getLogger()
        handlers, level = root.handlers[:], root.level
        stderr = sys.stderr
        sys.stderr = io.StringIO()
        try:
            for style in ("json", "console"):
                configure_logging(level="debug", style=style)
                formatter = root.handlers[0].formatter
                assert formatter is not None
                self._formatters.append(formatter)
        finally:
            sys.stderr = stderr
        root.handlers[:] = [*handlers, self]
        try:
            yield self
        finally:
            root.handlers[:] = handlers
            root.setLevel(level)

    def emit(self, record: logging.LogRecord) -> None:
        self.errors += _tells_of_a_fault(record)
        self.records.append(record)
        self.lines.extend(formatter.format(record) for formatter in self._formatters)

    @property
    def faults(self) -> list[str]:
        """Errors and what was logged with a traceback."""
        return [
            line
            for record, line in zip(self.records, self.lines[1::2], strict=False)
            if _tells_of_a_fault(record)
        ]

    @property
    def torn(self) -> list[str]:
        """Lines with control characters in them; tracebacks have several lines of their own."""
        return [
            line
            for place, line in enumerate(self.lines)
            if CONTROL.search(line) and not self.records[place // 2].exc_info
        ]


def _tells_of_a_fault(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR or bool(record.exc_info)


@dataclass
class Target:
    """A node with all that is to be known about it afterwards."""

    settings: Settings
    logs: LogWatch
    node: Node = field(init=False)
    loop: asyncio.AbstractEventLoop = field(init=False)
    secrets: set[str] = field(default_factory=set)
    """Tokens and keys that were used."""
    sign: Callable[..., str] | None = None
    """Makes tokens where the node issues none: ``sign(sub=…)``."""
    unhandled: list[dict[str, Any]] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    _ready: "Future[None]" = field(default_factory=Future)
    _leave: asyncio.Event = field(init=False)
    _before: tuple[int, int] = (0, 0)
    _thread: threading.Thread = field(init=False)

    # Its life.

    def start(self) -> None:
        """Start the node; raises what it raises."""
        self._thread = threading.Thread(target=self._run, name="node under attack")
        self._thread.start()
        self._ready.result(timeout=60)

    def stop(self) -> None:
        """Stop the node and note what it has left."""
        self.loop.call_soon_threadsafe(self._leave.set)
        self._thread.join(timeout=60)
        assert not self._thread.is_alive(), "the node does not stop"

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            try:
                runner.run(self._live())
            except BaseException as error:
                if self._ready.done():
                    self.left.append(f"the node failed: {error!r}")
                else:
                    self._ready.set_exception(error)
                raise

    async def _live(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(lambda _, context: self.unhandled.append(context))
        self._leave = asyncio.Event()
        self.node = Node(self.settings)
        async with self.node:
            self._before = (len(ActorSystem.current().alive()), len(asyncio.all_tasks()))
            self._ready.set_result(None)
            await self._leave.wait()
        self.left += [f"actor {ref}" for ref in ActorSystem.current().alive()]
        self.left += [
            f"task {task}" for task in asyncio.all_tasks() if task is not asyncio.current_task()
        ]

    # What is asked of it while it runs.

    @property
    def port(self) -> int:
        return self.node.port

    @property
    def key(self) -> str:
        """The secret that its tokens are signed with."""
        assert self.settings.auth.secret is not None
        return self.settings.auth.secret.get_secret_value()

    def on_loop(self, function: Callable[[], Awaitable[T]]) -> T:
        """Run ``function`` on the node's loop and wait for it."""

        async def run() -> T:
            return await function()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(timeout=60)

    async def asked(self, function: Callable[[], Awaitable[T]]) -> T:
        """The same from a test's own loop."""

        async def run() -> T:
            return await function()

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(run(), self.loop))

    def token(self, sub: str = "ann", **options: Any) -> str:
        """A good token; remembered as a secret."""
        if self.sign is not None:
            return self.secret(self.sign(sub=sub, **options))
        token, _ = self.node.authority.issue(sub=sub, **{"lifetime_s": 600} | options)
        return self.secret(token)

    def secret(self, token: str) -> str:
        """Remember a token that is to be used."""
        if len(token) > 16:  # of shorter ones any text has some
            self.secrets.add(token)
        return token

    async def wire(self, **options: Any) -> Wire:
        """A connection to it."""
        return await Wire.open(self.port, **options)

    async def connected(self, sub: str = "ann", *, target: str = "/ws", **options: Any) -> Wire:
        """A connection that has been welcomed."""
        wire = await self.wire(**options)
        wire.send(handshake(self.token(sub), target=target))
        wire.notices.append(await wire.welcomed())
        return wire

    async def answer(self, data: bytes) -> Answer:
        """What a plain request is answered."""
        async with await self.wire() as wire:
            wire.send(data)
            return await wire.answer()

    async def serves_a_good_client(self) -> None:
        """A client that does all right gets its welcome and its answer."""
        async with await self.connected("good client") as wire:
            wire.send(message("ping", request_id="good"))
            async for reply in wire.replies():
                assert reply == reply | {"type": "pong", "request_id": "good"}, reply
                return

    @contextmanager
    def forgiven(self) -> Iterator[None]:
        """What goes wrong inside meanwhile is known to go wrong, and not told again."""
        unhandled, records, lines = map(len, (self.unhandled, self.logs.records, self.logs.lines))
        yield
        del self.unhandled[unhandled:]
        del self.logs.records[records:]
        del self.logs.lines[lines:]

    # What is left.

    def remains(self) -> list[str]:
        """What is there beyond what was there before the attacks."""

        async def look() -> list[str]:
            actors, tasks = ActorSystem.current().alive(), asyncio.all_tasks()
            found = []
            if len(actors) > self._before[0]:
                found.append(f"{len(actors)} actors, {self._before[0]} before: {actors}")
            # This one's own is running.
            if len(tasks) - 1 > self._before[1]:
                found.append(f"{len(tasks) - 1} tasks, {self._before[1]} before: {tasks}")
            assert self.node.registry is not None
            statistics = await self.node.registry.ask_async(GetStatistics())
            if statistics.connections or statistics.users:
                found.append(f"{statistics}")
            return found

        return [*self.on_loop(look), *self._sockets()]

    def assert_nothing_remains(self) -> None:
        """Raise AssertionError when something of a connection outlives it."""
        deadline = time.monotonic() + GONE_S
        while remains := self.remains():
            assert time.monotonic() < deadline, "left behind:\n  " + "\n  ".join(remains)
            time.sleep(0.02)

    def _sockets(self) -> Sequence[str]:
        """Sockets of this process that are connected with the node, on either side."""
        return [
            f"{entry}"
            for entry in psutil.Process().net_connections("tcp")
            if entry.raddr and self.port in {entry.laddr.port, entry.raddr.port} and entry.fd >= 0
        ]

    def faults(self) -> list[object]:
        """Exceptions that nobody caught, and errors in the log."""
        return [*self.unhandled, *self.logs.faults]

    def assert_kept_quiet(self) -> None:
        """Raise AssertionError when it failed inside, told a secret, or let its log be torn."""
        faults = self.faults()
        assert faults == []
        assert self.logs.torn == []
        told = "\n".join(self.logs.lines)
        for secret in self.secrets:
            assert secret not in told, "a token stands in the log"
            signature = secret.rpartition(".")[2]
            assert len(signature) < 16 or signature not in told, "a signature stands in the log"


def open_files() -> Counter[str]:
    """File descriptors of this process, by what they are."""
    found: Counter[str] = Counter()
    for file in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found[str(file.readlink())] += 1
    return found

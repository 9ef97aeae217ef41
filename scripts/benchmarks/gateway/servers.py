"""A server in a process of its own, and the pipe by which it is told what to do."""

import asyncio
import contextlib
import gc
import multiprocessing
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.gateway.bare import serve_bare, serve_uvicorn
from benchmarks.gateway.node import serve_node
from benchmarks.gateway.sides import Command, Options, Side
from benchmarks.settings import Settings

STOP: Final = "stop"

START_TIMEOUT_S: Final = 120.0
STOP_TIMEOUT_S: Final = 60.0


class ServerError(Exception):
    """What went wrong in the server's process."""


@dataclass(frozen=True, slots=True)
class Used:
    """What a process has used up to a moment of its own clock, in seconds."""

    at_s: float
    cpu_s: float
    queued_s: float = 0.0
    """How long its main thread could have gone on and had to wait for a core."""

    def since(self, before: "Used") -> "Used":
        """What it has used since ``before``."""
        return Used(
            self.at_s - before.at_s, self.cpu_s - before.cpu_s, self.queued_s - before.queued_s
        )

    @property
    def core_percent(self) -> float:
        """How much of one core it has used."""
        return 100 * self.cpu_s / self.at_s

    @property
    def busy_percent(self) -> float:
        """The same of the time in which it was not kept from a core by others."""
        return 100 * self.cpu_s / max(self.cpu_s, self.at_s - self.queued_s)


@dataclass(frozen=True, slots=True)
class Server:
    """The handle of a server that runs in a child."""

    side: Side
    port: int
    pid: int
    _pipe: Connection

    def tell(self, command: str, **arguments: Any) -> None:
        """Give a command; its reply must be taken with ``reply`` before the next one."""
        self._pipe.send((command, arguments))

    def reply(self) -> Any:
        """The reply to the last command; raises ServerError when it failed."""
        try:
            went_well, value = self._pipe.recv()
        except EOFError:
            raise ServerError(f"the server process of {self.side} has died") from None
        if not went_well:
            raise ServerError(value)
        return value

    @property
    def has_replied(self) -> bool:
        """Whether ``reply`` would return at once."""
        return self._pipe.poll()

    def ask(self, command: str, **arguments: Any) -> Any:
        """Give a command and wait for its reply."""
        self.tell(command, **arguments)
        return self.reply()

    def used(self) -> Used:
        """What the server's process has used so far, the processes of databases not counted."""
        used: Used = self.ask("used")
        return used

    def held_bytes(self) -> int:
        """Memory that is the process's alone, without what waits to be collected."""
        return int(self.ask("held_bytes"))

    def databases_used(self) -> Used:
        """What the embedded databases have used so far; nothing where there are none."""
        spent = 0.0
        for process in psutil.Process(self.pid).children(recursive=True):
            times = process.cpu_times()
            spent += times.user + times.system
            if process.ppid() == self.pid:
                # Those of its children that have ended are counted with the server's main process.
                spent += times.children_user + times.children_system
        return Used(time.perf_counter(), spent)


@contextmanager
def running(side: Side, options: Options, settings: Settings) -> Iterator[Server]:
    """Start the server of ``side`` in a child, and stop it in the end."""
    fresh = multiprocessing.get_context("spawn")
    ours, theirs = fresh.Pipe()
    # No daemon, which could have no children: a node may have processes of its own.
    child = fresh.Process(target=_run, args=(side, options, settings, theirs))
    child.start()
    theirs.close()
    try:
        if not ours.poll(START_TIMEOUT_S):
            raise ServerError(f"the server of {side} did not start in time")
        starting = Server(side, 0, child.pid or 0, ours)
        yield replace(starting, port=starting.reply())
        ours.send((STOP, {}))
        child.join(STOP_TIMEOUT_S)
    finally:
        if child.is_alive():
            child.kill()
            child.join()
        ours.close()


# In the child.


def _run(side: Side, options: Options, settings: Settings, pipe: Connection) -> None:
    settings.run(_obey(side, options, pipe))


async def _obey(side: Side, options: Options, pipe: Connection) -> None:
    """Serve, and do what comes by the pipe one after another until it says stop."""
    commands: asyncio.Queue[tuple[str, Mapping[str, Any]]] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def take() -> None:
        try:
            commands.put_nowait(pipe.recv())
        except EOFError:
            # The benchmark was cut off: its servers go too.
            loop.remove_reader(pipe.fileno())
            commands.put_nowait((STOP, {}))

    serve = {Side.OURS: serve_node, Side.BARE: serve_bare, Side.UVICORN: serve_uvicorn}[side]
    async with serve(options) as server:
        known: Mapping[str, Command] = {"used": _used, "held_bytes": _held_bytes, **server.commands}
        pipe.send((True, server.port))
        loop.add_reader(pipe.fileno(), take)
        while (command := await commands.get())[0] != STOP:
            name, arguments = command
            try:
                reply = True, await known[name](**arguments)
            except Exception as error:  # noqa: BLE001 - told to whoever gave the command
                reply = False, f"{name}: {type(error).__name__}: {error}"
            pipe.send(reply)
        loop.remove_reader(pipe.fileno())


async def _used() -> Used:
    return Used(time.perf_counter(), time.process_time(), _queued_s())


def _queued_s() -> float:
    # Only Linux counts it.
    with contextlib.suppress(OSError):
        return int(Path("/proc/self/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    return 0.0


async def _held_bytes() -> int:
    gc.collect()
    return int(psutil.Process().memory_full_info().uss)

"""The processes of the product: started, broken, and started again."""

import asyncio
import contextlib
import logging
import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from random import Random
from typing import Final

from apex_actors.server.node import Part
from chaos_parts import node
from chaos_parts.lines import HOST, Address
from chaos_parts.node import FREEZE_SIGNAL, HALT_SIGNAL, NOT_STARTED, Halted, Orders, Ready

logger = logging.getLogger(__name__)

START_AGAIN_S: Final = 0.3
STOP_TIMEOUT_S: Final = 10.0


@dataclass(eq=False)
class Member:
    """A place in the fleet, and the process that fills it just now."""

    part: Part
    label: str
    process: BaseProcess | None = None
    name: str | None = None
    """Of the node, once it is ready."""
    port: int = 0
    starts: int = 0
    ending: bool = False
    """It was killed or told to end: its end is no surprise."""
    paused: bool = False
    halted: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_ready(self) -> bool:
        """Whether it does its work, as far as one can see from here."""
        return self.name is not None and not self.paused


class Fleet:
    """Keeps each member's place filled until it is stopped.

    :param orders: for all of them; part, log and seed are each member's own.
    """

    def __init__(self, parts: list[Part], *, orders: Callable[[], Orders]) -> None:
        self._orders = orders
        self._context = multiprocessing.get_context("forkserver")
        # Forked from a process that has loaded all of it: the next one is there in no time.
        self._context.set_forkserver_preload(["chaos_parts.node"])
        self.members = [
            Member(part, f"{part}-{number}") for number, part in enumerate(parts, start=1)
        ]
        self._keepers: list[asyncio.Task[None]] = []
        self.unexpected: list[str] = []
        """Ends of processes that nobody asked for."""
        self.calm = False
        """No more faults: what was armed before must not stop anybody now."""
        self._calling_back: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Start all, and return when each is ready."""
        self._keepers = [asyncio.create_task(self._keep(member)) for member in self.members]
        while not all(member.is_ready for member in self.members):
            for keeper in self._keepers:
                if keeper.done():
                    keeper.result()
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """End all in good order; what does not end is killed."""
        for member in self.members:
            self.resume(member)
            member.ending = True
        for keeper in self._keepers:
            keeper.cancel()
        if self._keepers:
            await asyncio.wait(self._keepers)
        for member in self.members:
            self._signal(member, signal.SIGTERM)
        for member in self.members:
            if member.process is not None:
                await asyncio.to_thread(member.process.join, STOP_TIMEOUT_S)
                if member.process.is_alive():
                    self.unexpected.append(f"{member.label} did not end within {STOP_TIMEOUT_S} s")
                    member.process.kill()
                    await asyncio.to_thread(member.process.join)

    def gateway(self, random: Random) -> Address | None:
        """One that serves clients, frozen ones too: who balances load does not know."""
        serving = [member for member in self.members if member.part.serves and member.port]
        return Address(HOST, random.choice(serving).port) if serving else None

    def choose(self, random: Random, wanted: Callable[[Part], bool]) -> Member | None:
        """A ready member of a kind."""
        ready = [member for member in self.members if member.is_ready and wanted(member.part)]
        return random.choice(ready) if ready else None

    # What may be done to them.

    def kill(self, member: Member) -> None:
        """Kill -9."""
        member.ending = True
        self._signal(member, signal.SIGKILL)

    def terminate(self, member: Member) -> None:
        """SIGTERM: it drains."""
        member.ending = True
        self._signal(member, signal.SIGTERM)

    def pause(self, member: Member) -> None:
        """SIGSTOP."""
        member.paused = True
        self._signal(member, signal.SIGSTOP)

    def resume(self, member: Member) -> None:
        """SIGCONT."""
        member.paused = False
        self._signal(member, signal.SIGCONT)

    def freeze(self, member: Member) -> None:
        """Let its event loop stand still for a while."""
        self._signal(member, FREEZE_SIGNAL)

    def arm_halt(self, member: Member) -> None:
        """Let it stop between two statements of a transaction; ``member.halted`` is set then."""
        member.halted.clear()
        self._signal(member, HALT_SIGNAL)

    # Helpers.

    def _signal(self, member: Member, number: signal.Signals) -> None:
        process = member.process
        if process is not None and process.pid is not None and process.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)

    async def _keep(self, member: Member) -> None:
        while True:
            code = await self._live(member)
            if not member.ending and code != NOT_STARTED:
                self.unexpected.append(f"{member.label} ended by itself with code {code}")
            if not member.ending:
                await asyncio.sleep(START_AGAIN_S)

    async def _live(self, member: Member) -> int | None:
        """One process from start to end; returns its exit code."""
        member.starts += 1
        member.ending = member.paused = False
        member.halted.clear()
        common = self._orders()
        orders = replace(
            common,
            part=member.part,
            log_path=common.log_path / f"{member.label}.log",
            seed=f"{common.seed}-{member.label}-{member.starts}",
        )
        receiving, sending = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=node.run, args=(orders, sending), name=member.label, daemon=True
        )
        # Forking is asked of another process, which answers when it has.
        await asyncio.to_thread(process.start)
        sending.close()
        member.process = process
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(receiving.fileno(), self._hear, member, receiving, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(receiving.fileno())
            receiving.close()
            member.name, member.port = None, 0
        await asyncio.to_thread(process.join)
        return process.exitcode

    def _hear(self, member: Member, receiving: Connection, ended: Callable[[], None]) -> None:
        try:
            message = receiving.recv()
        except (EOFError, OSError):
            ended()
            return
        match message:
            case Ready(name, port):
                member.name, member.port = name, port
            case Halted() if self.calm:
                self._calling_back.add(asyncio.create_task(self._wake(member)))
            case Halted():
                member.paused = True
                member.halted.set()

    async def _wake(self, member: Member) -> None:
        """Of a stop that comes too late; it stops only after it has told."""
        await asyncio.sleep(START_AGAIN_S)
        self.resume(member)

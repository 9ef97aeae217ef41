"""What goes wrong and when: a plan from a seed, and the hand that carries it out."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from random import Random
from types import MappingProxyType
from typing import Final, NamedTuple

from apex_actors.server.node import Part
from chaos_parts.fleet import Fleet, Member
from chaos_parts.lines import Direction, Line
from chaos_parts.node import EXECUTION
from chaos_parts.record import Kill, Record
from chaos_parts.servers import Servers

logger = logging.getLogger(__name__)

MINUTE_S: Final = 60.0

PROCESS_FAULTS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "kill_gateway": 3,
        "kill_worker": 5,
        "stop_gateway": 3,
        "stop_worker": 4,
        "freeze_gateway": 3,
        "freeze_worker": 3,
        "halt_gateway": 5,
        "halt_worker": 9,
        "terminate_node": 3,
        "kill_postgres": 3,
        "kill_backend": 3,
        "stop_postgres": 3,
        "kill_valkey": 3,
        "stop_valkey": 3,
    }
)
"""How often each happens in a minute. To halt is to stop between two statements."""

OTHER_FAULTS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "terminate_backends": 3,
        "cut_clients": 4,
        "half_open_clients": 3,
        "cut_postgres": 3,
        "half_open_postgres": 3,
        "cut_valkey": 3,
        "half_open_valkey": 3,
        "flush_cache": 3,
        "full_disk": 3,
    }
)

FIRST_S: Final = 1.5
"""Before it, all is well: there must be something to break."""

LAST_S: Final = 1.0
"""So long before the end nothing new breaks."""

LEASE_S: Final = float(EXECUTION.lease_s)

FIND_TIMEOUT_S: Final = 5.0
"""How long a fault looks for something to befall."""

LOOK_S: Final = 0.1

HALT_TIMEOUT_S: Final = 5.0
"""How long an armed process may take to come to a transaction."""

KILLED_HALTS_PERCENT: Final = 60
"""Of the processes that stopped between two statements; the others go on."""


class Fault(NamedTuple):
    """One of them; ``at_s`` is from the beginning."""

    at_s: float
    kind: str


def plan(seconds: float, random: Random) -> list[Fault]:
    """As many as a minute has for each minute, each kind in its share, at moments of their own."""
    a_minute = [
        kind
        for kinds in (PROCESS_FAULTS, OTHER_FAULTS)
        for kind, times in kinds.items()
        for _ in range(times)
    ]
    kinds: list[str] = []
    wanted = round(len(a_minute) * seconds / MINUTE_S)
    while len(kinds) < wanted:
        kinds += random.sample(a_minute, len(a_minute))
    window_s = max(0.0, seconds - FIRST_S - LAST_S)
    step_s = window_s / max(1, wanted)
    return [
        Fault(FIRST_S + step_s * (number + random.random()), kind)
        for number, kind in enumerate(kinds[:wanted])
    ]


class Hand:
    """Does what the plan says to fleet, servers and lines, and counts what it has done."""

    def __init__(
        self, *, fleet: Fleet, servers: Servers, clients: Line, random: Random, record: Record
    ) -> None:
        self._fleet = fleet
        self._servers = servers
        self._clients = clients
        self._random = random
        self._record = record
        self._postgres = asyncio.Lock()
        """It is not killed, stopped and out of space at once: that would be one fault, not three."""

    async def carry_out(self, faults: list[Fault]) -> None:
        """Until all are over."""
        began_s = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as under_way:
            for fault in faults:
                await asyncio.sleep(began_s + fault.at_s - asyncio.get_running_loop().time())
                under_way.create_task(self._do(fault.kind), name=fault.kind)

    async def _do(self, kind: str) -> None:
        if kind in self._record.skipped:
            return
        act: Callable[[], Awaitable[bool]] = getattr(self, f"_{kind}")
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + FIND_TIMEOUT_S
        # Whoever it should befall may be away just now, by another fault.
        while not await act():
            if loop.time() > ends_s:
                logger.info("fault: no occasion for %s", kind)
                return
            await asyncio.sleep(LOOK_S)
        logger.info("fault: %s", kind)
        self._record.faults[kind] += 1

    # The product's processes.

    async def _kill_gateway(self) -> bool:
        return await self._kill(lambda part: part.serves)

    async def _kill_worker(self) -> bool:
        return await self._kill(lambda part: part.works)

    async def _stop_gateway(self) -> bool:
        return await self._stop(lambda part: part.serves)

    async def _stop_worker(self) -> bool:
        return await self._stop(lambda part: part.works)

    async def _freeze_gateway(self) -> bool:
        return await self._freeze(lambda part: part.serves)

    async def _freeze_worker(self) -> bool:
        return await self._freeze(lambda part: part.works)

    async def _halt_gateway(self) -> bool:
        return await self._halt(lambda part: part is Part.GATEWAY)

    async def _halt_worker(self) -> bool:
        return await self._halt(lambda part: part.works)

    async def _terminate_node(self) -> bool:
        member = self._fleet.choose(self._random, lambda _: True)
        if member is not None:
            self._fleet.terminate(member)
        return member is not None

    async def _kill(self, wanted: Callable[[Part], bool]) -> bool:
        member = self._fleet.choose(self._random, wanted)
        if member is None:
            return False
        self._kill_member(member)
        return True

    async def _stop(self, wanted: Callable[[Part], bool]) -> bool:
        member = self._fleet.choose(self._random, wanted)
        if member is None:
            return False
        self._fleet.pause(member)
        await asyncio.sleep(self._random.uniform(0.3, 2.0) * LEASE_S)
        self._fleet.resume(member)
        return True

    async def _freeze(self, wanted: Callable[[Part], bool]) -> bool:
        member = self._fleet.choose(self._random, wanted)
        if member is not None:
            self._fleet.freeze(member)
        return member is not None

    async def _halt(self, wanted: Callable[[Part], bool]) -> bool:
        member = self._fleet.choose(self._random, wanted)
        if member is None:
            return False
        self._fleet.arm_halt(member)
        try:
            await asyncio.wait_for(member.halted.wait(), HALT_TIMEOUT_S)
        except TimeoutError:
            return False
        if self._random.randrange(100) < KILLED_HALTS_PERCENT:
            self._kill_member(member)
        else:
            await asyncio.sleep(self._random.uniform(0.3, 2.0) * LEASE_S)
            self._fleet.resume(member)
        return True

    def _kill_member(self, member: Member) -> None:
        self._record.kills.append(Kill(time.time(), member.name or member.label))
        self._fleet.kill(member)

    # PostgreSQL and Valkey.

    async def _kill_postgres(self) -> bool:
        async with self._postgres:
            now_s = time.time()
            if not self._servers.kill_postgres():
                return False
            self._record.kills.append(Kill(now_s, None))
        return True

    async def _kill_backend(self) -> bool:
        async with self._postgres:
            return await self._servers.kill_backend(self._random)

    async def _stop_postgres(self) -> bool:
        async with self._postgres:
            pids = self._servers.pause_postgres()
            await asyncio.sleep(self._random.uniform(0.2, 1.0) * LEASE_S)
            self._servers.resume(pids)
        return bool(pids)

    async def _terminate_backends(self) -> bool:
        return await self._servers.terminate_backends(self._random, 5)

    async def _kill_valkey(self) -> bool:
        return await self._servers.kill_valkey()

    async def _stop_valkey(self) -> bool:
        pids = await self._servers.pause_valkey()
        await asyncio.sleep(self._random.uniform(0.2, 1.0) * LEASE_S)
        self._servers.resume(pids)
        return bool(pids)

    async def _flush_cache(self) -> bool:
        return await self._servers.flush_cache()

    async def _full_disk(self) -> bool:
        async with self._postgres:
            with self._servers.full_disk():
                await asyncio.sleep(self._random.uniform(0.2, 1.0) * LEASE_S)
        return True

    # Lines.

    async def _cut_clients(self) -> bool:
        return self._clients.cut(8, self._random) > 0

    async def _half_open_clients(self) -> bool:
        return self._half_open(self._clients, 4, 3 * LEASE_S)

    async def _cut_postgres(self) -> bool:
        return self._servers.postgres_line.cut(8, self._random) > 0

    async def _half_open_postgres(self) -> bool:
        return self._half_open(self._servers.postgres_line, 3, LEASE_S)

    async def _cut_valkey(self) -> bool:
        return self._servers.valkey_line.cut(4, self._random) > 0

    async def _half_open_valkey(self) -> bool:
        return self._half_open(self._servers.valkey_line, 3, LEASE_S)

    def _half_open(self, line: Line, count: int, longest_s: float) -> bool:
        direction = self._random.choice(list(Direction))
        for_s = self._random.uniform(0.3, 1.0) * longest_s
        return line.half_open(count, direction, for_s=for_s, random=self._random) > 0

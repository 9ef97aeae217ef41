#!/usr/bin/env python
"""How soon does work go on after its worker, or PostgreSQL, is gone?

    .venv/bin/python scripts/recovery.py --json
    .venv/bin/python scripts/recovery.py --lease 2 --times 1 --runs 20

People ask through a gateway, one worker takes all their runs, a second one is there, and then the
first is

- killed (kill -9): each run should go on within its lease + 2 s;
- stopped (SIGSTOP) between two statements of one transaction, with its locks held: within
  2 x lease + 2 s.

Once for one run and once for many at the same moment. A figure is the time from the blow to the
event `run_resumed` on the screen of the person who asked. Last, the PostgreSQL of a development
server is killed, and the figure is the time until it acknowledges a message again.

All in seconds. Exit code 1 when a run went on later than it should: run it on a machine that has
nothing else to do.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

import psutil
from chaos_parts.effects import EffectLedger
from chaos_parts.fleet import Fleet, Member
from chaos_parts.lines import HOST
from chaos_parts.node import Orders
from chaos_parts.servers import Servers
from chaos_parts.trial import working_folder
from chaos_parts.users import token_of
from load_simulation import allow_many_sockets, development_tokens, percentiles
from rich.console import Console
from rich.table import Table
from steady_load import development_server

from apex_actors.client import ApexClient, Backoff
from apex_actors.execution import ExecutionSettings
from apex_actors.protocol import MessageAccepted
from apex_actors.server.node import Part
from apex_actors.storage.migrate import migrate

COLUMNS: Final = ("what", "times", "p50", "p99", "max", "bound_s", "late")

#: A tool takes from so many times 0.02 to so many times 0.25 s: all runs are at work at the blow.
SLOWNESS: Final = 100.0

SLACK_S: Final = 2.0

TIMEOUT_S: Final = 120.0

PAUSE_S: Final = 3.0
"""Between two blows at PostgreSQL: everybody is back at work."""


@dataclass(frozen=True, slots=True)
class Blow:
    """What befalls the worker that holds the runs, and what is promised then."""

    name: str
    stops_within_transaction: bool
    leases: int
    """The bound is so many leases and the slack."""

    async def strike(self, fleet: Fleet) -> float:
        """Do it; the moment at which it was done."""
        [member] = fleet.members
        if self.stops_within_transaction:
            fleet.arm_halt(member)
            await asyncio.wait_for(member.halted.wait(), TIMEOUT_S)
            return time.monotonic()
        at_s = time.monotonic()
        fleet.kill(member)
        return at_s


BLOWS: Final = (
    Blow("killed", stops_within_transaction=False, leases=1),
    Blow("stopped within a transaction", stops_within_transaction=True, leases=2),
)


class Person:
    """Asks once, and notes when the run begins, goes on, and has ended."""

    def __init__(self, client: ApexClient) -> None:
        self._client = client
        self._accepted: MessageAccepted | None = None
        self.begun = asyncio.Event()
        self.goes_on = asyncio.Event()
        """After the blow; or it has ended just before, and need not."""
        self.ended = asyncio.Event()
        self.resumed_s: float | None = None

    async def live(self) -> None:
        """Ask and listen until the run has ended."""
        self._accepted = await self._client.send_message("Analyze my AI costs", new_thread=True)
        async for event in self._client.events():
            match event.type:
                case "agent_started":
                    self.begun.set()
                case "run_resumed" if self.resumed_s is None:
                    self.resumed_s = time.monotonic()
                    self.goes_on.set()
                case "run_finished":
                    self.goes_on.set()
                    self.ended.set()
                    return

    async def call_off(self) -> None:
        """Cancel the run."""
        if self._accepted is not None and not self.ended.is_set():
            await self._client.cancel_run(self._accepted.run_id)


class Bench:
    """Databases, the world outside, and a way to start processes of the product."""

    def __init__(
        self, *, folder: Path, servers: Servers, effects: EffectLedger, lease_s: int
    ) -> None:
        self._folder = folder
        self._servers = servers
        self._effects = effects
        self._execution = ExecutionSettings(lease_s=lease_s)
        self._secret = token_hex(32)
        self._fleets = 0

    @asynccontextmanager
    async def fleet(self, part: Part) -> AsyncIterator[Fleet]:
        """One process that is started again when it ends; gone behind the block."""
        self._fleets += 1
        logs = self._folder / f"{part}-{self._fleets}"
        logs.mkdir()
        fleet = Fleet([part], orders=lambda: self._orders(part, logs))
        await fleet.start()
        try:
            yield fleet
        finally:
            await fleet.stop()

    @asynccontextmanager
    async def people(self, gateway: Member, count: int) -> AsyncIterator[list[Person]]:
        """So many, each with a connection."""
        url = f"http://{HOST}:{gateway.port}"
        async with AsyncExitStack() as stack:
            people = []
            for number in range(count):
                token = token_of("recovery", f"person-{self._fleets}-{number}", self._secret)
                client = await stack.enter_async_context(ApexClient(url, token=token))
                people.append(Person(client))
            yield people

    async def take_over(self, blow: Blow, runs: int) -> list[float]:
        """Seconds from the blow until each run goes on."""
        async with (
            self.fleet(Part.GATEWAY) as front,
            self.fleet(Part.WORKER) as struck,
            self.people(front.members[0], runs) as people,
            asyncio.TaskGroup() as listening,
        ):
            for person in people:
                listening.create_task(person.live())
            await _all(person.begun for person in people)
            async with self.fleet(Part.WORKER):
                at_s = await blow.strike(struck)
                await _all(person.goes_on for person in people)
                for person in people:
                    await person.call_off()
                await _all(person.ended for person in people)
        # A run that had just ended does not go on, and need not.
        return [at - at_s for person in people if (at := person.resumed_s) is not None]

    def _orders(self, part: Part, logs: Path) -> Orders:
        return Orders(
            part=part,
            database_url=self._servers.database_url,
            redis_url=self._servers.redis_url,
            secret=self._secret,
            data_dir=self._folder / "node",
            log_path=logs,
            effects_port=self._effects.port,
            mutant=None,
            seed=str(self._fleets),
            freeze_s=0.0,
            execution=self._execution,
            slowness=SLOWNESS,
        )


async def _all(events: Iterable[asyncio.Event]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        for event in events:
            await event.wait()


async def measure_takeovers(*, lease_s: int, times: int, runs: int) -> list[dict[str, Any]]:
    """Each blow at one run, and at many; what was found."""
    found = []
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(working_folder())
        servers, effects = Servers(folder / "servers"), EffectLedger()
        stack.push_async_callback(servers.stop)
        await servers.start()
        await migrate(servers.direct_database_url)
        stack.push_async_callback(effects.stop)
        await effects.start()
        bench = Bench(folder=folder, servers=servers, effects=effects, lease_s=lease_s)
        for blow in BLOWS:
            for count in (1, runs):
                taken = [await bench.take_over(blow, count) for _ in range(times)]
                seconds = [one for blows in taken for one in blows]
                bound_s = blow.leases * lease_s + SLACK_S
                found.append(
                    {
                        "what": f"worker {blow.name}, runs at once: {count}",
                        "times": times,
                        "bound_s": bound_s,
                        **percentiles(seconds),
                        "late": sum(one > bound_s for one in seconds),
                    }
                )
    return found


async def measure_postgres(times: int) -> dict[str, Any]:
    """Kills of a development server's PostgreSQL; what was found."""
    seconds = []
    with development_server() as (process, url):
        token = await development_tokens(url, org="demo")("operator")
        client = ApexClient(url, token=token, backoff=Backoff(base_s=0.1, cap_s=0.5))
        async with client:
            await client.send_message("Analyze my AI costs", new_thread=True)
            for _ in range(times):
                await asyncio.sleep(PAUSE_S)
                at_s = time.monotonic()
                kill_postgres(process)
                await client.send_message("Analyze my AI costs", new_thread=True)
                seconds.append(time.monotonic() - at_s)
    return {
        "what": "PostgreSQL killed, until a message is acknowledged",
        "times": times,
        "bound_s": None,
        **percentiles(seconds),
        "late": 0,
    }


def kill_postgres(process: psutil.Process) -> None:
    """Kill all of it: what the postmaster leaves behind would go on to serve for a while."""
    found = [child for child in process.children(recursive=True) if child.name() == "postgres"]
    if not found:
        raise SystemExit("recovery: the development server has no PostgreSQL of its own")
    for child in found:
        with suppress(psutil.NoSuchProcess):
            child.send_signal(signal.SIGKILL)


def print_table(found: list[dict[str, Any]]) -> None:
    """The figures for a person."""
    table = Table(title="seconds until work goes on")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column == "what" else "right")
    for row in found:
        table.add_row(*("" if row[name] is None else str(row[name]) for name in COLUMNS))
    Console().print(table)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    words, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=words, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lease", type=int, default=10, help="of the workers, in seconds")
    parser.add_argument("--times", type=int, default=3, help="how often each blow is dealt")
    parser.add_argument("--runs", type=int, default=100, help="the many runs")
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    return parser.parse_args()


async def measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """All of it."""
    takeovers = await measure_takeovers(
        lease_s=arguments.lease, times=arguments.times, runs=arguments.runs
    )
    return [*takeovers, await measure_postgres(arguments.times)]


def main() -> int:
    """The command; returns its exit code."""
    arguments = parse_arguments()
    allow_many_sockets()
    here = str(Path(__file__).parent)
    paths = [here, *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    for name in [name for name in os.environ if name.startswith("APEX_")]:
        del os.environ[name]
    found = asyncio.run(measure(arguments))
    if arguments.json:
        print(json.dumps(found))
    else:
        print_table(found)
    return 1 if any(row["late"] for row in found) else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python
"""Many users at once, over real sockets: how fast is the server, and does it keep its promises?

    .venv/bin/python scripts/load_simulation.py --url http://127.0.0.1:8000 --users 50 --runs 3

Each user connects, asks one question after another and waits for each run to finish. What they
receive is checked against promises 1 to 6 of the architecture; at the end each user connects once
more from the position of its first welcome, and the replay must equal what came live.

Latencies are milliseconds from the sending of the question: accept_ms to its acknowledgement,
first_event_ms to the first event of its run, complete_ms to run_finished; connect_ms is from the
first packet to the welcome. Exit code 1 when there are errors or violations.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import math
import resource
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import jwt
import uvloop
from rich.console import Console
from rich.table import Table

from apex_actors.client import ApexClient, ClientError
from apex_actors.protocol import Event, LogCheck, RunStatus, Violation, is_event

QUESTION = "Analyze my AI costs"

CONNECTS_AT_ONCE = 64
"""Handshakes under way: a wave of users, not more than a listen queue takes."""

TOKEN_LIFE_S = 3600
SAMPLES_OF_ERRORS = 5
DELIVERED = 4
"""The promise that a client receives the log: every event once, in order."""

TokenMaker = Callable[[str], Awaitable[str]]


@dataclass
class Figures:
    """What all users measured and found."""

    connect_ms: list[float] = field(default_factory=list)
    accept_ms: list[float] = field(default_factory=list)
    first_event_ms: list[float] = field(default_factory=list)
    complete_ms: list[float] = field(default_factory=list)
    runs: int = 0
    errors: list[str] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)

    def summary(self, *, users: int, seconds: float) -> dict[str, Any]:
        """The one object that `--json` prints."""
        return {
            "users": users,
            "runs": self.runs,
            "runs_per_s": round(self.runs / seconds, 2) if seconds > 0 else 0.0,
            "connect_ms": percentiles(self.connect_ms),
            "accept_ms": percentiles(self.accept_ms),
            "first_event_ms": percentiles(self.first_event_ms),
            "complete_ms": percentiles(self.complete_ms),
            "errors": len(self.errors),
            "violations": [
                {"promise": found.promise, "detail": found.detail} for found in self.violations
            ],
        }


def percentiles(values: Iterable[float]) -> dict[str, float | None]:
    """p50, p99 (nearest rank) and max; null where nothing was measured."""
    ordered = sorted(values)
    if not ordered:
        return {"p50": None, "p99": None, "max": None}
    ranked = {f"p{p}": ordered[math.ceil(len(ordered) * p / 100) - 1] for p in (50, 99)}
    return {name: round(value, 2) for name, value in {**ranked, "max": ordered[-1]}.items()}


@dataclass
class RunSeen:
    """When the events of a run came, by the monotonic clock."""

    first_s: float | None = None
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    finished_s: float = 0.0
    status: str = ""


class SimulatedUser:
    """One user: asks, listens, checks; adds what it finds to the common figures."""

    def __init__(self, name: str, *, url: str, token: str, figures: Figures) -> None:
        self._name = name
        self._url = url
        self._token = token
        self._figures = figures
        self._received: list[dict[str, Any]] = []
        self._runs: dict[str, RunSeen] = {}
        self._sent: list[UUID] = []
        self._client = ApexClient(url, token=token)
        self._check: LogCheck
        self._listener: asyncio.Task[None]
        self._start: tuple[int, str] | None = None

    async def connect(self) -> None:
        """Open the connection and begin to listen."""
        began = time.perf_counter()
        await self._client.__aenter__()
        self._figures.connect_ms.append(1000 * (time.perf_counter() - began))
        self._start = self._client.position
        if self._start is None:
            await self._client.close()
            raise ClientError("the server has no log right now (degraded mode)")
        self._check = LogCheck(self._start[0])
        self._listener = asyncio.create_task(self._listen())

    async def ask(self, *, runs: int, timeout_s: float) -> None:
        """Ask `runs` questions, each once the run before has ended."""
        for _ in range(runs):
            async with asyncio.timeout(timeout_s):
                await self._ask_once()

    async def close(self) -> None:
        """Close the connection and judge what was received."""
        await self._client.close()
        with contextlib.suppress(ClientError):
            await self._listener
        statistics = self._client.statistics
        if statistics.gaps:
            self._violates(DELIVERED, f"{statistics.gaps} reconnects were not recovered")
        for violation in self._check.close():
            self._violates(violation.promise, violation.detail)
        for message_id in self._check.unsent(self._sent):
            self._violates(1, f"message {message_id} was never sent")

    async def replay(self, *, timeout_s: float) -> None:
        """Connect from the position of the first welcome: the same events must come again."""
        if not self._received:
            return
        last = max(event["seq"] for event in self._received)
        events: list[dict[str, Any]] = []
        async with ApexClient(self._url, token=self._token, position=self._start) as client:
            if client.welcome.recovered is not True:
                self._violates(DELIVERED, "the position of the welcome was not recovered")
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    async for frame in client.frames():
                        if is_event(frame):
                            events.append(frame)
                            if frame["seq"] >= last:
                                break
        if events != self._received:
            same = itertools.takewhile(
                lambda pair: pair[0] == pair[1], zip(self._received, events, strict=False)
            )
            self._violates(
                DELIVERED,
                f"the replay differs from what came live after {sum(1 for _ in same)} events",
            )

    def fails(self, error: Exception) -> None:
        """Note an error; the user stops here."""
        reason = str(error) or type(error).__name__
        self._figures.errors.append(f"{self._name}: {reason}")

    async def _ask_once(self) -> None:
        sent_s = time.perf_counter()
        accepted = await self._client.send_message(QUESTION)
        self._figures.accept_ms.append(1000 * (time.perf_counter() - sent_s))
        self._sent.append(accepted.message_id)
        self._check.accepted(accepted.message_id, accepted.run_id)
        run = self._runs.setdefault(str(accepted.run_id), RunSeen())
        ended = asyncio.ensure_future(run.finished.wait())
        # A listener that stops first has the reason why no end will come.
        await asyncio.wait([ended, self._listener], return_when=asyncio.FIRST_COMPLETED)
        if not run.finished.is_set():
            ended.cancel()
            await self._listener
            raise ClientError("the stream ended before the run")
        self._figures.runs += 1
        self._figures.complete_ms.append(1000 * (run.finished_s - sent_s))
        if run.first_s is not None:
            self._figures.first_event_ms.append(1000 * (run.first_s - sent_s))
        if run.status != RunStatus.COMPLETED:
            self._figures.errors.append(f"{self._name}: a run ended as {run.status}")

    async def _listen(self) -> None:
        async for frame in self._client.frames():
            if not is_event(frame):
                continue
            now_s = time.perf_counter()
            self._received.append(frame)
            try:
                self._check.feed(Event.from_wire(frame))
            except ValueError as error:
                self._violates(6, f"not an event of the protocol: {error}")
            if frame.get("run_id") is not None:
                run = self._runs.setdefault(frame["run_id"], RunSeen())
                if run.first_s is None:
                    run.first_s = now_s
                if frame.get("type") == "run_finished":
                    run.finished_s, run.status = now_s, frame["payload"]["status"]
                    run.finished.set()

    def _violates(self, promise: int, detail: str) -> None:
        self._figures.violations.append(Violation(promise, f"{self._name}: {detail}"))


async def simulate(
    *, url: str, users: int, runs: int, make_token: TokenMaker, timeout_s: float
) -> dict[str, Any]:
    """Run the simulation and return its summary."""
    figures = Figures()
    wave = uuid4().hex[:8]
    names = [f"load-{wave}-{number}" for number in range(users)]
    people = [
        SimulatedUser(name, url=url, token=await make_token(name), figures=figures)
        for name in names
    ]
    gate = asyncio.Semaphore(CONNECTS_AT_ONCE)

    async def connect(user: SimulatedUser) -> SimulatedUser | None:
        async with gate:
            return user if await attempt(user, user.connect()) else None

    async def replay(user: SimulatedUser) -> None:
        async with gate:
            await attempt(user, user.replay(timeout_s=timeout_s))

    there = [user for user in await asyncio.gather(*map(connect, people)) if user is not None]
    began = time.perf_counter()
    await asyncio.gather(
        *(attempt(user, user.ask(runs=runs, timeout_s=timeout_s)) for user in there)
    )
    seconds = time.perf_counter() - began
    await asyncio.gather(*(user.close() for user in there))
    await asyncio.gather(*map(replay, there))
    for error in figures.errors[:SAMPLES_OF_ERRORS]:
        sys.stderr.write(f"{error}\n")
    return figures.summary(users=users, seconds=seconds)


async def attempt(user: SimulatedUser, work: Awaitable[None]) -> bool:
    """Await `work`; an error is the user's, the others go on."""
    try:
        await work
    except (ClientError, OSError, TimeoutError) as error:
        user.fails(error)
        return False
    return True


# -- tokens ----------------------------------------------------------------------------------


def signed_tokens(secret: str, org: str | None) -> TokenMaker:
    """Tokens made with the server's shared secret."""

    async def make(name: str) -> str:
        now = int(time.time())
        claims = {"iss": "apex", "aud": "apex", "sub": name, "org": org or name}
        return jwt.encode(
            {**claims, "iat": now, "exp": now + TOKEN_LIFE_S}, secret, algorithm="HS256"
        )

    return make


def development_tokens(url: str, org: str | None) -> TokenMaker:
    """Tokens from the sign-in of a development server."""

    def post(name: str) -> str:
        request = urllib.request.Request(  # noqa: S310 - the operator's own URL
            url.rstrip("/") + "/dev/token",
            data=json.dumps({"sub": name, "org": org or name}).encode(),
            headers={"Content-Type": "application/json"},
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
            return str(json.load(answer)["token"])

    async def make(name: str) -> str:
        return await asyncio.to_thread(post, name)

    return make


# -- command ---------------------------------------------------------------------------------


def allow_many_sockets() -> None:
    """Each user is a file descriptor: take as many as the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def print_table(summary: dict[str, Any]) -> None:
    """The summary for a person."""
    console = Console()
    table = Table(
        title=f"{summary['users']} users, {summary['runs']} runs, {summary['runs_per_s']} runs/s"
    )
    for column in ("ms", "p50", "p99", "max"):
        table.add_column(column, justify="left" if column == "ms" else "right")
    for name in ("connect_ms", "accept_ms", "first_event_ms", "complete_ms"):
        row = summary[name].values()
        cells = ("-" if value is None else f"{value:,.1f}" for value in row)
        table.add_row(name.removesuffix("_ms").replace("_", " "), *cells)
    console.print(table)
    console.print(f"errors: {summary['errors']}, violations: {len(summary['violations'])}")
    for found in itertools.islice(summary["violations"], SAMPLES_OF_ERRORS):
        console.print(f"promise {found['promise']}: {found['detail']}", markup=False)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    words, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=words, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="the server")
    parser.add_argument("--users", type=_positive, default=10, help="users at once")
    parser.add_argument("--runs", type=_positive, default=3, help="questions of each user")
    parser.add_argument("--org", help="one tenant for all users; default: each its own")
    parser.add_argument(
        "--token-secret-file",
        type=Path,
        help="file with the server's HS256 secret; default: the development server's sign-in",
    )
    parser.add_argument("--timeout-s", type=float, default=120.0, help="limit of one run")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def main() -> int:
    """The command; returns its exit code."""
    arguments = parse_arguments()
    allow_many_sockets()
    if arguments.token_secret_file is not None:
        secret = arguments.token_secret_file.read_text(encoding="utf-8").strip()
        make_token = signed_tokens(secret, arguments.org)
    else:
        make_token = development_tokens(arguments.url, arguments.org)
    try:
        summary = uvloop.run(
            simulate(
                url=arguments.url,
                users=arguments.users,
                runs=arguments.runs,
                make_token=make_token,
                timeout_s=arguments.timeout_s,
            )
        )
    except OSError as error:
        sys.stderr.write(
            f"load_simulation: no token from {arguments.url} ({error}). Is a development server "
            "running there? For another one give --token-secret-file.\n"
        )
        return 1
    if arguments.json:
        print(json.dumps(summary))
    else:
        print_table(summary)
    return 1 if summary["errors"] or summary["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())

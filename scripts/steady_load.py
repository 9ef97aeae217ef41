#!/usr/bin/env python
"""A server under the same load for a while: does anything of it grow?

    .venv/bin/python scripts/steady_load.py --seconds 600 --json

Starts a development server of its own, with embedded servers and the sample data in a temporary
folder. Waves of users connect, ask, wait for their answers, and leave; between two waves the
process is looked at: resident memory, open files, TCP connections, threads, actors, tasks, and
connections to PostgreSQL. What it found is one line a figure: its first value (after the first
fifth, when caches and pools are filled), its last, and its slope over the time between, by least
squares, as growth in an hour. Exit code 1 when runs failed or promises were broken.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import uvloop
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent))
from load_simulation import allow_many_sockets, development_tokens, simulate

#: Between the end of a wave and the look: what ends with a connection has ended by then, in seconds.
SETTLE_S = 1.0

#: Part of the time that fills caches and pools, and is not judged.
WARM_UP = 0.2

#: Gauges of `/metrics` that are watched beside what the system knows of the process.
GAUGES = ("apex_actors", "apex_tasks", "apex_connections", "apex_database_pool_size")

HOUR_S = 3600.0


@contextmanager
def development_server() -> Iterator[tuple[psutil.Process, str]]:
    """`apex up` in a temporary folder; its process and its URL."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("APEX_")}
    with tempfile.TemporaryDirectory(prefix="apex steady ") as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "apex_actors", "up", "--port", "0"],
            # One address is a whole crowd here.
            env=own
            | {
                "APEX_DATA_DIR": folder,
                "APEX_GATEWAY__LIMITS__HANDSHAKES_PER_S": "1000",
                "APEX_GATEWAY__LIMITS__HANDSHAKES_BURST": "10000",
            },
            stdout=subprocess.PIPE,
            text=True,
        )
        with process.stdout or contextlib.nullcontext() as stdout:
            link = stdout.readline() if stdout is not None else ""
            if "#token=" not in link:
                raise SystemExit("steady_load: the server did not come up: see its log above")
            try:
                yield psutil.Process(process.pid), link.split("/#token=")[0]
            finally:
                process.terminate()
                process.wait(timeout=60)


def look(process: psutil.Process, url: str) -> dict[str, float]:
    """What there is of the server at this moment."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:  # noqa: S310 - our own server
        text = answer.read().decode()
    with process.oneshot():
        found: dict[str, float] = {
            "resident_mib": process.memory_info().rss / 2**20,
            "open_files": process.num_fds(),
            "tcp_connections": len(process.net_connections("tcp")),
            "threads": process.num_threads(),
        }
    for gauge in GAUGES:
        match = re.search(rf"^{gauge} (\S+)$", text, re.MULTILINE)
        if match is not None:
            found[gauge.removeprefix("apex_")] = float(match[1])
    return found


def slope_per_hour(points: list[tuple[float, float]]) -> float:
    """Growth in an hour of the line that fits the points (seconds, value) best."""
    if len(points) < 2:  # noqa: PLR2004 - a line needs two
        return 0.0
    mean_s = sum(at for at, _ in points) / len(points)
    mean = sum(value for _, value in points) / len(points)
    spread = sum((at - mean_s) ** 2 for at, _ in points)
    if not spread:
        return 0.0
    return HOUR_S * sum((at - mean_s) * (value - mean) for at, value in points) / spread


def judge(looks: list[tuple[float, dict[str, float]]], seconds: float) -> dict[str, Any]:
    """First and last value and slope of each figure, behind the warm-up."""
    judged = [(at, found) for at, found in looks if at >= WARM_UP * seconds] or looks[-1:]
    figures = {}
    for name in judged[0][1]:
        points = [(at, found[name]) for at, found in judged if name in found]
        figures[name] = {
            "first": round(points[0][1], 2),
            "last": round(points[-1][1], 2),
            "max": round(max(value for _, value in points), 2),
            "per_hour": round(slope_per_hour(points), 2),
        }
    return figures


async def load(process: psutil.Process, url: str, *, seconds: float, users: int) -> dict[str, Any]:
    """Waves of users for so long; the summary."""
    tokens = development_tokens(url, org="demo")
    looks: list[tuple[float, dict[str, float]]] = []
    runs = errors = 0
    violations: list[Any] = []
    began = time.monotonic()
    while (at := time.monotonic() - began) < seconds or len(looks) < 2:  # noqa: PLR2004 - a slope
        wave = await simulate(url=url, users=users, runs=2, make_token=tokens, timeout_s=120.0)
        runs += wave["runs"]
        errors += wave["errors"]
        violations += wave["violations"]
        await asyncio.sleep(SETTLE_S)
        at = time.monotonic() - began
        looks.append((at, await asyncio.to_thread(look, process, url)))
    return {
        "seconds": round(at, 1),
        "users": users,
        "waves": len(looks),
        "runs": runs,
        "errors": errors,
        "violations": violations,
        "figures": judge(looks, at),
    }


def print_table(summary: dict[str, Any]) -> None:
    """The summary for a person."""
    title = "{runs} runs in {waves} waves of {users} users, {seconds} s".format(**summary)
    table = Table(title=title)
    for column in ("figure", "first", "last", "max", "per_hour"):
        table.add_column(column, justify="left" if column == "figure" else "right")
    for name, figure in summary["figures"].items():
        cells = (f"{figure[column]:,.2f}" for column in ("first", "last", "max", "per_hour"))
        table.add_row(name.replace("_", " "), *cells)
    console = Console()
    console.print(table)
    console.print(f"errors: {summary['errors']}, violations: {len(summary['violations'])}")


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    words, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=words, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=600.0, help="how long")
    parser.add_argument("--users", type=int, default=20, help="users of a wave")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


def main() -> int:
    """The command; returns its exit code."""
    arguments = parse_arguments()
    allow_many_sockets()
    with development_server() as (process, url):
        summary = uvloop.run(load(process, url, seconds=arguments.seconds, users=arguments.users))
    if arguments.json:
        print(json.dumps(summary))
    else:
        print_table(summary)
    return 1 if summary["errors"] or summary["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())

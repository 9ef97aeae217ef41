#!/usr/bin/env python
"""How fast, how small, how fair: the benchmarks of the project.

    .venv/bin/python scripts/bench.py actors
    .venv/bin/python scripts/bench.py actors --json
    .venv/bin/python scripts/bench.py gateway --json
    .venv/bin/python scripts/bench.py costs --json

Each figure stands beside a baseline that was measured in the same run, round by round in turns,
and is the median of the rounds. With --json one object is printed: bench, machine, figures; each
figure has name, ours, baseline, ratio (ours / baseline; of the gateway's costs in microseconds of
CPU baseline / ours), unit, target, met and note. Targets are
judged at scale 1 only. The exit code says that it ran, not what was met.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from benchmarks import actors, costs, gateway, report
from benchmarks.contest import Progress
from benchmarks.figures import Figure
from benchmarks.settings import Settings

Benchmark = Callable[[Settings, Progress], Sequence[Figure]]

BENCHMARKS: Final[Mapping[str, Benchmark]] = MappingProxyType(
    {"actors": actors.measure, "costs": costs.measure, "gateway": gateway.measure}
)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    words, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=words, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Settings()
    parser.add_argument("bench", choices=sorted(BENCHMARKS), help="what to measure")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--rounds", type=int, default=default.rounds, help="how often each side is measured"
    )
    parser.add_argument(
        "--scale", type=float, default=default.scale, help="multiplies all sizes; 0.01: a look"
    )
    parser.add_argument(
        "--loop", choices=("uvloop", "asyncio"), default=default.loop, help="the event loop"
    )
    arguments = parser.parse_args()
    try:
        arguments.settings = Settings(arguments.rounds, arguments.scale, arguments.loop)
    except ValueError as error:
        parser.error(str(error))
    return arguments


def main() -> int:
    """The command; returns its exit code."""
    arguments = parse_arguments()
    settings: Settings = arguments.settings
    figures = BENCHMARKS[arguments.bench](settings, tell_progress)
    if arguments.json:
        print(json.dumps(report.as_json(arguments.bench, settings, figures)))
    else:
        report.print_table(arguments.bench, settings, figures)
    return 0


def tell_progress(text: str) -> None:
    """A line for whoever sits before the terminal and waits."""
    if sys.stderr.isatty():
        sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python
"""Whatever breaks, the promises hold: gateways and workers are killed, and the judge counts.

    .venv/bin/python scripts/chaos.py --seconds 60 --seed 1 --json
    .venv/bin/python scripts/chaos.py --seconds 60 --seed 1 --mutant no-fence

Processes of the product on embedded servers are used by people through the project's client, while
faults from a seed befall processes, databases, sockets and the disk. Afterwards all that was sent,
acknowledged, received, stored and done outside is held against the eleven promises of the
architecture.

A mutant is the product broken on purpose, in these processes only: the judge must find the promise
that it breaks. --keep FOLDER keeps the logs of the processes.

takeover_s is from the kill of a run's worker to the first event of its next attempt;
postgres_back_s from the kill of PostgreSQL to the next message that is accepted and acknowledged.
Exit code 1 when there are violations, or errors beside them.
"""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

from chaos_parts.mutants import MUTANTS
from chaos_parts.trial import Trial
from rich.console import Console
from rich.table import Table

INTERRUPTED: Final = 130
"""Exit code of what was stopped from outside."""


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    words, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=words, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long things break")
    parser.add_argument("--seed", type=int, default=1, help="decides what breaks when")
    parser.add_argument("--users", type=int, default=20, help="people at once")
    parser.add_argument("--mutant", choices=sorted(MUTANTS), help="break the product on purpose")
    parser.add_argument("--keep", type=Path, help="folder for the logs of the processes")
    parser.add_argument("--verbose", action="store_true", help="tell each fault as it happens")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


def print_report(report: dict[str, Any]) -> None:
    """The report for a person."""
    console = Console()
    table = Table(title=f"seed {report['seed']}, {report['seconds']:g} s", show_header=False)
    for name, value in report.items():
        if name not in {"seed", "seconds", "violations", "errors", "faults_by_kind"}:
            table.add_row(name.replace("_", " "), str(value))
    for kind, times in report["faults_by_kind"].items():
        table.add_row(f"  {kind.replace('_', ' ')}", str(times))
    console.print(table)
    for found in report["violations"]:
        console.print(f"promise {found['promise']}: {found['detail']}", markup=False)
    for error in report["errors"]:
        console.print(f"error: {error}", markup=False)
    console.print(f"violations: {len(report['violations'])}, errors: {len(report['errors'])}")


async def run(trial: Trial) -> dict[str, Any]:
    """The trial; SIGTERM ends it in good order, as Ctrl-C does: servers and mounts are undone."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - this is one
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await trial.run()


def main() -> int:
    """The command; returns its exit code."""
    arguments = parse_arguments()
    logging.basicConfig(
        level=logging.INFO if arguments.verbose else logging.ERROR,
        format="%(asctime)s %(name)s: %(message)s",
    )
    # The nodes' processes are forked from one that finds our parts by this.
    here = str(Path(__file__).parent)
    paths = [here, *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    for name in [name for name in os.environ if name.startswith("APEX_")]:
        # What a person has set for a server of their own must not change what is judged.
        del os.environ[name]
    trial = Trial(
        seconds=arguments.seconds,
        seed=arguments.seed,
        users=arguments.users,
        mutant=arguments.mutant,
        keep=arguments.keep,
    )
    try:
        report = asyncio.run(run(trial))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return INTERRUPTED
    if arguments.json:
        print(json.dumps(report))
    else:
        print_report(report)
    return 1 if report["violations"] or report["errors"] else 0


if __name__ == "__main__":
    sys.exit(main())

"""What a benchmark says at its end: one JSON object, or a table for a person."""

import os
import platform
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figure
from benchmarks.settings import Settings


def machine(settings: Settings) -> dict[str, Any]:
    """What the figures depend on, and nothing that names the machine."""
    return {
        "cores": _usable_cores(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": f"{platform.system()} {platform.machine()}",
        "loop": settings.loop,
    }


def as_json(bench: str, settings: Settings, figures: Sequence[Figure]) -> dict[str, Any]:
    """The one object that ``--json`` prints."""
    return {
        "bench": bench,
        "machine": machine(settings),
        "figures": [figure.as_json() for figure in figures],
    }


def print_table(bench: str, settings: Settings, figures: Sequence[Figure]) -> None:
    """The same for a person."""
    about = machine(settings)
    table = Table(
        title=f"{bench} on {about['python']}, {about['loop']}, {about['cores']} cores,"
        f" {about['platform']}; median of {settings.rounds}"
    )
    table.add_column("figure", no_wrap=True)
    for column in ("ours", "baseline", "ratio"):
        table.add_column(column, justify="right")
    for column in ("unit", "target", "met"):
        table.add_column(column)
    for figure in figures:
        table.add_row(
            figure.goal.name,
            _number(figure.ours),
            _number(figure.baseline),
            _number(figure.ratio),
            figure.goal.unit,
            str(figure.goal.target or ""),
            {True: "yes", False: "NO", None: ""}[figure.met],
        )
    console = Console()
    console.print(table)
    for figure in figures:
        if figure.goal.note is not None:
            console.print(f"{figure.goal.name}: {figure.goal.note}", markup=False)
    if not settings.is_full_scale:
        console.print(f"At scale {settings.scale:g} no target is judged.", markup=False)


def _usable_cores() -> int | None:
    """Those that this process may run on: Pykka's threads are slower on two than on one."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"  # noqa: PLR2004 - to read

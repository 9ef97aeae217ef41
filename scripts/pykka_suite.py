#!/usr/bin/env python
"""Pykka's own test suite, run against our actor types.

    .venv/bin/python scripts/pykka_suite.py [--json] [--actor-type TYPE] [-k EXPR]

The suite comes from the source distribution of the Pykka that is installed: pip downloads it once
into the user's cache, later runs need no network. Each actor type has a pytest process of its own,
with scripts/pykka_plugin.py in it. A case that hangs or crashes the process has failed.

Excused cases assert how Pykka makes its threads; they are run all the same, and have to fail. For
opted-in cases our type is told to do it Pykka's way; they count as passed or failed like all others.
Exit code 0: nothing failed. 1: something did. 2: the suite could not be had.
"""

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import platformdirs
from pykka_plugin import ACTOR_TYPES, RECORDS, STACKS, Outcome, Record, function_of
from rich.console import Console
from rich.table import Table

#: A run takes seconds, and the plugin ends one in which a case hangs: this is for what even the
#: plugin cannot end.
TIME_LIMIT_S: Final = 300.0

#: A case waits at most 5 seconds for anything; nothing else may take this long either.
STALL_LIMIT_S: Final = 30.0

DOWNLOAD_LIMIT_S: Final = 120.0

#: Characters of a process's output that are enough to see what ailed it.
OUTPUT_SHOWN: Final = 2_000

_THREADS: Final = "tests/test_threading_actor.py::test_actor_thread_is_"
_NO_THREAD_OF_ITS_OWN: Final = {
    f"{_THREADS}named_after_pykka_actor_class": (
        "asserts the name of the actor's thread: actors of this type share threads,"
        " which are not named after any of them"
    ),
    f"{_THREADS}not_daemonic_by_default": (
        "asserts the daemon flag of the actor's thread: actors of this type share threads"
    ),
    f"{_THREADS}daemonic_if_use_daemon_thread_flag_is_set": (
        "asserts the daemon flag of the actor's thread: actors of this type share threads"
    ),
}

#: For each actor type the cases that cannot pass, and why.
EXCUSES: Final[Mapping[str, Mapping[str, str]]] = {
    "loop": _NO_THREAD_OF_ITS_OWN,
    "pool": _NO_THREAD_OF_ITS_OWN,
    "thread": {},
}

Download = Callable[[str, Path], None]


class SuiteUnavailableError(Exception):
    """Pykka's source distribution could not be had; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One case, and what is to be said about it."""

    case: str
    why: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the suite on one actor type."""

    actor_type: str
    pykka: str
    """The version of Pykka whose suite it was."""
    passed: int
    failed: tuple[Finding, ...]
    excused: tuple[Finding, ...]
    opted_in: tuple[Finding, ...]


# -- the source distribution -----------------------------------------------------------------


def cached_archive(
    pykka: str, *, cache: Path | None = None, download: Download | None = None
) -> Path:
    """The source distribution of Pykka ``pykka``, from the cache or downloaded into it.

    Raises SuiteUnavailableError.
    """
    if cache is None:
        cache = platformdirs.user_cache_path("apex_actors", appauthor=False) / "pykka-suite"
    archive = cache / f"pykka-{pykka}.tar.gz"
    if archive.exists():
        return archive
    try:
        cache.mkdir(parents=True, exist_ok=True)
        # Into a folder of its own and moved when complete: a download that breaks off, or another
        # one at the same time, leaves nothing half done behind.
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            (download or download_with_pip)(pykka, Path(folder))
            downloaded = Path(folder) / archive.name
            if not downloaded.is_file():
                raise SuiteUnavailableError(f"the download brought no {archive.name}")
            downloaded.replace(archive)
    except OSError as error:
        raise SuiteUnavailableError(f"{archive} could not be written: {error}") from error
    return archive


def download_with_pip(pykka: str, folder: Path) -> None:
    """Download the source distribution into ``folder``; raises SuiteUnavailableError."""
    # Only Pykka's is wanted as source: what pip needs to read its metadata may come as wheels.
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary", "pykka"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder)]
    try:
        said = subprocess.run(  # noqa: S603 - this environment's own pip
            [*command, f"pykka=={pykka}"],
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_LIMIT_S,
            check=False,
        )
        trouble = (said.stderr.strip() or "nothing") if said.returncode else ""
    except subprocess.TimeoutExpired:
        trouble = f"pip was not done after {DOWNLOAD_LIMIT_S:.0f} seconds"
    if trouble:
        raise SuiteUnavailableError(
            f"the source distribution of Pykka {pykka} is not cached, and pip could not download it."
            " Run this once where the package index can be reached, or make pip's configuration"
            f" name one that can. pip says:\n{trouble[-OUTPUT_SHOWN:]}"
        )


def unpack(archive: Path, into: Path) -> Path:
    """The folder with the suite, unpacked under ``into``; raises SuiteUnavailableError."""
    try:
        with tarfile.open(archive) as tar:
            # Pythons before 3.11.4 know no filters; the archive is one that pip has checked.
            safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            tar.extractall(into, **safely)  # type: ignore[arg-type]  # noqa: S202 - see above
    except (tarfile.TarError, EOFError, OSError) as error:
        raise SuiteUnavailableError(
            f"{archive} could not be unpacked ({error}): delete it and run this again"
        ) from error
    suite = into / archive.name.removesuffix(".tar.gz")
    if not (suite / "tests" / "conftest.py").is_file():
        raise SuiteUnavailableError(f"{archive} holds no test suite in {suite.name}/tests")
    return suite


# -- one run ---------------------------------------------------------------------------------


def run_suite(
    suite: Path,
    actor_type: str,
    *,
    pykka: str,
    expression: str = "",
    excuses: Mapping[str, str] | None = None,
    stall_limit_s: float = STALL_LIMIT_S,
) -> Verdict:
    """Run the cases in ``suite`` that pytest's ``-k`` selects by ``expression``, and judge them."""
    with tempfile.TemporaryDirectory(prefix="pykka-suite-") as folder:
        records = Path(folder)
        # Neither our settings nor any others apply: this file has none.
        (records / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        ended = _run_pytest(suite, records, actor_type, expression, stall_limit_s)
        seen = read_records(records / RECORDS)
        stacks = _read(records / STACKS)
    if excuses is None:
        excuses = EXCUSES[actor_type]
    passed, failed, excused = judge(seen.values(), excuses)
    failed += judge_end(seen.values(), ended=ended, stacks=stacks)
    return Verdict(
        actor_type=actor_type,
        pykka=pykka,
        passed=passed,
        failed=tuple(failed),
        excused=tuple(excused),
        opted_in=tuple(
            Finding(record.case, record.opted_in) for record in seen.values() if record.opted_in
        ),
    )


@dataclass(frozen=True, slots=True)
class Ended:
    """How a pytest process ended."""

    code: int | None
    """Its exit code; None when it was killed because it took too long."""
    output: str


def _run_pytest(
    suite: Path, records: Path, actor_type: str, expression: str, stall_limit_s: float
) -> Ended:
    options = ["-p", "pytest_mock", "-p", "pykka_plugin", "-p", "no:cacheprovider"]
    # The plugin's eye for what hangs and pytest's would switch each other off.
    options += ["-p", "no:faulthandler", "-c", str(records / "pytest.ini"), "--rootdir", str(suite)]
    # An exception in a thread of ours or a coroutine that nobody awaits fails a case; the event
    # loops that the suite itself leaves open do not.
    options += ["-W", "error", "-W", "ignore::ResourceWarning", "--tb", "short"]
    options += ["--actor-type", actor_type, "--record-to", str(records)]
    options += ["--stall-limit-s", str(stall_limit_s)]
    if expression:
        options += ["-k", expression]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")
    }
    paths = [str(Path(__file__).parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    environment |= {
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }
    try:
        ran = subprocess.run(  # noqa: S603 - this environment's own pytest
            [sys.executable, "-m", "pytest", *options, "tests"],
            cwd=suite,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=TIME_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Ended(None, "")
    return Ended(ran.returncode, ran.stdout)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def read_records(path: Path) -> dict[str, Record]:
    """The last record of each case, in the order in which the cases were first named."""
    seen: dict[str, Record] = {}
    for line in _read(path).splitlines():
        try:
            record = Record.from_line(line)
        except ValueError:  # the last line of a process that was killed
            break
        seen[record.case] = record
    return seen


# -- the judgement ---------------------------------------------------------------------------


def judge(
    records: Iterable[Record], excuses: Mapping[str, str]
) -> tuple[int, list[Finding], list[Finding]]:
    """How many cases have passed, which ones have failed, and which ones are excused.

    A case is excused when nothing but its own assertions failed. An excuse that is not needed, or
    that hides an error, is a failure.
    """
    passed = 0
    failed: list[Finding] = []
    excused: list[Finding] = []
    for record in records:
        excuse = excuses.get(function_of(record.case))
        if record.outcome is Outcome.PASSED:
            if excuse is None:
                passed += 1
            else:
                why = "is excused and passes: the excuse is out of date"
                failed.append(Finding(record.case, why))
        elif record.outcome is Outcome.FAILED:
            if excuse is not None and record.asserted:
                excused.append(Finding(record.case, excuse))
            else:
                failed.append(Finding(record.case, record.why))
    return passed, failed, excused


def judge_end(records: Iterable[Record], *, ended: Ended, stacks: str) -> list[Finding]:
    """What failed beside the cases that have ended: what hung, crashed, or was never run."""
    by_outcome: dict[Outcome, list[str]] = {outcome: [] for outcome in Outcome}
    for record in records:
        by_outcome[record.outcome].append(record.case)
    if stacks:
        how = f"nothing ended any more; where its threads were:\n{stacks.strip()}"
    elif ended.code is None:
        how = f"the process was killed after {TIME_LIMIT_S:.0f} seconds"
    else:
        how = f"the process ended with code {ended.code}:\n{ended.output.strip()[-OUTPUT_SHOWN:]}"
    findings = [Finding(case, how) for case in by_outcome[Outcome.STARTED]]
    expected = 1 if by_outcome[Outcome.FAILED] else 0
    if not findings and (stacks or ended.code != expected):
        findings.append(Finding("the pytest process as a whole", how))
    if left := by_outcome[Outcome.COLLECTED]:
        findings.append(Finding(left[0], f"was not run, and {len(left) - 1} more behind it"))
    return findings


# -- command ---------------------------------------------------------------------------------


def print_verdicts(verdicts: Iterable[Verdict]) -> None:
    """The verdicts for a person."""
    console = Console(highlight=False, soft_wrap=True)
    table = Table()
    for column in ("actor type", "passed", "failed", "excused", "opted in"):
        table.add_column(column, justify="left" if column == "actor type" else "right")
    verdicts = list(verdicts)
    for verdict in verdicts:
        lists = (verdict.failed, verdict.excused, verdict.opted_in)
        table.add_row(verdict.actor_type, str(verdict.passed), *(str(len(each)) for each in lists))
    console.print(f"The test suite of Pykka {', '.join({each.pykka for each in verdicts})}")
    console.print(table)
    for verdict in verdicts:
        for title in ("failed", "excused", "opted_in"):
            findings: tuple[Finding, ...] = getattr(verdict, title)
            if findings:
                console.print(f"\n{verdict.actor_type}: {title.replace('_', ' ')}", style="bold")
            for finding in findings:
                why = finding.why.replace("\n", "\n    ")
                console.print(f"  {finding.case}\n    {why}", markup=False)


def parse_arguments(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    title, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=title, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON array")
    parser.add_argument("--actor-type", choices=list(ACTOR_TYPES), help="default: all, in turn")
    parser.add_argument("-k", dest="expression", default="", metavar="EXPR", help="as pytest's -k")
    return parser.parse_args(words)


def main() -> int:
    """The command; returns its exit code."""
    arguments = parse_arguments()
    pykka = version("pykka")
    actor_types: list[Any] = [arguments.actor_type] if arguments.actor_type else list(ACTOR_TYPES)
    try:
        archive = cached_archive(pykka)
        with tempfile.TemporaryDirectory(prefix="pykka-source-") as folder:
            suite = unpack(archive, Path(folder))
            verdicts = [
                run_suite(suite, actor_type, pykka=pykka, expression=arguments.expression)
                for actor_type in actor_types
            ]
    except SuiteUnavailableError as error:
        sys.stderr.write(f"pykka_suite: {error}\n")
        return 2
    if arguments.json:
        print(json.dumps([asdict(verdict) for verdict in verdicts], indent=2))
    else:
        print_verdicts(verdicts)
    return 1 if any(verdict.failed for verdict in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())

"""A pytest plugin that runs Pykka's own tests on one of our actor types.

``scripts/pykka_suite.py`` loads it into a pytest process of its own, in the unpacked source
distribution of Pykka. Before a module of the suite is imported, what the suite imports from
``pykka`` is replaced by ours: the registry, and the actor type with a thread of its own. Pykka's
modules keep theirs. The ``runtime`` fixture of the suite's conftest is replaced as well, so that
every case that asks for an actor class or a future class gets ours.

What becomes of the cases is appended to RECORDS in the folder of ``--record-to`` while they run, one
JSON object a line: it is there also when the process hangs or crashes. When nothing ends for
``--stall-limit-s`` seconds, the stacks of all threads are written to STACKS and the process exits.
"""

import faulthandler
import importlib
import json
import threading
import time
from collections.abc import Generator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Self

import pykka
import pytest

from apex_actors.actors import Actor, ActorRegistry, Future, LoopActor, PoolActor, ThreadActor

ACTOR_TYPES: Final[dict[str, type[Actor]]] = {
    "loop": LoopActor,
    "pool": PoolActor,
    "thread": ThreadActor,
}

CONFTEST: Final = "tests.conftest"
RECORDS: Final = "records.jsonl"
STACKS: Final = "stacks.txt"

#: Characters of a failed case's traceback that are kept, from its end.
TRACEBACK_SHOWN: Final = 3_000

_STOPS_ALL: Final = (
    "one BaseException stops all actors only where an actor type asks for Pykka's way:"
    " stops_all_on_base_exception is True on ours during this case"
)

#: Cases that ask for what an actor type of ours does only when it is told to, and why.
OPT_INS: Final[dict[str, str]] = {
    "tests/test_actor.py::test_all_actors_are_stopped_on_base_exception": _STOPS_ALL,
    "tests/test_logging.py::test_base_exception_is_logged": _STOPS_ALL,
}


class Outcome(StrEnum):
    """How far a case has come."""

    COLLECTED = "collected"
    STARTED = "started"
    PASSED = "passed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a case; a later record of the same case replaces it."""

    case: str
    outcome: Outcome
    why: str = ""
    """What failed, in its first line, and the traceback."""
    asserted: bool = False
    """Whether nothing failed but assertions of the case itself: no fixture, no error."""
    opted_in: str = ""
    """Why the actor type was told to do it Pykka's way; empty when it was not."""

    def to_line(self) -> str:
        """As one line of RECORDS."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Self:
        """The record that ``to_line`` wrote; raises ValueError when it was cut off."""
        fields = json.loads(line)
        return cls(**fields | {"outcome": Outcome(fields["outcome"])})


def function_of(case: str) -> str:
    """The name of a case without its parameters."""
    return case.partition("[")[0]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say what to run the suite on, and where to write what became of it."""
    group = parser.getgroup("apex", "Pykka's suite on actor types of ours")
    group.addoption("--actor-type", choices=list(ACTOR_TYPES), required=True)
    group.addoption("--record-to", type=Path, required=True, metavar="FOLDER")
    group.addoption("--stall-limit-s", type=float, default=30.0, metavar="SECONDS")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Put ours in place of Pykka's before the suite's conftest is imported."""
    options = early_config.known_args_namespace
    early_config.pluginmanager.register(
        SuiteOnOurs(options.actor_type, options.record_to, stall_limit_s=options.stall_limit_s)
    )


class SuiteOnOurs:
    """The substitutions, and the records, of one run of the suite."""

    def __init__(self, actor_type: str, folder: Path, *, stall_limit_s: float) -> None:
        self._actor_type = actor_type
        self._actor_class = ACTOR_TYPES[actor_type]
        self._stall_limit_s = stall_limit_s
        self._has_our_runtime = False
        self._faults: list[tuple[str, bool]] = []
        self._records = (folder / RECORDS).open("a", encoding="utf-8", buffering=1)
        self._stacks = (folder / STACKS).open("w", encoding="utf-8")
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(pykka, "ActorRegistry", ActorRegistry)
        self._patch.setattr(pykka, "ThreadingActor", self._actor_class)
        self._something_ends_now()

    # In place of Pykka's.

    @pytest.hookimpl(tryfirst=True)
    def pytest_plugin_registered(self, plugin: object) -> None:
        """Replace the fixture when conftest is there, before pytest looks for fixtures in it."""
        if isinstance(plugin, ModuleType) and plugin.__name__ == CONFTEST:
            self._patch.setattr(plugin, "runtime", self._make_runtime_fixture())
            self._has_our_runtime = True

    def pytest_sessionstart(self) -> None:
        """Refuse to run the suite on Pykka's actors by mistake."""
        if not self._has_our_runtime:
            raise pytest.UsageError(f"there is no {CONFTEST} whose runtime could be ours")

    def _make_runtime_fixture(self) -> Any:
        runtime = importlib.import_module("tests.types").Runtime(
            name=self._actor_type,
            actor_class=self._actor_class,
            event_class=threading.Event,
            future_class=Future,
            sleep_func=time.sleep,
        )

        @pytest.fixture(scope="session", params=[pytest.param(runtime, id=self._actor_type)])
        def runtime_fixture(request: pytest.FixtureRequest) -> Any:
            return request.param

        return runtime_fixture

    # What becomes of the cases.

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a module that could not be imported."""
        if report.failed:
            self._write(Record(report.nodeid, Outcome.FAILED, str(report.longrepr)))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note the cases that are to run."""
        for item in session.items:
            self._write(Record(item.nodeid, Outcome.COLLECTED))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Run a case, with Pykka's way switched on where it asks for that."""
        self._something_ends_now()
        opted_in = OPT_INS.get(function_of(item.nodeid), "")
        self._write(Record(item.nodeid, Outcome.STARTED, opted_in=opted_in))
        self._faults = []
        with pytest.MonkeyPatch.context() as patch:
            if opted_in:
                patch.setattr(self._actor_class, "stops_all_on_base_exception", True)
            handled = yield
        why = "\n".join(why for why, _ in self._faults)
        asserted = all(asserted for _, asserted in self._faults)
        outcome = Outcome.FAILED if self._faults else Outcome.PASSED
        self._write(Record(item.nodeid, outcome, why, bool(self._faults) and asserted, opted_in))
        return handled

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note what failed in a phase of a case; not to run it is no way to pass it."""
        report = yield
        if not report.passed:
            error = call.excinfo
            asserted = error is not None and error.errisinstance(AssertionError)
            self._faults.append((_why(report), report.when == "call" and asserted))
        return report

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Give Pykka its names back; a thread that keeps the process from ending is found."""
        self._patch.undo()
        self._records.close()
        self._something_ends_now()

    def _something_ends_now(self) -> None:
        """Have the process exit when nothing else has ended in time."""
        faulthandler.dump_traceback_later(self._stall_limit_s, exit=True, file=self._stacks)

    def _write(self, record: Record) -> None:
        self._records.write(record.to_line())


def _why(report: pytest.TestReport) -> str:
    """The phase, the message of the exception, and the end of its traceback."""
    crash = getattr(report.longrepr, "reprcrash", None)
    message = str(report.longrepr) if crash is None else crash.message
    traceback = "" if crash is None else f"\n{report.longreprtext[-TRACEBACK_SHOWN:]}"
    return f"{report.outcome} in {report.when}: {message}{traceback}"

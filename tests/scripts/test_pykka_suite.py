"""Pykka's own suite on our actor types; and that the script's judgement of it can be trusted."""

import importlib.util
import io
import json
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "pykka_suite.py"
THREAD_CASES = [
    "tests/test_threading_actor.py::test_actor_thread_is_named_after_pykka_actor_class",
    "tests/test_threading_actor.py::test_actor_thread_is_not_daemonic_by_default",
    "tests/test_threading_actor.py::test_actor_thread_is_daemonic_if_use_daemon_thread_flag_is_set",
]
BASE_EXCEPTION_CASES = [
    "tests/test_actor.py::test_all_actors_are_stopped_on_base_exception",
    "tests/test_logging.py::test_base_exception_is_logged",
]

CASES_AT_LEAST = 130
"""Pykka 4.5 has 152 cases; far fewer means that the suite was not found, not that it shrank."""


@pytest.fixture(scope="module")
def suite():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SCRIPT.parent)
        spec = importlib.util.spec_from_file_location("pykka_suite", SCRIPT)
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, "pykka_suite", module)
        spec.loader.exec_module(module)
        yield module
        del sys.modules["pykka_plugin"]


# -- Pykka's suite ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def _archive(suite):
    """What the script runs is there: without it nothing is said about the actor types."""
    try:
        suite.cached_archive(version("pykka"))
    except suite.SuiteUnavailableError as error:
        pytest.skip(str(error))


@pytest.mark.usefixtures("_archive")
@pytest.mark.parametrize(
    ("actor_type", "excused"), [("loop", THREAD_CASES), ("pool", THREAD_CASES), ("thread", [])]
)
def test_every_case_passes_but_those_about_threads_that_our_type_has_not(actor_type, excused):
    ran = subprocess.run(
        [sys.executable, SCRIPT, "--json", "--actor-type", actor_type],
        capture_output=True,
        text=True,
        check=False,
    )

    (verdict,) = json.loads(ran.stdout)
    assert verdict["failed"] == []
    assert [each["case"] for each in verdict["excused"]] == excused
    assert [each["case"] for each in verdict["opted_in"]] == [
        f"{case}[{actor_type}]" for case in BASE_EXCEPTION_CASES
    ]
    assert verdict["passed"] >= CASES_AT_LEAST
    assert (verdict["actor_type"], verdict["pykka"]) == (actor_type, version("pykka"))
    assert ran.returncode == 0


# -- a suite of a few cases ------------------------------------------------------------------

CONFTEST = """
import pytest
from tests.types import Runtime

@pytest.fixture(scope="session", params=["Pykka's"])
def runtime(request):
    return request.param
"""
TYPES = """
from dataclasses import dataclass
from typing import Any

@dataclass
class Runtime:
    name: str
    actor_class: Any
    event_class: Any
    future_class: Any
    sleep_func: Any
"""


@pytest.fixture
def run(suite, tmp_path):
    """Run cases, given as the text of a module, as the script runs Pykka's."""

    def run(cases, *, module="test_few", actor_type="loop", **options):
        folder = tmp_path / "suite" / "tests"
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        (folder / "conftest.py").write_text(CONFTEST)
        (folder / "types.py").write_text(TYPES)
        (folder / f"{module}.py").write_text(cases)
        return suite.run_suite(folder.parent, actor_type, pykka="0", **options)

    return run


def whys(findings):
    return {finding.case: finding.why for finding in findings}


@pytest.mark.parametrize(
    ("actor_type", "name"),
    [("loop", "LoopActor"), ("pool", "PoolActor"), ("thread", "ThreadActor")],
)
def test_a_suite_sees_ours_where_it_asks_for_pykkas_and_pykka_keeps_its_own(run, actor_type, name):
    verdict = run(
        f"""
import threading, time
import pykka._registry, pykka._threading
from apex_actors import actors
from pykka import ActorRegistry, ThreadingActor

def test_runtime(runtime):
    assert runtime.actor_class is actors.{name}
    assert runtime.future_class is actors.Future
    assert (runtime.event_class, runtime.sleep_func) == (threading.Event, time.sleep)

def test_names():
    assert ActorRegistry is actors.ActorRegistry
    assert ThreadingActor is actors.{name}

def test_pykka():
    ref = pykka._threading.ThreadingActor.start()
    assert pykka._registry.ActorRegistry.get_all() == [ref]
    assert ActorRegistry.get_all() == []
    assert ref.stop()
""",
        actor_type=actor_type,
    )

    assert verdict.failed == ()
    assert verdict.passed == 3


def test_one_base_exception_stops_all_actors_only_in_the_cases_that_ask_for_it(run):
    verdict = run(
        """
from apex_actors.actors import LoopActor

def test_all_actors_are_stopped_on_base_exception():
    assert LoopActor.stops_all_on_base_exception

def test_another():
    assert not LoopActor.stops_all_on_base_exception
""",
        module="test_actor",
    )

    assert (verdict.passed, verdict.failed) == (2, ())
    (opted_in,) = verdict.opted_in
    assert opted_in.case == "tests/test_actor.py::test_all_actors_are_stopped_on_base_exception"
    assert "stops_all_on_base_exception" in opted_in.why


def test_whatever_keeps_a_case_from_passing_is_a_failure_with_its_reason(run):
    verdict = run(
        """
import threading
import warnings
import pytest

@pytest.fixture
def broken():
    raise LookupError("no such thing")

@pytest.fixture
def leaving():
    yield
    raise OSError("left in disorder")

def test_wrong(runtime):
    assert runtime is None, "it is there"

def test_broken(broken):
    pass

def test_leaving(leaving):
    pass

def test_skipped():
    pytest.skip("not today")

def test_warning():
    warnings.warn("an old name", DeprecationWarning)

def test_dies_elsewhere():
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()

def test_right():
    pass
"""
    )

    failed = whys(verdict.failed)
    for case, reason in {
        "wrong[loop]": "failed in call: AssertionError: it is there",
        "broken": "failed in setup: LookupError: no such thing",
        "leaving": "failed in teardown: OSError: left in disorder",
        "skipped": "not today",
        "warning": "DeprecationWarning: an old name",
        "dies_elsewhere": "ZeroDivisionError",
    }.items():
        assert reason in failed.pop(f"tests/test_few.py::test_{case}")
    assert failed == {}
    assert verdict.passed == 1


def test_a_case_that_is_excused_has_to_fail_and_by_its_own_assertion(run):
    verdict = run(
        """
def test_excused():
    assert False

def test_excused_for_nothing():
    pass

def test_excused_and_broken():
    raise LookupError("no such thing")
""",
        excuses={
            "tests/test_few.py::test_excused": "for a reason",
            "tests/test_few.py::test_excused_for_nothing": "for a reason",
            "tests/test_few.py::test_excused_and_broken": "for a reason",
        },
    )

    assert whys(verdict.excused) == {"tests/test_few.py::test_excused": "for a reason"}
    failed = whys(verdict.failed)
    assert set(failed) == {
        "tests/test_few.py::test_excused_for_nothing",
        "tests/test_few.py::test_excused_and_broken",
    }
    assert "out of date" in failed["tests/test_few.py::test_excused_for_nothing"]
    assert verdict.passed == 0


def test_a_module_that_cannot_be_imported_is_a_failure(run):
    verdict = run("import a_module_that_nobody_has")

    assert "a_module_that_nobody_has" in whys(verdict.failed)["tests/test_few.py"]


def test_a_suite_without_pykkas_runtime_is_not_run_at_all(run, monkeypatch):
    monkeypatch.setitem(globals(), "CONFTEST", "")

    verdict = run("def test_right(): pass")

    (failed,) = verdict.failed
    assert failed.case == "the pytest process as a whole"
    assert "runtime" in failed.why
    assert verdict.passed == 0


def test_only_the_cases_that_the_expression_selects_are_run(run):
    verdict = run("def test_one(): pass\ndef test_two(): assert False", expression="one")

    assert (verdict.passed, verdict.failed) == (1, ())


def test_to_run_no_case_at_all_is_a_failure(run):
    verdict = run("def test_one(): pass", expression="two")

    (failed,) = verdict.failed
    assert "ended with code 5" in failed.why


def test_a_process_that_crashes_fails_the_case_it_was_at(run):
    verdict = run(
        """
import os

def test_one():
    pass

def test_crash():
    os._exit(7)

def test_next():
    pass
"""
    )

    failed = whys(verdict.failed)
    assert "ended with code 7" in failed.pop("tests/test_few.py::test_crash")
    assert failed == {"tests/test_few.py::test_next": "was not run, and 0 more behind it"}
    assert verdict.passed == 1


@pytest.mark.slow
def test_a_case_that_hangs_fails_with_the_stacks_of_all_threads(run):
    verdict = run(
        """
import threading

def test_hangs():
    threading.Event().wait()

def test_next():
    pass
""",
        stall_limit_s=3.0,
    )

    failed = whys(verdict.failed)
    assert "in test_hangs" in failed.pop("tests/test_few.py::test_hangs")
    assert failed == {"tests/test_few.py::test_next": "was not run, and 0 more behind it"}


@pytest.mark.slow
def test_a_thread_that_outlives_the_suite_is_a_failure_with_its_stack(run):
    verdict = run(
        """
import threading

def lingers():
    threading.Event().wait()

def test_leaves_a_thread():
    threading.Thread(target=lingers).start()
""",
        stall_limit_s=3.0,
    )

    (failed,) = verdict.failed
    assert failed.case == "the pytest process as a whole"
    assert "in lingers" in failed.why
    assert verdict.passed == 1


# -- the source distribution -----------------------------------------------------------------


def tar_of(files):
    """A gzipped tar archive with the given names and empty contents, as bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name in files:
            tar.addfile(tarfile.TarInfo(name))
    return buffer.getvalue()


def test_a_download_is_kept_and_not_repeated(suite, tmp_path):
    downloads = []

    def download(pykka, folder):
        downloads.append(pykka)
        (folder / f"pykka-{pykka}.tar.gz").write_bytes(b"an archive")

    cache = tmp_path / "cache"
    first = suite.cached_archive("4.5.0", cache=cache, download=download)
    second = suite.cached_archive("4.5.0", cache=cache, download=download)

    assert first == second
    assert first.read_bytes() == b"an archive"
    assert [path.name for path in cache.iterdir()] == ["pykka-4.5.0.tar.gz"]
    assert downloads == ["4.5.0"]


def test_another_version_of_pykka_has_an_archive_of_its_own(suite, tmp_path):
    def download(pykka, folder):
        (folder / f"pykka-{pykka}.tar.gz").write_text(pykka)

    for pykka in ("4.5.0", "4.5.1"):
        archive = suite.cached_archive(pykka, cache=tmp_path, download=download)
        assert archive.read_text() == pykka


def test_a_download_that_breaks_off_leaves_nothing_behind(suite, tmp_path):
    def download(pykka, folder):
        (folder / f"pykka-{pykka}.tar.gz.part").write_bytes(b"an arch")
        raise suite.SuiteUnavailableError("broken off")

    with pytest.raises(suite.SuiteUnavailableError, match="broken off"):
        suite.cached_archive("4.5.0", cache=tmp_path, download=download)

    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_downloaded_is_said_with_what_to_do(suite, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")

    with pytest.raises(suite.SuiteUnavailableError) as raised:
        suite.cached_archive("0.0.0.dev1", cache=tmp_path)

    said = str(raised.value)
    assert "Pykka 0.0.0.dev1 is not cached" in said
    assert "Run this once where the package index can be reached" in said
    assert "No matching distribution found" in said


def test_a_cache_that_cannot_be_written_is_named(suite, tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(suite.SuiteUnavailableError, match=r"pykka-4\.5\.0\.tar\.gz"):
        suite.cached_archive("4.5.0", cache=tmp_path / "file")


def test_a_damaged_archive_is_named_with_what_to_do(suite, tmp_path):
    archive = tmp_path / "pykka-4.5.0.tar.gz"
    archive.write_bytes(tar_of(["pykka-4.5.0/tests/conftest.py"])[:40])

    with pytest.raises(suite.SuiteUnavailableError, match="delete it and run this again"):
        suite.unpack(archive, tmp_path / "unpacked")


def test_an_archive_without_tests_is_refused(suite, tmp_path):
    archive = tmp_path / "pykka-4.5.0.tar.gz"
    archive.write_bytes(tar_of(["pykka-4.5.0/README.md"]))

    with pytest.raises(suite.SuiteUnavailableError, match="holds no test suite"):
        suite.unpack(archive, tmp_path / "unpacked")


# -- command ---------------------------------------------------------------------------------


def verdict_of(suite, *, failed=()):
    return suite.Verdict(
        actor_type="loop",
        pykka="4.5.0",
        passed=149,
        failed=tuple(failed),
        excused=(suite.Finding("tests/test_a.py::test_thread", "it has none"),),
        opted_in=(suite.Finding("tests/test_b.py::test_base[loop]", "only when told to"),),
    )


@pytest.fixture
def command(suite, monkeypatch, tmp_path):
    """The command with the verdict that it is to report."""

    def command(verdict, *words):
        monkeypatch.setattr(sys, "argv", ["pykka_suite.py", *words])
        monkeypatch.setattr(suite, "cached_archive", lambda _pykka: tmp_path)
        monkeypatch.setattr(suite, "unpack", lambda _archive, _into: tmp_path)
        monkeypatch.setattr(suite, "run_suite", lambda *_, **__: verdict)
        return suite.main()

    return command


def test_a_failure_is_told_by_the_exit_code(suite, command):
    assert command(verdict_of(suite), "--json") == 0
    assert command(verdict_of(suite, failed=[suite.Finding("a", "b")]), "--json") == 1


def test_json_is_one_array_with_an_object_for_each_actor_type(suite, command, capsys):
    command(verdict_of(suite), "--json", "--actor-type", "loop")

    assert json.loads(capsys.readouterr().out) == [
        {
            "actor_type": "loop",
            "pykka": "4.5.0",
            "passed": 149,
            "failed": [],
            "excused": [{"case": "tests/test_a.py::test_thread", "why": "it has none"}],
            "opted_in": [{"case": "tests/test_b.py::test_base[loop]", "why": "only when told to"}],
        }
    ]


def test_all_actor_types_are_run_where_none_is_named(suite, command, capsys):
    command(verdict_of(suite), "--json")

    assert len(json.loads(capsys.readouterr().out)) == 3


def test_a_person_reads_every_case_that_is_not_simply_passed_with_its_reason(
    suite, command, capsys
):
    failed = suite.Finding("tests/test_c.py::test_wrong[loop]", "it is [there]\nand stays")

    command(verdict_of(suite, failed=[failed]), "--actor-type", "loop")

    said = capsys.readouterr().out
    for case, why in {
        "tests/test_a.py::test_thread": "it has none",
        "tests/test_b.py::test_base[loop]": "only when told to",
        "tests/test_c.py::test_wrong[loop]": "it is [there]\n    and stays",
    }.items():
        assert f"  {case}\n    {why}\n" in said
    assert "Pykka 4.5.0" in said


def test_a_suite_that_cannot_be_had_is_neither_passed_nor_failed(suite, monkeypatch, capsys):
    def unavailable(_pykka):
        raise suite.SuiteUnavailableError("there is no network")

    monkeypatch.setattr(sys, "argv", ["pykka_suite.py"])
    monkeypatch.setattr(suite, "cached_archive", unavailable)

    assert suite.main() == 2
    assert capsys.readouterr().err == "pykka_suite: there is no network\n"

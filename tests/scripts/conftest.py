"""What the tests of the scripts share: their modules, and the scripts themselves."""

import importlib
import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(scope="session")
def bench():
    """Run ``bench.py`` with these arguments to its end, with warnings as errors."""

    def run(*arguments, timeout_s=120):
        return subprocess.run(
            [sys.executable, "-W", "error", SCRIPTS / "bench.py", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )

    return run


@pytest.fixture(scope="module")
def parts():
    """Import a module of the benchmarks, which the script finds beside itself."""
    with importing("benchmarks") as part:
        yield part


@pytest.fixture(scope="session")
def chaos():
    """Run ``chaos.py --json`` with these arguments to its end; gives exit code and report."""

    def run(*arguments, timeout_s=240):
        ran = subprocess.run(
            [sys.executable, "-W", "error", SCRIPTS / "chaos.py", "--json", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
        assert ran.stdout, ran.stderr
        return ran.returncode, json.loads(ran.stdout)

    return run


@pytest.fixture(scope="module")
def chaos_part():
    """Import a module of chaos."""
    with importing("chaos_parts") as part:
        yield part


@contextmanager
def importing(package):
    """Import modules of a package that a script finds beside itself."""
    sys.path.insert(0, str(SCRIPTS))
    yield lambda name: importlib.import_module(f"{package}.{name}")
    sys.path.remove(str(SCRIPTS))
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        del sys.modules[name]

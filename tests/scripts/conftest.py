"""What the tests of the scripts share: their modules, and the scripts themselves."""

import importlib
import subprocess
import sys
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
    sys.path.insert(0, str(SCRIPTS))
    yield lambda name: importlib.import_module(f"benchmarks.{name}")
    sys.path.remove(str(SCRIPTS))
    for name in [name for name in sys.modules if name.split(".")[0] == "benchmarks"]:
        del sys.modules[name]

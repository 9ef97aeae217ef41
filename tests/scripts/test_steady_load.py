"""The script that looks whether a server grows under a steady load."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "steady_load.py"


@pytest.fixture(scope="module")
def steady_load():
    spec = importlib.util.spec_from_file_location("steady_load", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    before = sys.path[:]
    spec.loader.exec_module(module)  # it finds its neighbour by a path of its own
    yield module
    sys.path[:] = before
    sys.modules.pop("load_simulation", None)


def test_a_line_that_rises_by_one_a_second_grows_by_3600_an_hour(steady_load):
    assert steady_load.slope_per_hour([(0, 5), (1, 6), (2, 7)]) == pytest.approx(3600)


@pytest.mark.parametrize("points", [[], [(1, 5)], [(1, 5), (1, 9)], [(0, 5), (9, 5)]])
def test_what_does_not_rise_or_is_no_line_does_not_grow(steady_load, points):
    assert steady_load.slope_per_hour(points) == 0


def test_the_warm_up_is_not_judged(steady_load):
    looks = [(1, {"tasks": 1}), (30, {"tasks": 7}), (60, {"tasks": 9}), (100, {"tasks": 7})]
    found = steady_load.judge(looks, 100)["tasks"]
    assert (found["first"], found["last"], found["max"]) == (7, 7, 9)


@pytest.mark.slow
def test_a_minute_of_load_leaves_nothing_behind():
    ended = subprocess.run(
        [sys.executable, SCRIPT, "--seconds", "60", "--users", "10", "--json"],
        stdout=subprocess.PIPE,
        check=True,
    )
    found = json.loads(ended.stdout)
    assert found["runs"] >= 20
    assert (found["errors"], found["violations"]) == (0, [])
    figures = found["figures"]
    for name in ("actors", "connections", "threads"):
        assert figures[name]["last"] <= figures[name]["first"], name
    # A few may come with another connection to a database.
    for name in ("tasks", "open_files", "tcp_connections"):
        assert figures[name]["last"] <= figures[name]["first"] + 10, name
    assert figures["resident_mib"]["last"] <= 1.25 * figures["resident_mib"]["first"]

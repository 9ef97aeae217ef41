"""The benchmarks: what they print, how they judge; never how fast anything is."""

import json
import math
import os
import platform

import pytest

FIGURES_OF_ACTORS = [
    "ring_hops_per_s",
    "ring_hops_per_s_hooks",
    "ring_hops_per_s_bounded",
    "ring_hops_per_s_async",
    "ring_hops_per_s_pool",
    "starts_per_s",
    "ask_per_s",
    "turn_delay_ms_p99",
    "turn_delay_ms_p50",
    "hot_actor_delay_ms_p99",
    "hot_actor_delay_ms_p50",
    "bytes_per_actor",
    "stop_100k_s",
]
TARGETS_OF_ACTORS = {
    "ring_hops_per_s": "ratio >= 25",
    "starts_per_s": "ratio >= 15",
    "ask_per_s": "ratio >= 8",
    "turn_delay_ms_p99": "ours <= 1,005",
    "hot_actor_delay_ms_p99": "ours <= 2.04",
    "bytes_per_actor": "ours <= 3,072",
    "stop_100k_s": "ours <= 3",
}
SMALL = ["--rounds", "1", "--scale", "0.005"]


@pytest.fixture(scope="module")
def of_actors(bench):
    """What ``bench.py actors --json`` prints at a tiny scale."""
    ran = bench("actors", "--json", *SMALL)
    assert (ran.returncode, ran.stderr) == (0, "")
    return json.loads(ran.stdout)


@pytest.fixture(scope="module")
def figures(parts):
    return parts("figures")


@pytest.fixture
def goal(figures):
    """A goal whose target is that ours is at least twice the baseline."""
    return figures.Goal("hops", "hops/s", figures.Target("ratio", ">=", 2))


# -- the script --------------------------------------------------------------------------------


def test_json_has_the_bench_the_machine_and_the_figures(of_actors):
    assert list(of_actors) == ["bench", "machine", "figures"]
    assert of_actors["bench"] == "actors"


def test_the_figures_of_the_actors_have_their_fixed_names(of_actors):
    assert [figure["name"] for figure in of_actors["figures"]] == FIGURES_OF_ACTORS


@pytest.mark.parametrize("name", FIGURES_OF_ACTORS)
def test_each_figure_of_the_actors_stands_beside_its_baseline(of_actors, name):
    figure = next(each for each in of_actors["figures"] if each["name"] == name)
    assert list(figure) == [
        "name",
        "ours",
        "baseline",
        "ratio",
        "unit",
        "target",
        "met",
        "note",
    ]
    assert figure["ours"] > 0
    assert figure["baseline"] > 0
    assert figure["ratio"] > 0
    assert figure["unit"] in {"hops/s", "actors/s", "replies/s", "ms", "bytes", "s"}
    assert figure["target"] == TARGETS_OF_ACTORS.get(name)


def test_no_target_is_judged_at_another_scale_than_the_full_one(of_actors):
    assert {figure["met"] for figure in of_actors["figures"]} == {None}


def test_that_a_baseline_was_scaled_up_is_said(of_actors):
    stop = next(each for each in of_actors["figures"] if each["name"] == "stop_100k_s")
    assert "times 100" in stop["note"]


def test_the_machine_is_described_and_not_named(of_actors):
    assert of_actors["machine"] == {
        "cores": len(os.sched_getaffinity(0)),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": f"{platform.system()} {platform.machine()}",
        "loop": "uvloop",
    }


def test_a_person_gets_a_table_of_the_loop_that_was_chosen(bench):
    ran = bench("actors", "--loop", "asyncio", *SMALL)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "asyncio" in ran.stdout
    assert "uvloop" not in ran.stdout
    for name in FIGURES_OF_ACTORS:
        assert name in ran.stdout
    assert "At scale 0.005 no target is judged." in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nothing"], "invalid choice: 'nothing'"),
        (["actors", "--rounds", "0"], "a median needs at least one round"),
        (["actors", "--scale", "0"], "the scale is a number above 0"),
        (["actors", "--scale", "nan"], "the scale is a number above 0"),
        (["actors", "--loop", "twisted"], "invalid choice: 'twisted'"),
    ],
)
def test_a_bad_argument_is_refused_with_its_reason(bench, arguments, reason):
    ran = bench(*arguments)
    assert ran.returncode == 2
    assert reason in ran.stderr
    assert ran.stdout == ""


# -- figures -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("relation", "value", "met"),
    [(">=", 3, True), (">=", 2.9, False), ("<=", 3, True), ("<=", 3.1, False)],
)
def test_the_bound_belongs_to_the_target(figures, relation, value, met):
    assert figures.Target("ours", relation, 3).is_met(value) is met


def test_a_target_of_the_ratio_looks_at_ours_over_the_baseline(figures, goal):
    assert figures.Figure(goal, ours=200, baseline=100).met is True
    assert figures.Figure(goal, ours=100, baseline=200).met is False


def test_the_ratio_of_a_cost_is_the_baseline_over_ours(figures):
    target = figures.Target("ratio", ">=", 0.6)
    goal = figures.Goal("cpu", "us", target, is_cost=True)
    assert figures.Figure(goal, ours=20, baseline=15).ratio == 0.75
    assert figures.Figure(goal, ours=20, baseline=15).met is True
    assert figures.Figure(goal, ours=30, baseline=15).met is False
    assert figures.Figure(goal, ours=0, baseline=15).as_json()["ratio"] is None


def test_a_target_of_ours_does_not_look_at_the_baseline(figures):
    goal = figures.Goal("bytes", "bytes", figures.Target("ours", "<=", 3072))
    assert figures.Figure(goal, ours=3000, baseline=1).met is True


def test_a_figure_without_a_target_is_for_information(figures):
    figure = figures.Figure(figures.Goal("hops", "hops/s"), ours=1, baseline=1)
    assert figure.met is None
    assert figure.as_json()["target"] is None


def test_a_baseline_of_zero_has_no_ratio_in_json(figures, goal):
    figure = figures.Figure(goal, ours=1, baseline=0)
    assert figure.ratio == math.inf
    assert figure.as_json()["ratio"] is None


def test_a_percentile_is_the_nearest_rank(figures):
    values = list(range(100, 0, -1))
    assert figures.percentile(values, 99) == 99
    assert figures.percentile(values, 50) == 50
    assert figures.percentile([7], 99) == 7


def test_a_percentile_of_nothing_is_refused(figures):
    with pytest.raises(ValueError, match="nothing was measured"):
        figures.percentile([], 99)


# -- rounds ------------------------------------------------------------------------------------


@pytest.fixture
def contest(parts, goal):
    """A contest whose sides note their turns and measure what they are given."""

    def between(ours, baseline):
        turns = []

        def side(name, values):
            left = iter(values)

            def measure(_settings):
                turns.append(name)
                return {goal.name: next(left)}

            return measure

        made = parts("contest").Contest([goal], side("ours", ours), side("baseline", baseline))
        return made, turns

    return between


@pytest.fixture
def hold(parts):
    """Hold contests; returns the figures and what was told of the progress."""

    def run(contests, **options):
        told = []
        settings = parts("settings").Settings(**options)
        return parts("contest").hold(contests, settings, told.append), told

    return run


def test_ours_and_the_baseline_take_turns_round_by_round(contest, hold):
    one, turns = contest([1, 2, 3], [1, 2, 3])
    hold([one], rounds=3)
    assert turns == ["ours", "baseline"] * 3


def test_every_contest_is_held_in_every_round(contest, hold):
    first, turns_of_first = contest([1, 2], [1, 2])
    second, turns_of_second = contest([1, 2], [1, 2])
    _, told = hold([first, second], rounds=2)
    assert len(turns_of_first) == len(turns_of_second) == 4
    assert told == ["round 1 of 2: hops"] * 2 + ["round 2 of 2: hops"] * 2


def test_a_figure_is_the_median_of_its_rounds(contest, hold):
    one, _ = contest([10, 1000, 30], [5, 1, 7])
    (figure,), _ = hold([one], rounds=3)
    assert (figure.ours, figure.baseline, figure.ratio) == (30, 5, 6)


@pytest.mark.parametrize(("scale", "met"), [(1.0, True), (0.5, None)])
def test_only_the_full_scale_is_judged(contest, hold, scale, met):
    one, _ = contest([10], [1])
    (figure,), _ = hold([one], rounds=1, scale=scale)
    assert figure.met is met


def test_the_scale_multiplies_sizes_and_leaves_at_least_one(parts):
    settings = parts("settings").Settings(scale=0.01)
    assert settings.size(5_000) == 50
    assert settings.size(10) == 1
    assert settings.seconds(4.0) == pytest.approx(0.04)

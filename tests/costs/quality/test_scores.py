"""The shipped quality scores."""

from decimal import Decimal

import pytest

from apex_actors.costs.quality import quality_scores
from apex_actors.costs.quality.scores import QualityScores, Run

OLD, NEW, OTHER = ("maker", "old"), ("maker", "new"), ("else", "other")


def test_every_scored_model_is_in_the_catalogue_by_that_name(catalogue):
    scores = quality_scores()

    for provider, model in scores._runs:
        listed = catalogue.listed(provider, model)
        assert listed is not None
        assert (listed.provider, listed.model) == (provider, model)


def test_the_shipped_scores_are_those_of_the_sources():
    runs = quality_scores()._runs

    assert sum(len(each) for tasks in runs.values() for each in tasks.values()) == 72
    # o3 at 76.9 and, with more reasoning, at 81.3 %; 13.7517 and 21.2259 dollars for 225 tasks.
    assert sorted(runs["openai", "o3"]["aider/polyglot"]) == [
        Run(Decimal("76.9"), Decimal("0.061119")),
        Run(Decimal("81.3"), Decimal("0.094337")),
    ]


@pytest.fixture
def scores() -> QualityScores:
    def run(score: str, usd: str | None = None) -> Run:
        return Run(Decimal(score), None if usd is None else Decimal(usd))

    return QualityScores(
        [
            (OLD, "coding", run("60", "0.30")),
            (OLD, "coding", run("50", "0.10")),
            (OLD, "travel", run("40")),
            (NEW, "coding", run("70")),
            (NEW, "coding", run("59", "0.059")),
            (NEW, "cooking", run("1")),
            (OTHER, "coding", run("99")),
        ],
        version="1",
    )


def test_the_best_run_in_use_is_compared_with_the_worst_of_the_other(scores):
    (compared,) = scores.compare(OLD, NEW, None)

    assert (compared.task, compared.now.score, compared.then.score) == ("coding", 60, 59)
    # 0.30 dollars a task, 60 % solved: 0.50 a success; 0.059 and 59 %: 0.10.
    assert (compared.now.usd_per_success, compared.then.usd_per_success) == (
        Decimal("0.5"), Decimal("0.1"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("task", "floor", "as_good"),
    [
        (None, "1", (NEW,)),
        (None, "0.9", ()),
        ("coding", "1", (NEW,)),
        # Nobody has run both models at it.
        ("travel", "100", ()),
    ],
)
def test_as_good_is_within_the_floor_at_every_common_task(scores, task, floor, as_good):
    assert scores.as_good(OLD, task, Decimal(floor)) == as_good


def test_a_model_without_a_score_has_no_equal(scores):
    assert not scores.knows(("maker", "unknown"))
    assert scores.as_good(("maker", "unknown"), None, Decimal(100)) == ()


def test_an_unknown_cost_or_no_success_has_no_price():
    assert Run(Decimal(50), None).usd_per_success is None
    assert Run(Decimal(0), Decimal(1)).usd_per_success is None

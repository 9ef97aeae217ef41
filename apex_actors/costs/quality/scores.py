"""How good models are at public tasks, and which cheaper ones are as good."""

import csv
import hashlib
from collections.abc import Iterable
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import NamedTuple

ModelName = tuple[str, str]
"""Provider and model, as the price catalogue calls them."""

_COST_STEP = Decimal("0.000001")


class Run(NamedTuple):
    """One run of a benchmark."""

    score: Decimal
    """Percent of the tasks that were solved."""
    usd_per_task: Decimal | None

    @property
    def usd_per_success(self) -> Decimal | None:
        """What a solved task costs, with the attempts that failed."""
        if self.usd_per_task is None or not self.score:
            return None
        return (self.usd_per_task * 100 / self.score).quantize(_COST_STEP)


class Comparison(NamedTuple):
    """Two models at one task: the best run of the one in use, the worst of the other."""

    task: str
    now: Run
    then: Run


class QualityScores:
    """Runs by model and task."""

    def __init__(self, runs: Iterable[tuple[ModelName, str, Run]], *, version: str) -> None:
        self.version = version
        self._runs: dict[ModelName, dict[str, list[Run]]] = {}
        for model, task, run in runs:
            self._runs.setdefault(model, {}).setdefault(task, []).append(run)

    def knows(self, model: ModelName) -> bool:
        """Whether there is any score of the model."""
        return model in self._runs

    def compare(
        self, model: ModelName, other: ModelName, task: str | None
    ) -> tuple[Comparison, ...]:
        """The two models at the task, or, if none is named, at all tasks that both have run."""
        own, others = self._runs.get(model, {}), self._runs.get(other, {})
        return tuple(
            Comparison(name, max(own[name], key=_score), min(others[name], key=_score))
            for name in sorted(own)
            if name in others and task in (None, name)
        )

    def as_good(self, model: ModelName, task: str | None, floor: Decimal) -> tuple[ModelName, ...]:
        """Other models of the provider that score at most `floor` points less at each of them."""
        return tuple(
            other
            for other in sorted(self._runs)
            if other != model
            and other[0] == model[0]
            and (comparisons := self.compare(model, other, task))
            and all(each.then.score >= each.now.score - floor for each in comparisons)
        )


def _score(run: Run) -> Decimal:
    return run.score


@cache
def quality_scores() -> QualityScores:
    """The scores that are shipped."""
    text = (files("apex_actors.costs.quality") / "scores.csv").read_text(encoding="utf-8")
    return QualityScores(
        (
            (
                (row["provider"], row["model"]),
                row["task"],
                Run(
                    Decimal(row["score"]),
                    Decimal(row["usd_per_task"]) if row["usd_per_task"] else None,
                ),
            )
            for row in csv.DictReader(text.splitlines())
        ),
        version=hashlib.sha256(text.encode()).hexdigest()[:12],
    )

"""Right-sizing: a cheaper model of the same provider that is as good at the task.

Saving of a request = its cost - its cost at the other model, at its own date and size. Only where
the public scores of the other model are at most the floor below those of the one in use: at the
task that stands for the feature, or, where none is named, at every task that both have run. The
best run of the model in use is compared with the worst of the other. For each request the cheapest
of the models left is taken.
"""

from dataclasses import dataclass, field

from apex_actors.costs.formatting import names
from apex_actors.costs.levers.ledger import Ledger, Place
from apex_actors.costs.levers.monthly import monthly_of
from apex_actors.costs.levers.results import (
    Confidence,
    LeverResult,
    RouteFinding,
    TaskComparison,
    Verdict,
)
from apex_actors.costs.levers.tallies import Fate
from apex_actors.costs.money import from_units
from apex_actors.costs.quality import Comparison, quality_scores

VERIFICATION = """\
select date_trunc('week', occurred_at) as week, feature, provider, model,
       count(*) as requests, sum(computed_cost) as usd,
       round(sum(computed_cost) * 1000 / count(*), 4) as usd_per_1000_requests,
       count(*) filter (where status = 'error' or retry_of is not null) as failed_or_retried
  from apex.usage_records
 where tenant = :tenant
 group by week, feature, provider, model
 order by week, feature, provider, model"""


@dataclass(slots=True)
class _Sums:
    scored_as: str
    requests: int = 0
    now: int = 0
    then: int = 0
    features: set[str | None] = field(default_factory=set)


def right_sizing(ledger: Ledger) -> LeverResult:
    """Sends requests to a cheaper model that is as good."""
    scored = sum(row.requests for row in ledger.rows if row.scored_as is not None)
    findings = _findings(ledger)
    saving = sum(ledger.saved_by_day(Place.RIGHT_SIZING).values())
    floor = ledger.settings.quality_floor
    speaks = bool(scored) and floor is not None
    verdict = Verdict.SAVES if saving else Verdict.NO_SAVING
    unscored = sorted({row.model for row in ledger.rows if row.scored_as is None})
    notes = []
    if floor is None:
        notes.append("The settings say that models stay as they are.")
    elif unscored:
        notes.append(f"No public score, so nothing is proposed for {names(unscored)}.")
    return LeverResult(
        lever="right_sizing",
        title="Right-sizing",
        verdict=verdict if speaks else Verdict.ABSTAINS,
        precondition=(
            f"A public quality score of the model: {scored:,} of {ledger.priced:,} priced requests "
            "went to models with one"
        ),
        saving=from_units(saving),
        standalone=from_units(ledger.standalone[Place.RIGHT_SIZING]),
        monthly=monthly_of(ledger, Place.RIGHT_SIZING) if saving else None,
        confidence=Confidence.LOW,
        confidence_basis=(
            f"public benchmark scores at most {floor or 0:f} of 100 points lower; your own tasks "
            "are others"
        ),
        risk=(
            "A benchmark is not your task: try the other model on your own before switching. "
            "Models count tokens differently and answer at different length; both are taken to "
            "stay the same."
        ),
        action=(
            "; ".join(f"Try {each.target_model} in place of {each.model}" for each in findings)
            + "."
            if findings
            else "Leave the models as they are."
        ),
        verification=VERIFICATION,
        data_needed=(
            None
            if scored or floor is None
            else "A quality score of the models in use; none of them has one."
        ),
        notes=tuple(notes),
        findings=tuple(findings),
    )


def _findings(ledger: Ledger) -> list[RouteFinding]:
    sums: dict[tuple[str, str, str, str], _Sums] = {}
    for entry in ledger.entries:
        row = entry.row
        if row.fate is Fate.KEPT and row.is_routed and row.scored_as is not None:
            key = (row.provider, row.model, row.target_provider, row.target_model)
            found = sums.setdefault(key, _Sums(row.scored_as))
            found.requests += row.requests
            found.now += entry.before(Place.RIGHT_SIZING)
            found.then += entry.after(Place.RIGHT_SIZING)
            found.features.add(row.feature)
    tasks = dict(ledger.settings.tasks)
    findings = [
        RouteFinding(
            provider=provider,
            model=model,
            target_provider=target_provider,
            target_model=target_model,
            requests=each.requests,
            cost_now=from_units(each.now),
            cost_then=from_units(each.then),
            saving=from_units(each.now - each.then),
            comparisons=tuple(
                _comparison(compared)
                for task in sorted({tasks.get(name or "") or "" for name in each.features})
                for compared in quality_scores().compare(
                    (target_provider, each.scored_as),
                    (target_provider, target_model),
                    task or None,
                )
            ),
        )
        for (provider, model, target_provider, target_model), each in sums.items()
    ]
    return sorted(findings, key=lambda each: (-each.saving, each.model, each.target_model))


def _comparison(compared: Comparison) -> TaskComparison:
    return TaskComparison(
        task=compared.task,
        score_now=compared.now.score,
        score_then=compared.then.score,
        usd_per_task_now=compared.now.usd_per_task,
        usd_per_task_then=compared.then.usd_per_task,
        usd_per_success_now=compared.now.usd_per_success,
        usd_per_success_then=compared.then.usd_per_success,
    )

"""Exact duplicates: requests with equal content that were answered before.

A request is a repeat if one with the same hash to the same model was answered, whole and without
an error, at most the life of a stored answer before it; temperature 0 for both. Its whole cost is
saved. A repeat refreshes the stored answer.
"""

from apex_actors.costs.formatting import names
from apex_actors.costs.levers.ledger import Ledger, Place
from apex_actors.costs.levers.monthly import monthly_of
from apex_actors.costs.levers.results import Confidence, LeverResult, RepeatFinding, Verdict
from apex_actors.costs.levers.tallies import Fate
from apex_actors.costs.money import from_units

VERIFICATION = """\
select date_trunc('week', occurred_at) as week, provider, model, feature,
       count(*) as requests, count(*) - count(distinct request_hash) as repeats,
       sum(computed_cost) as usd
  from apex.usage_records
 where tenant = :tenant and temperature = 0 and request_hash is not null
 group by week, provider, model, feature
 order by week, provider, model, feature"""


def duplicates(ledger: Ledger) -> LeverResult:
    """Answers equal requests from a store of answers."""
    hashed = sum(day.hashed for day in ledger.days)
    saving = sum(ledger.saved_by_day(Place.DUPLICATES).values())
    findings = _findings(ledger)
    features = sorted({found.feature or found.model for found in findings})
    verdict = Verdict.SAVES if saving else Verdict.NO_SAVING
    minutes = ledger.settings.answer_life_s // 60
    return LeverResult(
        lever="duplicates",
        title="Exact duplicates",
        verdict=verdict if hashed else Verdict.ABSTAINS,
        precondition=(
            f"A hash of the content and temperature 0: {hashed:,} of {ledger.priced:,} priced "
            "requests have both"
        ),
        saving=from_units(saving),
        standalone=from_units(ledger.standalone[Place.DUPLICATES]),
        monthly=monthly_of(ledger, Place.DUPLICATES) if saving else None,
        confidence=Confidence.HIGH,
        confidence_basis=f"equal hashes at temperature 0 within {minutes:,} minutes",
        risk=(
            f"A stored answer is given for {minutes:,} minutes after its last use: it is wrong "
            "where the answer should have changed meanwhile. The store itself costs something."
        ),
        action=(
            f"Store answers for {minutes:,} minutes and give them to equal requests: "
            f"{names(features)}."
            if features
            else "No request was repeated; leave it."
        ),
        verification=VERIFICATION,
        data_needed=(
            None
            if hashed
            else "Import records with request_hash (equal for equal requests) and temperature."
        ),
        findings=tuple(findings),
    )


def _findings(ledger: Ledger) -> list[RepeatFinding]:
    sums: dict[tuple[str, str, str | None], list[int]] = {}
    for entry in ledger.entries:
        row = entry.row
        if row.fate is Fate.REPEATED:
            found = sums.setdefault((row.provider, row.model, row.feature), [0, 0])
            found[0] += row.requests
            found[1] += entry.credit(Place.DUPLICATES)
    findings = [
        RepeatFinding(
            provider=provider,
            model=model,
            feature=feature,
            requests=requests,
            saving=from_units(units),
        )
        for (provider, model, feature), (requests, units) in sums.items()
    ]
    return sorted(findings, key=lambda each: (-each.saving, each.model, each.feature or ""))

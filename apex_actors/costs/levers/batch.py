"""Batch processing: requests that may wait, at the provider's batch rate.

Saving of a request = its standard price - its batch price, at its own date. Where the catalogue
lists no batch price for cached tokens they keep theirs. Where it knows no batch rate on the date,
nothing is claimed.
"""

from dataclasses import dataclass

from apex_actors.costs.levers.ledger import Ledger, Place
from apex_actors.costs.levers.monthly import monthly_of
from apex_actors.costs.levers.results import BatchFinding, Confidence, LeverResult, Verdict
from apex_actors.costs.levers.tallies import Fate, Wait
from apex_actors.costs.money import from_units

VERIFICATION = """\
select date_trunc('week', occurred_at) as week, provider, model, processing,
       count(*) as requests, sum(computed_cost) as usd,
       round(sum(computed_cost) * 1000 / count(*), 4) as usd_per_1000_requests
  from apex.usage_records
 where tenant = :tenant and is_deferrable
 group by week, provider, model, processing
 order by week, provider, model, processing"""


@dataclass(slots=True)
class _Sums:
    requests: int = 0
    rated: int = 0
    now: int = 0
    then: int = 0


def batch(ledger: Ledger) -> LeverResult:
    """Sends deferrable requests as batches, where a batch rate is known at their date."""
    deferrable = sum(day.deferrable for day in ledger.days)
    findings = _findings(ledger)
    rated_days = [
        entry.day for entry in ledger.entries if entry.row.wait in (Wait.BATCH, Wait.DEARER)
    ]
    saving = sum(ledger.saved_by_day(Place.BATCH).values())
    unrated = sum(finding.requests - finding.rated_requests for finding in findings)
    verdict = Verdict.SAVES if saving else Verdict.NO_SAVING
    needed: str | None = None
    if not deferrable:
        verdict = Verdict.ABSTAINS
        needed = "Say which requests may wait: set deferrable on their records."
    elif findings and not rated_days:
        verdict = Verdict.ABSTAINS
        needed = (
            "The price catalogue knows no batch rate for these models on the days of these "
            "requests; later days or a price override would let this lever speak."
        )
    notes: list[str] = []
    if unrated:
        since = f" The first day with one is {min(rated_days)}." if rated_days else ""
        notes.append(
            f"For {unrated:,} deferrable requests no batch rate is known at their date; nothing "
            f"is claimed for them.{since}"
        )
    models = ", ".join(sorted({finding.model for finding in findings if finding.saving}))
    return LeverResult(
        lever="batch",
        title="Batch processing",
        verdict=verdict,
        precondition=(
            f"Requests that may wait, and a batch rate at their date: {deferrable:,} of "
            f"{ledger.priced:,} priced requests are deferrable"
        ),
        saving=from_units(saving),
        standalone=from_units(ledger.standalone[Place.BATCH]),
        # Days before the first known rate say nothing about a month to come.
        monthly=monthly_of(ledger, Place.BATCH, first_day=min(rated_days)) if saving else None,
        confidence=Confidence.HIGH,
        confidence_basis="catalogue prices on requests that are marked as deferrable",
        risk=(
            "Batched answers come within hours instead of seconds (up to a day at most providers), "
            "and what a batch finds in a cache is not in anyone's hand."
        ),
        action=(
            f"Send the deferrable requests to {models} through the provider's batch interface."
            if models
            else "Leave processing as it is."
        ),
        verification=VERIFICATION,
        data_needed=needed,
        notes=tuple(notes),
        findings=tuple(findings),
    )


def _findings(ledger: Ledger) -> list[BatchFinding]:
    sums: dict[tuple[str, str], _Sums] = {}
    for entry in ledger.entries:
        row = entry.row
        if row.fate is not Fate.KEPT or row.wait in (Wait.NO, Wait.OFF_PEAK):
            continue
        found = sums.setdefault((row.target_provider, row.target_model), _Sums())
        found.requests += row.requests
        if row.wait is not Wait.UNRATED:
            found.rated += row.requests
            found.now += entry.before(Place.BATCH)
            found.then += entry.after(Place.BATCH)
    findings = [
        BatchFinding(
            provider=provider,
            model=model,
            requests=each.requests,
            rated_requests=each.rated,
            cost_now=from_units(each.now),
            cost_batch=from_units(each.then),
            saving=from_units(each.now - each.then),
        )
        for (provider, model), each in sums.items()
    ]
    return sorted(findings, key=lambda found: (-found.saving, found.provider, found.model))

"""Waste: billed errors, and truncated answers that were asked again.

Saving of an error = its cost. Saving of a request that tries a truncated answer again = its cost -
the output that it adds, at its own price: with room enough the first request would have given the
whole answer for its own input and that output.
"""

from dataclasses import dataclass

from apex_actors.costs.formatting import names
from apex_actors.costs.levers.ledger import Ledger, Place
from apex_actors.costs.levers.monthly import monthly_of
from apex_actors.costs.levers.results import (
    Confidence,
    LeverResult,
    MonthlySaving,
    Verdict,
    WasteFinding,
)
from apex_actors.costs.levers.tallies import Fate
from apex_actors.costs.money import from_units, total

VERIFICATION = """\
select date_trunc('week', r.occurred_at) as week, r.provider, r.model, r.feature,
       count(*) filter (where r.status = 'error') as errors,
       sum(r.computed_cost) filter (where r.status = 'error') as error_usd,
       count(*) filter (where first.finish_reason in ('length', 'max_tokens')) as asked_again
  from apex.usage_records r
  left join apex.usage_records first
    on first.tenant = r.tenant and first.record_id = r.retry_of
 where r.tenant = :tenant
 group by 1, 2, 3, 4
 order by 1, 2, 3, 4"""


@dataclass(slots=True)
class _Sums:
    failed: int = 0
    failed_units: int = 0
    asked_again: int = 0
    asked_again_units: int = 0


def waste(ledger: Ledger) -> LeverResult:
    """Avoids what was paid for nothing."""
    errors = sum(day.errors for day in ledger.days)
    retries = sum(day.retries for day in ledger.days)
    reasons = sum(row.finish_reasons for row in ledger.rows)
    findings = _findings(ledger)
    saving = sum(ledger.saved_by_day(Place.WASTE).values())
    speaks = bool(errors or (reasons and retries))
    verdict = Verdict.SAVES if saving else Verdict.NO_SAVING
    return LeverResult(
        lever="waste",
        title="Errors and repeated truncated answers",
        verdict=verdict if speaks else Verdict.ABSTAINS,
        precondition=(
            f"Errors, or finish reasons and which request tries another again: {errors:,} errors, "
            f"{reasons:,} finish reasons and {retries:,} retries in {ledger.priced:,} priced "
            "requests"
        ),
        saving=from_units(saving),
        standalone=from_units(ledger.standalone[Place.WASTE]),
        monthly=_monthly(ledger) if saving else None,
        confidence=Confidence.LOW,
        confidence_basis="what failed is known, how much of it can be avoided is not",
        risk=(
            "Providers don't bill every error; only where the record says that nothing was charged "
            "is nothing claimed. Some errors can't be avoided."
        ),
        action=_action(findings),
        verification=VERIFICATION,
        data_needed=(
            None
            if speaks
            else "Import records with status, finish_reason and retry_of (the record that a "
            "request tries again)."
        ),
        findings=tuple(findings),
    )


def _monthly(ledger: Ledger) -> MonthlySaving | None:
    monthly = monthly_of(ledger, Place.WASTE)
    if monthly is None:
        return None
    return monthly.model_copy(
        update={
            "low": min(monthly.low, total(())),
            "basis": monthly.basis + "; low: none of it can be avoided",
        }
    )


def _action(findings: list[WasteFinding]) -> str:
    parts = []
    failing = sorted({each.feature or each.model for each in findings if each.failed})
    cut_off = sorted({each.feature or each.model for each in findings if each.asked_again})
    if failing:
        parts.append(f"Find out why requests fail, and end them early: {names(failing)}")
    if cut_off:
        parts.append(f"Give answers room enough at the first time: {names(cut_off)}")
    return "; ".join(parts) + "." if parts else "Nothing was paid in vain; leave it."


def _findings(ledger: Ledger) -> list[WasteFinding]:
    sums: dict[tuple[str, str, str | None], _Sums] = {}
    for entry in ledger.entries:
        row = entry.row
        if row.fate is Fate.FAILED:
            found = sums.setdefault((row.provider, row.model, row.feature), _Sums())
            found.failed += row.requests
            found.failed_units += entry.credit(Place.WASTE)
        elif row.fate is Fate.ASKED_AGAIN:
            found = sums.setdefault((row.provider, row.model, row.feature), _Sums())
            found.asked_again += row.requests
            found.asked_again_units += entry.credit(Place.WASTE)
    findings = [
        WasteFinding(
            provider=provider,
            model=model,
            feature=feature,
            failed=each.failed,
            failed_cost=from_units(each.failed_units),
            asked_again=each.asked_again,
            asked_again_cost=from_units(each.asked_again_units),
            saving=from_units(each.failed_units + each.asked_again_units),
        )
        for (provider, model, feature), each in sums.items()
    ]
    return sorted(findings, key=lambda each: (-each.saving, each.model, each.feature or ""))

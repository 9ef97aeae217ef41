"""Batch processing: requests that may wait, at the provider's batch rate.

Saving of a request = its standard price - its batch price, at its own date. Where the catalogue
lists no batch price for cached tokens they keep theirs. Where it knows no batch rate on the date,
nothing is claimed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from apex_actors.costs.levers.line import Applied, Line, credit_by_day
from apex_actors.costs.levers.monthly import monthly_saving
from apex_actors.costs.levers.results import BatchFinding, Confidence, LeverResult, Verdict
from apex_actors.costs.money import from_units
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.costs.rates import RateCard
from apex_actors.costs.records import Processing

VERIFICATION = """\
select date_trunc('week', occurred_at) as week, provider, model, processing,
       count(*) as requests, sum(computed_cost) as usd,
       round(sum(computed_cost) * 1000 / count(*), 4) as usd_per_1000_requests
  from apex.usage_records
 where tenant = :tenant and is_deferrable
 group by week, provider, model, processing
 order by week, provider, model, processing"""


@dataclass(slots=True)
class _Tally:
    requests: int = 0
    rated: int = 0
    now: int = 0
    batch: int = 0
    saved: int = 0


class BatchLever:
    """Sends deferrable requests as batches, where a batch rate is known at their date."""

    def __init__(self, *, catalogue: PriceCatalogue) -> None:
        self._catalogue = catalogue

    def apply(self, lines: Sequence[Line]) -> Applied:
        """See `Lever`."""
        after = list(lines)
        tallies: dict[tuple[str, str], _Tally] = {}
        deferrable = 0
        rated_days: set[date] = set()
        for index, line in enumerate(lines):
            request = line.request
            if not request.deferrable:
                continue
            deferrable += 1
            if line.processing is not Processing.STANDARD:
                continue
            tally = tallies.setdefault((request.provider, request.model), _Tally())
            tally.requests += 1
            card = self._catalogue.card(
                request.provider, request.model, request.occurred_at, Processing.BATCH
            )
            if not isinstance(card, RateCard) or card.missing_price(line.shape):
                continue
            units = card.cost(line.shape)
            rated_days.add(line.day)
            tally.rated += 1
            tally.now += line.units
            tally.batch += units
            if units < line.units:
                tally.saved += line.units - units
                after[index] = line._replace(processing=Processing.BATCH, card=card, units=units)
        findings = _findings(tallies)
        return Applied(after, _result(lines, after, findings, deferrable, rated_days))


def _findings(tallies: dict[tuple[str, str], _Tally]) -> list[BatchFinding]:
    findings = [
        BatchFinding(
            provider=provider,
            model=model,
            requests=tally.requests,
            rated_requests=tally.rated,
            cost_now=from_units(tally.now),
            cost_batch=from_units(tally.batch),
            saving=from_units(tally.saved),
        )
        for (provider, model), tally in tallies.items()
    ]
    return sorted(findings, key=lambda found: (-found.saving, found.provider, found.model))


def _result(
    lines: Sequence[Line],
    after: Sequence[Line],
    findings: list[BatchFinding],
    deferrable: int,
    rated_days: set[date],
) -> LeverResult:
    saved = credit_by_day(lines, after)
    saving = sum(saved.values())
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
            f"{len(lines):,} priced requests are deferrable"
        ),
        saving=from_units(saving),
        standalone=from_units(saving),
        # Days before the first known rate say nothing about a month to come.
        monthly=(
            monthly_saving(saved, first_day=min(rated_days), last_day=lines[-1].day)
            if saving
            else None
        ),
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

"""Context trim: conversations that send all their old turns again with each new one.

Kept are the first prompt of a session (within an hour) and what its last turns added. Saving of a
request = its cost - its cost with the shorter input, priced anew: below a tier's threshold all its
tokens are cheaper. A trimmed prompt begins differently each time, so it reads nothing from a cache;
where caching it would cost less, it is left to caching.
"""

from dataclasses import dataclass

from apex_actors.costs.formatting import names
from apex_actors.costs.levers.ledger import Ledger, Place
from apex_actors.costs.levers.monthly import monthly_of
from apex_actors.costs.levers.results import Confidence, LeverResult, TrimFinding, Verdict
from apex_actors.costs.levers.tallies import Fate
from apex_actors.costs.money import from_units

VERIFICATION = """\
select date_trunc('week', occurred_at) as week, provider, model, feature,
       count(*) as requests, count(distinct session_id) as sessions,
       round(avg(input_tokens)) as input_tokens_per_turn, sum(computed_cost) as usd
  from apex.usage_records
 where tenant = :tenant and session_id is not null
 group by week, provider, model, feature
 order by week, provider, model, feature"""


@dataclass(slots=True)
class _Sums:
    requests: int = 0
    tokens: int = 0
    below_cliff: int = 0
    units: int = 0


def context_trim(ledger: Ledger) -> LeverResult:
    """Leaves out old turns of long conversations."""
    in_sessions = sum(day.in_sessions for day in ledger.days)
    findings = _findings(ledger)
    saving = sum(ledger.saved_by_day(Place.CONTEXT_TRIM).values())
    features = sorted({each.feature or each.model for each in findings})
    turns = ledger.settings.kept_turns
    verdict = Verdict.SAVES if saving else Verdict.NO_SAVING
    return LeverResult(
        lever="context_trim",
        title="Context trim",
        verdict=verdict if in_sessions else Verdict.ABSTAINS,
        precondition=(
            f"Which session a request belongs to: {in_sessions:,} of {ledger.priced:,} priced "
            "requests say so"
        ),
        saving=from_units(saving),
        standalone=from_units(ledger.standalone[Place.CONTEXT_TRIM]),
        monthly=monthly_of(ledger, Place.CONTEXT_TRIM) if saving else None,
        confidence=Confidence.LOW,
        confidence_basis=(
            "input by turn of your own sessions; what the answers lose is not in the data"
        ),
        risk=(
            f"The model forgets what lies more than {turns} turns back, but for the beginning; "
            "answers that need it get worse."
        ),
        action=(
            f"Send the beginning and the last {turns} turns of a conversation: {names(features)}."
            if features
            else "Leave the conversations whole."
        ),
        verification=VERIFICATION,
        data_needed=None if in_sessions else "Import records with session_id.",
        findings=tuple(findings),
    )


def _findings(ledger: Ledger) -> list[TrimFinding]:
    sums: dict[tuple[str, str, str | None], _Sums] = {}
    for entry in ledger.entries:
        row = entry.row
        if row.trimmed and row.fate is Fate.KEPT:
            found = sums.setdefault((row.provider, row.model, row.feature), _Sums())
            found.requests += row.requests
            found.tokens += row.trimmed_tokens
            found.below_cliff += row.requests if row.below_cliff else 0
            found.units += entry.credit(Place.CONTEXT_TRIM)
    findings = [
        TrimFinding(
            provider=provider,
            model=model,
            feature=feature,
            requests=each.requests,
            trimmed_tokens=each.tokens,
            below_cliff=each.below_cliff,
            saving=from_units(each.units),
        )
        for (provider, model, feature), each in sums.items()
    ]
    return sorted(findings, key=lambda each: (-each.saving, each.model, each.feature or ""))

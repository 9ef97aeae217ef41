"""Output cap: a limit for the answers that are far longer than nearly all others.

Saving of a request = (its output tokens - the cap) * the price of an output token, where positive.
The cap is the shortest step of the distribution that at most a given share of the answers exceeds.
"""

from apex_actors.costs.formatting import names, percent
from apex_actors.costs.levers.answer_lengths import CapKey
from apex_actors.costs.levers.ledger import Ledger, Place
from apex_actors.costs.levers.monthly import monthly_of
from apex_actors.costs.levers.output_steps import OUTPUT_STEPS
from apex_actors.costs.levers.results import CapFinding, Confidence, LeverResult, Verdict
from apex_actors.costs.money import from_units
from apex_actors.costs.summary import share

VERIFICATION = """\
select date_trunc('week', occurred_at) as week, provider, model, feature,
       count(*) as requests,
       percentile_disc(0.99) within group (order by output_tokens) as output_p99,
       max(output_tokens) as longest,
       count(*) filter (where finish_reason in ('length', 'max_tokens')) as cut_off,
       sum(computed_cost) as usd
  from apex.usage_records
 where tenant = :tenant
 group by week, provider, model, feature
 order by week, provider, model, feature"""


def output_cap(ledger: Ledger) -> LeverResult:
    """Limits the length of answers for each model and feature."""
    reasons = sum(row.finish_reasons for row in ledger.rows)
    judged = sum(group.is_judged(ledger.settings) for group in ledger.cap_groups.values())
    least = ledger.settings.least_answers
    findings = _findings(ledger)
    saving = sum(ledger.saved_by_day(Place.OUTPUT_CAP).values())
    allowed = percent(ledger.settings.truncation_share)
    needed: str | None = None
    if not reasons:
        needed = "Import records with finish_reason: it says which answers are cut off already."
    elif not judged:
        needed = f"At least {least} answers of one model to one feature are needed."
    verdict = Verdict.SAVES if saving else Verdict.NO_SAVING
    return LeverResult(
        lever="output_cap",
        title="Output cap",
        verdict=verdict if needed is None else Verdict.ABSTAINS,
        precondition=(
            f"Finish reasons, and {least} answers of a model to a feature: {reasons:,} of "
            f"{ledger.priced:,} priced requests say why they ended, and {judged:,} of "
            f"{len(ledger.cap_groups):,} models and features have enough"
        ),
        saving=from_units(saving),
        standalone=from_units(ledger.standalone[Place.OUTPUT_CAP]),
        monthly=monthly_of(ledger, Place.OUTPUT_CAP) if saving else None,
        confidence=Confidence.MEDIUM,
        confidence_basis="the distribution of your own answers",
        risk=(
            f"Up to {allowed} of the answers would be cut off; where they are asked again, more is "
            "lost than saved. The table says how many."
        ),
        action=(
            "Limit the length of answers: "
            + names(
                [f"{each.feature or each.model} to {each.cap_tokens:,} tokens" for each in findings]
            )
            + "."
            if findings
            else "Leave the lengths of answers as they are."
        ),
        verification=VERIFICATION,
        data_needed=needed,
        notes=tuple(_notes(ledger)),
        findings=tuple(findings),
    )


def _notes(ledger: Ledger) -> list[str]:
    return [
        f"Of the answers of {model} to {feature or 'no feature'}, "
        f"{percent(share(group.truncated, group.finish_reasons))} are cut off already; no shorter "
        "limit is proposed."
        for (_, model, feature), group in ledger.cap_groups.items()
        if group.is_judged(ledger.settings) and group.is_cut_off(ledger.settings)
    ]


def _findings(ledger: Ledger) -> list[CapFinding]:
    sums: dict[CapKey, list[int]] = {}
    for entry in ledger.entries:
        if entry.capped:
            key = (entry.row.provider, entry.row.model, entry.row.feature)
            found = sums.setdefault(key, [0, 0])
            found[0] += entry.capped
            found[1] += entry.credit(Place.OUTPUT_CAP)
    findings = []
    for key, (tokens, units) in sums.items():
        step = ledger.caps[key]
        group = ledger.cap_groups[key]
        if step is not None:
            findings.append(
                CapFinding(
                    provider=key[0],
                    model=key[1],
                    feature=key[2],
                    requests=group.requests,
                    cap_tokens=OUTPUT_STEPS[step],
                    cut_answers=group.above(step),
                    cut_tokens=tokens,
                    saving=from_units(units),
                )
            )
    return sorted(findings, key=lambda each: (-each.saving, each.model, each.feature or ""))

"""Prompt caching: would reading repeated prefixes from the cache pay for writing all others?

The requests of each model are replayed with their real times and prefix blocks, for both times to
live, and each outcome is priced in full: a loss is found as readily as a saving. Sources of the
rules: the providers' documentation of their caches (`cache_rules`), the price catalogue.
"""

from collections.abc import Sequence

from apex_actors.costs.levers.cache_rules import minimum_prefix
from apex_actors.costs.levers.caching import CacheGroup
from apex_actors.costs.levers.ledger import Ledger, Place
from apex_actors.costs.levers.monthly import monthly_of, per_month
from apex_actors.costs.levers.results import (
    CacheFinding,
    Confidence,
    LeverResult,
    MonthlySaving,
    Verdict,
)
from apex_actors.costs.levers.tallies import CacheClass
from apex_actors.costs.money import from_units, total
from apex_actors.costs.summary import share

VERIFICATION = """\
select date_trunc('week', occurred_at) as week, provider, model,
       sum(cache_read_tokens) as read_tokens,
       sum(cache_write_5m_tokens + cache_write_1h_tokens) as written_tokens,
       round(sum(cache_read_tokens) / nullif(sum(input_tokens), 0), 4) as read_share,
       round(sum(computed_cost) * 1000 / count(*), 4) as usd_per_1000_requests
  from apex.usage_records
 where tenant = :tenant
 group by week, provider, model
 order by week, provider, model"""


def prompt_caching(ledger: Ledger) -> LeverResult:
    """Switches prompt caching on, to the other time to live, or off, for each model."""
    findings = [_finding(group) for group in ledger.cache_groups.values() if group.is_decided]
    findings.sort(key=lambda finding: (-finding.saving, finding.provider, finding.model))
    traced = sum(row.requests for row in ledger.rows if row.own_cache is CacheClass.TRACED)
    saved = ledger.saved_by_day(Place.PROMPT_CACHING)
    saving = sum(saved.values())
    verdict = Verdict.SAVES if saving else Verdict.NO_SAVING
    if not findings:
        verdict = Verdict.ABSTAINS
    used = [finding for finding in findings if finding.saving]
    sure = not any(finding.minimum_is_assumed for finding in used)
    return LeverResult(
        lever="prompt_caching",
        title="Prompt caching",
        verdict=verdict,
        precondition=(
            f"Prefix blocks or cache writes in the records: {traced:,} of {ledger.priced:,} priced "
            "requests have prefix blocks"
        ),
        saving=from_units(saving),
        standalone=from_units(ledger.standalone[Place.PROMPT_CACHING]),
        monthly=_monthly(ledger, findings) if findings else None,
        confidence=Confidence.MEDIUM if sure else Confidence.LOW,
        confidence_basis=(
            "replay of your own requests at their real times"
            if sure
            else "replay of your own requests at their real times; for some models the shortest "
            "cacheable prefix is not published and the longest published one is assumed"
        ),
        risk=(
            "The replay lets every 512-token block be a cache breakpoint and all requests of a "
            "model share one cache; fewer breakpoints, separate workspaces or requests that "
            "overlap in time read less."
        ),
        action=_action(findings),
        verification=VERIFICATION,
        data_needed=(
            None
            if findings
            else "Import records with prefix_block_hashes (one hash for each 512-token block of "
            "the prompt, each covering all blocks before it)."
        ),
        notes=tuple(_notes(findings)),
        findings=tuple(findings),
    )


def _finding(group: CacheGroup) -> CacheFinding:
    minimum = minimum_prefix(group.model)
    return CacheFinding(
        provider=group.provider,
        model=group.model,
        traced=group.traced,
        requests=group.requests,
        input_tokens=group.input_tokens,
        minimum_tokens=minimum.tokens,
        minimum_is_assumed=minimum.assumed,
        automatic=group.automatic,
        read_share_now=share(group.read_tokens, group.input_tokens),
        read_share_5m=share(group.read_5m_tokens, group.input_tokens) if group.traced else None,
        read_share_1h=share(group.read_1h_tokens, group.input_tokens) if group.has_hour else None,
        cost_now=from_units(group.keep),
        cost_without=from_units(group.stop),
        cost_5m=from_units(group.five_minutes) if group.traced else None,
        cost_1h=from_units(group.one_hour) if group.has_hour else None,
        decision=group.decision,
        saving=from_units(group.saving),
        potential=from_units(group.potential),
    )


def _monthly(ledger: Ledger, findings: Sequence[CacheFinding]) -> MonthlySaving | None:
    monthly = monthly_of(ledger, Place.PROMPT_CACHING)
    potential = total(finding.potential for finding in findings)
    if monthly is None or not (potential or monthly.high):
        return None
    if not potential:
        return monthly
    days = (monthly.last_day - monthly.first_day).days + 1
    return monthly.model_copy(
        update={
            "high": total((monthly.high, per_month(potential, days))),
            "basis": monthly.basis
            + "; high adds what automatic caches could read at their best, which can't be "
            "switched on",
        }
    )


_WORDS = {
    "cache-5m": "Cache prompt prefixes for 5 minutes",
    "cache-1h": "Cache prompt prefixes for 1 hour",
    "stop": "Stop writing prompts to the cache",
}


def _action(findings: Sequence[CacheFinding]) -> str:
    parts = [
        f"{_WORDS[decision]} for {', '.join(models)}"
        for decision in _WORDS
        if (
            models := sorted(
                {finding.model for finding in findings if finding.decision == decision}
            )
        )
    ]
    automatic = sorted({finding.model for finding in findings if finding.potential})
    if automatic:
        parts.append(
            f"Keep what repeats at the start of the prompt for {', '.join(automatic)}: these "
            "models are cached by the provider itself"
        )
    return "; ".join(parts) + "." if parts else "Leave caching as it is."


def _notes(findings: Sequence[CacheFinding]) -> list[str]:
    """What would be lost by doing otherwise, in words."""
    notes = []
    for finding in findings:
        if not finding.traced or finding.automatic:
            continue
        for words, cost in (("5 minutes", finding.cost_5m), ("1 hour", finding.cost_1h)):
            if cost is not None and cost > finding.cost_now:
                notes.append(
                    f"Caching {finding.model} for {words} would lose money: "
                    f"${cost - finding.cost_now:,.2f} more in this period, because writes cost "
                    "more than reads save."
                )
    return notes

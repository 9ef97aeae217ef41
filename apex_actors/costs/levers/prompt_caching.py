"""Prompt caching: would reading repeated prefixes from the cache pay for writing all others?

The requests of each model are replayed with their real times and prefix blocks, for both times to
live, and each outcome is priced in full: a loss is found as readily as a saving. Sources of the
rules: the providers' documentation of their caches (`cache_rules`), the price catalogue.
"""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Literal, NamedTuple

from apex_actors.costs.levers.cache_rules import FIVE_MINUTES_S, ONE_HOUR_S, minimum_prefix
from apex_actors.costs.levers.line import Applied, Line, credit_by_day
from apex_actors.costs.levers.monthly import monthly_saving, per_month
from apex_actors.costs.levers.replay import NOT_CACHED, Prompt, replay
from apex_actors.costs.levers.results import (
    CacheFinding,
    Confidence,
    LeverResult,
    MonthlySaving,
    Verdict,
)
from apex_actors.costs.money import from_units, total
from apex_actors.costs.rates import TokenShape
from apex_actors.costs.records import Processing
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


class _Placed(NamedTuple):
    place: int
    line: Line


class PromptCachingLever:
    """Switches prompt caching on, to the other time to live, or off, for each model."""

    def apply(self, lines: Sequence[Line]) -> Applied:
        """See `Lever`."""
        traced: dict[tuple[str, str], list[_Placed]] = {}
        untraced: dict[tuple[str, str], list[_Placed]] = {}
        for index, line in enumerate(lines):
            # When a batch runs is not known, so neither is what it finds in a cache.
            if line.processing is Processing.BATCH:
                continue
            name = (line.request.provider, line.request.model)
            if line.request.blocks:
                traced.setdefault(name, []).append(_Placed(index, line))
            elif line.shape.cache_read_tokens or _writes(line):
                untraced.setdefault(name, []).append(_Placed(index, line))

        after = list(lines)
        findings = [
            *(_decide_traced(group, after) for group in traced.values()),
            *(
                # Reads without any write are an automatic cache's: nothing to decide.
                _decide_untraced(group, after)
                for group in untraced.values()
                if any(_writes(item.line) for item in group)
            ),
        ]
        findings.sort(key=lambda finding: (-finding.saving, finding.provider, finding.model))
        return Applied(after, _result(lines, after, findings))


def _decide_traced(group: list[_Placed], after: list[Line]) -> CacheFinding:
    first = group[0].line
    minimum = minimum_prefix(first.request.model)
    automatic = not first.card.charges_for_writes
    hourly = all(item.line.card.keeps_for_an_hour for item in group)
    prompts = [
        Prompt(
            item.line.request.occurred_at.timestamp(),
            item.line.shape.input_tokens,
            item.line.request.blocks or (),
        )
        for item in group
    ]
    reads_5m = replay(prompts, ttl_s=FIVE_MINUTES_S, minimum_tokens=minimum.tokens)
    lines_5m = [_with_reads(item.line, read) for item, read in zip(group, reads_5m, strict=True)]
    without = [_with_reads(item.line, NOT_CACHED) for item in group]
    options: dict[Literal["keep", "cache-5m", "cache-1h", "stop"], Sequence[Line]] = {
        "keep": [item.line for item in group],
        "stop": without,
        "cache-5m": lines_5m,
    }
    reads_1h: list[int] | None = None
    if hourly:
        reads_1h = replay(prompts, ttl_s=ONE_HOUR_S, minimum_tokens=minimum.tokens)
        options["cache-1h"] = [
            _with_reads(item.line, read, hour=True)
            for item, read in zip(group, reads_1h, strict=True)
        ]
    totals = {name: sum(line.units for line in option) for name, option in options.items()}
    now = totals["keep"]
    # The earlier option wins a tie: what is done today needs no work, and nothing is simplest.
    best = min(totals, key=lambda name: totals[name])
    potential = 0
    decision: Literal["keep", "cache-5m", "cache-1h", "stop", "automatic"] = best
    if automatic:
        # There is no switch: what the cache could hold more is shown and not promised.
        decision = "automatic"
        potential = max(0, now - totals["cache-5m"])
        best = "keep"
    for item, line in zip(group, options[best], strict=True):
        after[item.place] = line
    return CacheFinding(
        provider=first.request.provider,
        model=first.request.model,
        traced=True,
        requests=len(group),
        input_tokens=sum(prompt.input_tokens for prompt in prompts),
        minimum_tokens=minimum.tokens,
        minimum_is_assumed=minimum.assumed,
        automatic=automatic,
        read_share_now=_read_share(options["keep"]),
        read_share_5m=_read_share(lines_5m),
        read_share_1h=_read_share(options["cache-1h"]) if hourly else None,
        cost_now=from_units(now),
        cost_without=from_units(totals["stop"]),
        cost_5m=from_units(totals["cache-5m"]),
        cost_1h=from_units(totals["cache-1h"]) if hourly else None,
        decision=decision,
        saving=from_units(now - totals[best]),
        potential=from_units(potential),
    )


def _decide_untraced(group: list[_Placed], after: list[Line]) -> CacheFinding:
    """Without prefix blocks one question is left: do the reads pay for the writes?"""
    first = group[0].line
    minimum = minimum_prefix(first.request.model)
    without = [_with_reads(item.line, NOT_CACHED) for item in group]
    now = sum(item.line.units for item in group)
    plain = sum(line.units for line in without)
    stop = plain < now
    if stop:
        for item, line in zip(group, without, strict=True):
            after[item.place] = line
    return CacheFinding(
        provider=first.request.provider,
        model=first.request.model,
        traced=False,
        requests=len(group),
        input_tokens=sum(item.line.shape.input_tokens for item in group),
        minimum_tokens=minimum.tokens,
        minimum_is_assumed=minimum.assumed,
        automatic=not first.card.charges_for_writes,
        read_share_now=_read_share([item.line for item in group]),
        read_share_5m=None,
        read_share_1h=None,
        cost_now=from_units(now),
        cost_without=from_units(plain),
        cost_5m=None,
        cost_1h=None,
        decision="stop" if stop else "keep",
        saving=from_units(now - plain if stop else 0),
        potential=Decimal(0),
    )


def _with_reads(line: Line, read: int, *, hour: bool = False) -> Line:
    """The line if it had read that many tokens from the cache and written the rest to it."""
    old = line.shape
    if read == NOT_CACHED:
        read = written = 0
    else:
        # Where writes have no price of their own, the rest is plain input.
        written = old.input_tokens - read if line.card.charges_for_writes else 0
    shape = TokenShape(
        old.input_tokens,
        read,
        0 if hour else written,
        written if hour else 0,
        old.output_tokens,
        old.reasoning_tokens,
    )
    if shape == old:
        return line
    return line._replace(shape=shape, units=line.card.cost(shape))


def _writes(line: Line) -> bool:
    return bool(line.shape.cache_write_5m_tokens or line.shape.cache_write_1h_tokens)


def _read_share(lines: Sequence[Line]) -> Decimal:
    read = sum(line.shape.cache_read_tokens for line in lines)
    total = sum(line.shape.input_tokens for line in lines)
    return share(read, total)


def _result(
    lines: Sequence[Line], after: Sequence[Line], findings: list[CacheFinding]
) -> LeverResult:
    traced = sum(1 for line in lines if line.request.blocks)
    saved = credit_by_day(lines, after)
    saving = sum(saved.values())
    verdict = Verdict.SAVES if saving else Verdict.NO_SAVING
    if not findings:
        verdict = Verdict.ABSTAINS
    monthly = _monthly(lines, saved, findings) if findings else None
    used = [finding for finding in findings if finding.saving]
    sure = not any(finding.minimum_is_assumed for finding in used)
    return LeverResult(
        lever="prompt_caching",
        title="Prompt caching",
        verdict=verdict,
        precondition=(
            f"Prefix blocks or cache writes in the records: {traced:,} of {len(lines):,} priced "
            "requests have prefix blocks"
        ),
        saving=from_units(saving),
        standalone=from_units(saving),
        monthly=monthly,
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


def _monthly(
    lines: Sequence[Line], saved: dict[date, int], findings: list[CacheFinding]
) -> MonthlySaving | None:
    first_day, last_day = lines[0].day, lines[-1].day
    monthly = monthly_saving(saved, first_day=first_day, last_day=last_day)
    potential = total(finding.potential for finding in findings)
    if monthly is None or not (potential or monthly.high):
        return None
    if not potential:
        return monthly
    days = (last_day - first_day).days + 1
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


def _action(findings: list[CacheFinding]) -> str:
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


def _notes(findings: list[CacheFinding]) -> list[str]:
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

"""What the levers found, as tables of a report."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from apex_actors.costs.formatting import count, percent, tokens, usd
from apex_actors.costs.levers.results import (
    BatchFinding,
    CacheFinding,
    CapacityFinding,
    CapFinding,
    Finding,
    OffPeakFinding,
    RepeatFinding,
    RouteFinding,
    TrimFinding,
    WasteFinding,
)
from apex_actors.costs.markdown_parts import escape, or_dash, table
from apex_actors.costs.money import total
from apex_actors.costs.summary import share

MAX_ROWS = 20
"""Findings beyond these are the smallest; the plan as JSON holds them all."""


def finding_tables(findings: Sequence[Finding]) -> Iterable[str]:
    """One table for each kind of finding, and beside it what its figures come from."""
    for kind, shown in _TABLES.items():
        found = [each for each in findings if isinstance(each, kind)]
        if not found:
            continue
        yield shown(found[:MAX_ROWS])
        if len(found) > MAX_ROWS:
            rest = total(each.saving for each in found[MAX_ROWS:])
            yield f"And {count(len(found) - MAX_ROWS)} more, together {usd(rest)}."


_DECISIONS = {
    "keep": "leave it",
    "cache-5m": "cache for 5 minutes",
    "cache-1h": "cache for 1 hour",
    "stop": "stop caching",
    "automatic": "automatic, no switch",
}


def _cache_table(findings: Sequence[CacheFinding]) -> str:
    return table(
        (
            "model",
            "requests",
            "read now",
            "read with 5 min",
            "read with 1 h",
            "cost now",
            "not cached",
            "5 min",
            "1 h",
            "verdict",
        ),
        [
            (
                escape(each.model),
                count(each.requests),
                percent(each.read_share_now),
                or_dash(each.read_share_5m, percent),
                or_dash(each.read_share_1h, percent),
                usd(each.cost_now),
                usd(each.cost_without),
                or_dash(each.cost_5m, usd),
                or_dash(each.cost_1h, usd),
                _DECISIONS[each.decision],
            )
            for each in findings
        ],
        right=range(1, 9),
    )


def _batch_table(findings: Sequence[BatchFinding]) -> str:
    return table(
        ("model", "may wait", "with a known rate", "cost now", "as batch", "saving"),
        [
            (
                escape(each.model),
                count(each.requests),
                count(each.rated_requests),
                usd(each.cost_now),
                usd(each.cost_batch),
                usd(each.saving),
            )
            for each in findings
        ],
        right=range(1, 6),
    )


def _repeat_table(findings: Sequence[RepeatFinding]) -> str:
    return table(
        ("model", "feature", "repeats", "saving"),
        [
            (escape(each.model), _feature(each.feature), count(each.requests), usd(each.saving))
            for each in findings
        ],
        right=(2, 3),
    )


def _waste_table(findings: Sequence[WasteFinding]) -> str:
    return table(
        ("model", "feature", "failed", "their cost", "asked again", "paid twice"),
        [
            (
                escape(each.model),
                _feature(each.feature),
                count(each.failed),
                usd(each.failed_cost),
                count(each.asked_again),
                usd(each.asked_again_cost),
            )
            for each in findings
        ],
        right=range(2, 6),
    )


def _cap_table(findings: Sequence[CapFinding]) -> str:
    return table(
        ("model", "feature", "answers", "limit", "cut off", "of all", "tokens less", "saving"),
        [
            (
                escape(each.model),
                _feature(each.feature),
                count(each.requests),
                count(each.cap_tokens),
                count(each.cut_answers),
                percent(share(each.cut_answers, each.requests)),
                tokens(each.cut_tokens),
                usd(each.saving),
            )
            for each in findings
        ],
        right=range(2, 8),
    )


def _trim_table(findings: Sequence[TrimFinding]) -> str:
    return table(
        ("model", "feature", "shorter requests", "tokens less", "in a lower tier", "saving"),
        [
            (
                escape(each.model),
                _feature(each.feature),
                count(each.requests),
                tokens(each.trimmed_tokens),
                count(each.below_cliff),
                usd(each.saving),
            )
            for each in findings
        ],
        right=range(2, 6),
    )


def _route_table(findings: Sequence[RouteFinding]) -> str:
    return table(
        (
            "model",
            "in its place",
            "requests",
            "cost now",
            "then",
            "saving",
            "compared at",
            "score now",
            "then",
            "cost of a task now",
            "then",
            "of a success now",
            "then",
        ),
        [
            (
                escape(each.model),
                escape(each.target_model),
                count(each.requests),
                usd(each.cost_now),
                usd(each.cost_then),
                usd(each.saving),
                escape(compared.task),
                f"{compared.score_now:f} %",
                f"{compared.score_then:f} %",
                or_dash(compared.usd_per_task_now, usd),
                or_dash(compared.usd_per_task_then, usd),
                or_dash(compared.usd_per_success_now, usd),
                or_dash(compared.usd_per_success_then, usd),
            )
            for each in findings
            for compared in each.comparisons
        ],
        right=(2, 3, 4, 5, *range(7, 13)),
    )


def _off_peak_table(findings: Sequence[OffPeakFinding]) -> str:
    return table(
        ("model", "requests", "cost now", "at cheaper hours", "saving"),
        [
            (
                escape(each.model),
                count(each.requests),
                usd(each.cost_now),
                usd(each.cost_off_peak),
                usd(each.saving),
            )
            for each in findings
        ],
        right=range(1, 5),
    )


def _capacity_table(findings: Sequence[CapacityFinding]) -> str:
    return table(
        (
            "offer",
            "model",
            "hours",
            "with load",
            "price",
            "on demand",
            "of it taken over",
            "used",
            "break-even at",
            "saving",
        ),
        [
            (
                escape(each.name),
                escape(each.model),
                count(each.hours),
                count(each.loaded_hours),
                usd(each.price),
                usd(each.cost_on_demand),
                usd(each.cost_taken),
                percent(each.utilisation),
                or_dash(each.break_even_utilisation, percent),
                usd(each.saving),
            )
            for each in findings
        ],
        right=range(2, 10),
    )


def _feature(name: str | None) -> str:
    return "(not said)" if name is None else escape(name)


_TABLES: Mapping[type[Finding], Callable[[Sequence[Any]], str]] = {
    RepeatFinding: _repeat_table,
    WasteFinding: _waste_table,
    CapFinding: _cap_table,
    TrimFinding: _trim_table,
    RouteFinding: _route_table,
    CacheFinding: _cache_table,
    BatchFinding: _batch_table,
    OffPeakFinding: _off_peak_table,
    CapacityFinding: _capacity_table,
}

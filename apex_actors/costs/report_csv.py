"""The report as one CSV table (RFC 4180), safe to open in a spreadsheet."""

import csv
import io
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, Final

from apex_actors.costs.money import plain
from apex_actors.costs.report import CostReport
from apex_actors.costs.summary import Sums

COLUMNS: Final = (
    "section",
    "name",
    "cost_usd",
    "saving_usd",
    "saving_per_month_usd",
    "requests",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "tokens",
    "errors",
    "note",
)
"""Of every row; a cell is empty where its section does not speak of it. Money is exact."""

FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - the wide forms count too
"""A spreadsheet takes a cell that begins so for a formula, and runs it (OWASP, CSV injection)."""


def render_csv(report: CostReport) -> str:
    """The totals, each breakdown, each day, each action and what has no price, a row each."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, restval="", lineterminator="\r\n")
    writer.writeheader()
    for row in _rows(report):
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return buffer.getvalue()


def harmless(text: str) -> str:
    """The text as a cell that no spreadsheet takes for a formula: with an apostrophe before it."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _cell(value: str | int | Decimal | None) -> str:
    # Numbers are ours and stay numbers, also below 0; every text may come from a user.
    match value:
        case None:
            return ""
        case Decimal():
            return plain(value)
        case int():
            return str(value)
        case _:
            return harmless(value)


def _rows(report: CostReport) -> Iterator[dict[str, Any]]:
    yield {
        "section": "total",
        "name": str(report.time_range),
        "saving_usd": None if report.plan is None else report.plan.saving,
        "saving_per_month_usd": None if report.plan is None else report.plan.expected_per_month,
        **_sums(report.totals),
        "note": report.notice,
    }
    yield from _breakdowns(report)
    for point in report.daily:
        yield {
            "section": "day",
            "name": point.day.isoformat(),
            "cost_usd": point.cost,
            "requests": point.requests,
            "tokens": point.tokens,
            "errors": point.errors,
        }
    for lever in report.ranked_levers:
        yield {
            "section": "action",
            "name": lever.title,
            "saving_usd": lever.saving,
            "saving_per_month_usd": None if lever.monthly is None else lever.monthly.expected,
            "note": lever.action,
        }
    for group in report.unpriced:
        yield {
            "section": "without a price",
            "name": group.model,
            "requests": group.requests,
            "tokens": group.tokens,
            "note": group.reason,
        }
    yield from _notes("assumption", report.assumptions)
    yield from _notes("gap", report.data_gaps)


def _breakdowns(report: CostReport) -> Iterator[dict[str, Any]]:
    for breakdown in report.breakdowns:
        section = f"by {breakdown.dimension}"
        for row in breakdown.rows:
            yield {
                "section": section,
                "name": "(not said)" if row.name is None else row.name,
                **_sums(row),
            }
        if breakdown.other is not None:
            yield {
                "section": section,
                "name": f"({breakdown.other_count} others)",
                **_sums(breakdown.other),
            }


def _notes(section: str, notes: Iterable[str]) -> Iterator[dict[str, Any]]:
    for note in notes:
        yield {"section": section, "note": note}


def _sums(sums: Sums) -> dict[str, Any]:
    return {
        # What has no price costs an unknown amount, and not nothing.
        "cost_usd": sums.cost if sums.priced_requests else None,
        "requests": sums.requests,
        "input_tokens": sums.input_tokens,
        "cache_read_tokens": sums.cache_read_tokens,
        "cache_write_tokens": sums.cache_write_tokens,
        "output_tokens": sums.output_tokens,
        "reasoning_tokens": sums.reasoning_tokens,
        "tokens": sums.tokens,
        "errors": sums.errors,
    }

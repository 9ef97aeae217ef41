"""The report as Markdown: the answer first, then the figures, the actions and what is missing."""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from apex_actors.costs.finding_tables import finding_tables
from apex_actors.costs.formatting import count, percent, plural, tokens, usd
from apex_actors.costs.levers.results import LeverResult, Verdict
from apex_actors.costs.markdown_parts import ABSENT, bullets, escape, or_dash, table
from apex_actors.costs.report import CostReport
from apex_actors.costs.summary import Breakdown, Dimension, share

_PLURALS = {
    Dimension.MODEL: "models",
    Dimension.PROVIDER: "providers",
    Dimension.PROCESSING: "service classes",
    Dimension.FEATURE: "features",
    Dimension.TEAM: "teams",
    Dimension.USER: "users",
    Dimension.ENVIRONMENT: "environments",
    Dimension.STATUS: "states",
}


def render_markdown(report: CostReport) -> str:
    """The whole report. Names from the user's data are escaped."""
    parts: list[str] = [f"# {report.title}"]
    parts.append(_answer(report))
    if report.notice is not None:
        parts.append(f"> {report.notice}")
    if report.totals.requests:
        parts.extend(_savings(report))
        parts.extend(_figures(report))
        parts.extend(_section("What was assumed", report.assumptions))
    parts.extend(_section("What is missing", report.data_gaps))
    parts.extend(_unpriced(report))
    return "\n\n".join(parts) + "\n"


def _answer(report: CostReport) -> str:
    totals = report.totals
    if not totals.requests:
        return (
            f"There is no usage from {report.time_range}. Import usage records, or ask about "
            "another time."
        )
    sentences = [
        f"From {report.time_range} you spent **{usd(totals.cost)}** on "
        f"{plural(totals.requests, 'request')} with {tokens(totals.tokens)} tokens"
        + (
            f", about {usd(report.cost_per_month)} a month."
            if report.cost_per_month is not None
            else "."
        )
    ]
    sentences.extend(_largest(report))
    if report.coverage.token_share < 1:
        sentences.append(
            f"{percent(report.coverage.token_share)} of the tokens could be priced; the rest is "
            "listed at the end."
        )
    sentences.append(_saving_sentence(report))
    return " ".join(sentences)


def _largest(report: CostReport) -> Iterable[str]:
    for breakdown in report.breakdowns:
        if breakdown.dimension not in (Dimension.MODEL, Dimension.FEATURE):
            continue
        named = [row for row in breakdown.rows if row.name is not None and row.cost]
        if not named:
            continue
        top = named[0]
        yield (
            f"The most expensive {breakdown.dimension} is {escape(top.name or '')} with "
            f"{usd(top.cost)} ({percent(share(top.cost, report.totals.cost))})."
        )


def _saving_sentence(report: CostReport) -> str:
    levers = report.ranked_levers
    if report.plan is None:
        return "Savings could not be worked out this time."
    if not levers:
        return "None of the ways to save that could be tried on these data would save anything."
    best = levers[0]
    if report.plan.expected_per_month is None:
        return (
            f"The actions below would have saved **{usd(report.plan.saving)}** "
            f"({percent(share(report.plan.saving, report.plan.baseline))}) in this period, most of "
            f"it by {best.title.lower()}."
        )
    return (
        f"The actions below would save about **{usd(report.plan.expected_per_month)} a month**, "
        f"most of it by {best.title.lower()}."
    )


def _savings(report: CostReport) -> Iterable[str]:
    if report.plan is None:
        return
    yield "## What to do"
    levers = report.ranked_levers
    if levers:
        yield table(
            (
                "rank",
                "action",
                "saving a month",
                "of its days' cost",
                "low to high",
                "in this period",
                "confidence",
            ),
            [_action_row(rank, lever) for rank, lever in enumerate(levers, 1)],
            right=(2, 3, 4, 5),
        )
    for lever in (*levers, *(each for each in report.plan.levers if each not in levers)):
        yield f"### {lever.title}"
        yield _lever_text(lever)
        yield from finding_tables(lever.findings)
        if lever.notes:
            yield bullets(escape(note) for note in lever.notes)
        if lever.verdict is not Verdict.ABSTAINS:
            yield f"To check it later:\n\n```sql\n{lever.verification}\n```"


def _action_row(rank: int, lever: LeverResult) -> tuple[str, ...]:
    monthly = lever.monthly
    return (
        str(rank),
        escape(lever.action),
        usd(monthly.expected) if monthly else ABSENT,
        or_dash(monthly.share_of_cost, percent) if monthly else ABSENT,
        f"{usd(monthly.low)} to {usd(monthly.high)}" if monthly else ABSENT,
        usd(lever.saving),
        lever.confidence.value,
    )


def _lever_text(lever: LeverResult) -> str:
    sentences = [f"{lever.precondition}."]
    match lever.verdict:
        case Verdict.ABSTAINS:
            sentences.append(f"No figure is given. {lever.data_needed or ''}".strip())
        case Verdict.NO_SAVING:
            sentences.append("Nothing would be saved.")
        case Verdict.SAVES:
            sentences.append(
                f"In this period it would have saved {usd(lever.saving)}; used alone, without the "
                f"other actions, {usd(lever.standalone)}."
            )
            sentences.append(f"Confidence {lever.confidence}: {lever.confidence_basis}.")
    if lever.monthly is not None:
        sentences.append(f"A month's figures: {lever.monthly.basis}.")
    return " ".join(sentences)


def _figures(report: CostReport) -> Iterable[str]:
    yield "## Where the money goes"
    for breakdown in report.breakdowns:
        yield f"### By {breakdown.dimension}"
        yield _breakdown_table(report, breakdown)
    yield "### Week by week"
    yield _weeks(report)
    totals = report.totals
    facts = [
        f"{percent(totals.read_share)} of the input tokens were read from a cache.",
        f"{plural(totals.errors, 'request')} failed and cost {usd(totals.error_cost)}.",
    ]
    if totals.reported_requests:
        difference = totals.reported_computed_cost - totals.reported_cost
        facts.append(
            f"For {plural(totals.reported_requests, 'request')} the providers reported "
            f"{usd(totals.reported_cost)}; the catalogue gives {usd(totals.reported_computed_cost)} "
            f"(difference {usd(difference)})."
        )
    yield bullets(facts)


def _breakdown_table(report: CostReport, breakdown: Breakdown) -> str:
    named = [
        (escape(row.name) if row.name is not None else "(not said)", row) for row in breakdown.rows
    ]
    rows = [
        *named,
        *(
            [
                (
                    f"{count(breakdown.other_count)} other {_PLURALS[breakdown.dimension]}",
                    breakdown.other,
                )
            ]
            if breakdown.other is not None
            else []
        ),
    ]
    return table(
        (breakdown.dimension.value, "cost", "share", "requests", "tokens", "per 1,000 requests"),
        [
            (
                name,
                usd(sums.cost) if sums.priced_requests else "no price",
                percent(share(sums.cost, report.totals.cost)),
                count(sums.requests),
                tokens(sums.tokens),
                usd(sums.cost * 1000 / sums.priced_requests) if sums.priced_requests else ABSENT,
            )
            for name, sums in rows
        ],
        right=range(1, 6),
    )


def _weeks(report: CostReport) -> str:
    weeks: dict[str, tuple[Decimal, int, int]] = {}
    for point in report.daily:
        monday = point.day.fromordinal(point.day.toordinal() - point.day.weekday())
        cost, requests, days = weeks.get(str(monday), (Decimal(0), 0, 0))
        weeks[str(monday)] = (cost + point.cost, requests + point.requests, days + 1)
    return table(
        ("week of", "days", "cost", "requests"),
        [
            (monday, str(days), usd(cost), count(requests))
            for monday, (cost, requests, days) in weeks.items()
        ],
        right=(1, 2, 3),
    )


def _unpriced(report: CostReport) -> Iterable[str]:
    if not report.unpriced:
        return
    yield "### Without a price"
    yield table(
        ("provider", "model", "processing", "requests", "tokens", "why"),
        [
            (
                escape(group.provider),
                escape(group.model),
                group.processing,
                count(group.requests),
                tokens(group.tokens),
                escape(group.reason),
            )
            for group in report.unpriced
        ],
        right=(3, 4),
    )


def _section(title: str, items: Sequence[str]) -> Iterable[str]:
    if items:
        yield f"## {title}"
        yield bullets(items)

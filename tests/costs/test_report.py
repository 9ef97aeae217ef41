"""The report as a value, as Markdown and as HTML."""

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import pytest

from apex_actors.costs.html import render_fragment, render_html
from apex_actors.costs.levers import build_plan
from apex_actors.costs.markdown import render_markdown
from apex_actors.costs.report import CostReport, build_report
from apex_actors.costs.sample import SAMPLE_NOTICE
from apex_actors.costs.summary import (
    Breakdown,
    BreakdownRow,
    DayPoint,
    Dimension,
    Sums,
    Totals,
    UnpricedGroup,
    UsageSummary,
)
from apex_actors.costs.timerange import TimeRange

RANGE = TimeRange.days(date(2026, 11, 2), date(2026, 11, 11))
NASTY = "<script>alert(1)</script>|*b* [x](javascript:alert(1)) `c` &lt;"

Make = Callable[..., CostReport]


def sums(**given: Any) -> dict[str, Any]:
    return {
        "requests": 10, "priced_requests": 9, "input_tokens": 9000, "cache_read_tokens": 900,
        "cache_write_tokens": 0, "output_tokens": 1000, "reasoning_tokens": 0,
        "priced_tokens": 8000, "cost": Decimal("12.5"), "errors": 1, "error_cost": Decimal("0.25"),
        **given,
    }  # fmt: skip


def totals(**given: Any) -> Totals:
    rest = {
        "latency_requests": 0, "latency_ms_sum": 0, "reported_requests": 0,
        "reported_cost": Decimal(0), "reported_computed_cost": Decimal(0),
    }  # fmt: skip
    return Totals(**{**sums(), **rest, **given})


@pytest.fixture
def make(catalogue, make_request) -> Make:
    def make_report(
        *, name: str = "claude-sonnet-4-5", days: int = 10, plan: bool = True, sample: bool = False,
        of: Totals | None = None,
    ) -> CostReport:  # fmt: skip
        start = datetime(2026, 11, 2, 9, tzinfo=UTC)
        requests = [
            make_request(at=start.replace(day=2 + day), deferrable=True) for day in range(days)
        ]
        daily = tuple(
            DayPoint(
                day=date(2026, 11, 2 + day),
                requests=int(day < days),
                tokens=10,
                cost=Decimal("1.25"),
                errors=0,
            )
            for day in range(10)
        )
        row = BreakdownRow(name=name, **sums(cost=Decimal("10.00000000000000000001")))
        summary = UsageSummary(
            as_of=start,
            data_version=3,
            totals=of or totals(),
            breakdowns=(
                Breakdown(dimension=Dimension.MODEL, rows=(row,), other=Sums(**sums()), other_count=4),
                Breakdown(
                    dimension=Dimension.TEAM,
                    rows=(BreakdownRow(name=None, **sums()),),
                    other=None,
                    other_count=0,
                ),
            ),
            daily=daily,
            unpriced=(
                UnpricedGroup(
                    provider="in-house", model=name, processing="standard",
                    reason="model not in the price catalogue", requests=1, tokens=2000,
                ),
            ),
        )  # fmt: skip
        built = build_plan(requests, catalogue=catalogue, time_range=RANGE) if plan else None
        return build_report(
            summary=summary, time_range=RANGE, plan=built, price_version="prices 1", sample=sample
        )

    return make_report


def first_paragraph(report: CostReport) -> str:
    return next(
        part for part in render_markdown(report).split("\n\n") if not part.startswith(("#", ">"))
    )


def test_money_stands_in_json_as_exact_decimal_text(make):
    report = make()

    data = json.loads(report.model_dump_json())

    assert data["breakdowns"][0]["rows"][0]["cost"] == "10.00000000000000000001"
    assert data["coverage"] == {"request_share": "0.9000", "token_share": "0.8000"}
    assert CostReport.model_validate_json(report.model_dump_json()) == report
    assert CostReport.model_validate(data) == report


def test_no_number_of_the_report_is_a_binary_float(make):
    def floats(value: Any) -> list[float]:
        if isinstance(value, dict):
            return [each for item in value.values() for each in floats(item)]
        if isinstance(value, list | tuple):
            return [each for item in value for each in floats(item)]
        return [value] if isinstance(value, float) else []

    assert floats(make().model_dump()) == []
    assert floats(json.loads(make().model_dump_json())) == []


def test_the_first_paragraph_answers_with_the_figures(make):
    answer = first_paragraph(make())

    # 12.50 dollars in 10 days are 37.50 in 30; half of each deferrable request is saved:
    # 0.00225 dollars a day.
    assert "you spent **$12.50** on 10 requests with 10,000 tokens, about $37.50 a month." in answer
    assert "The most expensive model is claude-sonnet-4-5 with $10.00 (80 %)." in answer
    assert "80 % of the tokens could be priced" in answer
    assert "would save about **$0.07 a month**, most of it by batch processing." in answer


def test_a_few_days_give_no_monthly_figure_and_say_so(make):
    report = make(days=3)

    assert report.cost_per_month is None
    assert "a month" not in first_paragraph(report)
    assert "would have saved **$0.0068**" in first_paragraph(report)
    assert "The data cover 3 days: too few for monthly figures (7 are needed)." in report.data_gaps


def test_without_a_plan_the_figures_stand_and_the_gap_is_named(make):
    report = make(plan=False)

    assert "Savings could not be worked out this time." in first_paragraph(report)
    assert any("Savings could not be worked out" in gap for gap in report.data_gaps)
    assert "## Where the money goes" in render_markdown(report)


def test_without_usage_there_is_one_sentence_and_no_table(make):
    nothing = dict.fromkeys(Totals.model_fields, 0)
    text = render_markdown(make(of=Totals(**nothing), plan=False))

    assert "There is no usage from 2026-11-02 to 2026-11-11 (UTC)." in text
    assert "## Where" not in text


def test_sample_data_are_marked_in_value_and_text(make):
    sample, own = make(sample=True), make()

    assert (sample.sample, sample.notice) == (True, SAMPLE_NOTICE)
    assert render_markdown(sample).split("\n\n")[2] == f"> {SAMPLE_NOTICE}"
    assert own.notice is None
    assert "sample" not in render_markdown(own).lower()


def test_what_has_no_price_is_listed_with_its_tokens(make):
    text = render_markdown(make())

    assert "1 request with 2,000 tokens have no price" in text
    assert (
        "| in-house | claude-sonnet-4-5 | standard | 1 | 2,000 | model not in the price catalogue |"
        in text
    )


def test_reported_costs_are_compared_with_computed_ones(make):
    report = make(
        of=totals(
            reported_requests=4, reported_cost=Decimal(5), reported_computed_cost=Decimal("4.5")
        )
    )

    assert (
        "For 4 requests the providers reported $5.00; the catalogue gives $4.50 "
        "(difference -$0.50)." in render_markdown(report)
    )


def test_the_others_are_one_row_and_what_is_not_said_has_a_name(make):
    text = render_markdown(make())

    assert "| 4 other models |" in text
    assert "| (not said) |" in text


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links.extend(value for name, value in attrs if name in ("href", "src"))


def test_names_of_the_user_are_shown_and_never_obeyed(make):
    markdown = render_markdown(make(name=NASTY))
    page = _Tags()
    page.feed(render_html(markdown))

    assert page.links == []
    assert not {"script", "img", "em"} & set(page.tags)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;|*b*" in render_html(markdown)
    # No row of a table was broken by the bar in the name.
    rows = re.findall(r"<tr>.*?</tr>", render_fragment(markdown), re.DOTALL)
    assert {row.count("<td") + row.count("<th") for row in rows} <= {4, 6, 7}


def test_html_in_markdown_is_text():
    assert "<img" not in render_fragment("<img src=x onerror=alert(1)>")
    assert "<a" not in render_fragment("[a](javascript:alert(1))")


def test_the_html_document_stands_alone_in_light_and_dark(make):
    document = render_html(render_markdown(make()))

    assert document.startswith("<!doctype html>")
    assert '<article class="report">' in document
    assert "<title>AI costs, 2026-11-02 to 2026-11-11 (UTC)</title>" in document
    assert "prefers-color-scheme: dark" in document
    assert not re.search(r"https?://|@import|url\(", document)


def test_a_title_cannot_leave_its_place():
    assert "<title>&lt;/title&gt;&lt;script&gt;" in render_html("# </title><script>")

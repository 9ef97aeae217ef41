"""What the cost pipeline answers with."""

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from apex_actors.agents import CostPipeline
from apex_actors.agents.cost_tools import dump
from apex_actors.costs.report import build_report
from apex_actors.costs.summary import Totals, UsageSummary
from apex_actors.costs.timerange import TimeRange
from apex_actors.protocol.payloads import AgentName

RUN_ID = UUID("0191e5a0-0000-7000-8000-000000000001")


NOTHING = Totals(
    requests=0, priced_requests=0, input_tokens=0, cache_read_tokens=0, cache_write_tokens=0,
    output_tokens=0, reasoning_tokens=0, priced_tokens=0, cost=Decimal(0), errors=0,
    error_cost=Decimal(0), latency_requests=0, latency_ms_sum=0, reported_requests=0,
    reported_cost=Decimal(0), reported_computed_cost=Decimal(0),
)  # fmt: skip


@pytest.fixture
def written():
    """What a report agent has stored: a report without figures, and so without pictures."""
    report = build_report(
        summary=UsageSummary(
            as_of=datetime(2026, 11, 22, tzinfo=UTC),
            data_version=1,
            totals=NOTHING,
            breakdowns=(),
            daily=(),
            unpriced=(),
        ),
        time_range=TimeRange.days(date(2026, 11, 2), date(2026, 11, 11)),
        plan=None,
        price_version="prices 1",
        sample=False,
    )
    return {AgentName.REPORT: {"content": "# Costs", "report": dump(report)}}


@pytest.fixture
def pipeline():
    # What the agents work with is not asked for here.
    return CostPipeline(
        usage=None,
        savings=None,
        catalogue=None,
        cache=None,
        work=None,
        sign_link=lambda path: f"{path}?signed",
    )


def test_an_answer_has_a_signed_link_to_each_of_its_forms(pipeline, written):
    answer = pipeline.answer(RUN_ID, written)
    assert [(artifact.name, artifact.kind, artifact.url) for artifact in answer.artifacts] == [
        ("report.html", "html", f"/api/runs/{RUN_ID}/report.html?signed"),
        ("report.md", "markdown", f"/api/runs/{RUN_ID}/report.md?signed"),
        ("report.csv", "csv", f"/api/runs/{RUN_ID}/report.csv?signed"),
        ("report.json", "json", f"/api/runs/{RUN_ID}/report.json?signed"),
    ]


def test_without_figures_there_is_no_answer_and_no_link(pipeline):
    assert pipeline.answer(RUN_ID, {}) is None

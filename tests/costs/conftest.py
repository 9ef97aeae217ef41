"""What tests of the cost domain share."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from apex_actors.costs.levers import LeverRequest, build_plan
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.costs.rates import TokenShape
from apex_actors.costs.records import Processing, UsageRecord
from apex_actors.costs.report import CostReport, build_report
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

RATED = datetime(2026, 11, 2, 9, tzinfo=UTC)
"""A moment when batch rates are known; a Monday."""


@pytest.fixture(scope="session")
def catalogue() -> PriceCatalogue:
    return PriceCatalogue()


@pytest.fixture(scope="session")
def make_record() -> Callable[..., UsageRecord]:
    def make(**fields: Any) -> UsageRecord:
        return UsageRecord(
            **{
                "record_id": "r1",
                "tenant": "acme",
                "occurred_at": RATED,
                "provider": "anthropic",
                "model": "claude-sonnet-4-5",
                "input_tokens": 1000,
                "output_tokens": 100,
                **fields,
            }
        )

    return make


@pytest.fixture(scope="session")
def make_request() -> Callable[..., LeverRequest]:
    def make(
        *,
        at: datetime = RATED,
        provider: str = "anthropic",
        model: str = "claude-sonnet-4-5",
        processing: Processing = Processing.STANDARD,
        deferrable: bool | None = None,
        blocks: tuple[int, ...] | None = None,
        **fields: Any,
    ) -> LeverRequest:
        """Tokens by their names, and any other field of a request by its own."""
        tokens = {name: fields.pop(name) for name in TokenShape._fields if name in fields}
        shape = TokenShape(**{"input_tokens": 1000, "output_tokens": 100, **tokens})
        return LeverRequest(at, provider, model, processing, shape, deferrable, blocks, **fields)

    return make


@pytest.fixture(scope="session")
def cost_report(
    catalogue: PriceCatalogue, make_request: Callable[..., LeverRequest]
) -> Callable[..., CostReport]:
    """A report with one model, ten days and savings by batch, or what is asked for instead."""

    def make(
        *,
        name: str = "claude-sonnet-4-5",
        rows: int = 1,
        others: int = 0,
        plan: bool = True,
        day_cost: Decimal = Decimal("1.25"),
        **figures: Any,
    ) -> CostReport:
        time_range = TimeRange.days(date(2026, 11, 2), date(2026, 11, 11))
        sums = {
            "requests": 10, "priced_requests": 9, "input_tokens": 9000, "cache_read_tokens": 900,
            "cache_write_tokens": 0, "output_tokens": 1000, "reasoning_tokens": 0,
            "priced_tokens": 8000, "cost": Decimal("12.5"), "errors": 1,
            "error_cost": Decimal("0.25"), **figures,
        }  # fmt: skip
        summary = UsageSummary(
            as_of=RATED,
            data_version=3,
            totals=Totals(
                **sums,
                latency_requests=0,
                latency_ms_sum=0,
                reported_requests=0,
                reported_cost=Decimal(0),
                reported_computed_cost=Decimal(0),
            ),
            breakdowns=(
                Breakdown(
                    dimension=Dimension.MODEL,
                    rows=tuple(BreakdownRow(name=name, **sums) for _ in range(rows)),
                    other=Sums(**sums) if others else None,
                    other_count=others,
                ),
            ),
            daily=tuple(
                DayPoint(
                    day=date(2026, 11, 2 + day), requests=1, tokens=10, cost=day_cost, errors=0
                )
                for day in range(10)
            ),
            unpriced=(
                UnpricedGroup(
                    provider="local", model="orion-7b", processing="standard",
                    reason="not in the catalogue", requests=1, tokens=10,
                ),
            ),
        )  # fmt: skip
        requests = [
            make_request(at=RATED.replace(day=2 + day), deferrable=True) for day in range(10)
        ]
        return build_report(
            summary=summary,
            time_range=time_range,
            plan=build_plan(requests, catalogue=catalogue, time_range=time_range) if plan else None,
            price_version=catalogue.version,
            sample=False,
        )

    return make

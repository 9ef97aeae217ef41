"""What tests of the cost domain share."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from apex_actors.costs.levers import LeverRequest
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.costs.rates import TokenShape
from apex_actors.costs.records import Processing, UsageRecord

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
        **tokens: int,
    ) -> LeverRequest:
        shape = TokenShape(**{"input_tokens": 1000, "output_tokens": 100, **tokens})
        return LeverRequest(at, provider, model, processing, shape, deferrable, blocks)

    return make

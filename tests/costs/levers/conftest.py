"""What tests of the levers share."""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import pytest

from apex_actors.costs.levers import LeverRequest, LeverResult, LeverSettings, build_plan
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.costs.timerange import TimeRange


@pytest.fixture(scope="session")
def run_lever(catalogue: PriceCatalogue) -> Callable[..., LeverResult]:
    """One lever's answer about requests, with models left as they are unless settings say else."""

    def run(lever: str, requests: Iterable[LeverRequest], **settings: Any) -> LeverResult:
        ordered = sorted(requests, key=lambda request: request.occurred_at)
        plan = build_plan(
            ordered,
            catalogue=catalogue,
            time_range=TimeRange.covering(ordered[0].occurred_at, ordered[-1].occurred_at),
            settings=LeverSettings(**{"quality_floor": None, **settings}),
        )
        return next(each for each in plan.levers if each.lever == lever)

    return run


@pytest.fixture(scope="session")
def usd() -> Callable[..., Decimal]:
    """Dollars of (tokens, dollars a million)."""

    def add(*tokens_and_prices: tuple[int, str]) -> Decimal:
        return (
            sum((count * Decimal(price) for count, price in tokens_and_prices), Decimal(0))
            / 1_000_000
        )

    return add

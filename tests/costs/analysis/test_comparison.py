"""Period against period, figure by figure."""

from decimal import Decimal

from apex_actors.costs.analysis import compare
from apex_actors.costs.summary import Sums


def sums(**figures):
    return Sums(
        **{
            "requests": 0, "priced_requests": 0, "input_tokens": 0, "cache_read_tokens": 0,
            "cache_write_tokens": 0, "output_tokens": 0, "reasoning_tokens": 0,
            "priced_tokens": 0, "cost": Decimal(0), "errors": 0, "error_cost": Decimal(0),
            **figures,
        }
    )  # fmt: skip


def test_differences_by_hand():
    found = compare(
        sums(requests=200, cost=Decimal("12.50"), errors=3),
        sums(requests=250, cost=Decimal("10.00")),
    )

    changes = {each.figure: each for each in found.changes}
    assert (changes["requests"].difference, changes["requests"].relative) == (50, Decimal("0.25"))
    assert not changes["requests"].is_money
    # -2.50 / 12.50 = -0.2.
    cost = changes["cost"]
    assert (cost.difference, cost.relative) == (Decimal("-2.5"), Decimal("-0.2"))
    assert cost.is_money
    assert changes["errors"].relative == -1
    assert changes["output_tokens"].relative is None

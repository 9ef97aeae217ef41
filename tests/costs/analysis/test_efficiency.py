"""What the money bought, by hand."""

from decimal import Decimal

from apex_actors.costs.analysis import CachePrices, RecordSums, break_even, efficiency
from apex_actors.costs.summary import Sums


def sums(**figures):
    return Sums(
        **{
            "requests": 100, "priced_requests": 100, "input_tokens": 80_000,
            "cache_read_tokens": 20_000, "cache_write_tokens": 5_000, "output_tokens": 4_000,
            "reasoning_tokens": 0, "priced_tokens": 84_000, "cost": Decimal(2), "errors": 5,
            "error_cost": Decimal("0.1"), **figures,
        }
    )  # fmt: skip


def test_costs_per_unit_by_hand():
    records = RecordSums(
        sessions=8, session_cost=Decimal("1.6"), truncated=3, truncated_cost=Decimal("0.5")
    )
    found = efficiency(sums(), records=records)

    assert found.cost_per_request == Decimal("0.02")  # 2 / 100
    assert found.cost_per_session == Decimal("0.2")  # 1.6 / 8
    assert found.cost_per_1000_output_tokens == Decimal("0.5")  # 2 / 4
    assert (found.errors, found.error_cost_share) == (5, Decimal("0.05"))
    assert (found.truncated, found.truncated_cost_share) == (3, Decimal("0.25"))
    assert found.cache.hit_share == Decimal("0.25")  # 20,000 / 80,000
    assert found.cache.read_share_of_cached == Decimal("0.8")  # 20,000 / 25,000
    assert (found.cache.ceiling, found.cache.break_even) == (None, None)


def test_what_has_no_price_does_not_dilute_what_has_one():
    found = efficiency(sums(priced_requests=50))
    assert found.cost_per_request == Decimal("0.04")
    assert found.cost_per_1000_output_tokens is None
    assert found.cost_per_session is None
    assert found.truncated_cost is None


def test_nothing_is_divided_by_nothing():
    nothing = sums(**{name: 0 for name, field in Sums.model_fields.items() if field})
    found = efficiency(
        nothing,
        records=RecordSums(
            sessions=0, session_cost=Decimal(0), truncated=0, truncated_cost=Decimal(0)
        ),
    )
    assert (found.cost_per_request, found.cost_per_session) == (None, None)
    assert found.cost_per_1000_output_tokens is None
    assert found.error_cost_share == 0
    assert found.cache.read_share_of_cached is None


def test_the_break_even_by_hand():
    # Input 1, read 0.1, write 1.25: h * 0.1 + (1 - h) * 1.25 = 1, h = 0.25 / 1.15 = 0.2174.
    prices = CachePrices(input=Decimal(1), read=Decimal("0.1"), write=Decimal("1.25"))
    found = efficiency(sums(), prices=prices, cache_ceiling=Decimal("0.6"))
    assert found.cache.break_even == Decimal("0.2174")
    assert found.cache.ceiling == Decimal("0.6")


def test_writes_as_cheap_as_input_always_pay_and_dear_reads_never():
    cheap = CachePrices(input=Decimal(1), read=Decimal("0.5"), write=Decimal(1))
    assert break_even(cheap) == 0
    assert break_even(CachePrices(input=Decimal(1), read=Decimal(1), write=Decimal(2))) is None

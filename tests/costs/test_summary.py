"""Shares of sums."""

from decimal import Decimal

from apex_actors.costs.summary import share


def test_a_share_has_four_places_and_of_nothing_is_nothing():
    assert share(1, 3) == Decimal("0.3333")
    assert share(Decimal("0.5"), Decimal(2)) == Decimal("0.25")
    assert share(0, 0) == 0

"""Figures as people read them."""

from decimal import Decimal

import pytest

from apex_actors.costs.formatting import count, percent, plural, tokens, usd


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("1234.5", "$1,234.50"), ("0.005", "$0.0050"), ("0.45", "$0.45"), ("0.00123", "$0.0012"),
        ("0.0000004567", "$0.00000046"), ("0", "$0.00"), ("-3.2", "-$3.20"), ("2.675", "$2.68"),
        ("-0.000019", "-$0.000019"),
    ],
)  # fmt: skip
def test_dollars(amount, text):
    assert usd(Decimal(amount)) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        ("0", "0 %"), ("0.37", "37 %"), ("0.0531", "5.3 %"), ("0.0005", "under 0.1 %"),
        ("1", "100 %"), ("0.999", "over 99 %"), ("0.1", "10 %"), ("0.03", "3 %"), ("0.6", "60 %"),
    ],
)  # fmt: skip
def test_shares(share, text):
    assert percent(Decimal(share)) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(950, "950"), (12_031, "12,031"), (1_250_000, "1.3 million"), (3_400_000_000, "3.4 billion")],
)
def test_tokens(number, text):
    assert tokens(number) == text


def test_counts_and_plurals():
    assert count(12_031) == "12,031"
    assert plural(1, "request") == "1 request"
    assert plural(0, "request") == "0 requests"

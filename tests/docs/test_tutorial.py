"""The tutorial's file and figures: what a reader pastes gives what the page says."""

import io
import re
from decimal import Decimal

import pytest

from apex_actors.costs.importers import FileFormat, open_usage_file
from apex_actors.costs.money import from_units, total
from apex_actors.costs.prices import PriceCatalogue, Unpriced
from apex_actors.costs.records import UsageRecord


@pytest.fixture
def tutorial(page_named):
    return page_named("docs/tutorials/first-report.md")


@pytest.fixture
def records(tutorial):
    [file] = tutorial.blocks("csv")
    opened = open_usage_file(io.BytesIO(file.encode()), tenant="acme")
    assert opened.detection.format is FileFormat.NATIVE_CSV
    return list(opened.rows)


def test_the_file_to_paste_is_read_whole(records):
    assert [type(record) for record in records] == [UsageRecord] * 4


def test_its_cost_is_the_one_on_the_page(tutorial, records):
    prices = [PriceCatalogue().price(record) for record in records]
    cost = total(from_units(price) for price in prices if not isinstance(price, Unpriced))
    assert cost.quantize(Decimal("0.01")) == Decimal(
        re.search(r"computed cost of the new ones \$([0-9.]+)", tutorial.text).group(1)
    )


def test_the_figure_checked_by_hand_is_right(tutorial, records):
    [opus] = [record for record in records if record.model == "claude-opus-4-5"]
    by_hand = re.search(
        r"([0-9,]+) \S \$(\d+) / 1,000,000 \+ ([0-9,]+) \S \$(\d+) / 1,000,000", tutorial.text
    )
    tokens_in, price_in, tokens_out, price_out = (
        int(number.replace(",", "")) for number in by_hand.groups()
    )
    assert (tokens_in, tokens_out) == (opus.input_tokens, opus.output_tokens)
    million = 10**6
    cost = Decimal(tokens_in * price_in + tokens_out * price_out) / million
    assert from_units(PriceCatalogue().price(opus)) == cost

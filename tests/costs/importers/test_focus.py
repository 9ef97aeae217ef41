"""FOCUS cost and usage data."""

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from apex_actors.costs.importers import RejectedRow
from apex_actors.costs.records import Grain

SAMPLE = Path(__file__).with_name("focus_ai_prompt_caching.csv").read_bytes()

CHARGE = {
    "BilledCost": "3.0", "EffectiveCost": "3.0", "ListCost": "4.0", "ContractedCost": "3.5",
    "BillingCurrency": "USD", "BillingAccountId": "a-1", "SubAccountName": "research",
    "ChargeCategory": "Usage", "ChargeClass": "", "ChargeDescription": "Input tokens",
    "ChargePeriodStart": "2025-01-01T00:00:00Z", "ChargePeriodEnd": "2025-01-02T00:00:00Z",
    "ConsumedQuantity": "1000000", "ConsumedUnit": "Tokens", "ProviderName": "Anthropic",
    "ServiceCategory": "AI and Machine Learning", "ServiceName": "API", "SkuId": "sku-1",
    "SkuMeter": "Input Tokens", "SkuPriceDetails": '{"ModelId": "claude-sonnet-4-5"}',
}  # fmt: skip


def bill(*changes):
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(CHARGE))
    writer.writeheader()
    for change in changes:
        writer.writerow({**CHARGE, **change})
    return text.getvalue().encode()


def tokens(row):
    return (
        row.input_tokens, row.cache_read_tokens, row.cache_write_5m_tokens,
        row.cache_write_1h_tokens, row.output_tokens,
    )  # fmt: skip


def test_the_drafts_example_has_a_record_for_each_kind_of_token(read):
    rows = read(SAMPLE, expect="focus")

    assert [tokens(row) for row in rows] == [
        (500_000, 0, 0, 0, 0),
        (2_000_000, 0, 2_000_000, 0, 0),
        (8_000_000, 8_000_000, 0, 0, 0),
        (0, 0, 0, 0, 1_500_000),
    ]
    # 1.5 + 7.5 + 2.4 + 22.5
    assert sum(row.reported_cost for row in rows) == Decimal("33.90")
    assert {(row.provider, row.model) for row in rows} == {("solora ai", "solora-reasoning-pro")}
    assert {row.occurred_at for row in rows} == {datetime(2025, 1, 1, tzinfo=UTC)}
    assert {(row.grain, row.request_count, row.currency) for row in rows} == {
        (Grain.BUCKET, 0, "USD")
    }


def test_the_billed_cost_is_the_reported_one_and_the_other_three_are_kept(read):
    (record,) = read(bill({}), expect="focus")

    assert record.reported_cost == Decimal("3.0")
    assert record.tags == {
        "list_cost": "4.0", "contracted_cost": "3.5", "charge_category": "Usage",
        "meter": "Input Tokens",
    }  # fmt: skip
    assert (record.provider, record.team) == ("anthropic", "research")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"SkuMeter": "Output Tokens"}, (0, 0, 0, 0, 1_000_000)),
        ({"SkuMeter": "Cache Read Input Tokens"}, (1_000_000, 1_000_000, 0, 0, 0)),
        ({"SkuMeter": "Cache Write Tokens 1h"}, (1_000_000, 0, 0, 1_000_000, 0)),
        ({"ConsumedUnit": "1000 Tokens", "ConsumedQuantity": "2.5"}, (2500, 0, 0, 0, 0)),
        ({"ConsumedUnit": "1K tokens", "ConsumedQuantity": "2"}, (2000, 0, 0, 0, 0)),
        ({"ConsumedUnit": "Million Tokens", "ConsumedQuantity": "0.25"}, (250_000, 0, 0, 0, 0)),
        ({"ConsumedUnit": "Token-Hours"}, (0, 0, 0, 0, 0)),
        ({"ConsumedUnit": "Images"}, (0, 0, 0, 0, 0)),
        ({"ChargeCategory": "Credit", "BilledCost": "-5"}, (0, 0, 0, 0, 0)),
        ({"ChargeCategory": "Tax"}, (0, 0, 0, 0, 0)),
        ({"ChargeClass": "Correction", "ConsumedQuantity": "-7"}, (0, 0, 0, 0, 0)),
    ],
)  # fmt: skip
def test_tokens_are_read_from_version_1_2_by_meter_and_unit(read, change, expected):
    (record,) = read(bill(change))

    assert tokens(record) == expected


def test_the_details_go_before_the_meters_name(read):
    details = {"ModelId": "m", "TokenDirection": "Output"}

    (record,) = read(bill({"SkuPriceDetails": json.dumps(details)}))

    assert (record.output_tokens, record.model) == (1_000_000, "m")


def test_what_a_bill_has_besides_ai_is_left_out(read):
    rows = read(bill({"ServiceCategory": "Compute"}, {}, {"ServiceCategory": "Storage"}))

    assert len(rows) == 1


def test_a_row_billed_again_has_the_same_id_and_rows_that_are_alike_all_count(read):
    first = read(bill({}, {}, {"SkuId": "sku-2"}))
    again = read(bill({"BilledCost": "9"}, {}, {"SkuId": "sku-2", "ConsumedQuantity": "5"}))

    assert len({row.record_id for row in first}) == 3
    assert [row.record_id for row in first] == [row.record_id for row in again]


def test_other_currencies_are_kept_as_they_are(read):
    (record,) = read(bill({"BillingCurrency": "eur"}))

    assert record.currency == "EUR"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"BilledCost": ""}, "BilledCost: is required"),
        ({"BilledCost": "secret"}, "BilledCost: must be a number"),
        ({"ConsumedQuantity": "0.5"}, "ConsumedQuantity: must be a whole number of tokens"),
        ({"SkuPriceDetails": "secret"}, "SkuPriceDetails: must be JSON"),
        ({"SkuPriceDetails": "[1]"}, "SkuPriceDetails: must be a JSON object"),
        ({"ChargePeriodStart": "secret"}, "ChargePeriodStart: must be a date and time"),
    ],
)
def test_a_bad_row_is_refused_and_the_others_go_on(read, change, reason):
    rows = read(bill({}, change, {"SkuId": "sku-2"}))

    assert rows[1] == RejectedRow(3, reason)
    assert rows[2].input_tokens == 1_000_000

"""Anthropic's usage and cost reports."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from apex_actors.costs.importers.builder import NO_MODEL
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.costs.records import Grain, Processing


def bucket(*results, day=1):
    # The reference shows the start after the results.
    return {
        "ending_at": f"2025-08-{day + 1:02}T00:00:00Z", "results": list(results),
        "starting_at": f"2025-08-{day:02}T00:00:00Z",
    }  # fmt: skip


def page(*buckets):
    return {"data": list(buckets), "has_more": False, "next_page": None}


def usage(**changes):
    return {
        "uncached_input_tokens": 1500,
        "cache_creation": {"ephemeral_1h_input_tokens": 1000, "ephemeral_5m_input_tokens": 500},
        "cache_read_input_tokens": 200, "output_tokens": 500,
        "server_tool_use": {"web_search_requests": 10}, "api_key_id": "apikey_1",
        "workspace_id": "wrkspc_1", "model": "claude-sonnet-4-20250514",
        "service_tier": "standard", "context_window": "0-200k", **changes,
    }  # fmt: skip


def cost(amount, **changes):
    return {
        "currency": "USD", "amount": amount, "workspace_id": "wrkspc_1",
        "description": "Claude Sonnet 4 Usage - Input Tokens", "cost_type": "tokens",
        "context_window": "0-200k", "model": "claude-sonnet-4-20250514",
        "service_tier": "standard", "token_type": "uncached_input_tokens", **changes,
    }  # fmt: skip


def test_input_is_told_without_the_cache_and_recorded_with_it(read):
    (record,) = read(page(bucket(usage())), expect="anthropic-usage")

    # 1500 uncached + 200 read + 500 and 1000 written
    assert record.input_tokens == 3200
    assert record.cache_read_tokens == 200
    assert (record.cache_write_5m_tokens, record.cache_write_1h_tokens) == (500, 1000)
    assert record.output_tokens == 500
    assert record.occurred_at == datetime(2025, 8, 1, tzinfo=UTC)
    assert (record.grain, record.request_count) == (Grain.BUCKET, 0)
    assert (record.provider, record.model) == ("anthropic", "claude-sonnet-4-20250514")
    assert record.team == "wrkspc_1"
    assert record.tags == {"api_key_id": "apikey_1", "context_window": "0-200k"}


def test_the_catalogue_prices_each_life_of_the_cache(read):
    (record,) = read(page(bucket(usage())))

    # Dollars a million: input 3, read 0.30, write 3.75 for 5 minutes and 6 for an hour, output 15:
    # 1500·3 + 200·0.3 + 500·3.75 + 1000·6 + 500·15 = 4500 + 60 + 1875 + 6000 + 7500 = 19935 millionths
    from apex_actors.costs.money import from_units  # noqa: PLC0415

    assert from_units(PriceCatalogue().price(record)) == Decimal("0.019935")


def test_batch_is_a_service_class(read):
    (record,) = read(page(bucket(usage(service_tier="batch"))))

    assert record.processing is Processing.BATCH


def test_a_bucket_pulled_again_has_the_same_ids_and_each_group_its_own(read):
    first = read(page(bucket(usage())))
    again = read(page(bucket(usage(uncached_input_tokens=9))))
    others = read(
        page(
            bucket(usage(context_window="200k-1M"), usage(workspace_id=None)),
            bucket(usage(inference_geo="us"), usage(some_group_of_later="x")),
            bucket(usage(), day=2),
        )
    )

    assert first[0].record_id == again[0].record_id
    assert len({row.record_id for row in (*first, *others)}) == 6


def test_where_requests_are_counted_they_are_taken(read):
    (record,) = read(page(bucket(usage(requests=12))))

    assert record.request_count == 12


def test_costs_are_decimal_texts_in_cents(read):
    rows = read(
        page(bucket(cost("123.78912"), cost("0.01", token_type="output_tokens"))),
        expect="anthropic-costs",
    )

    # 123.78912 cents are 1.2378912 dollars
    assert [row.reported_cost for row in rows] == [Decimal("1.2378912"), Decimal("0.0001")]
    assert rows[0].currency == "USD"
    assert (rows[0].input_tokens, rows[0].request_count) == (0, 0)
    assert rows[0].tags["token_type"] == "uncached_input_tokens"
    assert len({row.record_id for row in rows}) == 2


def test_costs_without_groups_have_no_model(read):
    bare = {"currency": "USD", "amount": "5", "workspace_id": None, "model": None}

    (record,) = read(page(bucket(bare)))

    assert record.model == NO_MODEL
    assert record.reported_cost == Decimal("0.05")


@pytest.mark.parametrize("amount", ["secret", "NaN", "Infinity", "1e999999999", None, [], True])
def test_an_amount_that_is_none_is_refused_and_the_others_go_on(read, amount):
    rows = read(page(bucket(cost("1"), cost(amount), cost("2", model="claude-haiku-4-5"))))

    assert len(rows) == 3
    assert rows[1].reason in {"amount: must be a number", "amount: is required"}
    assert rows[2].reported_cost == Decimal("0.02")


def test_an_empty_report_is_recognised(read):
    assert read(page(bucket()), expect="anthropic-usage") == []

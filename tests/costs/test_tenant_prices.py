"""Negotiated prices go before the catalogue's, and everything else stays the catalogue's."""

import pickle
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from apex_actors.costs.money import from_units
from apex_actors.costs.price_override import check_override
from apex_actors.costs.prices import NO_RATE, TIERED_BUCKET, UNKNOWN_MODEL, UNKNOWN_PROVIDER
from apex_actors.costs.records import Grain, Processing
from apex_actors.costs.tenant_prices import TenantPrices

SONNET = {"provider": "anthropic", "model": "claude-sonnet-4-5"}


@pytest.fixture
def pay(catalogue):
    """The catalogue with these rules."""

    def pay(*rules):
        return TenantPrices(catalogue, check_override({"prices": list(rules)}))

    return pay


def test_named_prices_by_hand(pay, make_record):
    prices = pay(
        {**SONNET, "input": "2", "output": "10", "cache_read": "0.2", "cache_write_5m": "2.5",
         "cache_write_1h": "4"}
    )  # fmt: skip
    record = make_record(
        input_tokens=5000,
        cache_read_tokens=1000,
        cache_write_5m_tokens=500,
        cache_write_1h_tokens=700,
        output_tokens=300,
    )

    # 2,800 plain, 1,000 read, 500 written, 700 written for an hour, 300 out.
    expected = (
        2800 * Decimal(2) + 1000 * Decimal("0.2") + 500 * Decimal("2.5") + 700 * Decimal(4)
        + 300 * Decimal(10)
    ) / 1_000_000  # fmt: skip
    assert from_units(prices.price(record)) == expected == Decimal("0.01285")


def test_a_kind_of_token_that_is_left_out_costs_what_contains_it(pay, make_record):
    prices = pay({**SONNET, "input": "2", "output": "10"})
    record = make_record(input_tokens=1000, cache_read_tokens=400, output_tokens=0)

    assert from_units(prices.price(record)) == 1000 * Decimal(2) / 1_000_000


def test_a_discount_takes_its_percents_off_every_price_and_tier(catalogue, pay, make_record):
    prices = pay({**SONNET, "discount_percent": "12.5"})

    for tokens in (1000, 200_001):
        for processing in (Processing.STANDARD, Processing.BATCH):
            record = make_record(input_tokens=tokens, cache_read_tokens=300, processing=processing)
            assert prices.price(record) * 8 == catalogue.price(record) * 7


def test_what_no_rule_names_costs_what_the_catalogue_says(catalogue, pay, make_record):
    prices = pay({**SONNET, "input": "2", "output": "10"})

    for fields in (
        {"model": "claude-opus-4-5"},
        {"provider": "openai", "model": "gpt-5"},
        {"provider": "nobody"},
        {"processing": Processing.BATCH},
        {"processing": Processing.FLEX},
    ):
        record = make_record(**fields)
        assert prices.price(record) == catalogue.price(record)
    assert prices.price(make_record(processing=Processing.FLEX)) == NO_RATE[Processing.FLEX]


def test_a_discount_on_what_has_no_price_is_no_price(pay, make_record):
    prices = pay(
        {"provider": "anthropic", "model": "*", "discount_percent": 10},
        {"provider": "nobody", "model": "*", "discount_percent": 10},
    )

    assert prices.price(make_record(model="orion-7b")) == UNKNOWN_MODEL
    assert prices.price(make_record(provider="nobody")) == UNKNOWN_PROVIDER


def test_a_model_that_the_catalogue_does_not_know_can_be_given_a_price(pay, make_record):
    prices = pay({"provider": "in-house", "model": "orion-*", "input": "1", "output": "1"})
    record = make_record(provider="in-house", model="orion-7b", input_tokens=10, output_tokens=5)

    assert from_units(prices.price(record)) == Decimal(15) / 1_000_000


@pytest.mark.parametrize(
    ("name", "dollars"),
    [("claude-sonnet-4-5", 1), ("claude-sonnet-9", 2), ("claude-other", 3)],
)
def test_the_most_exact_name_goes_first(pay, make_record, name, dollars):
    prices = pay(
        {"provider": "anthropic", "model": "claude-*", "input": "3", "output": "0"},
        {"provider": "anthropic", "model": "claude-sonnet-*", "input": "2", "output": "0"},
        {**SONNET, "input": "1", "output": "0"},
    )

    price = prices.price(make_record(model=name, input_tokens=1_000_000))

    assert from_units(price) == dollars


def test_a_rule_finds_a_model_by_the_catalogues_name_for_it_too(catalogue, pay, make_record):
    provider, model, _ = catalogue.listed("anthropic", "claude-sonnet-4-5-20250929")
    prices = pay({"provider": provider, "model": model, "input": "1", "output": "0"})
    record = make_record(model="claude-sonnet-4-5-20250929", input_tokens=1_000_000)

    assert from_units(prices.price(record)) == 1


def test_a_rule_holds_from_its_first_day_until_the_day_after_its_last_in_utc(pay, make_record):
    prices = pay(
        {**SONNET, "input": "1", "output": "0", "valid_from": "2026-11-02",
         "valid_until": "2026-11-04"},
        {**SONNET, "input": "2", "output": "0", "valid_from": "2026-11-04"},
    )  # fmt: skip

    def dollars(*moment: int) -> Decimal:
        at = datetime(2026, 11, *moment, tzinfo=UTC)
        record = make_record(occurred_at=at, input_tokens=200_000, output_tokens=0)
        return from_units(prices.price(record)) * 5

    assert dollars(1, 23, 59) == 3  # the catalogue's
    assert dollars(2, 0) == dollars(3, 23, 59) == 1
    assert dollars(4, 0) == 2


def test_named_prices_have_no_tiers_and_so_price_a_bucket(pay, make_record):
    bucket = make_record(
        grain=Grain.BUCKET, request_count=50, input_tokens=1_000_000, output_tokens=0
    )

    assert from_units(pay({**SONNET, "input": "2", "output": "1"}).price(bucket)) == 2
    assert pay({**SONNET, "discount_percent": 10}).price(bucket) == TIERED_BUCKET
    by_night = bucket.model_copy(update={"provider": "deepseek", "model": "deepseek-chat"})
    named = {"provider": "deepseek", "model": "deepseek-chat", "input": "2", "output": "1"}
    assert from_units(pay(named).price(by_night)) == 2


def test_the_version_changes_with_the_rules_and_only_with_them(catalogue, pay):
    one = pay({**SONNET, "discount_percent": "10"})

    assert one.version == pay({**SONNET, "discount_percent": "10"}).version
    assert one.version != pay({**SONNET, "discount_percent": "11"}).version
    assert one.version.startswith(catalogue.version + " with own prices ")


def test_it_goes_to_another_process_and_prices_the_same_there(pay, make_record):
    prices = pay({**SONNET, "discount_percent": "10"})

    there = pickle.loads(pickle.dumps(prices))  # noqa: S301 - our own

    assert there.version == prices.version
    assert there.price(make_record()) == prices.price(make_record())


def test_near_names_are_offered_for_a_name_that_is_unknown(catalogue):
    assert "anthropic/claude-sonnet-4-5" in catalogue.near("anthropic", "claude-sonet-4-5")
    assert all(name.startswith("openai/") for name in catalogue.near("openai", "gpt5"))
    assert catalogue.near(None, "zzzzzzzzzzzz") == ()

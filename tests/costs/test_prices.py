"""Catalogue prices: equal to the library's own, and silent where it only seems to have one."""

import time
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from genai_prices import calc_price
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_actors.costs.money import from_units
from apex_actors.costs.prices import (
    MAX_KEPT_MODELS,
    NO_OUTPUT_PRICE,
    NO_RATE,
    NO_TOKEN_PRICE,
    TIERED_BUCKET,
    TIMED_BUCKET,
    UNKNOWN_MODEL,
    UNKNOWN_PROVIDER,
    PriceCatalogue,
    Unpriced,
    library_context,
    library_usage,
)
from apex_actors.costs.rates import RateCard, TokenShape
from apex_actors.costs.records import Grain, Processing

NOVEMBER = datetime(2026, 11, 2, tzinfo=UTC)
PROVIDERS = {provider.id: provider for provider in get_snapshot().providers}
MODELS = [
    (name, model.id)
    for name, provider in PROVIDERS.items()
    for model in provider.models
    # A few entries are not found under their own id.
    if provider.find_model(model.id) is not None
]


def entry(provider: str, model: str) -> ModelInfo:
    """What the library finds under that name."""
    found = PROVIDERS[provider].find_model(model, all_providers=get_snapshot().providers)
    assert found is not None
    return found


TIERED_OR_DATED = [
    name
    for name in MODELS
    if entry(*name).price_variants
    or isinstance(entry(*name).prices, list)
    or "tiers" in repr(entry(*name).prices)
]


@st.composite
def shapes(draw: st.DrawFn) -> TokenShape:
    kinds = st.one_of(st.just(0), st.integers(0, 1000), st.integers(0, 300_000))
    plain, read, write_5m, write_1h, output, reasoning = (draw(kinds) for _ in range(6))
    return TokenShape(
        plain + read + write_5m + write_1h, read, write_5m, write_1h, output + reasoning, reasoning
    )


@given(
    named=st.one_of(st.sampled_from(MODELS), st.sampled_from(TIERED_OR_DATED)),
    at=st.datetimes(datetime(2025, 1, 1), datetime(2027, 6, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis wants naive bounds
    processing=st.sampled_from(Processing),
    shape=shapes(),
)
@settings(max_examples=800, deadline=None)
def test_a_price_equals_the_librarys_to_the_last_digit(catalogue, named, at, processing, shape):
    provider, model = named
    found = entry(provider, model)

    card = catalogue.card(provider, model, at, processing)

    context = library_context(processing)
    if isinstance(card, RateCard) and card.missing_price(shape) is None:
        theirs = calc_price(
            library_usage(shape),
            model,
            provider_id=provider,
            genai_request_timestamp=at,
            price_context=context,
        )
        assert from_units(card.cost(shape)) == theirs.total_price
    elif card == NO_RATE.get(processing):
        # The library would have answered with the standard price of tokens.
        special, standard = found.get_prices(at, context), found.get_prices(at)
        for key in ("input_mtok", "output_mtok"):
            assert getattr(special, key) == getattr(standard, key)
    else:
        price = found.get_prices(at, context)
        assert price.input_mtok is None or price.output_mtok is None


def test_sonnet_by_hand(catalogue, make_record):
    # 3 dollars in, 15 out, 0.30 read, 3.75 written, 6 written for an hour; a million tokens each.
    record = make_record(
        input_tokens=5000,
        cache_read_tokens=1000,
        cache_write_5m_tokens=500,
        cache_write_1h_tokens=700,
        output_tokens=300,
    )

    expected = (
        2800 * Decimal(3) + 1000 * Decimal("0.3") + 500 * Decimal("3.75") + 700 * Decimal(6)
        + 300 * Decimal(15)
    ) / 1_000_000  # fmt: skip
    assert from_units(catalogue.price(record)) == expected == Decimal("0.019275")


def test_the_cliff_of_a_tier_applies_to_the_whole_request(catalogue, make_record):
    below = make_record(input_tokens=200_000, output_tokens=0)
    above = make_record(input_tokens=200_001, output_tokens=0)

    assert from_units(catalogue.price(below)) == Decimal("0.6")
    assert from_units(catalogue.price(above)) == 200_001 * Decimal(6) / 1_000_000


def test_a_batch_rate_is_known_from_its_first_day_on_and_not_before(catalogue):
    first = datetime(2026, 10, 14, tzinfo=UTC)

    def batch(at):
        return catalogue.card("anthropic", "claude-sonnet-4-5", at, Processing.BATCH)

    assert batch(first - timedelta(seconds=1)) == NO_RATE[Processing.BATCH]
    assert isinstance(batch(first), RateCard)
    # The day is that of UTC, wherever the request was made.
    in_auckland = first.astimezone(timezone(timedelta(hours=13))) - timedelta(seconds=1)
    assert batch(in_auckland) == NO_RATE[Processing.BATCH]


@pytest.mark.parametrize(
    ("provider", "model", "processing"),
    [
        ("anthropic", "claude-sonnet-4-5", Processing.FLEX),
        ("openai", "gpt-4o-audio-preview", Processing.BATCH),
        # Azure borrows OpenAI's entry: its standard prices, not its service classes.
        ("azure", "gpt-5", Processing.BATCH),
    ],
)
def test_an_unknown_rate_is_no_standard_price(catalogue, make_record, provider, model, processing):
    record = make_record(provider=provider, model=model, processing=processing)

    assert catalogue.price(record) == NO_RATE[processing]


def test_known_service_classes_have_their_price(catalogue, make_record):
    priced = {
        processing: from_units(
            catalogue.price(make_record(provider="openai", model="gpt-5", processing=processing))
        )
        for processing in Processing
    }

    assert priced[Processing.BATCH] == priced[Processing.STANDARD] / 2
    assert priced[Processing.FLEX] < priced[Processing.STANDARD] < priced[Processing.PRIORITY]


@pytest.mark.parametrize(
    ("provider", "model", "reason"),
    [
        ("in-house", "orion-7b", UNKNOWN_PROVIDER),
        ("anthropic", "orion-7b", UNKNOWN_MODEL),
        ("openai", "whisper-1", NO_TOKEN_PRICE),
        ("openai", "text-embedding-3-small", NO_OUTPUT_PRICE),
    ],
)
def test_what_has_no_price_says_why_and_is_never_zero(
    catalogue, make_record, provider, model, reason
):
    assert catalogue.price(make_record(provider=provider, model=model)) == reason


def test_a_price_by_time_of_day_changes_within_the_day(catalogue, make_record):
    def price(hour: int, minute: int) -> int | Unpriced:
        at = datetime(2026, 11, 2, hour, minute, tzinfo=UTC)
        return catalogue.price(
            make_record(provider="deepseek", model="deepseek-chat", occurred_at=at)
        )

    # 0.27 dollars in and 1.1 out by day, half of it by night.
    assert from_units(price(0, 30)) == (1000 * Decimal("0.27") + 100 * Decimal("1.1")) / 1_000_000
    assert price(0, 29) * 2 == price(16, 30) * 2 == price(0, 30) == price(16, 29)


def test_a_bucket_is_priced_only_where_single_requests_cannot_matter(catalogue, make_record):
    def bucket(**fields):
        return catalogue.price(
            make_record(grain=Grain.BUCKET, request_count=50, output_tokens=0, **fields)
        )

    assert from_units(bucket(input_tokens=200_000)) == Decimal("0.6")
    assert bucket(input_tokens=200_001) == TIERED_BUCKET
    assert bucket(provider="deepseek", model="deepseek-chat") == TIMED_BUCKET


def test_a_fee_for_each_request_is_counted_for_each_of_a_bucket(catalogue, make_record):
    provider, model = next(
        name for name in MODELS if "requests_kcount" in repr(entry(*name).prices)
    )
    one = make_record(provider=provider, model=model, input_tokens=0, output_tokens=0)
    fifty = one.model_copy(update={"grain": Grain.BUCKET, "request_count": 50})

    assert catalogue.price(fifty) == 50 * catalogue.price(one) > 0


def test_invented_names_do_not_fill_the_memory():
    catalogue = PriceCatalogue()

    for number in range(MAX_KEPT_MODELS + 10):
        catalogue.card(f"nobody-{number}", "nothing", NOVEMBER, Processing.STANDARD)

    assert len(catalogue._resolved.models) <= MAX_KEPT_MODELS


def test_the_version_names_the_library():
    assert PriceCatalogue().version.startswith("genai-prices ")


def test_pricing_is_much_faster_than_the_library(catalogue):
    shape = TokenShape(5000, 1000, 500, 700, 300)
    usage = library_usage(shape)

    def seconds(work, times: int) -> float:
        work()
        best = float("inf")
        for _ in range(5):
            begin = time.process_time()
            for _ in range(times):
                work()
            best = min(best, (time.process_time() - begin) / times)
        return best

    def ours() -> None:
        catalogue.card("anthropic", "claude-sonnet-4-5", NOVEMBER, Processing.STANDARD).cost(shape)

    def theirs() -> None:
        calc_price(
            usage,
            "claude-sonnet-4-5",
            provider_id="anthropic",
            genai_request_timestamp=NOVEMBER,
        )

    # About 60 to 90 times as fast; the bound leaves room for a busy machine.
    assert seconds(theirs, 100) > 20 * seconds(ours, 2000)

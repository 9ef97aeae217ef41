"""Batch processing, worked out by hand."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from genai_prices.data_snapshot import DataSnapshot
from genai_prices.types import ClauseEquals, ModelInfo, ModelPrice, PriceVariant, Provider

from apex_actors.costs.levers import Confidence, Verdict, build_plan
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.costs.records import Processing
from apex_actors.costs.timerange import TimeRange

BEFORE_RATES = datetime(2026, 10, 13, 9, tzinfo=UTC)


@pytest.fixture
def apply(catalogue):
    def run(requests):
        ordered = sorted(requests, key=lambda request: request.occurred_at)
        first, last = ordered[0].occurred_at, ordered[-1].occurred_at
        plan = build_plan(ordered, catalogue=catalogue, time_range=TimeRange.covering(first, last))
        return next(lever for lever in plan.levers if lever.lever == "batch")

    return run


def test_half_the_price_by_hand(apply, make_request):
    result = apply([make_request(deferrable=True)] * 4 + [make_request(deferrable=False)])

    (found,) = result.findings
    # 1,000 in at 3 dollars a million and 100 out at 15; as batch 1.50 and 7.50.
    assert found.cost_now == 4 * (1000 * Decimal(3) + 100 * Decimal(15)) / 1_000_000
    assert found.cost_batch == 4 * (1000 * Decimal("1.5") + 100 * Decimal("7.5")) / 1_000_000
    assert result.saving == found.cost_now - found.cost_batch == Decimal("0.009")
    assert result.verdict is Verdict.SAVES
    assert result.confidence is Confidence.HIGH


def test_cached_tokens_without_a_batch_price_keep_theirs(apply, catalogue, make_request):
    request = make_request(
        provider="google", model="gemini-2.5-flash", deferrable=True, cache_read_tokens=400
    )
    card = catalogue.card("google", "gemini-2.5-flash", request.occurred_at, Processing.BATCH)

    result = apply([request])

    # Reads stay at 0.03 dollars a million; in 0.30 and out 2.50 are halved.
    assert card.tiers[0].cache_read == 3 * 10**16
    assert result.saving == (600 * Decimal("0.15") + 100 * Decimal("1.25")) / 1_000_000


def test_before_the_first_known_rate_nothing_is_claimed(apply, make_request):
    result = apply([make_request(at=BEFORE_RATES, deferrable=True)])

    assert result.verdict is Verdict.ABSTAINS
    assert result.saving == 0
    assert "no batch rate" in result.data_needed
    assert result.notes[0].startswith("For 1 deferrable requests no batch rate is known")


def test_a_month_is_counted_from_the_first_day_with_a_rate(apply, make_request):
    requests = [
        make_request(at=BEFORE_RATES + timedelta(days=day), deferrable=True) for day in range(8)
    ]

    result = apply(requests)

    # 7 days with 0.00225 dollars each.
    assert result.findings[0].rated_requests == 7
    assert result.monthly.expected == Decimal("0.0675")
    assert result.monthly.first_day == BEFORE_RATES.date() + timedelta(days=1)
    assert "The first day with one is 2026-10-14." in result.notes[0]


@pytest.mark.parametrize(
    "fields",
    [
        {"deferrable": True, "processing": Processing.BATCH},
        {
            "deferrable": True,
            "processing": Processing.PRIORITY,
            "provider": "openai",
            "model": "gpt-5",
        },
    ],
)
def test_what_is_not_standard_is_left_alone(apply, make_request, fields):
    result = apply([make_request(**fields)])

    assert result.saving == 0
    assert result.verdict is Verdict.NO_SAVING


@pytest.mark.parametrize("deferrable", [False, None])
def test_without_deferrable_requests_it_abstains(apply, make_request, deferrable):
    result = apply([make_request(deferrable=deferrable)])

    assert result.verdict is Verdict.ABSTAINS
    assert "set deferrable" in result.data_needed


def test_a_batch_that_costs_more_is_not_taken(make_request):
    snapshot = DataSnapshot(
        providers=[
            Provider(
                id="maker",
                name="Maker",
                api_pattern="maker",
                models=[
                    ModelInfo(
                        id="odd",
                        match=ClauseEquals(equals="odd"),
                        prices=ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(9)),
                        # Cheaper to read, dearer to write.
                        price_variants=[
                            PriceVariant(
                                when={"processing": "batch"},
                                prices=ModelPrice(
                                    input_mtok=Decimal("0.5"), output_mtok=Decimal(20)
                                ),
                            )
                        ],
                    )
                ],
            )
        ],
        from_auto_update=False,
    )
    reading = make_request(provider="maker", model="odd", output_tokens=0, deferrable=True)
    writing = make_request(provider="maker", model="odd", output_tokens=500, deferrable=True)

    plan = build_plan(
        [reading, writing],
        catalogue=PriceCatalogue(snapshot=snapshot),
        time_range=TimeRange.covering(reading.occurred_at, writing.occurred_at),
    )

    assert plan.saving == 1000 * Decimal("0.5") / 1_000_000
    batch = next(lever for lever in plan.levers if lever.lever == "batch")
    assert batch.findings[0].rated_requests == 2

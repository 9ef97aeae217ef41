"""Prompt caching, worked out by hand."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from apex_actors.costs.levers import Confidence, LeverSettings, Verdict, build_plan
from apex_actors.costs.records import Processing
from apex_actors.costs.sample.traces import read_trace
from apex_actors.costs.timerange import TimeRange


@pytest.fixture
def apply(catalogue):
    def run(requests):
        first, last = requests[0].occurred_at, requests[-1].occurred_at
        plan = build_plan(
            requests,
            catalogue=catalogue,
            time_range=TimeRange.covering(first, last),
            settings=LeverSettings(quality_floor=None),
        )
        return next(lever for lever in plan.levers if lever.lever == "prompt_caching")

    return run


def usd(tokens_and_prices: list[tuple[int, str]]) -> Decimal:
    return sum(count * Decimal(price) for count, price in tokens_and_prices) / 1_000_000


@pytest.mark.parametrize(
    ("provider", "model", "now", "five_minutes", "one_hour", "read_5m", "read_1h"),
    [
        ("anthropic", "claude-sonnet-4-5", "496.212189", "472.1638134", "640.1682192",
         "0.2637", "0.3474"),
        ("openai", "gpt-5", "222.21275875", "179.26312975", None, "0.2637", None),
        ("google", "gemini-2.5-pro", "222.21275875", "180.201801625", None, "0.2579", None),
    ],
)  # fmt: skip
def test_the_whole_trace_of_a_real_chat_service(
    apply, make_request, provider, model, now, five_minutes, one_hour, read_5m, read_1h
):
    begin = datetime(2026, 11, 2, 9, tzinfo=UTC)
    result = apply(
        [
            make_request(
                at=begin + timedelta(milliseconds=row.offset_ms),
                provider=provider,
                model=model,
                input_tokens=row.input_tokens,
                output_tokens=row.output_tokens,
                blocks=row.blocks,
            )
            for row in read_trace("mooncake")
        ]
    )

    (found,) = result.findings
    # As a replay of all requests at once, with the whole hour in memory, gave them.
    assert (found.requests, found.input_tokens) == (12_031, 144_793_823)
    assert found.cost_now == Decimal(now)
    assert found.cost_5m == Decimal(five_minutes)
    assert found.cost_1h == (None if one_hour is None else Decimal(one_hour))
    assert found.read_share_5m == Decimal(read_5m)
    assert found.read_share_1h == (None if read_1h is None else Decimal(read_1h))


@pytest.fixture
def repeated(make_request):
    """Requests with the same 10,240 tokens, a minute apart; Sonnet 4.5 unless said otherwise."""

    def make(count: int, *, minutes: int = 1, **fields):
        start = make_request().occurred_at
        return [
            make_request(
                at=start + timedelta(minutes=minutes * number),
                input_tokens=10_240,
                output_tokens=100,
                blocks=tuple(range(20)),
                **fields,
            )
            for number in range(count)
        ]

    return make


def test_five_repeated_prompts_by_hand(apply, repeated):
    result = apply(repeated(5))

    (found,) = result.findings
    # In: 3 dollars a million, read 0.30, written 3.75 for 5 minutes and 6 for an hour; out 15.
    assert found.cost_now == usd([(5 * 10_240, "3"), (500, "15")])
    assert found.cost_5m == usd([(10_240, "3.75"), (4 * 10_240, "0.3"), (500, "15")])
    assert found.cost_1h == usd([(10_240, "6"), (4 * 10_240, "0.3"), (500, "15")])
    assert found.decision == "cache-5m"
    assert found.read_share_5m == Decimal("0.8")
    assert result.verdict is Verdict.SAVES
    assert result.saving == result.standalone == found.cost_now - found.cost_5m
    assert result.monthly is None
    assert result.confidence is Confidence.MEDIUM


def test_gaps_between_the_two_lives_make_the_hour_better(apply, repeated):
    (found,) = apply(repeated(6, minutes=20)).findings

    assert found.read_share_5m == 0
    assert found.cost_5m > found.cost_now
    assert found.cost_1h == usd([(10_240, "6"), (5 * 10_240, "0.3"), (600, "15")])
    assert found.decision == "cache-1h"


def test_a_loss_is_reported_as_a_loss_and_not_taken(apply, repeated):
    result = apply(repeated(3, minutes=90))

    (found,) = result.findings
    # Every prompt would be written and none read: 0.75 and 3 dollars a million more.
    assert found.cost_5m - found.cost_now == usd([(3 * 10_240, "0.75")])
    assert found.cost_1h - found.cost_now == usd([(3 * 10_240, "3")])
    assert found.decision == "keep"
    assert result.verdict is Verdict.NO_SAVING
    assert result.saving == 0
    assert [("for 5 minutes would lose" in n, "for 1 hour would lose" in n) for n in result.notes] == [
        (True, False), (False, True),
    ]  # fmt: skip


def test_caching_that_does_not_pay_is_to_be_stopped(apply, repeated):
    result = apply(repeated(3, minutes=90, cache_write_1h_tokens=10_240))

    (found,) = result.findings
    assert found.cost_now == usd([(3 * 10_240, "6"), (300, "15")])
    assert found.decision == "stop"
    assert result.saving == usd([(3 * 10_240, "3")])


def test_without_prefix_blocks_writes_that_are_never_read_are_to_be_stopped(apply, make_request):
    result = apply([make_request(input_tokens=4000, cache_write_5m_tokens=4000)] * 2)

    assert [found.decision for found in result.findings] == ["stop"]
    assert result.saving == usd([(8000, "0.75")])


def test_one_write_that_later_requests_read_is_left_alone(apply, make_request):
    write = make_request(input_tokens=4000, cache_write_5m_tokens=4000)
    read = make_request(input_tokens=4000, cache_read_tokens=4000)

    result = apply([write, read, read])

    # Written once for 0.75 dollars a million more, read twice for 2.70 less.
    assert [found.decision for found in result.findings] == ["keep"]
    assert result.saving == 0


def test_reads_that_pay_for_their_writes_are_left_alone(apply, make_request):
    requests = [
        make_request(input_tokens=8000, cache_read_tokens=7000, cache_write_5m_tokens=1000)
    ] * 3

    result = apply(requests)

    assert [found.decision for found in result.findings] == ["keep"]
    assert result.verdict is Verdict.NO_SAVING


def test_a_provider_that_caches_by_itself_has_no_switch_and_no_write_fee(apply, repeated):
    result = apply(repeated(5, provider="openai", model="gpt-5"))

    (found,) = result.findings
    # 1.25 dollars a million in, 0.125 read, nothing for writing; out 10.
    assert found.cost_5m == usd([(10_240, "1.25"), (4 * 10_240, "0.125"), (500, "10")])
    assert found.automatic
    assert found.cost_1h is None
    assert found.decision == "automatic"
    assert (found.saving, found.potential) == (0, found.cost_now - found.cost_5m)
    assert result.saving == 0
    assert result.verdict is Verdict.NO_SAVING


def test_what_an_automatic_cache_could_read_is_only_in_the_high_figure(apply, repeated):
    requests = repeated(8, minutes=60 * 24, provider="openai", model="gpt-5")
    twins = [
        request
        for each in requests
        for request in (each, each._replace(occurred_at=each.occurred_at + timedelta(minutes=1)))
    ]

    monthly = apply(twins).monthly

    assert (monthly.low, monthly.expected) == (0, 0)
    # Each second twin could read all: 8 x 10,240 x 1.125 dollars a million in 8 days.
    assert monthly.high == (usd([(8 * 10_240, "1.125")]) * 30 / 8).quantize(Decimal("0.000001"))
    assert "can't be switched on" in monthly.basis


def test_prompts_under_the_models_minimum_are_not_cached(apply, make_request):
    short = [make_request(input_tokens=1023, blocks=(1, 2))] * 5
    same_for_haiku = [
        make_request(model="claude-haiku-4-5", input_tokens=4095, blocks=(1,) * 8)
    ] * 5

    for requests in (short, same_for_haiku):
        (found,) = apply(requests).findings
        assert found.cost_5m == found.cost_now
        assert found.decision == "keep"


def test_batches_are_not_replayed(apply, repeated):
    result = apply(repeated(5, processing=Processing.BATCH))

    assert result.findings == ()
    assert result.verdict is Verdict.ABSTAINS


def test_models_do_not_share_a_cache(apply, repeated):
    both = [*repeated(1), *repeated(1, model="claude-opus-4-1")]

    assert [found.read_share_5m for found in apply(both).findings] == [0, 0]


def test_without_blocks_and_writes_it_abstains_and_says_what_it_needs(apply, make_request):
    result = apply([make_request()])

    assert result.verdict is Verdict.ABSTAINS
    assert "prefix_block_hashes" in result.data_needed
    assert result.monthly is None


def test_an_assumed_minimum_lowers_the_confidence(apply, repeated):
    result = apply(repeated(5, model="claude-fable-5"))

    assert result.findings[0].minimum_is_assumed
    assert result.confidence is Confidence.LOW


def test_the_cliff_of_a_tier_is_seen_in_the_replay(apply, make_request):
    blocks = tuple(range(400))
    requests = [make_request(input_tokens=204_800, output_tokens=0, blocks=blocks)] * 2

    (found,) = apply(requests).findings

    # Over 200,000 tokens everything doubles: 6 in, 0.60 read, 7.50 written.
    assert found.cost_now == usd([(2 * 204_800, "6")])
    assert found.cost_5m == usd([(204_800, "7.5"), (204_800, "0.6")])

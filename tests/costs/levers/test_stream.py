"""The pass over the requests, its tallies by day, and the plan combined from them."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_actors.costs.levers import (
    CapacityOffer,
    DayTallies,
    LeverRequest,
    LeverSettings,
    SavingsPlan,
    affected_days,
    build_plan,
    combine,
    tally_days,
)
from apex_actors.costs.levers.stream import _Pass
from apex_actors.costs.money import to_units
from apex_actors.costs.rates import TokenShape
from apex_actors.costs.records import Processing, Status
from apex_actors.costs.timerange import TimeRange

BEGIN = datetime(2026, 11, 2, 21, tzinfo=UTC)
RANGE = TimeRange.days(BEGIN.date(), BEGIN.date() + timedelta(days=2))
SETTINGS = LeverSettings(
    answer_life_s=900,
    kept_turns=2,
    truncation_share=Decimal("0.3"),
    least_answers=2,
    quality_floor=Decimal(100),
    offers=tuple(
        CapacityOffer(
            name=f"{model} at {price}",
            provider=provider,
            model=model,
            usd_per_hour=Decimal(price),
            input_tokens_per_hour=20_000,
            output_tokens_per_hour=3_000,
        )
        for provider, model, price in (
            ("anthropic", "claude-sonnet-4-5", "0.0001"),
            ("anthropic", "claude-sonnet-4-5", "0.0002"),
            ("openai", "gpt-5", "5"),
        )
    ),
)
MODELS = [
    ("anthropic", "claude-sonnet-4-5"),
    ("anthropic", "claude-opus-4-5"),
    ("openai", "gpt-5"),
    ("google", "gemini-2.5-pro"),
    ("deepseek", "deepseek-chat"),
    ("in-house", "orion-7b"),
]


@st.composite
def requests(draw: st.DrawFn) -> LeverRequest:
    provider, model = draw(st.sampled_from(MODELS))
    # Blocks of so many tokens that tiers and minimums are crossed.
    stem = draw(st.integers(0, 1))
    length = draw(st.sampled_from([1, 3, 9, 30, 500]))
    blocks = tuple(1000 * stem + number for number in range(length))
    tokens = 512 * length - draw(st.integers(0, 511))
    read = draw(st.integers(0, tokens))
    written = draw(st.integers(0, tokens - read))
    output = draw(st.sampled_from([0, 1, 50, 5000]))
    return LeverRequest(
        BEGIN + timedelta(seconds=draw(st.integers(0, 60)) * 600),
        provider,
        model,
        draw(st.sampled_from([Processing.STANDARD, Processing.STANDARD, *Processing])),
        draw(
            st.sampled_from(
                [
                    TokenShape(tokens, 0, 0, 0, output),
                    TokenShape(tokens, read, written, 0, output, output // 2),
                    TokenShape(tokens, 0, 0, tokens, output),
                ]
            )
        ),
        draw(st.sampled_from([True, False, None])),
        blocks if draw(st.booleans()) else None,
        record_id=draw(st.uuids()).hex,
        status=draw(st.sampled_from([Status.OK, Status.OK, Status.ERROR])),
        finish_reason=draw(st.sampled_from(["stop", "stop", "stop", "length", None])),
        feature=draw(st.sampled_from(["chat", None])),
        session_id=draw(st.sampled_from(["s", None])),
        request_hash=draw(st.sampled_from(["h", "i", None])),
        temperature=draw(st.sampled_from([Decimal(0), Decimal("0.0"), Decimal(1), None])),
        unbilled=draw(st.booleans()),
    )


@st.composite
def traffic(draw: st.DrawFn) -> list[LeverRequest]:
    """Requests in order, some of which try an earlier one again."""
    made = sorted(draw(st.lists(requests(), max_size=40)), key=lambda each: each.occurred_at)
    return [
        request._replace(retry_of=made[draw(st.integers(0, place))].record_id)
        if draw(st.integers(0, 3)) == 0
        else request
        for place, request in enumerate(made)
    ]


def plan_of(made, catalogue, **given: object) -> SavingsPlan:
    return build_plan(made, catalogue=catalogue, time_range=RANGE, settings=SETTINGS, **given)


@given(traffic())
@settings(max_examples=150, deadline=None)
def test_credits_add_up_exactly_and_no_lever_costs(catalogue, made):
    plan = plan_of(made, catalogue)

    assert sum(to_units(lever.saving) for lever in plan.levers) == to_units(plan.saving)
    assert to_units(plan.baseline) - to_units(plan.final) == to_units(plan.saving)
    assert plan.final >= 0
    for lever in plan.levers:
        assert lever.saving >= 0
        assert lever.standalone >= 0
        assert to_units(lever.saving) == sum(to_units(found.saving) for found in lever.findings)


@given(traffic())
@settings(max_examples=60, deadline=None)
def test_no_request_is_credited_below_nothing(catalogue, made):
    for request in made:
        plan = plan_of([request], catalogue)

        assert 0 <= plan.final <= plan.baseline


@given(traffic())
@settings(max_examples=120, deadline=None)
def test_days_tallied_alone_are_those_of_the_whole_pass(catalogue, made):
    whole = list(tally_days(made, catalogue=catalogue, settings=SETTINGS))
    warm_up = timedelta(seconds=SETTINGS.warm_up_s)
    alone = []
    for day in range(3):
        start = datetime(2026, 11, 2 + day, tzinfo=UTC)
        near = [
            request
            for request in made
            if start - warm_up <= request.occurred_at < start + timedelta(days=1)
        ]
        alone.extend(tally_days(near, catalogue=catalogue, settings=SETTINGS, start=start))

    assert alone == whole
    assert (
        combined(alone[::-1], catalogue) == combined(whole, catalogue) == plan_of(made, catalogue)
    )


@given(traffic().flatmap(lambda made: st.tuples(st.just(made), st.permutations(made))))
@settings(max_examples=60, deadline=None)
def test_the_order_of_equal_moments_does_not_matter(catalogue, orders):
    made, shuffled = orders
    shuffled.sort(key=lambda each: each.occurred_at)

    assert plan_of(shuffled, catalogue) == plan_of(made, catalogue)


@given(traffic())
@settings(max_examples=50, deadline=None)
def test_tallies_survive_being_stored(catalogue, made):
    days = list(tally_days(made, catalogue=catalogue, settings=SETTINGS))

    stored = [DayTallies.unpacked(day.packed()) for day in days]

    assert stored == days


@given(traffic(), st.data())
@settings(max_examples=60, deadline=None)
def test_only_the_affected_days_change_when_a_request_comes_late(catalogue, made, data):
    if not made:
        return
    late = data.draw(st.sampled_from(made))
    before = tally_days(
        [each for each in made if each is not late], catalogue=catalogue, settings=SETTINGS
    )
    after = tally_days(made, catalogue=catalogue, settings=SETTINGS)

    first, last = affected_days(late.occurred_at, late.occurred_at, settings=SETTINGS)

    assert [day for day in before if not first <= day.day <= last] == [
        day for day in after if not first <= day.day <= last
    ]


def test_a_request_late_in_the_day_affects_the_next_one():
    # Remembered are 2 hours.
    evening = datetime(2026, 11, 2, 22, tzinfo=UTC)

    assert affected_days(
        evening - timedelta(days=1, seconds=1), evening - timedelta(seconds=1), settings=SETTINGS
    ) == (date(2026, 11, 1), date(2026, 11, 2))
    assert affected_days(evening, evening, settings=SETTINGS) == (
        date(2026, 11, 2), date(2026, 11, 3),
    )  # fmt: skip


def test_requests_out_of_order_are_refused(catalogue, make_request):
    late = make_request(at=BEGIN + timedelta(seconds=1))

    with pytest.raises(ValueError, match="in order of time"):
        list(tally_days([late, make_request(at=BEGIN)], catalogue=catalogue, settings=SETTINGS))


def test_tallies_of_other_settings_or_prices_are_refused(catalogue, make_request):
    days = list(tally_days([make_request()], catalogue=catalogue, settings=SETTINGS))
    other = LeverSettings()

    with pytest.raises(ValueError, match="2026-11-02 belong to other settings"):
        combine(days, settings=other, time_range=RANGE, price_version=catalogue.version)
    with pytest.raises(ValueError, match="other settings or prices"):
        combine(days, settings=SETTINGS, time_range=RANGE, price_version="another")


def test_what_only_matters_when_days_are_combined_is_not_in_the_fingerprint():
    assert LeverSettings(truncation_share=Decimal("0.2")).fingerprint == LeverSettings().fingerprint
    assert LeverSettings(answer_life_s=60).fingerprint != LeverSettings().fingerprint


def test_what_came_before_the_start_is_remembered_and_not_counted(catalogue, make_request):
    start = datetime(2026, 11, 3, tzinfo=UTC)
    blocks = tuple(range(20))
    early, late = (
        make_request(at=at, input_tokens=10_240, blocks=blocks)
        for at in (start - timedelta(seconds=60), start + timedelta(seconds=60))
    )

    (day,) = tally_days([early, late], catalogue=catalogue, settings=SETTINGS, start=start)

    assert (day.day, day.requests) == (start.date(), 1)
    assert day.rows[0].read_5m_tokens == 10_240


def test_memory_is_bounded_by_time(catalogue, make_request):
    running = _Pass(catalogue, SETTINGS, "UTC", None)
    for number in range(2_000):
        at = BEGIN + timedelta(minutes=10 * number)
        if at >= running.day_end:
            running.turn(at)
        running.take(
            make_request(
                at=at, input_tokens=5120, blocks=tuple(range(number * 10, number * 10 + 10))
            )._replace(
                record_id=str(number),
                request_hash=str(number),
                temperature=Decimal(0),
                session_id=str(number),
                finish_reason="stop",
            )
        )

    # Two hours of blocks, two lives of answers, two hours of sessions; 2,000 were sent.
    assert max(len(caches.sent) for caches in running._caches.values()) <= 13 * 10
    assert len(running._answers) <= 4
    assert len(running._sessions) <= 13


def combined(days, catalogue) -> SavingsPlan:
    return combine(days, settings=SETTINGS, time_range=RANGE, price_version=catalogue.version)

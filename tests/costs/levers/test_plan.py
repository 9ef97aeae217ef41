"""The ordered plan."""

import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from apex_actors.costs.levers import LeverRequest, LeverResult, SavingsPlan, Verdict, build_plan
from apex_actors.costs.money import from_units, to_units
from apex_actors.costs.rates import TokenShape
from apex_actors.costs.records import Processing
from apex_actors.costs.sample import sample_records
from apex_actors.costs.timerange import TimeRange

TODAY = date(2026, 11, 23)
RANGE = TimeRange.days(date(2026, 10, 1), TODAY)
MODELS = [
    ("anthropic", "claude-sonnet-4-5"),
    ("anthropic", "claude-haiku-4-5"),
    ("openai", "gpt-5"),
    ("google", "gemini-2.5-pro"),
    ("in-house", "orion-7b"),
]


def named(plan: SavingsPlan, name: str) -> LeverResult:
    return next(lever for lever in plan.levers if lever.lever == name)


@st.composite
def requests(draw: st.DrawFn) -> LeverRequest:
    provider, model = draw(st.sampled_from(MODELS))
    blocks = tuple(draw(st.lists(st.integers(0, 3), min_size=1, max_size=12)))
    tokens = 512 * len(blocks) - draw(st.integers(0, 511))
    read = draw(st.integers(0, tokens))
    written = draw(st.integers(0, tokens - read))
    shape = TokenShape(tokens, read, written, 0, draw(st.integers(0, 500)))
    return LeverRequest(
        datetime(2026, 10, 10, tzinfo=UTC) + timedelta(seconds=draw(st.integers(0, 10**6))),
        provider,
        model,
        draw(st.sampled_from(Processing)),
        shape,
        draw(st.sampled_from([True, False, None])),
        blocks if draw(st.booleans()) else None,
    )


@given(st.lists(requests(), max_size=40))
@settings(max_examples=300, deadline=None)
def test_the_savings_add_up_exactly_and_never_cost(catalogue, made):
    made.sort(key=lambda request: request.occurred_at)

    plan = build_plan(made, catalogue=catalogue, time_range=RANGE)

    assert sum(to_units(lever.saving) for lever in plan.levers) == to_units(plan.saving)
    assert to_units(plan.baseline) - to_units(plan.final) == to_units(plan.saving)
    for lever in plan.levers:
        assert lever.saving >= 0
        assert lever.standalone >= 0
        assert to_units(lever.saving) == sum(to_units(found.saving) for found in lever.findings)
        assert (lever.verdict is Verdict.SAVES) == (lever.saving > 0)


@given(st.lists(requests(), max_size=20))
@settings(max_examples=50, deadline=None)
def test_the_baseline_is_what_the_requests_cost(catalogue, made):
    made.sort(key=lambda request: request.occurred_at)
    plan = build_plan(made, catalogue=catalogue, time_range=RANGE)

    costs = [
        card.cost(request.shape)
        for request in made
        if hasattr(
            card := catalogue.card(
                request.provider, request.model, request.occurred_at, request.processing
            ),
            "cost",
        )
    ]
    assert plan.baseline == from_units(sum(costs))
    assert (plan.requests, plan.priced_requests) == (len(made), len(costs))


def test_a_later_lever_saves_on_what_the_earlier_left(catalogue, make_request):
    requests = [
        make_request(input_tokens=10_240, output_tokens=0, blocks=tuple(range(20)), deferrable=True)
    ] * 2

    plan = build_plan(requests, catalogue=catalogue, time_range=RANGE)

    caching, batch = (named(plan, name) for name in ("prompt_caching", "batch"))
    million = Decimal(1_000_000)
    # Now 2 x 3 dollars a million; with the cache 3.75 + 0.30; as batch half of either.
    assert plan.baseline == 10_240 * Decimal(6) / million
    assert caching.saving == 10_240 * (Decimal(6) - Decimal("4.05")) / million
    assert batch.saving == 10_240 * Decimal("4.05") / 2 / million
    assert batch.standalone == 10_240 * Decimal(6) / 2 / million
    assert plan.final == 10_240 * Decimal("2.025") / million


def test_no_requests_make_an_empty_plan(catalogue):
    plan = build_plan([], catalogue=catalogue, time_range=RANGE)

    assert (plan.baseline, plan.saving, plan.expected_per_month) == (0, 0, None)
    assert {lever.verdict for lever in plan.levers} == {Verdict.ABSTAINS}


def test_days_are_those_of_the_users_time_zone(catalogue, make_request):
    evening = datetime(2026, 11, 2, 23, 30, tzinfo=UTC)
    requests = [make_request(at=evening + timedelta(days=day), deferrable=True) for day in range(7)]
    berlin = TimeRange.days(date(2026, 11, 1), date(2026, 11, 10), "Europe/Berlin")

    plan = build_plan(requests, catalogue=catalogue, time_range=berlin)

    monthly = named(plan, "batch").monthly
    assert (monthly.first_day, monthly.last_day) == (date(2026, 11, 3), date(2026, 11, 9))
    assert monthly.share_of_cost == Decimal("0.5")


def test_the_sample_is_planned_in_time_and_survives_json(catalogue):
    records = sorted(sample_records(TODAY), key=lambda record: record.occurred_at)
    requests = [LeverRequest.of(record) for record in records]
    whole = TimeRange.covering(requests[0].occurred_at, requests[-1].occurred_at)

    begin = time.process_time()
    plan = build_plan(requests, catalogue=catalogue, time_range=whole)
    seconds = time.process_time() - begin

    assert len(requests) == 40_216
    # Measured 0.4 to 0.6 s.
    assert seconds < 2
    # The sample has no hashes of content, no model with prices by the time of day and no offer.
    assert {lever.lever for lever in plan.levers if lever.verdict is not Verdict.SAVES} == {
        "duplicates", "off_peak", "committed",
    }  # fmt: skip
    assert {found.decision for found in named(plan, "prompt_caching").findings} == {
        "cache-5m", "stop", "automatic",
    }  # fmt: skip
    assert SavingsPlan.model_validate_json(plan.model_dump_json()) == plan

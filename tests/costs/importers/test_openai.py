"""OpenAI's usage and costs APIs."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from apex_actors.costs.importers import RejectedRow, SourceKind
from apex_actors.costs.importers.builder import NO_MODEL
from apex_actors.costs.importers.registry import BY_NAME
from apex_actors.costs.prices import AMOUNT_ONLY, PriceCatalogue
from apex_actors.costs.records import Grain, Processing

DAY = 1763942400  # 2025-11-24T00:00:00Z


def bucket(*results, start=DAY):
    return {
        "object": "bucket", "start_time": start, "end_time": start + 86400,
        "results": list(results),
    }  # fmt: skip


def page(*buckets):
    return {"object": "page", "data": list(buckets), "has_more": False, "next_page": None}


def usage(**changes):
    return {
        "object": "organization.usage.completions.result",
        "input_tokens": 1000, "input_cached_tokens": 800, "input_cache_write_tokens": 50,
        "output_tokens": 500, "input_audio_tokens": 0, "output_audio_tokens": 0,
        "num_model_requests": 5, "project_id": "proj_abc", "user_id": "user-abc",
        "api_key_id": "key_abc", "model": "gpt-5-2025-08-07", "batch": False,
        "service_tier": None, **changes,
    }  # fmt: skip


def cost(value, **changes):
    return {
        "object": "organization.costs.result", "amount": {"value": value, "currency": "usd"},
        "line_item": "gpt-5-2025-08-07, input", "project_id": "proj_abc", **changes,
    }  # fmt: skip


def test_a_group_of_a_bucket_is_a_record_whose_input_includes_the_cache(read):
    (record,) = read(page(bucket(usage())), expect="openai-usage")

    assert record.occurred_at == datetime(2025, 11, 24, tzinfo=UTC)
    assert (record.grain, record.request_count) == (Grain.BUCKET, 5)
    assert (record.provider, record.model) == ("openai", "gpt-5-2025-08-07")
    assert (record.input_tokens, record.cache_read_tokens) == (1000, 800)
    assert (record.cache_write_5m_tokens, record.output_tokens) == (50, 500)
    assert (record.team, record.user) == ("proj_abc", "user-abc")
    assert record.tags == {"api_key_id": "key_abc"}
    assert record.processing is Processing.STANDARD
    assert record.reported_cost is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"batch": True}, Processing.BATCH),
        ({"batch": True, "service_tier": "default"}, Processing.BATCH),
        ({"service_tier": "flex"}, Processing.FLEX),
        ({"service_tier": "priority"}, Processing.PRIORITY),
        ({"service_tier": "something new"}, Processing.STANDARD),
    ],
)
def test_the_service_class_is_told_by_batch_or_tier(read, changes, expected):
    (record,) = read(page(bucket(usage(**changes))))

    assert record.processing is expected


def test_a_bucket_pulled_again_has_the_same_ids_whatever_its_values(read):
    first = read(page(bucket(usage(), usage(model="gpt-5-mini"))))
    again = read(page(bucket(usage(input_tokens=9000, num_model_requests=6))))
    others = read(
        page(
            bucket(usage(), start=DAY + 86400),
            bucket(usage(batch=True), usage(user_id=None), usage(service_tier="flex")),
        )
    )

    assert again[0].record_id == first[0].record_id
    assert len({row.record_id for row in (*first, *others)}) == 6


@pytest.mark.parametrize(
    "content",
    [
        (page(bucket(usage())), page(bucket(usage(), start=DAY + 86400))),
        ([page(bucket(usage())), page(bucket(usage(), start=DAY + 86400))],),
        (page(bucket(usage()), bucket(), bucket(usage(), start=DAY + 86400)),),
        (bucket(usage()), bucket(usage(), start=DAY + 86400)),
        ([bucket(usage()), bucket(usage(), start=DAY + 86400)],),
        (page(bucket(), bucket(usage()), bucket(usage(), start=DAY + 86400)),),
    ],
)
def test_pages_and_buckets_may_stand_in_a_file_in_many_ways(read, content):
    rows = read(*content, expect="openai-usage")

    assert [row.occurred_at.day for row in rows] == [24, 25]


def test_usage_that_sums_over_models_has_none_unless_an_option_names_it(read):
    (unnamed,) = read(page(bucket(usage(model=None))))
    (named,) = read(page(bucket(usage(model=None))), model="gpt-5")

    assert (unnamed.model, named.model) == (NO_MODEL, "gpt-5")


def test_usage_that_is_not_in_tokens_is_refused_with_the_reason(read):
    images = {"object": "organization.usage.images.result", "images": 3, "num_model_requests": 3}

    rows = read(page(bucket(images, usage())))

    assert rows[0] == RejectedRow(
        1, "input_tokens: is required; this usage is not measured in tokens"
    )
    assert rows[1].input_tokens == 1000


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (usage(input_tokens=-1), "input_tokens: must be a whole number"),
        (usage(input_tokens=1.5), "input_tokens: must be a whole number"),
        (usage(model=["secret"]), "model: must be a text"),
        (usage(input_tokens="secret"), "input_tokens: must be a number"),
        ("secret", "results: must be a list of JSON objects"),
    ],
)
def test_a_bad_group_is_refused_and_the_others_of_its_bucket_go_on(read, bad, reason):
    rows = read(page(bucket(usage(), bad, usage(model="gpt-5-mini"))))

    assert [type(row).__name__ for row in rows] == ["UsageRecord", "RejectedRow", "UsageRecord"]
    assert rows[1].reason.startswith(reason)
    assert "secret" not in rows[1].reason


def test_costs_are_amounts_in_dollars_without_tokens(read):
    text = b"""{"object": "page", "data": [{"object": "bucket", "start_time": 1763942400,
        "end_time": 1764028800, "results": [{"object": "organization.costs.result",
        "amount": {"value": 0.0600000000000000000000000012345, "currency": "usd"},
        "line_item": "gpt-5-2025-08-07, input", "project_id": "proj_abc"}]}]}"""

    (record,) = read(text, expect="openai-costs")

    # 24 decimal places are kept.
    assert record.reported_cost == Decimal("0.060000000000000000000000")
    assert (record.currency, record.grain, record.request_count) == ("USD", Grain.BUCKET, 0)
    assert (record.input_tokens, record.output_tokens) == (0, 0)
    assert record.model == "gpt-5-2025-08-07"
    assert record.tags == {"line_item": "gpt-5-2025-08-07, input"}


def test_costs_that_belong_to_no_model_say_so_even_where_an_option_names_one(read):
    (record,) = read(page(bucket(cost(1.5, line_item=None))), model="gpt-5")

    assert record.model == NO_MODEL
    assert record.reported_cost == Decimal("1.5")


def test_line_items_of_one_model_are_different_records(read):
    rows = read(page(bucket(cost(1), cost(2, line_item="gpt-5-2025-08-07, output"))))

    assert len({row.record_id for row in rows}) == 2
    assert sum(row.reported_cost for row in rows) == 3


def test_an_amount_is_neither_priced_nor_lacking_a_price(read):
    (record,) = read(page(bucket(cost(1))))

    assert PriceCatalogue().price(record) is AMOUNT_ONLY


def test_usage_and_costs_are_different_kinds_of_source():
    assert BY_NAME["openai-usage"].kind is SourceKind.USAGE_REPORT
    assert BY_NAME["openai-costs"].kind is SourceKind.COST_REPORT

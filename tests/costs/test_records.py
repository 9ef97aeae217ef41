"""The normalised usage record."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from pydantic import ValidationError

from apex_actors.costs.records import FIELDS, Grain, UsageRecord, refusal


def test_the_record_has_the_fields_of_the_format():
    assert {
        "record_id", "tenant", "occurred_at", "grain", "request_count", "provider", "model",
        "processing", "input_tokens", "cache_read_tokens", "cache_write_5m_tokens",
        "cache_write_1h_tokens", "output_tokens", "reasoning_tokens", "latency_ms", "ttft_ms",
        "status", "finish_reason", "user", "team", "feature", "environment", "session_id",
        "request_hash", "prefix_block_hashes", "temperature", "deferrable", "retry_of",
        "reported_cost", "currency", "tags",
    } == FIELDS  # fmt: skip


def test_a_record_is_frozen(make_record):
    with pytest.raises(ValidationError, match="frozen"):
        make_record().model = "other"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"input_tokens": -1}, "input_tokens: input should be greater than or equal to 0"),
        ({"input_tokens": 10.5}, "input_tokens: input should be a valid integer"),
        ({"input_tokens": 10**13}, "input_tokens: input should be less than or equal to"),
        ({"cache_read_tokens": 600, "cache_write_1h_tokens": 500}, "input_tokens: must include"),
        ({"reasoning_tokens": 101}, "output_tokens: must include reasoning_tokens"),
        ({"request_count": 2}, "request_count: must be 1"),
        ({"occurred_at": datetime(2026, 1, 1)}, "occurred_at: input should have timezone"),  # noqa: DTZ001 - what is tested
        ({"occurred_at": datetime(1999, 1, 1, tzinfo=UTC)}, "occurred_at: input should be greater"),
        ({"model": ""}, "model: string should have at least 1 character"),
        ({"model": "x" * 257}, "model: string should have at most 256 characters"),
        ({"user": "a\x00b"}, "user: string should match pattern"),
        ({"user": "a\tb"}, "user: string should match pattern"),
        ({"user": "\ud800"}, "user: input should be a valid string"),
        ({"prefix_block_hashes": (1,)}, "prefix_block_hashes: must have one hash for each 512"),
        ({"prefix_block_hashes": (1, 2**63)}, "prefix_block_hashes: input should be less than"),
        ({"reported_cost": 0.1}, "reported_cost: input should be an instance of Decimal"),
        ({"reported_cost": Decimal("NaN")}, "reported_cost: input should be a finite number"),
        ({"reported_cost": Decimal("1e-40")}, "reported_cost: decimal input should have no more"),
        ({"currency": "usd"}, "currency: string should match pattern"),
        ({"tags": {"a\nb": "c"}}, "tags: string should match pattern"),
        ({"colour": "red"}, "colour: is not a field of the usage record"),
        ({"a secret": "red"}, "a field: is not a field of the usage record"),
    ],
)
def test_a_bad_record_is_refused_with_field_and_rule(make_record, fields, reason):
    with pytest.raises(ValidationError) as caught:
        make_record(**fields)

    assert refusal(caught.value).startswith(reason)


def test_a_refusal_never_holds_the_value(make_record):
    with pytest.raises(ValidationError) as caught:
        make_record(user="secret\x00value", model="hidden" * 100)

    assert "secret" not in refusal(caught.value)
    assert "hidden" not in refusal(caught.value)


def test_a_missing_field_is_named():
    with pytest.raises(ValidationError) as caught:
        UsageRecord.model_validate({})

    assert refusal(caught.value) == "record_id: is required"


def test_a_bucket_may_stand_for_many_requests(make_record):
    assert make_record(grain=Grain.BUCKET, request_count=40).request_count == 40


def test_the_last_block_of_a_prompt_may_be_short(make_record):
    assert make_record(input_tokens=513, prefix_block_hashes=(1, 2)).prefix_block_hashes == (1, 2)


def test_a_bucket_may_not_tell_its_requests_and_a_request_is_one(make_record):
    assert make_record(grain=Grain.BUCKET, request_count=0).request_count == 0
    with pytest.raises(ValidationError, match="must be 1"):
        make_record(request_count=0)

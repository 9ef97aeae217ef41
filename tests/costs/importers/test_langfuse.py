"""Langfuse observations."""

import csv
import io
import json
from decimal import Decimal

import pytest

from apex_actors.costs.records import Status


def seen(**changes):
    return {
        "id": "obs-1", "traceId": "t-1", "type": "GENERATION", "name": "answer",
        "startTime": "2026-01-05T10:00:00.000Z", "endTime": "2026-01-05T10:00:02.500Z",
        "completionStartTime": "2026-01-05T10:00:00.400Z", "level": "DEFAULT",
        "environment": "production", "providedModelName": "gpt-4o-2024-08-06",
        "modelParameters": {"temperature": 0.2},
        "usageDetails": {
            "input": 200, "input_cached_tokens": 800, "output": 90,
            "output_reasoning_tokens": 10, "total": 1100,
        },
        "costDetails": {"input": 0.0015, "output": 0.001, "total": 0.0025}, "totalCost": 0.0025,
        "userId": "ada", "sessionId": "s-1", "traceName": "support", "tags": ["beta"], **changes,
    }  # fmt: skip


def test_a_generation_is_a_request(read):
    (record,) = read(seen(), expect="langfuse-observations")

    assert record.record_id == "langfuse:obs-1"
    assert (record.provider, record.model) == ("openai", "gpt-4o-2024-08-06")
    # The parts add up to the total: 200 + 800 + 90 + 10 = 1100
    assert (record.input_tokens, record.cache_read_tokens) == (1000, 800)
    assert (record.output_tokens, record.reasoning_tokens) == (100, 10)
    assert (record.latency_ms, record.ttft_ms) == (2500, 400)
    assert record.reported_cost == Decimal("0.0025")
    assert (record.user, record.session_id, record.feature) == ("ada", "s-1", "support")
    assert (record.environment, record.temperature) == ("production", Decimal("0.2"))
    assert record.tags == {"beta": "true"}


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        # input, read, written short, written for an hour, output, reasoning
        ({"input": 10, "output": 5, "total": 15}, (10, 0, 0, 0, 5, 0)),
        ({"input": 1000, "input_cached_tokens": 800, "output": 90, "total": 1090},
         (1000, 800, 0, 0, 90, 0)),
        ({"input": 10, "cache_read_input_tokens": 800, "cache_creation_input_tokens": 50,
          "output": 5}, (860, 800, 50, 0, 5, 0)),
        ({"input": 10, "input_cache_creation": 50, "input_cache_creation_1h": 20, "output": 5,
          "total": 65}, (60, 0, 30, 20, 5, 0)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}, (10, 0, 0, 0, 5, 0)),
    ],
)  # fmt: skip
def test_the_total_tells_whether_input_has_the_cache_in_it(read, usage, expected):
    (record,) = read(seen(usageDetails=usage))

    assert (
        record.input_tokens, record.cache_read_tokens, record.cache_write_5m_tokens,
        record.cache_write_1h_tokens, record.output_tokens, record.reasoning_tokens,
    ) == expected  # fmt: skip


def test_spans_around_model_calls_are_not_counted(read):
    rows = read(seen(type="SPAN", id="obs-0"), seen(), seen(type="AGENT", id="obs-2"))

    assert [row.record_id for row in rows] == ["langfuse:obs-1"]


def test_the_level_error_is_a_failed_request_with_or_without_usage(read):
    billed, not_billed = read(
        seen(level="ERROR"), seen(level="ERROR", id="obs-2", usageDetails={}, costDetails={},
                                  totalCost=None)
    )  # fmt: skip

    assert (billed.status, billed.output_tokens) == (Status.ERROR, 100)
    assert (not_billed.status, not_billed.output_tokens) == (Status.ERROR, 0)
    assert not_billed.reported_cost is None


def test_usage_that_is_missing_from_a_good_call_is_refused(read):
    rows = read(seen(), seen(usageDetails={}))

    assert rows[1].reason == "usageDetails: is required"


def snake(row):
    names = {
        "traceId": "trace_id", "startTime": "start_time", "endTime": "end_time",
        "completionStartTime": "completion_start_time", "providedModelName": "provided_model_name",
        "modelParameters": "model_parameters", "usageDetails": "usage_details",
        "costDetails": "cost_details", "totalCost": "total_cost", "userId": "user_id",
        "sessionId": "session_id", "traceName": "trace_name",
    }  # fmt: skip
    return {names.get(name, name): value for name, value in row.items()}


def test_all_exports_give_the_same_records(read):
    text = io.StringIO()
    exported = snake(seen(startTime="2026-01-05 10:00:00.000000"))
    writer = csv.DictWriter(text, fieldnames=list(exported))
    writer.writeheader()
    writer.writerow(
        {
            name: json.dumps(value) if isinstance(value, dict | list) else value
            for name, value in exported.items()
        }
    )
    expected = read(seen())

    for content in (
        [seen()], {"data": [seen()], "meta": {"cursor": None}}, exported, [exported],
        text.getvalue().encode(),
    ):  # fmt: skip
        assert read(content, expect="langfuse-observations") == expected


def test_a_cost_may_be_told_in_parts(read):
    (record,) = read(seen(costDetails={"input": 0.1, "output": 0.2}))

    assert record.reported_cost == Decimal("0.3")

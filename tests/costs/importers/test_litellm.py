"""LiteLLM spend logs."""

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from apex_actors.costs.importers import RejectedRow
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.costs.records import Status


def log(**changes):
    return {
        "request_id": "chatcmpl-1", "call_type": "acompletion", "api_key": "88dc28", "spend": 0.0105,
        "total_tokens": 3500, "prompt_tokens": 3000, "completion_tokens": 500,
        "startTime": "2025-10-01T12:00:00.250000Z", "endTime": "2025-10-01T12:00:03.250000Z",
        "completionStartTime": "2025-10-01T12:00:01Z", "model": "anthropic/claude-sonnet-4-5",
        "model_group": "sonnet", "custom_llm_provider": "anthropic", "user": "svc", "end_user": "ada",
        "metadata": {
            "user_api_key_team_alias": "research",
            "usage_object": {
                "prompt_tokens": 3000, "completion_tokens": 500, "total_tokens": 3500,
                "cache_read_input_tokens": 2000, "cache_creation_input_tokens": 300,
                "prompt_tokens_details": {
                    "cached_tokens": 2000, "cache_creation_tokens": 300,
                    "cache_creation_token_details": {"ephemeral_1h_input_tokens": 100},
                },
                "completion_tokens_details": {"reasoning_tokens": 120},
            },
        },
        "cache_hit": "False", "request_tags": ["jobID:7", "batchable"], "team_id": "team-1",
        "session_id": "s-1", "status": "success", **changes,
    }  # fmt: skip


def test_a_log_is_a_request_with_the_tokens_of_its_usage_object(read):
    (record,) = read(log(), expect="litellm-spend-logs")

    assert record.record_id == "litellm:chatcmpl-1"
    assert record.occurred_at == datetime(2025, 10, 1, 12, 0, 0, 250000, UTC)
    assert (record.provider, record.model) == ("anthropic", "claude-sonnet-4-5")
    assert (record.input_tokens, record.cache_read_tokens) == (3000, 2000)
    # 300 were written, 100 of them for an hour.
    assert (record.cache_write_5m_tokens, record.cache_write_1h_tokens) == (200, 100)
    assert (record.output_tokens, record.reasoning_tokens) == (500, 120)
    assert (record.latency_ms, record.ttft_ms) == (3000, 750)
    assert (record.user, record.team, record.session_id) == ("ada", "research", "s-1")
    assert record.reported_cost == Decimal("0.0105")
    assert record.tags == {"jobID": "7", "batchable": "true"}
    assert record.status is Status.OK


def test_logs_stand_as_an_array_under_data_or_pretty_printed(read):
    rows = [log(), log(request_id="chatcmpl-2")]
    pretty = json.dumps(rows, indent=2).encode()

    for content in (rows, {"data": rows, "total": 2}, pretty, pretty.replace(b"\n", b"\r\n")):
        found = read(content, expect="litellm-spend-logs")
        assert [row.record_id for row in found] == ["litellm:chatcmpl-1", "litellm:chatcmpl-2"]


def test_a_dump_of_the_table_as_csv_gives_the_same_records(read):
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(log()))
    writer.writeheader()
    row = {
        name: json.dumps(value) if isinstance(value, dict | list) else value
        for name, value in log().items()
    }
    writer.writerow({**row, "startTime": "2025-10-01 12:00:00.25"})

    assert read(text.getvalue().encode(), expect="litellm-spend-logs") == read(log())


def test_a_failed_request_counts_as_what_it_says_it_was_billed(read):
    failed, billed = read(
        log(status="failure", spend=0, prompt_tokens=0, completion_tokens=0, metadata={}),
        log(status="failure", request_id="chatcmpl-2"),
    )

    assert (failed.status, failed.input_tokens, failed.reported_cost) == (Status.ERROR, 0, 0)
    assert (billed.status, billed.output_tokens) == (Status.ERROR, 500)
    assert billed.reported_cost == Decimal("0.0105")


def test_an_answer_of_litellms_own_cache_was_asked_of_no_provider(read):
    (record,) = read(log(cache_hit="True", spend=0))

    assert (record.input_tokens, record.cache_read_tokens, record.output_tokens) == (0, 0, 0)
    assert record.tags["cache_hit"] == "true"


def test_an_old_version_told_input_without_the_cache(read):
    (record,) = read(log(prompt_tokens=10))

    assert record.input_tokens == 10 + 2000 + 300


@pytest.mark.parametrize(
    ("provider", "model", "expected"),
    [
        ("bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0", "aws"),
        ("vertex_ai", "gemini-2.5-pro", "google"),
        ("azure_ai", "gpt-4o", "azure"),
        ("openai", "openai/gpt-4o", "openai"),
        (None, "gpt-4o", "openai"),
        (None, "gemini/gemini-2.5-flash", "google"),
        ("xai", "xai/grok-4", "x-ai"),
    ],
)
def test_names_are_made_such_that_the_catalogue_finds_them(read, provider, model, expected):
    (record,) = read(log(custom_llm_provider=provider, model=model))

    assert record.provider == expected
    assert isinstance(PriceCatalogue().price(record), int)


def test_bad_rows_are_refused_with_their_line_and_no_value(read):
    rows = read(log(), b'{"secret', log(startTime="secret"), log(spend="secret"), log(spend=None))

    assert rows[1:4] == [
        RejectedRow(2, "not a JSON object in UTF-8"),
        RejectedRow(3, "startTime: must be a date and time"),
        RejectedRow(4, "spend: must be a number"),
    ]
    assert rows[4].reported_cost is None

"""Bodies of providers' responses."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from apex_actors.costs.records import Processing

START = datetime(2026, 11, 1, tzinfo=UTC)
BODIES = [
    json.loads(line)
    for line in Path(__file__).with_name("response_bodies.jsonl").read_text().splitlines()
]

ANTHROPIC = {
    "id": "msg_1", "type": "message", "model": "claude-sonnet-4-5-20250929",
    "stop_reason": "end_turn", "usage": {
        "input_tokens": 10, "cache_creation_input_tokens": 300, "cache_read_input_tokens": 2000,
        "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
        "output_tokens": 50, "service_tier": "standard",
    },
}  # fmt: skip
OPENAI = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1767607200, "model": "gpt-5-mini",
    "choices": [{"index": 0, "finish_reason": "length"}], "service_tier": "flex", "usage": {
        "prompt_tokens": 1000, "completion_tokens": 90, "total_tokens": 1090,
        "prompt_tokens_details": {"cached_tokens": 600},
        "completion_tokens_details": {"reasoning_tokens": 64},
    },
}  # fmt: skip


def tokens(record):
    return (
        record.input_tokens, record.cache_read_tokens,
        record.cache_write_5m_tokens + record.cache_write_1h_tokens,
        record.output_tokens, record.reasoning_tokens,
    )  # fmt: skip


def test_the_librarys_bodies_are_extracted_as_it_expects(read):
    rows = read(
        *(entry["body"] for entry in BODIES), expect="response-bodies", start=START, model="m"
    )

    assert len(rows) == len(BODIES)
    for entry, row in zip(BODIES, rows, strict=True):
        expected = {
            (
                usage.get("input_tokens", 0), usage.get("cache_read_tokens", 0),
                usage.get("cache_write_tokens", 0), usage.get("output_tokens", 0),
                usage.get("output_reasoning_tokens", 0),
            )
            for usage in entry["usages"]
        }  # fmt: skip
        assert tokens(row) in expected, entry
        assert row.model == (entry["model"] or "m")


def test_anthropics_input_excludes_the_cache(read):
    (record,) = read(ANTHROPIC, start=START)

    assert (record.provider, record.record_id) == ("anthropic", "response:msg_1")
    # 10 + 2000 read + 300 written
    assert (record.input_tokens, record.cache_read_tokens) == (2310, 2000)
    assert (record.cache_write_5m_tokens, record.cache_write_1h_tokens) == (100, 200)
    assert (record.occurred_at, record.finish_reason) == (START, "end_turn")


def test_openais_input_includes_it_and_the_body_has_its_time(read):
    (record,) = read(OPENAI)

    assert (record.provider, record.model) == ("openai", "gpt-5-mini")
    assert tokens(record) == (1000, 600, 0, 90, 64)
    assert record.occurred_at == datetime(2026, 1, 5, 10, tzinfo=UTC)
    assert (record.processing, record.finish_reason) == (Processing.FLEX, "length")


@pytest.mark.parametrize(
    "envelope",
    [
        {"body": ANTHROPIC, "timestamp": "2026-11-01T00:00:00Z", "user": "ada"},
        {"response": ANTHROPIC, "created_at": 1793491200, "user": "ada"},
        {"response_body": ANTHROPIC, "time": "2026-11-01 00:00:00", "user": "ada"},
    ],
)
def test_what_stands_around_a_body_says_what_it_lacks(read, envelope):
    (record,) = read(envelope)

    assert (record.occurred_at, record.user) == (START, "ada")
    assert record.input_tokens == 2310


def test_results_of_batches_are_batch(read):
    rows = read(
        {"id": "batch_req_1", "custom_id": "a", "error": None,
         "response": {"status_code": 200, "request_id": "r", "body": OPENAI}},
        {"custom_id": "b", "result": {"type": "succeeded", "message": ANTHROPIC}},
        start=START,
    )  # fmt: skip

    assert [row.processing for row in rows] == [Processing.BATCH] * 2
    assert [row.input_tokens for row in rows] == [1000, 2310]


def test_the_provider_is_the_one_that_is_told(read):
    (by_option,) = read(OPENAI, provider="azure")
    (by_envelope,) = read({"body": OPENAI, "provider": "groq"}, provider="azure")

    assert (by_option.provider, by_envelope.provider) == ("azure", "groq")


def test_what_cannot_be_read_is_refused_with_what_would_help(read):
    rows = read(
        OPENAI,
        {**ANTHROPIC, "id": "msg_2"},
        {"model": "secret", "usage": {"secret": 1}},
        {"model": "secret"},
        {"body": OPENAI, "provider": "secret"},
    )

    assert [row.reason for row in rows[1:]] == [
        "occurred_at: the body has no time; say when it was (start)",
        "usage: is in no form that a known provider has",
        "usage: is in no form that a known provider has",
        "provider: is not in the price catalogue, so its bodies can't be read",
    ]


def test_a_body_without_an_id_is_told_by_its_content_place_and_options(read):
    bare = {name: value for name, value in OPENAI.items() if name != "id"}

    ids = [row.record_id for row in read(bare, bare)]

    assert len(set(ids)) == 2
    assert ids == [row.record_id for row in read(bare, bare)]
    assert ids[0] != read(bare, team="x")[0].record_id

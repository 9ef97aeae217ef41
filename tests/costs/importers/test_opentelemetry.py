"""OpenTelemetry GenAI spans."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from apex_actors.costs.records import Processing, Status


def attribute(name, value):
    match value:
        case bool():
            held = {"boolValue": value}
        case int():
            held = {"intValue": str(value)}
        case float():
            held = {"doubleValue": value}
        case list():
            held = {"arrayValue": {"values": [{"stringValue": item} for item in value]}}
        case _:
            held = {"stringValue": value}
    return {"key": name, "value": held}


def span(attributes, number=1, **changes):
    return {
        "traceId": "5b8efff798038103d269b633813fc60c", "spanId": f"eee19b7ec3c1b1{number:02}",
        "name": "chat", "kind": 3, "startTimeUnixNano": "1767607200250000000",
        "endTimeUnixNano": "1767607202250000000",
        "attributes": [attribute(*item) for item in attributes.items()], "status": {}, **changes,
    }  # fmt: skip


def export(*spans):
    resource = {
        "attributes": [
            attribute("service.name", "shop"),
            attribute("deployment.environment.name", "production"),
        ]
    }
    return {
        "resourceSpans": [
            {"resource": resource, "scopeSpans": [{"scope": {"name": "x"}, "spans": list(spans)}]}
        ]
    }


NEW = {
    "gen_ai.operation.name": "chat", "gen_ai.provider.name": "anthropic",
    "gen_ai.request.model": "claude-sonnet-4-5", "gen_ai.response.model": "claude-sonnet-4-5-20250929",
    "gen_ai.response.finish_reasons": ["end_turn"], "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.cache_read.input_tokens": 700, "gen_ai.usage.cache_creation.input_tokens": 100,
    "gen_ai.usage.output_tokens": 50, "gen_ai.usage.reasoning.output_tokens": 20,
    "gen_ai.request.temperature": 0.5, "gen_ai.conversation.id": "c-1", "user.id": "ada",
}  # fmt: skip
OLD = {
    "gen_ai.system": "az.ai.openai", "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.prompt_tokens": 30, "gen_ai.usage.completion_tokens": 7,
    "gen_ai.openai.response.service_tier": "flex",
}  # fmt: skip


def test_a_span_of_a_model_call_is_a_request(read):
    (record,) = read(export(span(NEW)), expect="opentelemetry-genai-spans")

    assert record.record_id == "otel:5b8efff798038103d269b633813fc60c-eee19b7ec3c1b101"
    assert record.occurred_at == datetime(2026, 1, 5, 10, 0, 0, 250000, UTC)
    assert (record.provider, record.model) == ("anthropic", "claude-sonnet-4-5-20250929")
    assert (record.input_tokens, record.cache_read_tokens) == (1000, 700)
    assert record.cache_write_5m_tokens == 100
    assert (record.output_tokens, record.reasoning_tokens) == (50, 20)
    assert (record.latency_ms, record.finish_reason) == (2000, "end_turn")
    assert (record.user, record.session_id) == ("ada", "c-1")
    assert (record.feature, record.environment) == ("shop", "production")
    assert record.temperature == Decimal("0.5")


def test_old_names_are_read_too(read):
    (record,) = read(export(span(OLD)))

    assert (record.provider, record.model) == ("azure", "gpt-4o")
    assert (record.input_tokens, record.output_tokens) == (30, 7)
    assert record.processing is Processing.FLEX


def test_more_cache_than_input_means_that_they_stand_beside_each_other(read):
    (record,) = read(export(span({**NEW, "gen_ai.usage.input_tokens": 12})))

    assert record.input_tokens == 12 + 700 + 100


@pytest.mark.parametrize(
    "attributes",
    [
        {**NEW, "gen_ai.operation.name": "invoke_agent"},
        {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"},
        {"http.request.method": "GET"},
        {},
    ],
)
def test_spans_around_model_calls_and_others_are_left_out(read, attributes):
    rows = read(export(span(attributes), span(OLD, 2)))

    assert [row.model for row in rows] == ["gpt-4o"]


def test_a_failed_call_counts_with_what_it_used_and_a_good_one_has_to_tell(read):
    asked = {name: value for name, value in NEW.items() if "usage" not in name}

    rows = read(
        export(
            span(asked, 1, status={"code": 2}),
            span({**asked, "error.type": "timeout"}, 2),
            span(NEW, 3, status={"code": "STATUS_CODE_ERROR"}),
            span(asked, 4),
        )
    )

    assert [row.status for row in rows[:3]] == [Status.ERROR] * 3
    assert [row.output_tokens for row in rows[:3]] == [0, 0, 50]
    assert rows[3].reason.startswith("gen_ai.usage.input_tokens: is required")


def test_the_collector_writes_one_export_a_line_and_others_indent_it(read):
    exports = (export(span(NEW), span(OLD, 2)), export(span(OLD, 3)))
    pretty = b"\n".join(json.dumps(part, indent=2).encode() for part in exports)

    assert read(*exports) == read(pretty)
    assert len(read(*exports)) == 3


def test_a_bad_span_is_refused_and_the_others_go_on(read):
    rows = read(
        export(
            span(NEW),
            span(NEW, 2, startTimeUnixNano="secret"),
            span({**NEW, "gen_ai.usage.input_tokens": "secret"}, 3),
            "secret",
            {**span(NEW, 5), "attributes": {"secret": 1}},
            span(NEW, 6),
        )
    )

    assert [getattr(row, "reason", None) for row in rows] == [
        None,
        "startTimeUnixNano: must be a number",
        "gen_ai.usage.input_tokens: must be a number",
        "not a JSON object in UTF-8",
        "attributes: must be a list",
        None,
    ]
    assert rows[1].line == 2

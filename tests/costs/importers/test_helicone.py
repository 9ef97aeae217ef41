"""Helicone's request export."""

from decimal import Decimal

import pytest

from apex_actors.costs.records import Status


def log(**changes):
    return {
        "response_id": "r-1", "response_created_at": "2025-06-01T08:00:02.000Z",
        "response_status": 200, "response_model": "claude-3-7-sonnet-20250219",
        "request_id": "q-1", "request_created_at": "2025-06-01T08:00:00.000Z",
        "request_body": {"messages": []}, "request_path": "https://api.anthropic.com/v1/messages",
        "request_user_id": "ada", "request_properties": {"Helicone-Session-Id": "s-1", "app": "web"},
        "request_model": "claude-3-7-sonnet-latest", "model_override": None, "helicone_user": None,
        "provider": "ANTHROPIC", "delay_ms": 2000, "time_to_first_token": 350.0,
        "total_tokens": 3150, "prompt_tokens": 100, "prompt_cache_write_tokens": 1000,
        "prompt_cache_read_tokens": 2000, "completion_tokens": 50, "cost": 0.0055, "costUSD": 0.0054,
        "cache_reference_id": "00000000-0000-0000-0000-000000000000", "cache_enabled": False,
        **changes,
    }  # fmt: skip


def test_a_log_is_a_request(read):
    (record,) = read(log(), expect="helicone-requests")

    assert record.record_id == "helicone:q-1"
    assert (record.provider, record.model) == ("anthropic", "claude-3-7-sonnet-20250219")
    # 100 + 1000 + 2000 + 50 = 3150, so the prompt tokens have no cache in them.
    assert (record.input_tokens, record.output_tokens) == (3100, 50)
    assert (record.cache_read_tokens, record.cache_write_5m_tokens) == (2000, 1000)
    assert (record.latency_ms, record.ttft_ms) == (2000, 350)
    assert (record.user, record.session_id) == ("ada", "s-1")
    assert record.tags == {"app": "web"}
    assert record.reported_cost == Decimal("0.0054")


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        ({"cost": 1.5, "costUSD": None}, Decimal("1.5")),
        ({"cost": None, "costUSD": 0}, Decimal(0)),
        ({"cost": None, "costUSD": None}, None),
    ],
)
def test_the_cost_in_dollars_goes_before_the_other(read, costs, expected):
    assert read(log(**costs))[0].reported_cost == expected


def test_a_total_without_the_cache_means_that_the_prompt_includes_it(read):
    (record,) = read(
        log(prompt_tokens=3000, prompt_cache_read_tokens=2000, prompt_cache_write_tokens=0,
            total_tokens=3050)
    )  # fmt: skip

    assert (record.input_tokens, record.cache_read_tokens) == (3000, 2000)


@pytest.mark.parametrize(
    ("status", "expected"),
    [(200, Status.OK), (429, Status.ERROR), (500, Status.ERROR), (-3, Status.ERROR)],
)
def test_the_response_status_tells_failures(read, status, expected):
    assert read(log(response_status=status))[0].status is expected


def test_an_answer_of_helicones_own_cache_was_asked_of_no_provider(read):
    (record,) = read(log(cache_reference_id="5f6a0000-0000-4000-8000-000000000001"))

    assert (record.input_tokens, record.output_tokens) == (0, 0)
    assert record.tags == {"app": "web", "cache_hit": "true"}


def test_exports_are_arrays_pages_lines_or_csv(read):
    columns = (
        "request_id", "request_created_at", "response_status", "response_model", "provider",
        "prompt_tokens", "completion_tokens", "total_tokens", "delay_ms", "costUSD",
        "prompt_cache_read_tokens", "request_properties",
    )  # fmt: skip
    text = (
        ",".join(columns)
        + '\nq-1,2025-06-01T08:00:00Z,200,gpt-4o,OPENAI,100,50,150,2000,0.5,40,"{""a"": ""b""}"\n'
    ).encode()

    assert read([log()]) == read({"data": [log()], "error": None}) == read(log())
    (record,) = read(text, expect="helicone-requests")
    assert (record.input_tokens, record.cache_read_tokens, record.output_tokens) == (100, 40, 50)
    assert (record.reported_cost, record.tags) == (Decimal("0.5"), {"a": "b"})

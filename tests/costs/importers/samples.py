"""A small file of each foreign format, for what holds of all of them."""

import json

_OPENAI = {"object": "bucket", "start_time": 1763942400, "end_time": 1764028800}
_ANTHROPIC = {"starting_at": "2025-08-01T00:00:00Z", "ending_at": "2025-08-02T00:00:00Z"}


def _lines(*rows: object) -> bytes:
    return b"\n".join(json.dumps(row).encode() for row in rows)


def _document(name: str, *rows: object) -> bytes:
    return json.dumps({name: list(rows)}, indent=1).encode()


def _openai_usage(model: str) -> dict[str, object]:
    return {
        "object": "organization.usage.completions.result", "input_tokens": 10,
        "output_tokens": 5, "num_model_requests": 2, "model": model,
    }  # fmt: skip


def _openai_cost(line_item: str) -> dict[str, object]:
    return {
        "object": "organization.costs.result", "amount": {"value": 0.5, "currency": "usd"},
        "line_item": line_item,
    }  # fmt: skip


def _litellm(number: int) -> dict[str, object]:
    return {
        "request_id": f"r{number}", "call_type": "completion", "spend": 0.5, "prompt_tokens": 9,
        "completion_tokens": 4, "startTime": "2025-10-01T12:00:00Z", "model": "gpt-4o",
        "metadata": {}, "status": "success",
    }  # fmt: skip


def _langfuse(number: int) -> dict[str, object]:
    return {
        "id": f"o{number}", "traceId": "t", "type": "GENERATION",
        "startTime": "2026-01-05T10:00:00Z", "level": "DEFAULT", "providedModelName": "gpt-4o",
        "usageDetails": {"input": 9, "output": 4, "total": 13}, "costDetails": {"total": 0.5},
    }  # fmt: skip


def _helicone(number: int) -> dict[str, object]:
    return {
        "request_id": f"q{number}", "request_created_at": "2025-06-01T08:00:00Z",
        "response_status": 200, "response_model": "gpt-4o", "provider": "OPENAI",
        "prompt_tokens": 9, "completion_tokens": 4, "costUSD": 0.5,
    }  # fmt: skip


def _span(number: int) -> dict[str, object]:
    attributes = {
        "gen_ai.system": {"stringValue": "openai"},
        "gen_ai.request.model": {"stringValue": "gpt-4o"},
        "gen_ai.usage.prompt_tokens": {"intValue": "9"},
    }
    return {
        "traceId": "5b8e", "spanId": f"eee{number}", "startTimeUnixNano": "1767607200250000000",
        "attributes": [{"key": key, "value": value} for key, value in attributes.items()],
    }  # fmt: skip


def _session(number: int) -> dict[str, object]:
    usage = {"input_tokens": 9, "output_tokens": 4}
    return {
        "type": "assistant", "sessionId": "s", "uuid": f"u{number}", "requestId": f"q{number}",
        "timestamp": "2026-02-01T09:00:00Z", "message": {"model": "claude-opus-4-5", "usage": usage},
    }  # fmt: skip


def _body(number: int) -> dict[str, object]:
    usage = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
    return {"id": f"c{number}", "created": 1767607200, "model": "gpt-4o", "usage": usage}


SAMPLES = {
    "openai-usage": _document(
        "data", *({**_OPENAI, "results": [_openai_usage(model)]} for model in ("a", "b", "c"))
    ),
    "openai-costs": _document(
        "data", *({**_OPENAI, "results": [_openai_cost(item)]} for item in ("a", "b", "c"))
    ),
    "anthropic-usage": _document(
        "data",
        *(
            {**_ANTHROPIC, "results": [{"uncached_input_tokens": 9, "model": model}]}
            for model in ("a", "b", "c")
        ),
    ),
    "anthropic-costs": _document(
        "data",
        *(
            {**_ANTHROPIC, "results": [{"amount": "9.5", "currency": "USD", "model": model}]}
            for model in ("a", "b", "c")
        ),
    ),
    "litellm-spend-logs": _lines(*map(_litellm, range(3))),
    "langfuse-observations": _lines(*map(_langfuse, range(3))),
    "helicone-requests": json.dumps(list(map(_helicone, range(3)))).encode(),
    "opentelemetry-genai-spans": _document(
        "resourceSpans",
        {"resource": {}, "scopeSpans": [{"spans": list(map(_span, range(3)))}]},
    ),
    "claude-code-session": _lines(*map(_session, range(3))),
    "response-bodies": _lines(*map(_body, range(3))),
    "openrouter-activity": b"""\
generation_id,created_at,cost_total,tokens_prompt,tokens_completion,model_permaslug
g0,2026-03-30 02:37:51.271,0.5,9,4,openai/gpt-4o
g1,2026-03-30 02:37:51.271,0.5,9,4,openai/gpt-4o
g2,2026-03-30 02:37:51.271,0.5,9,4,openai/gpt-4o
""",
    "focus": b"""\
BilledCost,BillingCurrency,ChargeCategory,ChargePeriodStart,ServiceCategory,SkuId
0.5,USD,Usage,2025-01-01T00:00:00Z,AI and Machine Learning,s0
0.5,USD,Usage,2025-01-01T00:00:00Z,AI and Machine Learning,s1
0.5,USD,Usage,2025-01-01T00:00:00Z,AI and Machine Learning,s2
""",
}
"""By format; each has three records."""

"""OpenRouter's activity export."""

from datetime import UTC, datetime
from decimal import Decimal

from apex_actors.costs.prices import PriceCatalogue
from apex_actors.costs.records import Status

COLUMNS = (
    "generation_id,created_at,cost_total,cost_web_search,cost_cache,cost_file_processing,"
    "byok_usage_inference,tokens_prompt,tokens_completion,tokens_reasoning,tokens_cached,"
    "model_permaslug,provider_name,variant,cancelled,streamed,user,finish_reason_raw,"
    "finish_reason_normalized,generation_time_ms,time_to_first_token_ms,app_name,api_key_name"
)
ROW = (
    "gen-1,2026-03-30 02:37:51.271,0.00705,0,-0.0012,0,0,1500,300,120,1000,"
    "anthropic/claude-4.5-sonnet-20250929,Amazon Bedrock,standard,false,true,ada,end_turn,"
    "stop,4200,800,My App,prod key"
)


def csv(*rows):
    return "\n".join((COLUMNS, *rows)).encode()


def test_a_row_is_a_request_with_its_real_cost(read):
    (record,) = read(csv(ROW), expect="openrouter-activity")

    assert record.record_id == "openrouter:gen-1"
    assert record.occurred_at == datetime(2026, 3, 30, 2, 37, 51, 271000, UTC)
    assert (record.provider, record.model) == (
        "openrouter",
        "anthropic/claude-4.5-sonnet-20250929",
    )
    assert (record.input_tokens, record.cache_read_tokens) == (1500, 1000)
    assert (record.output_tokens, record.reasoning_tokens) == (300, 120)
    assert (record.latency_ms, record.ttft_ms) == (4200, 800)
    assert (record.user, record.feature) == ("ada", "My App")
    assert record.reported_cost == Decimal("0.00705")
    assert record.finish_reason == "stop"
    assert record.tags == {
        "upstream_provider": "Amazon Bedrock",
        "native_finish_reason": "end_turn",
        "api_key_name": "prod key",
    }
    assert isinstance(PriceCatalogue().price(record), int)


def test_variants_cancellations_errors_and_own_keys_are_kept_apart(read):
    free = ROW.replace("standard,false", "free,true").replace("gen-1", "gen-2")
    failed = ROW.replace(",stop,", ",error,").replace(",-0.0012,0,0,", ",0,0,0.5,")

    rows = read(csv(free, failed))

    assert rows[0].model == "anthropic/claude-4.5-sonnet-20250929:free"
    assert (rows[0].finish_reason, rows[0].status) == ("cancelled", Status.OK)
    assert rows[1].status is Status.ERROR
    assert rows[1].tags["byok_cost"] == "0.5"


def test_rows_without_an_id_are_told_apart_by_their_place(read):
    rows = read(csv(ROW.removeprefix("gen-1"), ROW.removeprefix("gen-1")))

    assert len({row.record_id for row in rows}) == 2


def test_a_bad_row_is_refused_and_the_others_go_on(read):
    rows = read(csv(ROW, ROW.replace("1500", "secret"), "a,b", ROW.replace("gen-1", "gen-4")))

    assert (rows[1].line, rows[1].reason) == (3, "tokens_prompt: must be a number")
    assert rows[2].reason.startswith("has another number of cells")
    assert rows[3].record_id == "openrouter:gen-4"

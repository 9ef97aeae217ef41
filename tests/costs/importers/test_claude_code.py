"""Claude Code's sessions."""

from datetime import UTC, datetime

from apex_actors.costs.importers import claude_code
from apex_actors.costs.records import Processing

USAGE = {
    "input_tokens": 3, "cache_creation_input_tokens": 1033, "cache_read_input_tokens": 28193,
    "cache_creation": {"ephemeral_5m_input_tokens": 33, "ephemeral_1h_input_tokens": 1000},
    "output_tokens": 14, "service_tier": "standard",
}  # fmt: skip


def line(request="req_1", second=0, uuid="u-1", **changes):
    usage = {**USAGE, **changes.pop("usage", {})}
    return {
        "parentUuid": None, "isSidechain": False, "userType": "external", "cwd": "/work",
        "sessionId": "s-1", "version": "2.1.39", "gitBranch": "main", "type": "assistant",
        "requestId": request, "uuid": uuid, "timestamp": f"2026-02-01T09:00:{second:02}.000Z",
        "message": {
            "model": "claude-opus-4-5-20251101", "id": "msg_1", "type": "message",
            "role": "assistant", "content": [], "stop_reason": None, "usage": usage,
            **changes.pop("message", {}),
        },
        **changes,
    }  # fmt: skip


SUMMARY = {"type": "summary", "summary": "x", "leafUuid": "u-9"}
QUESTION = {
    "type": "user", "sessionId": "s-1", "uuid": "u-0", "timestamp": "2026-02-01T08:59:59Z",
    "message": {"role": "user", "content": "hello"},
}  # fmt: skip


def test_the_lines_of_one_request_are_one_record_with_the_final_usage(read):
    rows = read(
        SUMMARY,
        QUESTION,
        line(usage={"output_tokens": 1}),
        line(uuid="u-2", second=2, usage={"output_tokens": 1}),
        {**QUESTION, "uuid": "u-3"},
        line(
            uuid="u-4", second=5, usage={"output_tokens": 400}, message={"stop_reason": "tool_use"}
        ),
        line("req_2", second=9, uuid="u-5"),
        expect="claude-code-session",
    )

    assert [row.record_id for row in rows] == ["claude-code:req_1", "claude-code:req_2"]
    # 3 + 28193 read + 33 and 1000 written
    assert (rows[0].input_tokens, rows[0].cache_read_tokens) == (29229, 28193)
    assert (rows[0].cache_write_5m_tokens, rows[0].cache_write_1h_tokens) == (33, 1000)
    assert (rows[0].output_tokens, rows[0].finish_reason) == (400, "tool_use")
    assert rows[0].occurred_at == datetime(2026, 2, 1, 9, tzinfo=UTC)
    assert (rows[0].provider, rows[0].session_id) == ("anthropic", "s-1")


def test_a_copied_line_that_tells_less_changes_nothing(read):
    once = read(line(second=1, usage={"output_tokens": 400}))
    twice = read(line(second=1, usage={"output_tokens": 400}), line(second=3, uuid="u-8"))

    assert once == twice


def test_iterations_repeat_the_totals_and_are_not_added(read):
    (record,) = read(line(usage={"iterations": [{**USAGE, "type": "message"}] * 2}))

    assert (record.input_tokens, record.output_tokens) == (29229, 14)


def test_writes_without_their_life_are_short_ones(read):
    (record,) = read(line(usage={"cache_creation": None}))

    assert (record.cache_write_5m_tokens, record.cache_write_1h_tokens) == (1033, 0)


def test_answers_that_the_program_made_up_are_left_out(read):
    rows = read(line(message={"model": "<synthetic>"}, isApiErrorMessage=True), line("req_2"))

    assert [row.record_id for row in rows] == ["claude-code:req_2"]


def test_subagents_fast_mode_and_service_classes_are_kept(read):
    (record,) = read(line(isSidechain=True, usage={"speed": "fast", "service_tier": "priority"}))

    assert record.tags == {"subagent": "true", "speed": "fast"}
    assert record.processing is Processing.PRIORITY


def test_where_no_request_is_told_the_message_stands_for_it(read):
    rows = read(line(None), line(None, uuid="u-2"), line(None, message={"id": None}))

    assert rows[1].record_id[:11] == "claude-code"
    assert [row.record_id.startswith("row-") for row in rows] == [True, False]


def test_requests_that_are_long_past_are_not_held(read, monkeypatch):
    monkeypatch.setattr(claude_code, "_OPEN_REQUESTS", 2)

    rows = read(*(line(f"req_{number}") for number in (1, 2, 3, 1)))

    # The same request again, late: an import takes the id once.
    assert [row.record_id[-1] for row in rows] == ["1", "2", "3", "1"]


def test_bad_lines_are_refused_and_the_others_go_on(read):
    rows = read(line(), b"{broken", line("req_2", timestamp="secret"),
                line("req_3", usage={"output_tokens": "secret"}), line("req_4"))  # fmt: skip

    assert {row.line: row.reason for row in rows if hasattr(row, "reason")} == {
        2: "not a JSON object in UTF-8",
        3: "timestamp: must be a date and time",
        4: "output_tokens: must be a number",
    }
    assert len(rows) == 5

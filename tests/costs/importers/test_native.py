"""The native formats."""

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_actors.costs.importers import RejectedRow, UnreadableFileError, open_usage_file
from apex_actors.costs.importers.lines import LineSource
from apex_actors.costs.importers.native import _carefully, _quickly, jsonl_rows
from apex_actors.costs.records import FIELDS, Grain, Processing, Status, UsageRecord

FULL = {
    "record_id": "req-1",
    "occurred_at": "2026-11-01T10:00:00.250+01:00",
    "grain": "request",
    "request_count": 1,
    "provider": "anthropic",
    "model": "claude-sonnet-4-5",
    "processing": "batch",
    "input_tokens": 1025,
    "cache_read_tokens": 512,
    "cache_write_5m_tokens": 100,
    "cache_write_1h_tokens": 1,
    "output_tokens": 20,
    "reasoning_tokens": 5,
    "latency_ms": 900,
    "ttft_ms": 120,
    "status": "error",
    "finish_reason": "length",
    "user": "Zoë",
    "team": 'quoted "team", with comma',
    "feature": "chat",
    "environment": "production",
    "session_id": "s",
    "request_hash": "abc",
    "prefix_block_hashes": [1, -9223372036854775808, 9223372036854775807],
    "temperature": 0.7,
    "deferrable": True,
    "retry_of": "req-0",
    "reported_cost": 0.12345678901234567890,
    "currency": "EUR",
    "tags": {"k": "v"},
}
SMALL = {
    "occurred_at": "2026-11-01T10:00:00Z",
    "provider": "openai",
    "model": "gpt-5",
    "input_tokens": 10,
    "output_tokens": 1,
}


#: Texts of rows that are right in the eyes of one parser or of both, or of none.
TEXTS = st.sampled_from(
    [
        *(json.dumps(row) for row in (FULL, SMALL, SMALL | {"record_id": "a"})),
        json.dumps(SMALL | {"record_id": "a", "tenant": "acme"}),
        json.dumps(SMALL | {"record_id": "a", "tenant": "other"}),
        json.dumps(SMALL | {"record_id": "a", "reported_cost": "0.10"}),
        json.dumps(SMALL | {"record_id": "a", "occurred_at": "1700000000"}),
        json.dumps(SMALL | {"record_id": "a", "user": None, "cache_read_tokens": None}),
        '{"record_id":"a","reported_cos\\u0074":0.1234567890123456789012345}',
        '{"record_id":"a","reported_cost":NaN}',
        "{}",
    ]
)


def read(data: bytes):
    return list(open_usage_file(io.BytesIO(data), tenant="acme").rows)


def jsonl(*rows) -> bytes:
    return "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows).encode()


def as_csv(*rows: dict) -> bytes:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def cells(row: dict) -> dict:
    return {
        **row,
        "prefix_block_hashes": " ".join(map(str, row["prefix_block_hashes"])),
        "tags": json.dumps(row["tags"]),
        "deferrable": "true",
    }


EXPECTED = UsageRecord(
    **{
        **FULL,
        "tenant": "acme",
        "occurred_at": datetime(2026, 11, 1, 9, 0, 0, 250_000, UTC),
        "grain": Grain.REQUEST,
        "processing": Processing.BATCH,
        "status": Status.ERROR,
        "temperature": Decimal("0.7"),
        "reported_cost": Decimal("0.1234567890123456789"),
        "prefix_block_hashes": tuple(FULL["prefix_block_hashes"]),
    }
)


def test_a_full_json_row_loses_no_field_and_no_digit():
    line = json.dumps(FULL).replace("0.12345678901234568", "0.1234567890123456789")

    assert read(line.encode()) == [EXPECTED]
    assert set(FULL) | {"tenant"} == FIELDS


def test_a_full_csv_row_gives_the_same_record():
    row = {**cells(FULL), "reported_cost": "0.1234567890123456789"}

    assert read(as_csv(row)) == [EXPECTED]


def test_absent_and_empty_mean_the_same():
    (from_csv,) = read(as_csv({**SMALL, "team": "", "record_id": "r", "deferrable": ""}))
    (from_json,) = read(jsonl({**SMALL, "team": None, "grain": None, "record_id": "r"}))

    assert from_csv == from_json
    assert from_csv.team is None
    assert from_csv.deferrable is None


def test_rows_without_id_get_the_same_one_each_time_and_in_any_line_end():
    data = jsonl(SMALL, SMALL, {**SMALL, "model": "gpt-5-mini"})

    first, again = read(data), read(data.replace(b"\n", b"\r\n"))

    assert [row.record_id for row in first] == [row.record_id for row in again]
    assert len({row.record_id for row in first}) == 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"occurred_at": "yesterday"}, "occurred_at: must be a date and time in ISO 8601"),
        ({"occurred_at": 5}, "occurred_at: must be a date and time in ISO 8601"),
        ({"occurred_at": "2026-11-01T10:00:00"}, "occurred_at: input should have timezone"),
        ({"occurred_at": None}, "occurred_at: is required"),
        ({"provider": None}, "provider: is required"),
        ({"input_tokens": "10"}, "input_tokens: input should be a valid integer"),
        ({"input_tokens": 1.5}, "input_tokens: input should be a valid integer"),
        ({"input_tokens": True}, "input_tokens: input should be a valid integer"),
        ({"grain": "day"}, "grain: must be one of request, bucket"),
        ({"processing": ["batch"]}, "processing: must be one of standard, batch, flex, priority"),
        ({"reported_cost": "much"}, "reported_cost: must be a decimal number"),
        ({"reported_cost": False}, "reported_cost: must be a decimal number"),
        ({"prefix_block_hashes": 7}, "prefix_block_hashes: must be a list of whole numbers"),
        ({"prefix_block_hashes": ["a"]}, "prefix_block_hashes: input should be a valid integer"),
        ({"tags": {"a": 1}}, "tags: input should be a valid string"),
        ({"tenant": "other"}, "tenant: is another one than the importing tenant"),
        ({"user": "\ud800"}, "user: input should be a valid string"),
        ({"color": "red"}, "color: is not a field"),
    ],
)
def test_a_bad_json_row_is_refused_and_the_others_go_on(change, reason):
    rows = read(jsonl(SMALL, {**SMALL, **change}, SMALL))

    assert [type(row) for row in rows] == [UsageRecord, RejectedRow, UsageRecord]
    assert rows[1].line == 2
    assert rows[1].reason.startswith(reason)


@pytest.mark.parametrize(
    "line",
    ["{", "5", "null", '{"a": NaN}', "{" * 100_000, '{"a": ' + "9" * 5000 + "}", '"\\ud800'],
)
def test_what_is_no_object_is_refused(line):
    rows = read(jsonl(SMALL, line, SMALL))

    assert rows[1] == RejectedRow(2, "not a JSON object in UTF-8")
    assert isinstance(rows[2], UsageRecord)


def test_bytes_that_are_not_utf8_refuse_their_own_row():
    rows = read(jsonl(SMALL) + b'\n{"user": "\xff"}\n' + jsonl(SMALL))
    from_csv = read(as_csv(SMALL) + b"2026,\xff,c,1,1\r\n" + as_csv(SMALL).splitlines()[1])

    assert rows[1] == RejectedRow(2, "not a JSON object in UTF-8")
    assert from_csv[1].line == 3
    assert "UTF-8" in from_csv[1].reason
    assert isinstance(from_csv[2], UsageRecord)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"input_tokens": "1_000"}, "input_tokens: must be a whole number"),
        ({"input_tokens": "1e3"}, "input_tokens: must be a whole number"),
        ({"input_tokens": "٣"}, "input_tokens: must be a whole number"),
        ({"deferrable": "maybe"}, "deferrable: must be true or false"),
        ({"tags": "{"}, "tags: must be a JSON object"),
        ({"prefix_block_hashes": "1 x"}, "prefix_block_hashes: must be a whole number"),
    ],
)
def test_a_bad_cell_is_refused(change, reason):
    (row,) = read(as_csv({**SMALL, **change}))

    assert row.reason.startswith(reason)


def test_csv_rows_of_another_length_or_with_loose_quotes_are_refused():
    header, good = as_csv(SMALL).splitlines()

    rows = read(b"\n".join([header, b"a,b", good, b'"a"b,c,d,e,f', good, b""]))

    assert [type(row).__name__ for row in rows] == [
        "RejectedRow", "UsageRecord", "RejectedRow", "UsageRecord",
    ]  # fmt: skip
    assert [row.line for row in rows if isinstance(row, RejectedRow)] == [2, 4]


def test_a_csv_file_with_a_foreign_column_is_refused_whole():
    with pytest.raises(UnreadableFileError, match=r"1 of the 6 column names .* cache_read_tokens"):
        read(as_csv({**SMALL, "colour": "red"}))


def test_a_refusal_never_holds_the_value():
    secrets = [{**SMALL, name: "hunter2"} for name in FIELDS - {"tags"}]

    reasons = [row.reason for row in read(jsonl(*secrets)) if isinstance(row, RejectedRow)]

    assert len(reasons) > 10
    assert not [reason for reason in reasons if "hunter2" in reason]


@given(TEXTS, st.data())
def test_the_quick_way_to_read_a_row_never_takes_it_for_another(text, data):
    # Changed somewhere: a piece of it is gone, doubled, or is something else.
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 12)))
    piece = data.draw(
        st.sampled_from(
            ["", text[start:end] * 2, "0", "-", '"', "null", "1e3", ",", "}", "\\u0041"]
        )
    )
    content = (text[:start] + piece + text[end:]).encode().strip()
    if not content or b"\n" in content:
        return
    [row] = jsonl_rows(iter(LineSource(io.BytesIO(content))), tenant="acme")
    assert row == _carefully(content, 1, "acme")


def test_most_rows_are_read_the_quick_way():
    assert _quickly(json.dumps(SMALL | {"record_id": "a"}).encode(), b',"tenant":"acme"}')

"""The public traffic traces."""

import io
import json
from datetime import UTC, datetime, timedelta

import pytest

from apex_actors.costs.importers import ImportOptions, RejectedRow, open_usage_file
from apex_actors.costs.importers.errors import MissingOptionError

AZURE = b"""TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109
"""
MOONCAKE = b"\n".join(
    json.dumps(row).encode()
    for row in (
        {"timestamp": 0, "input_length": 600, "output_length": 5, "hash_ids": [0, 1]},
        {"timestamp": 3500, "input_length": 512, "output_length": 7, "hash_ids": [0]},
    )
)
START = datetime(2026, 11, 2, 9, tzinfo=UTC)
OPTIONS = ImportOptions(
    provider="anthropic", model="claude-sonnet-4-5", user="ada", team="core", deferrable=True,
    tags={"trace": "yes"},
)  # fmt: skip


def read(data: bytes, options: ImportOptions):
    return list(open_usage_file(io.BytesIO(data), tenant="acme", options=options).rows)


def with_start(options: ImportOptions) -> ImportOptions:
    return options.model_copy(update={"start": START})


def test_an_azure_trace_keeps_its_dates_and_takes_the_rest_from_options():
    first, second = read(AZURE, OPTIONS)

    assert first.occurred_at == datetime(2023, 11, 16, 18, 15, 46, 680590, UTC)
    assert (first.input_tokens, first.output_tokens) == (374, 44)
    assert (first.user, first.team, first.deferrable) == ("ada", "core", True)
    assert second.tags == {"trace": "yes"}
    assert first.request_hash is first.prefix_block_hashes is None


def test_a_start_moves_a_trace_and_keeps_its_gaps():
    first, second = read(AZURE, with_start(OPTIONS))

    assert first.occurred_at == START
    assert second.occurred_at - first.occurred_at == timedelta(seconds=4, microseconds=314579)


def test_a_mooncake_trace_has_prefix_blocks():
    first, second = read(MOONCAKE, with_start(OPTIONS))

    assert first.prefix_block_hashes == (0, 1)
    assert second.occurred_at == START + timedelta(milliseconds=3500)
    assert (second.input_tokens, second.output_tokens) == (512, 7)
    assert second.request_hash is None


def test_the_same_file_has_the_same_ids_and_other_options_have_others():
    ids = [row.record_id for row in read(AZURE, OPTIONS)]
    other = OPTIONS.model_copy(update={"model": "claude-haiku-4-5"})

    assert ids == [row.record_id for row in read(AZURE, OPTIONS)]
    assert not set(ids) & {row.record_id for row in read(AZURE, other)}


@pytest.mark.parametrize(
    ("data", "options", "reason"),
    [
        (AZURE, ImportOptions(model="gpt-5"), "Name the provider and the model"),
        (
            MOONCAKE,
            ImportOptions(provider="openai", start=START),
            "Name the provider and the model",
        ),
        (MOONCAKE, OPTIONS, "Say when it began"),
    ],
)
def test_a_trace_needs_what_it_does_not_say(data, options, reason):
    with pytest.raises(MissingOptionError, match=reason):
        open_usage_file(io.BytesIO(data), tenant="acme", options=options)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"yesterday,1,2", "TIMESTAMP: must be"),
        (b"2023-11-16 18:15:46,1", "must have 3 cells"),
        (b"2023-11-16 18:15:46,-1,2", "ContextTokens, GeneratedTokens: must be"),
        (b"2023-11-16 18:15:46,1,99999999999999", "ContextTokens, GeneratedTokens: must be"),
        (b"\xff,1,2", "TIMESTAMP: must be"),
    ],
)
def test_a_bad_azure_row_is_refused_and_the_others_go_on(line, reason):
    rows = read(AZURE + line + b"\n" + AZURE.splitlines()[1], OPTIONS)

    assert isinstance(rows[2], RejectedRow)
    assert rows[2].line == 4
    assert rows[2].reason.startswith(reason)
    assert rows[3].input_tokens == 374


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"timestamp": "0"}, "must be a JSON object"),
        ({"timestamp": 10**30}, "must be a JSON object"),
        ({"input_length": True}, "must be a JSON object"),
        ({"hash_ids": 5}, "must be a JSON object"),
        ({"hash_ids": [0]}, "prefix_block_hashes: must have one hash for each 512"),
    ],
)
def test_a_bad_mooncake_row_is_refused_and_the_others_go_on(change, reason):
    good = json.loads(MOONCAKE.splitlines()[0])
    bad = json.dumps({**good, **change}).encode()

    rows = read(MOONCAKE + b"\n" + bad + b"\n" + MOONCAKE, with_start(OPTIONS))

    assert rows[2].reason.startswith(reason)
    assert len(rows) == 5

"""What holds of every format."""

import gzip
import io
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_actors.costs.importers import (
    FileFormat,
    RejectedRow,
    SourceKind,
    detect,
    open_usage_file,
)
from apex_actors.costs.importers.errors import UsageFileError
from apex_actors.costs.importers.registry import BY_NAME, FORMATS
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.costs.records import Grain

sys.path.insert(0, str(Path(__file__).parent))
from samples import SAMPLES

sys.path.pop(0)

NATIVE = {FileFormat.NATIVE_CSV, FileFormat.NATIVE_JSONL}
TRACES = {FileFormat.AZURE_TRACE, FileFormat.MOONCAKE_TRACE}

each_format = pytest.mark.parametrize("name", list(SAMPLES))


def rows(data, tenant="acme"):
    return list(open_usage_file(io.BytesIO(data), tenant=tenant).rows)


def test_every_format_has_a_description_and_a_sample():
    assert set(BY_NAME) == set(FileFormat)
    assert len(FORMATS) == len(FileFormat)
    assert {FileFormat(name) for name in SAMPLES} == set(FileFormat) - NATIVE - TRACES


def test_reports_and_traces_are_told_from_requests():
    kinds = {kind: {known.format for known in FORMATS if known.kind is kind} for kind in SourceKind}

    assert kinds[SourceKind.USAGE_REPORT] == {"openai-usage", "anthropic-usage"}
    assert kinds[SourceKind.COST_REPORT] == {"openai-costs", "anthropic-costs", "focus"}
    assert kinds[SourceKind.TRACE] == TRACES


@each_format
def test_a_file_is_recognised_by_its_content_and_the_reason_said(name):
    detection = detect(SAMPLES[name])

    assert detection.format == name
    assert len(detection.reason) > 20
    assert open_usage_file(io.BytesIO(SAMPLES[name]), tenant="a").kind is BY_NAME[name].kind


@each_format
def test_reading_again_or_packed_gives_the_same_records(name):
    found = rows(SAMPLES[name])

    assert len(found) == 3
    assert len({row.record_id for row in found}) == 3
    assert found == rows(SAMPLES[name]) == rows(gzip.compress(SAMPLES[name]))
    assert found == rows(b"\xef\xbb\xbf" + SAMPLES[name])
    assert {row.tenant for row in rows(SAMPLES[name], "other")} == {"other"}


@each_format
def test_reports_are_buckets_and_requests_are_single(name):
    is_request = BY_NAME[name].kind is SourceKind.REQUESTS

    for row in rows(SAMPLES[name]):
        assert row.grain is (Grain.REQUEST if is_request else Grain.BUCKET)
        PriceCatalogue().price(row)


@each_format
@given(data=st.data())
def test_a_damaged_file_loses_no_row_in_silence(name, data):
    whole = SAMPLES[name]
    begin = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(begin, min(begin + 6, len(whole))))
    put = data.draw(st.binary(max_size=3) | st.sampled_from([b'"', b"{", b"}", b"\n", b",", b"\\"]))

    try:
        found = rows(whole[:begin] + put + whole[end:])
    except UsageFileError:
        # Said of the whole file: nothing of it is imported.
        return

    refused = [row for row in found if isinstance(row, RejectedRow)]
    # One change may make one row speak of something else, which is left out; no more than that.
    assert len(found) - len(refused) >= 2 or refused
    for row in refused:
        assert row.line > 0
        assert row.reason


@pytest.mark.parametrize("name", ["focus", "openrouter-activity"])
def test_a_quote_in_the_column_names_is_said_and_takes_no_rows_along(name):
    header, rest = SAMPLES[name].split(b"\n", 1)

    with pytest.raises(UsageFileError, match="quote that is not closed"):
        rows(header + b',"x\n' + rest)


LOOK_ALIKES = [
    b'{"object": "page", "data": []}',
    b'{"object": "list", "data": [{"object": "model", "id": "gpt-5"}]}',
    b'{"data": [{"starting_at": "2025-08-01T00:00:00Z", "results": []}]}',
    b'{"data": [{"starting_at": "x", "ending_at": "y", "results": [{"sum": 1}]}]}',
    b'{"object": "bucket", "start_time": 1, "results": [{"object": "organization.other"}]}',
    b'{"request_id": "r", "call_type": "c", "startTime": "x"}',
    b'{"traceId": "t", "type": "SPAN", "startTime": "x", "level": "DEFAULT"}',
    b'{"request_id": "q", "request_created_at": "x", "response_status": 200}',
    b'{"resourceMetrics": [{"scopeMetrics": []}]}',
    b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "x"}]}]}]}',
    b'{"type": "summary", "summary": "x", "leafUuid": "u"}',
    b'{"model": "gpt-5", "usage": {"credits": 5}}',
    b'{"usage": 5}',
    b"created_at,cost_total,model_permaslug\n",
    b"BilledCost,BillingCurrency,ServiceCategory\n",
    b"[[[",
    b'[1, "a", null]',
    b'{"data": ' * 1000,
]


@pytest.mark.parametrize("head", LOOK_ALIKES)
def test_look_alikes_are_none_of_them(head):
    with pytest.raises(UsageFileError, match="none of the known formats"):
        detect(head)


@each_format
def test_a_native_row_that_quotes_another_format_stays_native(name):
    import json  # noqa: PLC0415

    native = {
        "occurred_at": "2026-11-01T00:00:00Z", "provider": "openai", "model": "gpt-5",
        "tags": {"quoted": SAMPLES[name].decode()},
    }  # fmt: skip

    assert detect(json.dumps(native).encode()).format is FileFormat.NATIVE_JSONL

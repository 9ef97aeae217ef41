"""The sample data."""

from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from itertools import pairwise

import pytest

from apex_actors.costs.prices import UNKNOWN_PROVIDER, Unpriced
from apex_actors.costs.records import BLOCK_TOKENS, Status, UsageRecord
from apex_actors.costs.sample import SAMPLE_DAYS, SAMPLE_NOTICE, sample_records
from apex_actors.costs.sample.story import FEATURES, USERS
from apex_actors.costs.sample.traces import read_trace

TODAY = date(2026, 11, 23)


@pytest.fixture(scope="module")
def sample() -> list[UsageRecord]:
    return list(sample_records(TODAY))


def test_every_row_of_the_traces_is_there_once(sample):
    rows = {
        trace: len(list(read_trace(trace))) for trace in ("azure_code", "azure_conv", "mooncake")
    }

    assert rows == {"azure_code": 8819, "azure_conv": 19366, "mooncake": 12031}
    assert len({record.record_id for record in sample}) == len(sample) == sum(rows.values())


def test_token_counts_and_prefix_blocks_are_the_traces_own(sample):
    by_id = {record.record_id: record for record in sample}

    for trace in ("azure_code", "azure_conv", "mooncake"):
        for row in read_trace(trace):
            record = by_id[f"sample-{trace}-{row.number}"]
            assert (record.input_tokens, record.output_tokens) == (
                row.input_tokens,
                row.output_tokens,
            )
            assert (record.prefix_block_hashes or ()) == row.blocks
    # The sums of the traces, counted from the files they were made of.
    assert sum(record.input_tokens for record in sample) == 185_215_667
    assert len(by_id["sample-mooncake-0"].prefix_block_hashes) == -(-6758 // BLOCK_TOKENS)


def test_gaps_between_requests_of_a_conversation_are_real(sample):
    offsets = {f"sample-mooncake-{row.number}": row.offset_ms for row in read_trace("mooncake")}
    conversations = defaultdict(list)
    for record in sample:
        if record.session_id is not None:
            conversations[record.session_id].append(record)

    gaps = 0
    for records in conversations.values():
        for first, second in pairwise(records):
            gaps += 1
            assert second.occurred_at - first.occurred_at == timedelta(
                milliseconds=offsets[second.record_id] - offsets[first.record_id]
            )
    assert gaps > 4000


def test_the_days_end_before_the_day_of_loading(sample):
    moments = [record.occurred_at for record in sample]
    end = datetime(2026, 11, 23, tzinfo=UTC)

    assert end - timedelta(days=SAMPLE_DAYS) <= min(moments)
    assert end - timedelta(days=2) < max(moments) < end


def test_a_week_is_believable(sample):
    days = Counter(record.occurred_at.weekday() for record in sample)
    weeks = Counter((record.occurred_at.date() - date(2026, 8, 25)).days // 7 for record in sample)

    assert max(days[5], days[6]) * 3 < min(days[weekday] for weekday in range(5))
    assert weeks[11] > 1.3 * weeks[0]


def test_the_same_day_gives_the_same_and_another_day_the_same_ids(sample):
    later = list(sample_records(TODAY + timedelta(days=7)))

    assert list(sample_records(TODAY)) == sample
    assert [r.record_id for r in later] == [r.record_id for r in sample]
    assert later[0].occurred_at != sample[0].occurred_at


def test_every_record_says_that_it_is_a_sample(sample):
    assert {tuple(record.tags.items()) for record in sample} == {(("sample", "true"),)}


def test_the_story_has_what_a_first_report_should_show(catalogue, sample):
    prices = [catalogue.price(record) for record in sample]
    unpriced = {
        record.model
        for record, price in zip(sample, prices, strict=True)
        if isinstance(price, Unpriced)
    }

    assert unpriced == {"orion-7b"}
    assert UNKNOWN_PROVIDER in prices
    assert {record.feature for record in sample} == {feature.name for feature in FEATURES}
    assert {record.team for record in sample} == set(USERS)
    assert {record.environment for record in sample} == {"production", "staging"}
    assert 200 < sum(record.status is Status.ERROR for record in sample) < 1000
    assert any(record.cache_read_tokens for record in sample)
    assert any(record.cache_write_5m_tokens for record in sample)
    waiting = [record for record in sample if record.deferrable]
    assert sum(record.occurred_at.date() >= date(2026, 10, 14) for record in waiting) > 1000


def test_a_conversation_is_one_persons(sample):
    people = defaultdict(set)
    for record in sample:
        if record.session_id is not None:
            people[record.session_id, record.feature].add(record.user)

    assert {len(users) for users in people.values()} == {1}


def test_what_is_real_and_what_is_made_up_is_said_in_every_place():
    folder = files("apex_actors.costs.sample")
    texts = [SAMPLE_NOTICE, (folder / "README.md").read_text(encoding="utf-8")]

    for text in texts:
        assert "made up" in text.lower()
        assert "CC-BY 4.0" in text
        assert "Apache-2.0" in text


def test_the_data_are_small():
    folder = files("apex_actors.costs.sample")

    sizes = [len(entry.read_bytes()) for entry in folder.iterdir() if entry.name.endswith(".xz")]

    assert len(sizes) == 3
    assert sum(sizes) < 300_000

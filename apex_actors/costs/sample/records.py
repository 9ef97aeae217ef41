"""Builds the sample's usage records from the shipped traces."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from zlib import crc32

from apex_actors.costs.levers.cache_rules import FIVE_MINUTES_S
from apex_actors.costs.levers.replay import Prompt, replay
from apex_actors.costs.records import Status, UsageRecord
from apex_actors.costs.sample.calendar import place_slices
from apex_actors.costs.sample.story import (
    AUTOMATIC_MISS_EVERY,
    ERROR_EVERY,
    FEATURES,
    USERS,
    CacheUse,
    Feature,
)
from apex_actors.costs.sample.traces import TraceRow, read_trace

SAMPLE_DAYS = 90
"""Days that the sample covers."""

SAMPLE_TAGS = {"sample": "true"}
"""What marks every record of the sample."""

SAMPLE_NOTICE = (
    "This is sample data. Real: token counts, gaps between requests within a slice and prefix "
    "blocks (Azure LLM inference traces 2023, CC-BY 4.0; Mooncake conversation trace, Apache-2.0). "
    "Made up: dates, providers, models, features, teams, users, environments, errors, cache use."
)

_AZURE_SLICE_ROWS = 48
"""Consecutive requests in one place: some 10 to 20 seconds of these busy traces."""

_MOONCAKE_SLICES = 179
"""A slice is a share of the CONVERSATIONS over the whole hour of the trace, so that a
conversation's requests stay together with the real gaps between them."""

_SLICE_STEP_S = 997
_SLICE_SPREAD_S = 3_500
"""Slices begin at different seconds of their hour; a prime step spreads them."""


def sample_records(end: date, *, tenant: str = "sample") -> Iterator[UsageRecord]:
    """The sample's records: the 90 days up to, and without, the day `end` (UTC).

    Deterministic: the same day gives the same records, and a record has the same id on any day.
    They come feature by feature, each in order of time.
    """
    slices = {trace: _slices(trace) for trace in {feature.trace for feature in FEATURES}}
    for feature in FEATURES:
        own = [
            rows
            for number, rows in enumerate(slices[feature.trace])
            if _feature_at(feature.trace, number) is feature
        ]
        starts = place_slices(
            len(own),
            first_day=end - timedelta(days=SAMPLE_DAYS),
            days=SAMPLE_DAYS,
            rhythm=feature.rhythm,
        )
        for number, (rows, hour) in enumerate(zip(own, starts, strict=True)):
            yield from _slice_records(feature, rows, _slice_start(hour, number, rows), tenant)


def _slices(trace: str) -> list[list[TraceRow]]:
    slices: dict[int, list[TraceRow]] = {}
    for row in read_trace(trace):
        key = (
            _conversation(row) % _MOONCAKE_SLICES if row.blocks else row.number // _AZURE_SLICE_ROWS
        )
        slices.setdefault(key, []).append(row)
    return [slices[key] for key in sorted(slices)]


def _conversation(row: TraceRow) -> int:
    # The first block is the same in all prompts of the trace; the second one tells them apart.
    return row.blocks[1] if len(row.blocks) > 1 else row.blocks[0]


def _feature_at(trace: str, number: int) -> Feature:
    """Which feature a slice belongs to: the shares, dealt out in turn."""
    using = [feature for feature in FEATURES if feature.trace == trace]
    total = sum(feature.share for feature in using)
    # 7 and the totals (20) have no common divisor: every place of the deal is reached.
    place = number * 7 % total
    for feature in using:
        place -= feature.share
        if place < 0:
            return feature
    raise AssertionError("The shares of a trace's features cover every place of the deal.")


def _slice_start(hour: datetime, number: int, rows: list[TraceRow]) -> datetime:
    if rows[0].blocks:
        # Such a slice fills its hour.
        return hour
    second = number * _SLICE_STEP_S % _SLICE_SPREAD_S
    return hour + timedelta(seconds=second, milliseconds=-rows[0].offset_ms)


def _slice_records(
    feature: Feature, rows: list[TraceRow], start: datetime, tenant: str
) -> Iterator[UsageRecord]:
    reads = _cache_reads(feature, rows)
    for row, read in zip(rows, reads, strict=True):
        chance = crc32(f"{feature.trace}/{row.number}".encode())
        # A conversation belongs to one person.
        person = crc32(f"user/{_conversation(row) if row.blocks else row.number}".encode())
        team = feature.teams[person % len(feature.teams)]
        users = USERS[team]
        writes = (
            feature.cache is CacheUse.WRITES and row.input_tokens >= feature.least_cached_tokens
        )
        failed = chance % ERROR_EVERY == 0
        yield UsageRecord(
            record_id=f"sample-{feature.trace}-{row.number}",
            tenant=tenant,
            occurred_at=start + timedelta(milliseconds=row.offset_ms),
            provider=feature.provider,
            model=feature.model,
            input_tokens=row.input_tokens,
            cache_read_tokens=read,
            cache_write_5m_tokens=row.input_tokens if writes else 0,
            output_tokens=row.output_tokens,
            status=Status.ERROR if failed else Status.OK,
            finish_reason="error" if failed else "stop",
            user=users[person // len(feature.teams) % len(users)],
            team=team,
            feature=feature.name,
            environment="staging" if chance % 100 < feature.staging_percent else "production",
            session_id=f"conversation-{_conversation(row)}" if row.blocks else None,
            prefix_block_hashes=row.blocks or None,
            deferrable=feature.deferrable,
            tags=SAMPLE_TAGS,
        )


def _cache_reads(feature: Feature, rows: list[TraceRow]) -> list[int]:
    if feature.cache is not CacheUse.AUTOMATIC:
        return [0] * len(rows)
    possible = replay(
        [Prompt(row.offset_ms / 1000, row.input_tokens, row.blocks) for row in rows],
        ttl_s=FIVE_MINUTES_S,
        minimum_tokens=feature.least_cached_tokens,
    )
    return [
        0 if row.number % AUTOMATIC_MISS_EVERY == 0 else max(read, 0)
        for row, read in zip(rows, possible, strict=True)
    ]

"""Import of native JSON lines, with prices and sums, beside a bare COPY of the same rows."""

import asyncio
import json
import statistics
import time
from collections.abc import Iterator
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any, Final

import psycopg

from apex_actors.costs.records import UsageRecord
from apex_actors.costs.sample import sample_records
from apex_actors.storage.usage_encoding import Encoded, FileSource, Opened, encode
from benchmarks.contest import Progress
from benchmarks.costs.stage import Stage
from benchmarks.figures import Figure, Goal, Target

ROWS: Final = 500_000

RATE: Final = Goal(
    name="import_rows_per_s",
    unit="rows/s",
    target=Target("ratio", ">=", 0.15),
    note="baseline: COPY of the same rows, encoded beforehand, into a table without any index",
)

_LAST_DAY: Final = date(2026, 11, 1)


async def measure(stage: Stage, tell: Progress) -> list[Figure]:
    """Rows a second of both, in turns; each round is another tenant's."""
    rows = stage.settings.size(ROWS)
    path = stage.folder / "usage.jsonl"
    await asyncio.to_thread(write_file, path, rows)
    encoded = await asyncio.to_thread(_encoded, stage, path)
    ours: list[float] = []
    bare: list[float] = []
    for number in range(1, stage.settings.rounds + 1):
        tell(f"round {number} of {stage.settings.rounds}: {RATE.name}")
        began = time.perf_counter()
        with path.open("rb") as file:
            summary = await stage.node.stores.usage.import_file(
                f"tenant-{number}", file, name=path.name, catalogue=stage.node.catalogue
            )
        ours.append(rows / (time.perf_counter() - began))
        if summary.inserted != rows:
            raise RuntimeError(f"{rows - summary.inserted} rows were left out: {summary}")
        bare.append(rows / await asyncio.to_thread(_copy, stage.database_url, encoded))
    return [
        Figure(
            RATE,
            statistics.median(ours),
            statistics.median(bare),
            is_judged=stage.settings.is_full_scale,
        )
    ]


def write_file(path: Path, rows: int) -> None:
    """Records of the sample, again and again under other ids, as people's files have them."""
    with path.open("w", encoding="utf-8") as file:
        for number, fields in enumerate(islice(_fields(), rows)):
            fields["record_id"] = f"request-{number}"
            file.write(json.dumps(fields) + "\n")


def _fields() -> Iterator[dict[str, Any]]:
    while True:
        for record in sample_records(_LAST_DAY):
            yield _as_written(record)


def _as_written(record: UsageRecord) -> dict[str, Any]:
    return record.model_dump(mode="json", exclude={"tenant", "tags"}, exclude_none=True)


def _encoded(stage: Stage, path: Path) -> list[bytes]:
    with path.open("rb") as file:
        source = FileSource(tenant="bare", name=path.name)
        found = encode(source, 0, stage.node.catalogue, file=file)
        return [data for data in found if not isinstance(data, Opened | Encoded)]


def _copy(database_url: str, encoded: list[bytes]) -> float:
    """Seconds from the first row to the commit."""
    columns = (
        "tenant, record_id, import_id, occurred_at, request_count, input_tokens, cache_read_tokens,"
        " cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, latency_ms,"
        " ttft_ms, is_deferrable, grain, provider, model, processing, status, finish_reason,"
        " user_name, team, feature, environment, session_id, request_hash, retry_of,"
        " prefix_block_hashes, temperature, reported_cost, currency, computed_cost,"
        " unpriced_reason, tags"
    )
    with psycopg.connect(database_url) as connection:
        connection.execute("create table bare (like apex.usage_records)")
        connection.commit()
        began = time.perf_counter()
        with (
            connection.cursor() as cursor,
            cursor.copy(f"copy bare ({columns}) from stdin") as copy,
        ):
            for data in encoded:
                copy.write(data)
        connection.commit()
        took_s = time.perf_counter() - began
        connection.execute("drop table bare")
    return took_s

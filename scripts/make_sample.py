#!/usr/bin/env python
"""Builds the data files of the sample in apex_actors/costs/sample from the public traces.

    .venv/bin/python scripts/make_sample.py [FOLDER]

FOLDER holds the three trace files, as their publishers name them. The result is
deterministic: the same traces give the same bytes.
"""

import argparse
import csv
import json
import lzma
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
TARGET = REPOSITORY / "apex_actors" / "costs" / "sample"

REAL = "real: times (milliseconds from the first row, rounded), token counts"
MADE_UP = (
    "made up, and not in this file: dates, providers, models, features, teams, users, environments,"
    " errors, cache use"
)
AZURE = (
    "source: Azure/AzurePublicDataset, AzureLLMInferenceTrace 2023",
    "licence: CC-BY 4.0, Microsoft; changed: shortened as said above",
)
MOONCAKE = (
    "source: kvcache-ai/Mooncake, FAST25 release, conversation trace",
    "licence: Apache-2.0; changed: written in another form",
)


def main() -> None:
    """Reads the traces and writes the three data files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    for name in ("code", "conv"):
        rows = azure_rows(folder / f"azure_llm_2023_{name}.csv")
        write(f"azure_{name}.csv.xz", (*AZURE, REAL, MADE_UP), "offset_ms,input,output", rows)
    rows = mooncake_rows(folder / "mooncake_conversation_trace.jsonl")
    header = (*MOONCAKE, f"{REAL}, prefix blocks (first+count of consecutive hashes)", MADE_UP)
    write("mooncake.csv.xz", header, "offset_ms,input,output,blocks", rows)


def azure_rows(path: Path) -> Iterator[str]:
    """`offset_ms,input,output` of each row."""
    first: datetime | None = None
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            moment = datetime.fromisoformat(row["TIMESTAMP"])
            first = first or moment
            offset_ms = round((moment - first).total_seconds() * 1000)
            yield f"{offset_ms},{row['ContextTokens']},{row['GeneratedTokens']}"


def mooncake_rows(path: Path) -> Iterator[str]:
    """`offset_ms,input,output,blocks` of each row."""
    with path.open() as file:
        for line in file:
            row = json.loads(line)
            blocks = " ".join(f"{first}+{count}" for first, count in runs(row["hash_ids"]))
            yield f"{row['timestamp']},{row['input_length']},{row['output_length']},{blocks}"


def runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Consecutive numbers as pairs of the first one and how many there are."""
    first = count = 0
    for number in numbers:
        if count and number == first + count:
            count += 1
        else:
            if count:
                yield first, count
            first, count = number, 1
    if count:
        yield first, count


def write(name: str, header: Iterable[str], columns: str, rows: Iterable[str]) -> None:
    """Writes one compressed file with what it holds in its first lines."""
    lines = [*(f"# {line}" for line in header), columns, *rows]
    data = ("\n".join(lines) + "\n").encode()
    packed = lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)
    (TARGET / name).write_bytes(packed)
    print(f"{name}: {len(lines):,} lines, {len(packed):,} bytes")


if __name__ == "__main__":
    main()

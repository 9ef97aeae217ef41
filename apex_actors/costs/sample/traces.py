"""The compact copies of the public traces that are shipped with the package."""

import lzma
from collections.abc import Iterator
from importlib.resources import files
from typing import NamedTuple


class TraceRow(NamedTuple):
    """One real request."""

    number: int
    """Its place in the trace, counted from 0."""
    offset_ms: int
    """Milliseconds after the first request of the trace."""
    input_tokens: int
    output_tokens: int
    blocks: tuple[int, ...]
    """Hashes of the 512-token prefix blocks; empty where the trace has none."""


def read_trace(name: str) -> Iterator[TraceRow]:
    """The rows of a shipped trace: `azure_code`, `azure_conv` or `mooncake`."""
    packed = (files("apex_actors.costs.sample") / f"{name}.csv.xz").read_bytes()
    lines = [
        line for line in lzma.decompress(packed).decode().splitlines() if not line.startswith("#")
    ]
    for number, line in enumerate(lines[1:]):
        offset_ms, input_tokens, output_tokens, *blocks = line.split(",")
        yield TraceRow(
            number,
            int(offset_ms),
            int(input_tokens),
            int(output_tokens),
            _blocks(blocks[0]) if blocks else (),
        )


def _blocks(text: str) -> tuple[int, ...]:
    hashes: list[int] = []
    for run in text.split():
        first, count = map(int, run.split("+"))
        hashes.extend(range(first, first + count))
    return tuple(hashes)

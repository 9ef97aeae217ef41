"""Replays real requests through a prompt cache."""

from collections.abc import Iterable
from typing import NamedTuple

from apex_actors.costs.records import BLOCK_TOKENS


class Prompt(NamedTuple):
    """When a prompt was sent, its length and the hashes of its prefix blocks."""

    at_s: float
    """Seconds on any clock; compared, never added to money."""
    input_tokens: int
    blocks: tuple[int, ...]


NOT_CACHED = -1
"""In place of read tokens: the prompt is too short to be cached at all."""


def replay(prompts: Iterable[Prompt], *, ttl_s: int, minimum_tokens: int) -> list[int]:
    """How many tokens each prompt would have read from the cache.

    A block is live if it was used at most `ttl_s` seconds ago; use refreshes it. Only the leading
    run of live blocks can be read, and only if it is at least `minimum_tokens` long; the last block
    of a prompt counts its real tokens. Everything else of a prompt that is long enough is written.
    Prompts are taken in the order given, so of two at the same moment the second reads what the
    first wrote.
    """
    last_use: dict[int, float] = {}
    reads: list[int] = []
    for at_s, input_tokens, blocks in prompts:
        if input_tokens < minimum_tokens:
            reads.append(NOT_CACHED)
            continue
        oldest = at_s - ttl_s
        live = 0
        for block in blocks:
            used = last_use.get(block)
            if used is None or used < oldest:
                break
            live += 1
        read = min(live * BLOCK_TOKENS, input_tokens)
        reads.append(read if read >= minimum_tokens else 0)
        for block in blocks:
            last_use[block] = at_s
    return reads

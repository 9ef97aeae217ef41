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


class PrefixCache:
    """When the prefix blocks of one model were last used: one memory for two times to live.

    Remembers the uses of one to two long lives and forgets the older ones, all at once: memory
    is bounded by the blocks of that time, and nothing that is live is ever forgotten.
    """

    __slots__ = ("_begun_s", "_earlier", "_long_s", "_recent", "_short_s")

    def __init__(self, *, short_s: int, long_s: int) -> None:
        self._short_s = short_s
        self._long_s = long_s
        self._recent: dict[int, float] = {}
        self._earlier: dict[int, float] = {}
        self._begun_s = float("-inf")

    def __len__(self) -> int:
        return len(self._recent) + len(self._earlier)

    def send(self, at_s: float, blocks: tuple[int, ...]) -> tuple[int, int]:
        """How many leading blocks are live by the short and by the long life; then uses them all.

        A block is live if it was used at most that many seconds ago.
        """
        recent = self._recent
        if at_s - self._begun_s >= self._long_s:
            recent = self._turn(at_s)
        earlier = self._earlier
        oldest = at_s - self._long_s
        short = at_s - self._short_s
        live = 0
        young = -1
        for block in blocks:
            used = recent.get(block)
            if used is None:
                used = earlier.get(block)
                if used is None:
                    break
            if used < short:
                if young < 0:
                    young = live
                if used < oldest:
                    break
            live += 1
        recent.update(dict.fromkeys(blocks, at_s))
        return live if young < 0 else young, live

    def is_spent(self, at_s: float) -> bool:
        """Whether no block can be live any more."""
        return at_s - self._begun_s > 2 * self._long_s

    def _turn(self, at_s: float) -> dict[int, float]:
        # What is in neither was last used before the earlier one began: a long life ago.
        self._earlier = {} if self.is_spent(at_s) else self._recent
        self._recent = {}
        self._begun_s = at_s
        return self._recent


def readable(live_blocks: int, input_tokens: int, minimum_tokens: int) -> int:
    """How many tokens a prompt reads whose first blocks are live.

    The last block of a prompt counts its real tokens; what is shorter than the model's minimum
    can't be read.
    """
    tokens = live_blocks * BLOCK_TOKENS
    tokens = min(tokens, input_tokens)
    return tokens if tokens >= minimum_tokens else 0


def replay(prompts: Iterable[Prompt], *, ttl_s: int, minimum_tokens: int) -> list[int]:
    """How many tokens each prompt would have read from the cache.

    A block is live if it was used at most `ttl_s` seconds ago; use refreshes it. Only the leading
    run of live blocks can be read, and only if it is at least `minimum_tokens` long; the last block
    of a prompt counts its real tokens. Everything else of a prompt that is long enough is written.
    Prompts are taken in the order given, so of two at the same moment the second reads what the
    first wrote.
    """
    cache = PrefixCache(short_s=ttl_s, long_s=ttl_s)
    reads: list[int] = []
    for at_s, input_tokens, blocks in prompts:
        if input_tokens < minimum_tokens:
            reads.append(NOT_CACHED)
        else:
            live, _ = cache.send(at_s, blocks)
            reads.append(readable(live, input_tokens, minimum_tokens))
    return reads

"""What a request costs at given rates: exact, in whole units of money (see `money`)."""

from bisect import bisect_left
from dataclasses import dataclass
from typing import NamedTuple


class TokenShape(NamedTuple):
    """The tokens of one request that decide its price.

    `input_tokens` includes cache reads and writes; `output_tokens`
    includes reasoning.
    """

    input_tokens: int
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Rates:
    """Units of money for one token; None where the catalogue has no such price."""

    input: int | None
    cache_read: int | None
    cache_write: int | None
    """Writes of any time to live, but for what `cache_write_1h` covers."""
    cache_write_1h: int | None
    output: int | None
    reasoning: int | None
    request: int
    """Units of money for the request itself."""


@dataclass(frozen=True, slots=True)
class RateCard:
    """All rates of one model at one date, time and processing.

    Tiers are cliffs: a request with more input tokens than a threshold pays that tier's rates for
    ALL its tokens.
    """

    thresholds: tuple[int, ...]
    """Input tokens that a request must exceed for the next entry of `tiers`; ascending."""
    tiers: tuple[Rates, ...]
    """One more than there are thresholds."""

    @property
    def charges_for_writes(self) -> bool:
        """Whether a write to the cache has a price of its own.

        Where it has none, the provider caches by itself and a write costs what input costs.
        """
        return self.tiers[0].cache_write is not None

    @property
    def discounts_reads(self) -> bool:
        """Whether reading from the cache has a price of its own."""
        return self.tiers[0].cache_read is not None

    @property
    def keeps_for_an_hour(self) -> bool:
        """Whether a write that lives an hour has a price of its own."""
        return self.tiers[0].cache_write_1h is not None

    def tiers_matter(self, input_tokens: int) -> bool:
        """Whether a request of that many input tokens, or a part of them, could leave the base."""
        return bool(self.thresholds) and input_tokens > self.thresholds[0]

    def missing_price(self, shape: TokenShape) -> str | None:
        """Which kind of token of the request the catalogue has no price for, if any."""
        base = self.tiers[0]
        if base.input is None and shape.input_tokens:
            return "input"
        if base.output is None and shape.output_tokens:
            return "output"
        return None

    def cost(self, shape: TokenShape) -> int:
        """The cost of one request, in units of money.

        A kind of token without a price of its own pays the price of the kind that contains it:
        an hour's write that of a write, reads and writes that of input, reasoning that of output.
        """
        input_tokens, read, write_5m, write_1h, output_tokens, reasoning = shape
        rates = self.tiers[bisect_left(self.thresholds, input_tokens)]
        input_rate = rates.input or 0
        units = rates.request + input_rate * (input_tokens - read - write_5m - write_1h)
        if read:
            units += read * (input_rate if rates.cache_read is None else rates.cache_read)
        if write_5m or write_1h:
            write = input_rate if rates.cache_write is None else rates.cache_write
            hour = write if rates.cache_write_1h is None else rates.cache_write_1h
            units += write_5m * write + write_1h * hour
        output_rate = rates.output or 0
        if reasoning and rates.reasoning is not None:
            units += reasoning * rates.reasoning + (output_tokens - reasoning) * output_rate
        else:
            units += output_tokens * output_rate
        return units

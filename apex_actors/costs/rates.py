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

    def cost(self, shape: TokenShape, requests: int = 1) -> int:
        """The cost of requests that all pay these rates, from the sums of their tokens.

        A kind of token without a price of its own pays the price of the kind that contains it:
        an hour's write that of a write, reads and writes that of input, reasoning that of output.
        """
        input_tokens, read, write_5m, write_1h, output_tokens, reasoning = shape
        input_rate = self.input or 0
        units = self.request * requests + input_rate * (input_tokens - read - write_5m - write_1h)
        if read:
            units += read * (input_rate if self.cache_read is None else self.cache_read)
        if write_5m or write_1h:
            write = input_rate if self.cache_write is None else self.cache_write
            hour = write if self.cache_write_1h is None else self.cache_write_1h
            units += write_5m * write + write_1h * hour
        output_rate = self.output or 0
        if reasoning and self.reasoning is not None:
            units += reasoning * self.reasoning + (output_tokens - reasoning) * output_rate
        else:
            units += output_tokens * output_rate
        return units

    @property
    def least_output(self) -> int:
        """What one token less of output saves at least, be it of the answer or of reasoning."""
        output = self.output or 0
        return output if self.reasoning is None else min(output, self.reasoning)

    def never_dearer_than(self, other: "Rates") -> bool:
        """Whether no request whatever costs more at these rates."""
        return all(own <= theirs for own, theirs in zip(self.charged, other.charged, strict=True))

    @property
    def charged(self) -> tuple[int, ...]:
        """What a token of each kind really pays, and a request."""
        input_rate, output = self.input or 0, self.output or 0
        write = input_rate if self.cache_write is None else self.cache_write
        return (
            input_rate,
            input_rate if self.cache_read is None else self.cache_read,
            write,
            write if self.cache_write_1h is None else self.cache_write_1h,
            output,
            output if self.reasoning is None else self.reasoning,
            self.request,
        )


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

    def rates_for(self, input_tokens: int) -> Rates:
        """The rates that a request with that many input tokens pays."""
        return self.tiers[bisect_left(self.thresholds, input_tokens)]

    def cost(self, shape: TokenShape) -> int:
        """The cost of one request, in units of money."""
        return self.tiers[bisect_left(self.thresholds, shape[0])].cost(shape)

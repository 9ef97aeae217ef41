"""What the money bought: cost per request, session and output, and what was paid for nothing."""

from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

from apex_actors.costs.analysis.statistics import PRECISE, estimate, quotient
from apex_actors.costs.summary import SHARE_STEP, Sums, share

OUTPUT_STEP = 1000
"""Output tokens that a cost is given for."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RecordSums(_Value):
    """Sums that need single requests; of those with a price."""

    sessions: int = Field(ge=0)
    """Different sessions with a priced request."""
    session_cost: Decimal
    """Of the requests that belong to a session."""
    truncated: int = Field(ge=0)
    """Requests whose answer was cut off at the limit of output tokens."""
    truncated_cost: Decimal


class CachePrices(_Value):
    """US dollars per token, at one price; from the catalogue."""

    input: Decimal = Field(gt=0)
    read: Decimal = Field(ge=0)
    write: Decimal = Field(ge=0)


class CacheStanding(_Value):
    """How much of the input was read from a cache, and how much could or must be."""

    hit_share: Decimal
    ceiling: Decimal | None
    """Share of input tokens that repeat an earlier prefix in time; None: nobody knows."""
    break_even: Decimal | None
    """Share of the cached tokens that must be reads for caching to pay; None: prices unknown."""
    read_share_of_cached: Decimal | None
    """Share of the cached tokens (read or written) that are reads; None: nothing is cached."""


class Efficiency(_Value):
    """Figures per unit, US dollars; None where there is nothing to divide by."""

    cost_per_request: Decimal | None
    """Priced requests only."""
    cost_per_session: Decimal | None
    cost_per_1000_output_tokens: Decimal | None
    """None where not all usage is priced: output tokens without a price would dilute it."""
    errors: int
    error_cost: Decimal
    error_cost_share: Decimal
    truncated: int | None
    truncated_cost: Decimal | None
    truncated_cost_share: Decimal | None
    cache: CacheStanding


def efficiency(
    sums: Sums,
    *,
    records: RecordSums | None = None,
    prices: CachePrices | None = None,
    cache_ceiling: Decimal | None = None,
) -> Efficiency:
    """Work out all figures that the sums allow.

    Requests with errors and truncated answers may be the same ones: their costs are not added.

    :param records: what needs single requests; None: those figures are missing.
    :param prices: of the model, for the break-even of caching.
    :param cache_ceiling: from a replay of the requests, see the lever of prompt caching.
    """
    all_priced = sums.priced_requests == sums.requests
    cost = sums.cost
    return Efficiency(
        cost_per_request=_per(cost, sums.priced_requests),
        cost_per_session=None if records is None else _per(records.session_cost, records.sessions),
        cost_per_1000_output_tokens=(
            _per(cost, sums.output_tokens, OUTPUT_STEP) if all_priced else None
        ),
        errors=sums.errors,
        error_cost=sums.error_cost,
        error_cost_share=share(sums.error_cost, cost),
        truncated=None if records is None else records.truncated,
        truncated_cost=None if records is None else records.truncated_cost,
        truncated_cost_share=None if records is None else share(records.truncated_cost, cost),
        cache=CacheStanding(
            hit_share=sums.read_share,
            ceiling=cache_ceiling,
            break_even=None if prices is None else break_even(prices),
            read_share_of_cached=_read_share_of_cached(sums),
        ),
    )


def break_even(prices: CachePrices) -> Decimal | None:
    """The share h of cached tokens that must be reads for caching to cost no more than none.

    h * p_r + (1 - h) * p_w = p_i, so h = (p_w - p_i) / (p_w - p_r): 0 where writing costs no more
    than input. None: it never pays, because reading costs as much as input or more.
    """
    if prices.write <= prices.input:
        return Decimal(0)
    if prices.read >= prices.input:
        return None
    return quotient(
        PRECISE.subtract(prices.write, prices.input), PRECISE.subtract(prices.write, prices.read)
    ).quantize(SHARE_STEP)


def _per(cost: Decimal, units: int, step: int = 1) -> Decimal | None:
    return estimate(quotient(PRECISE.multiply(cost, Decimal(step)), units)) if units else None


def _read_share_of_cached(sums: Sums) -> Decimal | None:
    cached = sums.cache_read_tokens + sums.cache_write_tokens
    return share(sums.cache_read_tokens, cached) if cached else None

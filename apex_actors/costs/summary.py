"""Answers about a time range: sums of usage records, whoever worked them out."""

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict

SHARE_STEP = Decimal("0.0001")


def share(part: int | Decimal, whole: int | Decimal) -> Decimal:
    """`part / whole` to four places; 0 where there is nothing to share."""
    return (Decimal(part) / Decimal(whole)).quantize(SHARE_STEP) if whole else Decimal(0)


class Dimension(StrEnum):
    """By what usage can be broken down."""

    MODEL = "model"
    PROVIDER = "provider"
    PROCESSING = "processing"
    FEATURE = "feature"
    TEAM = "team"
    USER = "user"
    ENVIRONMENT = "environment"
    STATUS = "status"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Extent(_Value):
    """When a tenant's records begin and end."""

    first: AwareDatetime
    last: AwareDatetime
    requests: int
    sample_only: bool
    """Whether all records come from the sample."""


class Sums(_Value):
    """Sums over some usage. Money is US dollars, exact."""

    requests: int
    priced_requests: int
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    priced_tokens: int
    """Input and output tokens of the priced requests."""
    cost: Decimal
    """Computed from the catalogue; unpriced requests are not in it."""
    errors: int
    """Requests with status error."""
    error_cost: Decimal

    @property
    def tokens(self) -> int:
        """Input and output tokens."""
        return self.input_tokens + self.output_tokens

    @property
    def read_share(self) -> Decimal:
        """Share of input tokens that were read from a cache."""
        return share(self.cache_read_tokens, self.input_tokens)


class Totals(Sums):
    """The sums of a time range, how much of it is priced and how it agrees with what was reported."""

    latency_requests: int
    """Requests that say how long they took."""
    latency_ms_sum: int
    reported_requests: int
    """Requests whose cost the provider reported in US dollars, and that are priced."""
    reported_cost: Decimal
    reported_computed_cost: Decimal
    """What the catalogue computes for the same requests."""

    @property
    def priced_request_share(self) -> Decimal:
        """Priced coverage by requests."""
        return share(self.priced_requests, self.requests)

    @property
    def priced_token_share(self) -> Decimal:
        """Priced coverage by tokens."""
        return share(self.priced_tokens, self.tokens)


class BreakdownRow(Sums):
    """The sums of one value of a dimension."""

    name: str | None
    """None: the records don't say."""


class Breakdown(_Value):
    """The most expensive values of a dimension, and all others together."""

    dimension: Dimension
    rows: tuple[BreakdownRow, ...]
    """Most expensive first; equal costs by tokens, then by name."""
    other: Sums | None
    """None where `rows` hold everything."""
    other_count: int
    """How many values `other` stands for."""


class DayPoint(_Value):
    """One local day."""

    day: date
    requests: int
    tokens: int
    cost: Decimal
    errors: int

    @classmethod
    def empty(cls, day: date) -> Self:
        """A day without usage."""
        return cls(day=day, requests=0, tokens=0, cost=Decimal(0), errors=0)


class UnpricedGroup(_Value):
    """Usage that has no price, and why."""

    provider: str
    model: str
    processing: str
    reason: str
    requests: int
    tokens: int


class UsageSummary(_Value):
    """All that the report says about a time range, taken at one moment."""

    as_of: AwareDatetime
    data_version: int
    totals: Totals
    breakdowns: tuple[Breakdown, ...]
    daily: tuple[DayPoint, ...]
    unpriced: tuple[UnpricedGroup, ...]

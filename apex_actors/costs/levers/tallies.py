"""What a day's requests come to: sums that add up over days, from which a plan is combined.

Everything here is a whole number and additive. What is decided for a whole time range (a cap, a
time to live, whether capacity pays) is summed up for each choice; what is decided for a request
alone (removed, trimmed, sent elsewhere or later) is part of a row's name.
"""

from datetime import date
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict


class Fate(StrEnum):
    """Whether a request would have been made at all."""

    KEPT = "kept"
    REPEATED = "repeated"
    """Answered from the stored answer to an equal one."""
    FAILED = "failed"
    ASKED_AGAIN = "asked_again"
    """Continues a truncated answer: only what it adds is paid."""

    # Enum hashes in Python; these stand in keys that are looked up once for every request.
    __hash__ = str.__hash__


class CacheClass(StrEnum):
    """What is known of a request's part in prompt caching."""

    NONE = "none"
    TRACED = "traced"
    """It has prefix blocks and can be replayed."""
    UNTRACED = "untraced"
    """It read from a cache or wrote to it, and nothing else is known."""

    __hash__ = str.__hash__


class Wait(StrEnum):
    """What a request that may wait could have had."""

    NO = "no"
    """It may not wait, or was not sent at the standard price."""
    UNRATED = "unrated"
    """No other rate is known at its date."""
    DEARER = "dearer"
    """The known rates are no lower."""
    BATCH = "batch"
    OFF_PEAK = "off_peak"

    __hash__ = str.__hash__


class _Tally(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CacheCosts(_Tally):
    """Units of money of the same requests for each way to cache."""

    keep: int = 0
    """As they were sent."""
    stop: int = 0
    """If nothing were cached."""
    five_minutes: int = 0
    one_hour: int = 0


class Row(_Tally):
    """Requests of one day that share their name, their way through the levers and their rates."""

    provider: str
    model: str
    feature: str | None
    standard: bool
    """Sent at the standard price."""
    fate: Fate
    wasted: Fate
    """The fate without a store of answers: what `waste` alone would find."""
    scored_as: str | None
    """The model as the quality scores call it; None where they don't know it."""
    target_provider: str
    target_model: str
    """The model in the plan: the requests' own, or a cheaper one that is as good."""
    trimmed: bool
    below_cliff: bool
    """Whether trimming moved it to a lower price tier."""
    own_cache: CacheClass
    """As it was sent."""
    cache: CacheClass
    """In the plan: a trimmed prompt has no part in caching."""
    wait: Wait
    output_rates: tuple[int, int, int, int]
    """Units that one token of output less saves: as sent, trimmed, at its model, at its time."""

    requests: int = 0
    finish_reasons: int = 0
    """Requests that say why their answer ended."""
    truncated: int = 0
    input_tokens: int = 0
    trimmed_tokens: int = 0
    """Input tokens that trimming left out."""
    read_tokens: int = 0
    read_5m_tokens: int = 0
    read_1h_tokens: int = 0
    writing: int = 0
    """Requests that wrote to a cache."""
    charging: int = 0
    """Requests whose model charges for writes."""
    hourly: int = 0
    """Requests whose model has a price for writes that live an hour."""
    own_charging: int = 0
    own_hourly: int = 0
    """The same of the model that they were sent to."""

    sent: CacheCosts
    """As they were sent, each way of caching alone."""
    rest: int = 0
    """What is still paid for requests that were not kept."""
    trimmed_cost: int = 0
    routed: CacheCosts
    """In the plan, at their model."""
    timed: CacheCosts
    """In the plan, at their time."""
    alone_trim: int = 0
    alone_route: int = 0
    alone_batch: int = 0
    alone_off_peak: int = 0
    """Units that a lever alone would save."""
    outputs: tuple[tuple[int, int, int], ...] = ()
    """Distribution of output: number of a step (see `output_steps`), requests, output tokens."""

    @property
    def is_routed(self) -> bool:
        """Whether the plan sends it to another model."""
        return (self.target_provider, self.target_model) != (self.provider, self.model)


class ModelLoad(_Tally):
    """The load of one model by hour, of requests that capacity at a fixed price could take."""

    provider: str
    model: str
    hours: tuple[tuple[int, int, int, int, int], ...]
    """For each hour with load: hours since the day began, requests, input tokens, output tokens,
    and their list price in units, by which the day's cost of the model is spread over its hours."""


class DayTallies(_Tally):
    """All that a plan needs to know of one day."""

    day: date
    requests: int
    priced_requests: int
    hashed: int
    """Priced requests with a hash of their content and temperature 0."""
    in_sessions: int
    errors: int
    retries: int
    """Requests that say which one they try again."""
    deferrable: int
    timed: int
    """Requests to models whose price depends on the time of day."""
    rows: tuple[Row, ...]
    loads: tuple[ModelLoad, ...] = ()
    """Of the requests that the plan leaves at the standard price, at the plan's models."""
    sent_loads: tuple[ModelLoad, ...] = ()
    """Of all requests at the standard price, as they were sent."""
    settings: str
    """Fingerprint of the settings that the day was tallied with."""
    price_version: str

    def packed(self) -> str:
        """The tallies as JSON to store; what is 0 or not there is left out."""
        return self.model_dump_json(exclude_defaults=True)

    @classmethod
    def unpacked(cls, stored: str | bytes) -> Self:
        """The reverse of `packed`.

        Raises:
            ValueError: not what this version stores.
        """
        return cls.model_validate_json(stored)

"""What a question was understood to ask, and what is said where it was not."""

from decimal import Decimal
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from apex_actors.costs.timerange import TimeRange


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Intent(StrEnum):
    """What a person wants to know."""

    OVERVIEW = "overview"
    """Sums of a time range: of everything, or of what the filters leave."""
    BREAKDOWN = "breakdown"
    TOP = "top"
    TREND = "trend"
    COMPARE = "compare"
    EXPLAIN_CHANGE = "explain_change"
    ANOMALY = "anomaly"
    FORECAST = "forecast"
    BUDGET = "budget"
    CACHE = "cache"
    WASTE = "waste"
    WHAT_IF_SWITCH = "what_if_switch"
    SAVINGS = "savings"
    SESSION = "session"
    """All about one session."""
    REQUEST = "request"
    """All about one request."""
    COVERAGE = "coverage"
    """What has no price."""
    PRICES = "prices"
    """List prices of models, used or not."""
    HELP = "help"


class Facet(StrEnum):
    """By what usage can be asked for; `tag` needs a key."""

    MODEL = "model"
    PROVIDER = "provider"
    FEATURE = "feature"
    TEAM = "team"
    USER = "user"
    ENVIRONMENT = "environment"
    PROCESSING = "processing"
    STATUS = "status"
    SESSION = "session"
    TAG = "tag"


class Metric(StrEnum):
    """What is counted."""

    COST = "cost"
    TOKENS = "tokens"
    REQUESTS = "requests"
    LATENCY = "latency"
    ERRORS = "errors"
    CACHE_HIT_RATE = "cache_hit_rate"


class Granularity(StrEnum):
    """Length of the steps of a trend."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class CostUnit(StrEnum):
    """What a cost, or a number of tokens, is divided by."""

    REQUEST = "request"
    THOUSAND_OUTPUT_TOKENS = "thousand_output_tokens"


class By(_Value):
    """One dimension of a breakdown."""

    facet: Facet
    tag_key: str | None = None


class Filter(_Value):
    """Only, or without, the usage that has one of the names."""

    facet: Facet
    names: tuple[str, ...] = Field(min_length=1)
    tag_key: str | None = None
    negated: bool = False


class Switch(_Value):
    """From some models to another one."""

    from_models: tuple[str, ...]
    """Empty: from whatever the filters leave."""
    to_model: str


class Amount(_Value):
    """Money that the question names."""

    value: Decimal
    currency: str = "USD"


class Question(_Value):
    """A question as it was understood."""

    text: str
    intents: tuple[Intent, ...] = Field(min_length=1)
    """In the order in which they were asked for."""
    time_range: TimeRange
    """Of the past; never empty, never after now."""
    is_time_named: bool
    """Whether the question, or the thread before it, named the time range."""
    compare_to: TimeRange | None = None
    """The earlier range of a comparison or of a change to be explained."""
    horizon: TimeRange | None = None
    """The days that a forecast is asked for; they may begin in the past and end in the future."""
    by: tuple[By, ...] = ()
    filters: tuple[Filter, ...] = ()
    compared: tuple[Filter, ...] = ()
    """What is set side by side, if it is not two time ranges."""
    switch: Switch | None = None
    models: tuple[str, ...] = ()
    """Whose list prices are asked for."""
    metric: Metric = Metric.COST
    limit: int | None = None
    is_least_first: bool = False
    """Whether the smallest come first in a top list."""
    granularity: Granularity | None = None
    """Length of the steps of a trend; of a top list without dimensions: what is ranked."""
    unit: CostUnit | None = None
    """What the figure is divided by."""
    budget: Amount | None = None
    budget_name: str | None = None
    session_id: str | None = None
    request_id: str | None = None
    assumptions: tuple[str, ...] = ()
    """Sentences for the answer: what was taken for what, and what the question left open."""
    evidence: tuple[str, ...] = ()
    """Why the intents were chosen: the words and slots that spoke for each."""


class NotUnderstood(_Value):
    """Another question would have been answered, so none is."""

    text: str
    reason: str
    suggestions: tuple[str, str, str]
    """The nearest questions that are understood, in words of the user's own data."""

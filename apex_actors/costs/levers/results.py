"""What levers and the plan answer: figures with their precondition, basis and risk."""

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from apex_actors.costs.timerange import TimeRange


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Verdict(StrEnum):
    """What a lever says."""

    SAVES = "saves"
    NO_SAVING = "no_saving"
    """The precondition holds, and nothing would be saved."""
    ABSTAINS = "abstains"
    """The data don't let it speak; `data_needed` says what would."""


class Confidence(StrEnum):
    """How sure the expected figure is."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class MonthlySaving(_Result):
    """US dollars for 30 days like those observed."""

    low: Decimal
    expected: Decimal
    high: Decimal
    first_day: date
    last_day: date
    """The observed days that the figures come from."""
    share_of_cost: Decimal | None = None
    """`expected` as a share of what the same days cost; set by the plan."""
    basis: str
    """In words, from which days the three figures come."""


class CacheFinding(_Result):
    """What replaying the requests of one model through a prompt cache gave."""

    kind: Literal["cache"] = "cache"
    provider: str
    model: str
    traced: bool
    """Whether these are the requests with prefix blocks; without them nothing can be replayed."""
    requests: int
    input_tokens: int
    minimum_tokens: int
    """Shortest prefix the model caches."""
    minimum_is_assumed: bool
    automatic: bool
    """The provider caches by itself and charges nothing for writes: there is no switch."""
    read_share_now: Decimal
    """Share of input tokens that the records say were read from the cache."""
    read_share_5m: Decimal | None
    """The same share if a block lives 5 minutes after its last use."""
    read_share_1h: Decimal | None
    cost_now: Decimal
    cost_without: Decimal
    """If nothing were cached."""
    cost_5m: Decimal | None
    cost_1h: Decimal | None
    """None: the catalogue has no price for writes that live an hour."""
    decision: Literal["keep", "cache-5m", "cache-1h", "stop", "automatic"]
    saving: Decimal
    potential: Decimal
    """What automatic caching would save at its best; not counted as a saving."""


class BatchFinding(_Result):
    """What sending the deferrable requests of one model as batches gives."""

    kind: Literal["batch"] = "batch"
    provider: str
    model: str
    requests: int
    """Deferrable requests at the standard price."""
    rated_requests: int
    """Those made when the catalogue knows a batch rate."""
    cost_now: Decimal
    """Of the rated requests."""
    cost_batch: Decimal
    """The same, each as a batch where that is cheaper."""
    saving: Decimal


class RepeatFinding(_Result):
    """Equal requests of one model and feature that a store of answers would have answered."""

    kind: Literal["repeats"] = "repeats"
    provider: str
    model: str
    feature: str | None
    requests: int
    """The repeats; the first of the equal requests is not among them."""
    saving: Decimal


class WasteFinding(_Result):
    """What one model and feature were billed for answers of no use."""

    kind: Literal["waste"] = "waste"
    provider: str
    model: str
    feature: str | None
    failed: int
    failed_cost: Decimal
    asked_again: int
    """Requests that try a truncated answer again."""
    asked_again_cost: Decimal
    """What these cost beyond the output that they add."""
    saving: Decimal


class CapFinding(_Result):
    """What a limit of the answers of one model and feature gives."""

    kind: Literal["cap"] = "cap"
    provider: str
    model: str
    feature: str | None
    requests: int
    cap_tokens: int
    """The limit that fits: as `max_tokens` or the like."""
    cut_answers: int
    """Answers that are longer and would be cut off."""
    cut_tokens: int
    saving: Decimal


class TrimFinding(_Result):
    """What leaving out old turns gives for one model and feature."""

    kind: Literal["trim"] = "trim"
    provider: str
    model: str
    feature: str | None
    requests: int
    """Requests that would be shorter."""
    trimmed_tokens: int
    below_cliff: int
    """Requests that would fall into a lower price tier."""
    saving: Decimal


class TaskComparison(_Result):
    """Two models at one public task; what a success costs counts the attempts that failed."""

    task: str
    score_now: Decimal
    """Percent; of the best run of the model in use."""
    score_then: Decimal
    """Percent; of the worst run of the model proposed."""
    usd_per_task_now: Decimal | None
    usd_per_task_then: Decimal | None
    usd_per_success_now: Decimal | None
    usd_per_success_then: Decimal | None


class RouteFinding(_Result):
    """What sending the requests of one model to a cheaper one gives."""

    kind: Literal["route"] = "route"
    provider: str
    model: str
    target_provider: str
    target_model: str
    requests: int
    cost_now: Decimal
    cost_then: Decimal
    saving: Decimal
    comparisons: tuple[TaskComparison, ...]


class OffPeakFinding(_Result):
    """What sending the deferrable requests of one model at its cheaper hours gives."""

    kind: Literal["off_peak"] = "off_peak"
    provider: str
    model: str
    requests: int
    cost_now: Decimal
    cost_off_peak: Decimal
    saving: Decimal


class CapacityFinding(_Result):
    """What an offer of capacity at a fixed price would have done in the hours of the range."""

    kind: Literal["capacity"] = "capacity"
    name: str
    provider: str
    model: str
    hours: int
    loaded_hours: int
    price: Decimal
    """For all hours."""
    cost_on_demand: Decimal
    """Of the requests it could take, after all other levers."""
    cost_taken: Decimal
    """The part of it that fits into the capacity."""
    utilisation: Decimal
    break_even_utilisation: Decimal | None
    """Above it the capacity is cheaper than its load on demand; more than 1: never."""
    saving: Decimal
    """0 where it would have been a loss, or another offer is better."""


Finding = Annotated[
    CacheFinding
    | BatchFinding
    | RepeatFinding
    | WasteFinding
    | CapFinding
    | TrimFinding
    | RouteFinding
    | OffPeakFinding
    | CapacityFinding,
    Field(discriminator="kind"),
]


class LeverResult(_Result):
    """One lever's answer."""

    lever: str
    title: str
    verdict: Verdict
    precondition: str
    """What the lever needs, and how much of it the data have."""
    saving: Decimal
    """Within the time range, at the lever's place in the plan; exact."""
    standalone: Decimal
    """Within the time range, if this lever alone were used; exact."""
    monthly: MonthlySaving | None
    """None where the data cover too few days, or nothing is saved."""
    confidence: Confidence
    confidence_basis: str
    risk: str
    action: str
    verification: str
    """The SQL that will prove or refute the saving later."""
    data_needed: str | None = None
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


class SavingsPlan(_Result):
    """Every request re-priced through all levers in order; the savings add up exactly."""

    time_range: TimeRange
    price_version: str
    requests: int
    priced_requests: int
    baseline: Decimal
    """What the priced requests cost, US dollars."""
    final: Decimal
    """What they would have cost; `baseline - final` is the sum of the levers' savings."""
    saving: Decimal
    expected_per_month: Decimal | None
    """Sum of the levers' expected monthly savings."""
    levers: tuple[LeverResult, ...]
    as_of: AwareDatetime | None = None
    """When the oldest of it was worked out; None: just now."""
    pending_requests: int = 0
    """Requests of the time range that are not in it, or not as they are now: they are being worked
    on."""

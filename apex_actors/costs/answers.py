"""Answers beyond sums: series, and from single records by session, by tag and how long they took."""

from collections.abc import Mapping
from decimal import Decimal
from itertools import pairwise

from pydantic import AwareDatetime, BaseModel, ConfigDict

from apex_actors.costs.analysis import CostPoint, PartPoint, Step
from apex_actors.costs.summary import BreakdownRow, Sums
from apex_actors.costs.timerange import TimeRange

PERCENTILES = (50, 90, 95, 99)


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CostSeries(_Value):
    """What each hour or day cost."""

    step: Step
    points: tuple[CostPoint, ...]
    """Every hour or day of the range; those without usage with cost 0."""
    parts: tuple[PartPoint, ...]
    """The same by value of each dimension that was asked for."""
    first_record: AwareDatetime | None
    last_record: AwareDatetime | None
    """Of all the tenant's records; None: there are none."""

    @property
    def complete(self) -> tuple[CostPoint, ...]:
        """The points that begin and end within the records: others may cost little for want of data."""
        if self.first_record is None or self.last_record is None:
            return ()
        return tuple(
            point
            for point, following in pairwise(self.points)
            if point.start >= self.first_record and following.start <= self.last_record
        )


class RecordBreakdown(_Value):
    """The most expensive sessions, or values of a tag, and all others together."""

    tag: str | None
    """None: by session."""
    time_range: TimeRange
    """What was read: the last whole days of what was asked for, where that were too many records."""
    rows: tuple[BreakdownRow, ...]
    """A row without a name: records without a session or that tag."""
    other: Sums | None
    other_count: int


class TagKey(_Value):
    """A tag that records have."""

    key: str
    requests: int


class LatencyRow(_Value):
    """How long the requests of one value took, milliseconds."""

    name: str | None
    requests: int
    """Those that say how long they took."""
    latency_ms: Mapping[int, int]
    """By percentile (`PERCENTILES`)."""
    ttft_requests: int
    ttft_ms: Mapping[int, int] | None
    """Time to the first token; None: no request says."""
    cost: Decimal


class Latency(_Value):
    """Latency beside cost, by the values of a dimension."""

    time_range: TimeRange
    """What was read: the last whole days of what was asked for, where that were too many records."""
    rows: tuple[LatencyRow, ...]

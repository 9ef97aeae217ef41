"""Hours and days that cost far more or less than others of their kind, and what drove them.

The measure is the modified z-score of Iglewicz and Hoaglin, "How to Detect and Handle Outliers"
(ASQC, 1993): z = 0.6745 * (x - median) / MAD, with MAD the median of |x - median|; beyond 3.5 is an
outlier. 0.6745 is the third quartile of the normal distribution, so that z is in its standard
deviations. Where MAD is 0, because more than half of the values are equal, the mean absolute
deviation takes its place: z = (x - median) / (1.253314 * MeanAD), with sqrt(pi / 2) = 1.253314
(IBM SPSS Statistics, "Modified z score").
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal, localcontext
from enum import StrEnum
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from apex_actors.costs.analysis.statistics import PRECISE, estimate, mean, median, quotient
from apex_actors.costs.summary import SHARE_STEP, Dimension
from apex_actors.costs.timerange import zone

MAD_FACTOR = Decimal("0.6745")
MEAN_AD_FACTOR = Decimal("1.253314")
THRESHOLD = Decimal("3.5")

LEAST_IMPACT = Decimal(1)
"""US dollars: what is smaller is nobody's worry, however unusual."""

LEAST_PEERS = 5
"""With fewer values in a class a median means little, and a single spike among equal values can't
reach the threshold: among n values its z is n / 1.253314."""

_Z_STEP = Decimal("0.01")
_SATURDAY = 5
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class Step(StrEnum):
    """How long the points of a series are."""

    HOUR = "hour"
    DAY = "day"


class Spread(StrEnum):
    """By what the distance from the median was measured."""

    MEDIAN_DEVIATION = "median absolute deviation"
    MEAN_DEVIATION = "mean absolute deviation"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CostPoint(_Value):
    """What an hour or a day cost."""

    start: AwareDatetime
    cost: Decimal


class PartPoint(_Value):
    """What one value of a dimension cost in an hour or a day; where there is none, nothing."""

    dimension: Dimension
    name: str | None
    start: AwareDatetime
    cost: Decimal


class AnomalySettings(_Value):
    """When a point is an anomaly."""

    threshold: Decimal = Field(default=THRESHOLD, gt=0)
    least_impact: Decimal = Field(default=LEAST_IMPACT, ge=0)
    """US dollars between the point and what was to be expected."""


class Driver(_Value):
    """A value of a dimension, and its part in an anomaly."""

    dimension: Dimension
    name: str | None
    cost: Decimal
    expected: Decimal
    """Its median among the same peers."""
    share_of_impact: Decimal
    """Of the anomaly's impact; above 1 where others went the other way."""
    usual_share: Decimal
    """Of the expected cost."""


class Anomaly(_Value):
    """A point that is far from its peers."""

    start: AwareDatetime
    cost: Decimal
    expected: Decimal
    """The median of the peers, the point among them."""
    impact: Decimal
    """`cost - expected`: negative where it cost unusually little."""
    z: Decimal
    spread: Spread
    peers: str
    """With what it was compared, in words."""
    peer_count: int
    drivers: tuple[Driver, ...]
    """For each dimension the value that explains most of the impact; the most telling first."""


class AnomalyReport(_Value):
    """The anomalies of a series, largest impact first."""

    step: Step
    settings: AnomalySettings
    anomalies: tuple[Anomaly, ...]
    judged: int
    """Points that had enough peers."""
    unjudged: int


def find_anomalies(
    points: Sequence[CostPoint],
    *,
    step: Step,
    time_zone: str,
    parts: Sequence[PartPoint] = (),
    settings: AnomalySettings | None = None,
) -> AnomalyReport:
    """Judge each point among its peers: the same weekday (and hour) in the user's time zone.

    A class of fewer than 5 points gives way to a wider one: all working days or all weekend days
    (and the hour). Where even that has fewer, the point is not judged: weekends are not measured by
    working days. The result does not depend on the order of points or parts.

    A driver is the value whose own excess over its own median explains most of the impact beyond
    its usual share of the cost: a value that always makes up nearly all explains nothing (after
    "explanatory power" and "surprise" of Bhagwan et al., "Adtributor", NSDI 2014).

    :param points: each hour or day of the range once; those without usage with cost 0.
    :param parts: the same costs by value, for as many dimensions as shall be looked at.
    """
    limits = settings or AnomalySettings()
    tz = zone(time_zone)
    ordered = sorted(points, key=lambda point: point.start)
    classes = _classes(ordered, step, tz)
    costs = {point.start: point.cost for point in ordered}
    series = _by_value(parts)
    anomalies: list[Anomaly] = []
    judged = 0
    for point in ordered:
        found = _peers(point, classes, step, tz)
        if found is None:
            continue
        judged += 1
        label, peers = found
        peer_costs = [costs[start] for start in peers]
        middle = median(peer_costs)
        with localcontext(PRECISE):
            impact = point.cost - middle
        scored = _z(impact, middle, peer_costs)
        if scored is None or abs(impact) < limits.least_impact:
            continue
        z, spread = scored
        if abs(z) <= limits.threshold:
            continue
        anomalies.append(
            Anomaly(
                start=point.start,
                cost=point.cost,
                expected=middle,
                impact=impact,
                z=z.quantize(_Z_STEP, context=PRECISE),
                spread=spread,
                peers=label,
                peer_count=len(peers),
                drivers=_drivers(point, peers, middle, impact, series),
            )
        )
    anomalies.sort(key=lambda each: (-abs(each.impact), each.start))
    return AnomalyReport(
        step=step,
        settings=limits,
        anomalies=tuple(anomalies),
        judged=judged,
        unjudged=len(ordered) - judged,
    )


_Series = Mapping[tuple[Dimension, str | None], Mapping[datetime, Decimal]]


def _levels(start: datetime, step: Step, tz: ZoneInfo) -> list[str]:
    """The classes that a moment belongs to, in words, narrowest first."""
    local = start.astimezone(tz)
    weekday, is_weekend = _WEEKDAYS[local.weekday()], local.weekday() >= _SATURDAY
    days = "weekend days" if is_weekend else "working days"
    if step is Step.DAY:
        return [f"{weekday}s", days]
    hour = f"{local:%H}:00"
    return [f"{weekday}s at {hour}", f"{days} at {hour}"]


def _classes(
    points: Sequence[CostPoint], step: Step, tz: ZoneInfo
) -> Mapping[str, Sequence[datetime]]:
    classes: dict[str, list[datetime]] = defaultdict(list)
    for point in points:
        for level in _levels(point.start, step, tz):
            classes[level].append(point.start)
    return classes


def _peers(
    point: CostPoint, classes: Mapping[str, Sequence[datetime]], step: Step, tz: ZoneInfo
) -> tuple[str, Sequence[datetime]] | None:
    for level in _levels(point.start, step, tz):
        if len(classes[level]) >= LEAST_PEERS:
            return level, classes[level]
    return None


def _z(impact: Decimal, middle: Decimal, peers: Sequence[Decimal]) -> tuple[Decimal, Spread] | None:
    """The modified z-score; None where all values are equal."""
    with localcontext(PRECISE):
        deviations = [abs(cost - middle) for cost in peers]
        if spread := median(deviations):
            return MAD_FACTOR * impact / spread, Spread.MEDIAN_DEVIATION
        if spread := mean(deviations):
            return impact / (MEAN_AD_FACTOR * spread), Spread.MEAN_DEVIATION
    return None


def _by_value(parts: Sequence[PartPoint]) -> _Series:
    series: dict[tuple[Dimension, str | None], dict[datetime, Decimal]] = defaultdict(dict)
    for part in parts:
        series[part.dimension, part.name][part.start] = part.cost
    return series


def _drivers(
    point: CostPoint,
    peers: Sequence[datetime],
    middle: Decimal,
    impact: Decimal,
    series: _Series,
) -> tuple[Driver, ...]:
    best: dict[Dimension, Driver] = {}
    nothing = Decimal(0)
    names = sorted(series, key=lambda key: (key[0], key[1] is None, key[1] or ""))
    for dimension, name in names:
        costs = series[dimension, name]
        cost = costs.get(point.start, nothing)
        expected = median([costs.get(start, nothing) for start in peers])
        with localcontext(PRECISE):
            share_of_impact = quotient(cost - expected, impact).quantize(SHARE_STEP)
        usual = quotient(expected, middle).quantize(SHARE_STEP) if middle else nothing
        driver = Driver(
            dimension=dimension,
            name=name,
            cost=cost,
            expected=estimate(expected),
            share_of_impact=share_of_impact,
            usual_share=usual,
        )
        if share_of_impact > 0 and (
            dimension not in best or _surprise(driver) > _surprise(best[dimension])
        ):
            best[dimension] = driver
    return tuple(sorted(best.values(), key=lambda each: (-_surprise(each), each.dimension)))


def _surprise(driver: Driver) -> Decimal:
    return driver.share_of_impact - driver.usual_share

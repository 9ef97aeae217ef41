"""Which way of caching is the cheapest, for each model."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from apex_actors.costs.levers.tallies import CacheClass, CacheCosts, Row

Decision = Literal["keep", "cache-5m", "cache-1h", "stop", "automatic"]


@dataclass(slots=True)
class CacheGroup:
    """The requests of one model, either those that can be replayed or those that can't."""

    provider: str
    model: str
    traced: bool
    requests: int = 0
    input_tokens: int = 0
    read_tokens: int = 0
    read_5m_tokens: int = 0
    read_1h_tokens: int = 0
    writing: int = 0
    charging: int = 0
    hourly: int = 0
    keep: int = 0
    stop: int = 0
    five_minutes: int = 0
    one_hour: int = 0

    def add(self, row: Row, costs: CacheCosts, *, charging: int, hourly: int) -> None:
        """Takes a row in, at the given costs and for the model that these are about."""
        self.requests += row.requests
        self.input_tokens += row.input_tokens
        self.read_tokens += row.read_tokens
        self.read_5m_tokens += row.read_5m_tokens
        self.read_1h_tokens += row.read_1h_tokens
        self.writing += row.writing
        self.charging += charging
        self.hourly += hourly
        self.keep += costs.keep
        self.stop += costs.stop
        self.five_minutes += costs.five_minutes
        self.one_hour += costs.one_hour

    @property
    def automatic(self) -> bool:
        """The provider caches by itself and charges nothing for writes: there is no switch."""
        return not self.charging

    @property
    def has_hour(self) -> bool:
        """Whether there is a price for writes that live an hour, for each of the requests."""
        return self.traced and self.hourly == self.requests

    @property
    def is_decided(self) -> bool:
        """Whether there is anything to find: reads without any write are an automatic cache's."""
        return self.traced or bool(self.writing)

    @property
    def decision(self) -> Decision:
        """The cheapest; of equals what is done today, which needs no work, then the simplest."""
        if not self.traced:
            return "stop" if self.writing and self.stop < self.keep else "keep"
        if self.automatic:
            return "automatic"
        options: dict[Decision, int] = {
            "keep": self.keep,
            "stop": self.stop,
            "cache-5m": self.five_minutes,
        }
        if self.has_hour:
            options["cache-1h"] = self.one_hour
        return min(options, key=lambda name: options[name])

    @property
    def saving(self) -> int:
        """Units that the decision saves."""
        now = CacheCosts(
            keep=self.keep,
            stop=self.stop,
            five_minutes=self.five_minutes,
            one_hour=self.one_hour,
        )
        return self.keep - cost_of(now, self.decision)

    @property
    def potential(self) -> int:
        """What automatic caching would save at its best; nobody can switch it on."""
        if not (self.traced and self.automatic):
            return 0
        return max(0, self.keep - self.five_minutes)


def cost_of(costs: CacheCosts, decision: Decision) -> int:
    """What is paid by that decision."""
    match decision:
        case "stop":
            return costs.stop
        case "cache-5m":
            return costs.five_minutes
        case "cache-1h":
            return costs.one_hour
        case _:
            return costs.keep


CacheKey = tuple[str, str, CacheClass]


def groups_as_sent(rows: Iterable[Row]) -> dict[CacheKey, CacheGroup]:
    """All requests, at the models and prices they were sent to."""
    groups: dict[CacheKey, CacheGroup] = {}
    for row in rows:
        if row.own_cache is not CacheClass.NONE:
            key = (row.provider, row.model, row.own_cache)
            group = groups.get(key)
            if group is None:
                group = groups[key] = CacheGroup(
                    row.provider, row.model, row.own_cache is CacheClass.TRACED
                )
            group.add(row, row.sent, charging=row.own_charging, hourly=row.own_hourly)
    return groups

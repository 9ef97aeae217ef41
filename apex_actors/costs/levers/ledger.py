"""The one ordered plan: each row of the tallies, priced after each lever.

Order: remove (repeats, waste), shrink (output cap, context trim), route (right-sizing), cache, time
(batch or off-peak), commit. What is decided for the whole range is decided here, before the rows
are gone through.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from enum import StrEnum

from apex_actors.costs.levers.answer_lengths import CapGroup, CapKey, cap_groups, tokens_above
from apex_actors.costs.levers.caching import (
    CacheGroup,
    CacheKey,
    Decision,
    cost_of,
    groups_as_sent,
)
from apex_actors.costs.levers.capacity import Backtest, ModelDay, backtest
from apex_actors.costs.levers.settings import LeverSettings
from apex_actors.costs.levers.tallies import CacheClass, CacheCosts, DayTallies, Fate, Row, Wait


class Place(StrEnum):
    """The levers, in their order."""

    DUPLICATES = "duplicates"
    WASTE = "waste"
    OUTPUT_CAP = "output_cap"
    CONTEXT_TRIM = "context_trim"
    RIGHT_SIZING = "right_sizing"
    PROMPT_CACHING = "prompt_caching"
    BATCH = "batch"
    OFF_PEAK = "off_peak"
    COMMITTED = "committed"


class Entry:
    """A row with what it costs after each lever, in units of money."""

    __slots__ = ("capped", "costs", "credits", "day", "row")

    def __init__(self, day: date, row: Row, costs: Sequence[int], capped: int) -> None:
        self.day = day
        self.row = row
        self.costs = costs
        """As sent, then after each place."""
        self.capped = capped
        """Output tokens that the cap leaves out."""

    def credit(self, place: Place) -> int:
        """What the lever takes off at its place."""
        index = _INDEX[place]
        return self.costs[index] - self.costs[index + 1]

    def before(self, place: Place) -> int:
        """What the row costs when it comes to that lever."""
        return self.costs[_INDEX[place]]

    def after(self, place: Place) -> int:
        """What the lever leaves."""
        return self.costs[_INDEX[place] + 1]


_PLACES = tuple(place for place in Place if place is not Place.COMMITTED)
"""The places of single requests; capacity takes whole hours."""
_INDEX: dict[Place, int] = {place: index for index, place in enumerate(_PLACES)}


class Ledger:
    """Everything that was decided, and every row's way through it."""

    def __init__(self, days: Iterable[DayTallies], settings: LeverSettings) -> None:
        self.settings = settings
        self.days = tuple(sorted(days, key=lambda each: each.day))
        rows = [row for day in self.days for row in day.rows]
        kept = [row for row in rows if row.fate is Fate.KEPT]
        self.rows = rows
        self.cap_groups = cap_groups(kept)
        self.caps = _caps(self.cap_groups, settings)
        caps_alone = _caps(cap_groups(rows), settings)
        self.cache_groups = self._groups_in_plan(kept)
        self._decisions: dict[CacheKey, Decision] = {
            key: group.decision for key, group in self.cache_groups.items()
        }
        self.entries = [self._entry(day.day, row) for day in self.days for row in day.rows]
        self.backtests = self._backtests(in_plan=True)
        """Every offer for a model with load, in the order given."""
        self.taken = _best(self.backtests)
        self.standalone = {
            Place.DUPLICATES: sum(r.sent.keep for r in rows if r.fate is Fate.REPEATED),
            Place.WASTE: sum(r.sent.keep - r.rest for r in rows if r.wasted is not Fate.KEPT),
            Place.OUTPUT_CAP: sum(
                tokens_above(row, caps_alone.get(_cap_key(row))) * row.output_rates[0]
                for row in rows
            ),
            Place.CONTEXT_TRIM: sum(row.alone_trim for row in rows),
            Place.RIGHT_SIZING: sum(row.alone_route for row in rows),
            Place.PROMPT_CACHING: sum(group.saving for group in groups_as_sent(rows).values()),
            Place.BATCH: sum(row.alone_batch for row in rows),
            Place.OFF_PEAK: sum(row.alone_off_peak for row in rows),
            Place.COMMITTED: sum(each.saving for each in _best(self._backtests(in_plan=False))),
        }

    @property
    def priced(self) -> int:
        """Priced requests."""
        return sum(day.priced_requests for day in self.days)

    @property
    def baseline(self) -> int:
        """Units that the requests cost as they were sent."""
        return sum(entry.costs[0] for entry in self.entries)

    def saved_by_day(self, place: Place) -> dict[date, int]:
        """Units that the lever saves at its place."""
        saved: dict[date, int] = {}
        if place is Place.COMMITTED:
            for test in self.taken:
                for day, units in test.saved_by_day.items():
                    saved[day] = saved.get(day, 0) + units
            return saved
        for entry in self.entries:
            credit = entry.credit(place)
            if credit:
                saved[entry.day] = saved.get(entry.day, 0) + credit
        return saved

    def cost_by_day(self) -> dict[date, int]:
        """Units that each day cost as it was."""
        cost: dict[date, int] = {}
        for entry in self.entries:
            cost[entry.day] = cost.get(entry.day, 0) + entry.costs[0]
        return cost

    def _groups_in_plan(self, kept: Iterable[Row]) -> dict[CacheKey, CacheGroup]:
        groups: dict[CacheKey, CacheGroup] = {}
        for row in kept:
            if row.cache is CacheClass.NONE:
                continue
            key = _cache_key(row)
            group = groups.get(key)
            if group is None:
                group = groups[key] = CacheGroup(
                    row.target_provider, row.target_model, row.cache is CacheClass.TRACED
                )
            capped = tokens_above(row, self.caps.get(_cap_key(row))) * row.output_rates[2]
            costs = CacheCosts(
                keep=row.routed.keep - capped,
                stop=row.routed.stop - capped,
                five_minutes=row.routed.five_minutes - capped,
                one_hour=row.routed.one_hour - capped,
            )
            group.add(row, costs, charging=row.charging, hourly=row.hourly)
        return groups

    def _backtests(self, *, in_plan: bool) -> list[Backtest]:
        if not self.settings.offers or not self.entries:
            return []
        costs: dict[ModelDay, int] = {}
        for entry in self.entries:
            row = entry.row
            if not row.standard:
                continue
            if in_plan and row.fate is Fate.KEPT and row.wait not in _MOVED:
                key = (entry.day, row.target_provider, row.target_model)
                costs[key] = costs.get(key, 0) + entry.costs[-1]
            elif not in_plan:
                key = (entry.day, row.provider, row.model)
                costs[key] = costs.get(key, 0) + entry.costs[0]
        used = {(provider, model) for _, provider, model in costs}
        first, last = min(e.day for e in self.entries), max(e.day for e in self.entries)
        return [
            backtest(offer, self.days, costs, first=first, last=last, in_plan=in_plan)
            for offer in self.settings.offers
            if (offer.provider, offer.model) in used
        ]

    def _entry(self, day: date, row: Row) -> Entry:
        sent = row.sent.keep
        if row.fate is not Fate.KEPT:
            repeated = sent if row.fate is not Fate.REPEATED else 0
            rest = row.rest if row.fate is not Fate.REPEATED else 0
            return Entry(day, row, (sent, repeated, *(rest,) * (len(_PLACES) - 1)), 0)
        capped = tokens_above(row, self.caps.get(_cap_key(row)))
        base, cut, routed, timed = row.output_rates
        decision = self._decisions.get(_cache_key(row), "keep")
        cached = cost_of(row.routed, decision) - capped * routed
        late = cost_of(row.timed, decision) - capped * timed
        costs = (
            sent,
            sent,
            sent,
            sent - capped * base,
            row.trimmed_cost - capped * cut,
            row.routed.keep - capped * routed,
            cached,
            late if row.wait is Wait.BATCH else cached,
            late,
        )
        return Entry(day, row, costs, capped)


_MOVED = (Wait.BATCH, Wait.OFF_PEAK)


def _best(backtests: Iterable[Backtest]) -> list[Backtest]:
    """The best offer for each model, where it saves."""
    best: dict[tuple[str, str], Backtest] = {}
    for each in backtests:
        model = (each.offer.provider, each.offer.model)
        if each.saving > 0 and (model not in best or each.saving > best[model].saving):
            best[model] = each
    return list(best.values())


def _caps(groups: dict[CapKey, CapGroup], settings: LeverSettings) -> dict[CapKey, int | None]:
    return {key: group.step(settings) for key, group in groups.items()}


def _cap_key(row: Row) -> CapKey:
    return (row.provider, row.model, row.feature)


def _cache_key(row: Row) -> CacheKey:
    return (row.target_provider, row.target_model, row.cache)

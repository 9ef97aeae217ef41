"""What the requests of one model pay on one day, wherever the levers send them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from apex_actors.costs.levers.cache_rules import FIVE_MINUTES_S, ONE_HOUR_S, minimum_prefix
from apex_actors.costs.levers.cells import Cell, Reads
from apex_actors.costs.levers.replay import PrefixCache, readable
from apex_actors.costs.levers.tallies import Wait
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.costs.rates import RateCard, Rates, TokenShape
from apex_actors.costs.records import Processing

Loads = dict[tuple[str, str], dict[int, tuple[int, int, int, int]]]
"""By model and hour: requests, input tokens, output tokens, list price in units."""


class Move(NamedTuple):
    """Another time at which a request that may wait can be sent."""

    kind: Wait
    card: RateCard


class Caches:
    """The prompt caches of one model: as requests were sent, and as the plan sends them."""

    __slots__ = ("planned", "sent")

    def __init__(self) -> None:
        self.sent = PrefixCache(short_s=FIVE_MINUTES_S, long_s=ONE_HOUR_S)
        self.planned = PrefixCache(short_s=FIVE_MINUTES_S, long_s=ONE_HOUR_S)

    def is_spent(self, at_s: float) -> bool:
        """Whether nothing in them can be live any more."""
        return self.sent.is_spent(at_s) and self.planned.is_spent(at_s)


class Path:
    """One model at one UTC date, time of day and processing."""

    __slots__ = (
        "_base",
        "_has_tiers",
        "_is_partial",
        "_moves",
        "_never_dearer",
        "_window",
        "card",
        "cells",
        "charges",
        "hourly",
        "hours",
        "is_replayed",
        "is_standard",
        "is_timed",
        "minimum",
        "model",
        "plain_cells",
        "planned",
        "planned_hours",
        "processing",
        "provider",
        "scored_as",
        "sent",
        "sent_hours",
        "targets",
    )  # fmt: skip

    def __init__(
        self,
        *,
        provider: str,
        model: str,
        processing: Processing,
        card: RateCard,
        moves: Sequence[Move],
        caches: Caches,
        is_timed: bool,
        context_window: int | None,
        scored_as: str | None,
    ) -> None:
        self.provider = provider
        self.model = model
        self.processing = processing
        self.is_standard = processing is Processing.STANDARD
        # When a batch runs is not known, so neither is what it finds in a cache.
        self.is_replayed = processing is not Processing.BATCH
        self.is_timed = is_timed
        self.scored_as = scored_as
        self.sent = caches.sent
        self.planned = caches.planned
        self.minimum = minimum_prefix(model).tokens
        self.charges = card.charges_for_writes
        self.hourly = card.keeps_for_an_hour
        self.cells: dict[tuple[object, ...], Cell] = {}
        self.plain_cells: dict[tuple[object, ...], Cell] = {}
        """Of requests that no lever but caching and the output cap can touch."""
        self.hours: dict[int, list[int]] = {}
        """Load by hour, of requests that no lever could move away."""
        self.planned_hours: dict[int, list[int]] = {}
        """What the plan adds to it, and below, what was sent beside it."""
        self.sent_hours: dict[int, list[int]] = {}
        self.targets: dict[str | None, tuple[Path, ...]] = {}
        """Cheaper models that are as good, for each task; empty where there are none."""
        self.card = card
        self._base = card.tiers[0]
        self._has_tiers = bool(card.thresholds)
        self._is_partial = _is_partial(card)
        self._moves = moves
        self._window = context_window
        self._never_dearer: dict[tuple[int, int], bool] = {}

    def lacks_price(self, shape: TokenShape) -> bool:
        """Whether the catalogue has no price for a kind of token of the request."""
        return self._is_partial and self.card.missing_price(shape) is not None

    def rates_for(self, input_tokens: int) -> Rates:
        """The rates of the tier that a request of that size pays."""
        return self.card.rates_for(input_tokens) if self._has_tiers else self._base

    def reads(
        self, cache: PrefixCache, at_s: float, input_tokens: int, blocks: tuple[int, ...]
    ) -> Reads | None:
        """What a prompt reads from the cache and then leaves in it; None if it is too short."""
        minimum = self.minimum
        if input_tokens < minimum:
            return None
        live_5m, live_1h = cache.send(at_s, blocks)
        if not live_1h:
            return _NOTHING
        return (
            readable(live_5m, input_tokens, minimum),
            readable(live_1h, input_tokens, minimum),
        )

    def ways(self, shape: TokenShape, reads: Reads | None) -> tuple[TokenShape, ...]:
        """The tokens of a request for each way of caching: as it is, not at all, replayed."""
        input_tokens, _, _, _, output, reasoning = shape
        plain = TokenShape(input_tokens, 0, 0, 0, output, reasoning)
        if reads is None:
            return (shape, plain)
        read_5m, read_1h = reads
        written_5m = input_tokens - read_5m if self.charges else 0
        written_1h = input_tokens - read_1h if self.charges else 0
        return (
            shape,
            plain,
            TokenShape(input_tokens, read_5m, written_5m, 0, output, reasoning),
            TokenShape(input_tokens, read_1h, 0, written_1h, output, reasoning),
        )

    def trim_pays(self, rates: Rates, shape: TokenShape, needed: int, reads: Reads | None) -> bool:
        """Whether leaving out old turns is cheaper than any way of caching them.

        A trimmed prompt begins differently each time and reads nothing from a cache, so the two
        exclude each other, and the better one is taken for each request.
        """
        trimmed = TokenShape(needed, 0, 0, 0, shape.output_tokens, shape.reasoning_tokens)
        if self.lacks_price(trimmed):
            return False
        cut = self.rates_for(needed)
        cost = cut.cost(trimmed)
        if any(cost >= rates.cost(way) for way in self.ways(shape, reads)):
            return False
        return _suits(cut, rates, trimmed, rates.cost(shape) - cost)

    def move(self, rates: Rates, shapes: Sequence[TokenShape]) -> tuple[Wait, Rates | None]:
        """The cheapest other time for a request, among those that are never dearer for it.

        Args:
            rates: what it pays now.
            shapes: its tokens for each way of caching; the first is the one that counts.
        """
        shape = shapes[0]
        found: Wait = Wait.UNRATED
        best: Rates | None = None
        least = 0
        for kind, card in self._moves:
            if _is_partial(card) and card.missing_price(shape):
                continue
            if best is None:
                found = Wait.DEARER
            new = card.rates_for(shape.input_tokens)
            saving = rates.cost(shape) - new.cost(shape)
            if saving > least and (
                self._is_never_dearer(new, rates)
                or all(_suits(new, rates, way, rates.cost(way) - new.cost(way)) for way in shapes)
            ):
                found, best, least = kind, new, saving
        return found, best

    def route(
        self, targets: Sequence["Path"], rates: Rates, shape: TokenShape
    ) -> tuple["Path", Rates]:
        """The cheapest of these models that holds the request, or this one."""
        path: Path = self
        best = rates
        least = 0
        size = shape.input_tokens + shape.output_tokens
        for target in targets:
            if target.lacks_price(shape) or target.is_too_small_for(size):
                continue
            new = target.rates_for(shape.input_tokens)
            saving = rates.cost(shape) - new.cost(shape)
            if saving > least and (
                self._is_never_dearer(new, rates) or _suits(new, rates, shape, saving)
            ):
                path, best, least = target, new, saving
        return path, best

    def can_cost_more_than(self, other: "Path") -> bool:
        """Whether some request would be cheaper at the other model."""
        sizes = {0, *(start + 1 for path in (self, other) for start in path.card.thresholds)}
        return not all(
            self.rates_for(size).never_dearer_than(other.rates_for(size)) for size in sizes
        )

    def is_too_small_for(self, tokens: int) -> bool:
        """Whether the model's context can't hold that many tokens."""
        return self._window is not None and tokens > self._window

    def add_hours(self, hours: Mapping[int, list[int]], loads: Loads) -> None:
        """Adds these hours of the path, with what they come to by list price, to its model's."""
        model = loads.setdefault((self.provider, self.model), {})
        for hour, (requests, input_tokens, output_tokens) in hours.items():
            price = self._base.cost(TokenShape(input_tokens, 0, 0, 0, output_tokens), requests)
            old = model.get(hour, (0, 0, 0, 0))
            model[hour] = (
                old[0] + requests,
                old[1] + input_tokens,
                old[2] + output_tokens,
                old[3] + price,
            )

    def _is_never_dearer(self, new: Rates, old: Rates) -> bool:
        # By identity: cards, and with them rates, live as long as this path.
        key = (id(new), id(old))
        found = self._never_dearer.get(key)
        if found is None:
            found = self._never_dearer[key] = new.never_dearer_than(old)
        return found


_NOTHING: Reads = (0, 0)


def _suits(new: Rates, old: Rates, shape: TokenShape, saving: int) -> bool:
    """Whether a request costs no more at the new rates, however short a cap makes its answer.

    Cost falls in a straight line with the length of the answer, so both ends decide.
    """
    without_answer = saving - shape.output_tokens * (old.least_output - new.least_output)
    return saving >= 0 and without_answer >= 0


def find_moves(
    catalogue: PriceCatalogue, path: tuple[str, str, Processing], at: datetime, card: RateCard
) -> list[Move]:
    """The batch rate and the other rates of that day, where there are any."""
    provider, model, processing = path
    if processing is not Processing.STANDARD:
        return []
    moves = []
    batch = catalogue.card(provider, model, at, Processing.BATCH)
    if isinstance(batch, RateCard):
        moves.append(Move(Wait.BATCH, batch))
    moves.extend(
        Move(Wait.OFF_PEAK, other)
        for other in catalogue.cards_of_day(provider, model, at, processing)
        if other != card
    )
    return moves


def _is_partial(card: RateCard) -> bool:
    return card.tiers[0].input is None or card.tiers[0].output is None


def add_load(hours: dict[int, list[int]], hour: int, input_tokens: int, output_tokens: int) -> None:
    """Counts a request that capacity at a fixed price could take."""
    load = hours.get(hour)
    if load is None:
        hours[hour] = [1, input_tokens, output_tokens]
    else:
        load[0] += 1
        load[1] += input_tokens
        load[2] += output_tokens

"""Catalogue prices by date, tier, processing and cache, from the library `genai-prices`.

The library prices one request in about 70 microseconds. Here its rates are resolved once for each
model, UTC date and processing into a `RateCard`, and the card prices a request in about one.

Two answers of the library are not taken over, because both look like prices and are none:

- for batch, flex and priority it answers with the standard price where it knows no other, and
- for a model it lists without a token price it answers with 0.

Both are `Unpriced` here.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from difflib import get_close_matches
from functools import cache
from importlib.metadata import version
from typing import NamedTuple

from genai_prices import Usage
from genai_prices.data_snapshot import DataSnapshot, find_provider_by_id, get_snapshot
from genai_prices.types import (
    ModelInfo,
    ModelPrice,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

from apex_actors.costs.money import to_units
from apex_actors.costs.rates import RateCard, Rates, TokenShape
from apex_actors.costs.records import Grain, Processing, UsageRecord

_CONTEXTS: dict[Processing, dict[str, str]] = {
    Processing.BATCH: {"processing": "batch"},
    Processing.FLEX: {"service_tier": "flex"},
    Processing.PRIORITY: {"service_tier": "priority"},
}
"""What the catalogue calls the service classes."""

MAX_KEPT_MODELS = 10_000
"""Names are the user's: without a limit, a file of invented models would fill the memory."""

_MTOK = 1_000_000
_KCOUNT = 1_000


@dataclass(frozen=True, slots=True)
class Unpriced:
    """Why something has no price. The reasons are few, and none holds a user's value."""

    reason: str


UNKNOWN_PROVIDER = Unpriced("provider not in the price catalogue")
UNKNOWN_MODEL = Unpriced("model not in the price catalogue")
NO_TOKEN_PRICE = Unpriced("the price catalogue has no token price for this model")
NO_OUTPUT_PRICE = Unpriced("the price catalogue has no output price for this model")
UNUSABLE_PRICE = Unpriced("the price catalogue's entry for this model can't be used")
TIERED_BUCKET = Unpriced("aggregated row of a model whose price depends on each request's size")
TIMED_BUCKET = Unpriced("aggregated row of a model whose price depends on the time of day")
AMOUNT_ONLY = Unpriced("an amount without tokens: there is nothing to price, it only reconciles")
NO_RATE = {
    processing: Unpriced(f"no {processing} rate known on that date") for processing in _CONTEXTS
}


class ListedModel(NamedTuple):
    """How the catalogue calls a model."""

    provider: str
    model: str
    context_window: int | None
    """Tokens of input and output together; None where the catalogue doesn't say."""


@dataclass(frozen=True, slots=True)
class _Model:
    """A model of the catalogue, found once."""

    provider: str
    """As the catalogue calls who was asked."""
    info: ModelInfo
    own: bool
    """Whether the provider lists the model itself; a borrowed entry has standard prices only."""
    day_breaks_s: tuple[int, ...]
    """Seconds after UTC midnight at which another price begins."""


@dataclass(frozen=True, slots=True)
class _Resolved:
    """What has been found in a set of prices."""

    snapshot: DataSnapshot
    models: dict[tuple[str, str], _Model | Unpriced] = field(default_factory=dict)
    cards: dict[tuple[str, str, Processing, int, int], RateCard | Unpriced] = field(
        default_factory=dict
    )


class PriceCatalogue:
    """Prices of models, resolved lazily and kept. Not tied to a user: prices are public.

    Use from one thread at a time is not required: two threads may at worst resolve a card twice.
    Handed to another process, one with the shipped prices becomes that process's own, which keeps
    what it has resolved.

    :param snapshot: the set of prices; None: the one that is shipped with the library.
    :param shared_with: has it already, and what it has resolved.
    """

    def __init__(
        self,
        *,
        snapshot: DataSnapshot | None = None,
        shared_with: "PriceCatalogue | None" = None,
    ) -> None:
        self._resolved: _Resolved = (
            _Resolved(snapshot or get_snapshot()) if shared_with is None else shared_with._resolved  # noqa: SLF001 - of this class
        )
        self._version = f"genai-prices {version('genai-prices')}"
        self._is_shipped = snapshot is None

    def __reduce__(self) -> tuple[Callable[..., "PriceCatalogue"], tuple[object, ...]]:
        return (_shipped, ()) if self._is_shipped else (_with_prices, (self._resolved.snapshot,))

    @property
    def version(self) -> str:
        """Names the set of prices, for the keys of caches."""
        return self._version

    def card(
        self, provider: str, model: str, at: datetime, processing: Processing
    ) -> RateCard | Unpriced:
        """The rates of a model at a moment, or why there are none.

        Args:
            provider: as the catalogue or a common gateway calls it.
            model: any reference by which requests name the model.
            at: an aware moment; prices change at UTC midnight, some by time of day.
            processing: the service class asked for.
        """
        found = self._model(provider, model)
        if isinstance(found, Unpriced):
            return found
        moment = at if at.tzinfo is UTC else at.astimezone(UTC)
        slot = 0
        if found.day_breaks_s:
            slot = bisect_right(found.day_breaks_s, _second_of_day(moment))
        key = (provider, model, processing, moment.toordinal(), slot)
        card = self._resolved.cards.get(key)
        if card is None:
            card = self._resolved.cards[key] = _resolve(found, moment, processing)
        return card

    def day_breaks_s(self, provider: str, model: str) -> tuple[int, ...]:
        """Seconds after UTC midnight at which another price of the model begins; mostly none."""
        found = self._model(provider, model)
        return found.day_breaks_s if isinstance(found, _Model) else ()

    def cards_of_day(
        self, provider: str, model: str, at: datetime, processing: Processing
    ) -> tuple[RateCard, ...]:
        """The rates of the model at all times of the moment's UTC day: one, where they are even."""
        moment = at.astimezone(UTC)
        midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        cards = (
            self.card(provider, model, midnight + timedelta(seconds=start), processing)
            for start in (0, *self.day_breaks_s(provider, model))
        )
        return tuple(card for card in cards if isinstance(card, RateCard))

    def listed(self, provider: str, model: str) -> ListedModel | None:
        """How the catalogue calls the model that requests name so, if it knows it."""
        found = self._model(provider, model)
        if not isinstance(found, _Model):
            return None
        return ListedModel(found.provider, found.info.id, found.info.context_window)

    def price(self, record: UsageRecord) -> int | Unpriced:
        """The catalogue price of a record in units of money, or why there is none.

        A bucket is priced only where the size of its single requests can't matter. One that has an
        amount and neither tokens nor requests, as cost reports do, counts neither as priced nor as
        unpriced usage: it has none. A computed cost of 0 beside its amount would look like a
        difference.
        """
        if _is_amount_only(record):
            return AMOUNT_ONLY
        card = self.card(record.provider, record.model, record.occurred_at, record.processing)
        return self._price_at(card, record)

    def near(self, provider: str | None, model: str, *, limit: int = 5) -> tuple[str, ...]:
        """Models of the catalogue with names most like ``model``, as ``provider/model``."""
        listed: dict[str, list[str]] = {}
        for owner in self._resolved.snapshot.providers:
            if provider is None or owner.id == provider.lower():
                for info in owner.models:
                    listed.setdefault(info.id.lower(), []).append(f"{owner.id}/{info.id}")
        alike = get_close_matches(model.lower(), listed, n=limit, cutoff=0.5)
        return tuple(name for found in alike for name in listed[found])[:limit]

    def providers_of(self, model: str) -> tuple[str, ...]:
        """The providers that list the model themselves."""
        return tuple(
            owner.id
            for owner in self._resolved.snapshot.providers
            if owner.find_model(model) is not None
        )

    def since(self, provider: str, model: str, at: datetime, processing: Processing) -> date | None:
        """The first day in UTC of the price that holds at ``at``; None where none is known."""
        found = self._model(provider, model)
        if isinstance(found, Unpriced):
            return None
        starts = [
            condition.start_date
            for condition in _conditions(found.info, _CONTEXTS.get(processing))
            if isinstance(condition, StartDateConstraint) and condition.active(at)
        ]
        return max(starts, default=None)

    def _price_at(
        self,
        card: RateCard | Unpriced,
        record: UsageRecord,
        *,
        depends_on_time: bool | None = None,
    ) -> int | Unpriced:
        if isinstance(card, Unpriced):
            return card
        shape = shape_of(record)
        missing = card.missing_price(shape)
        if missing is not None:
            return NO_TOKEN_PRICE if missing == "input" else NO_OUTPUT_PRICE
        if record.grain is Grain.REQUEST:
            return card.cost(shape)
        if card.tiers_matter(shape.input_tokens):
            return TIERED_BUCKET
        if depends_on_time is None:
            depends_on_time = self._depends_on_time(record.provider, record.model)
        if depends_on_time:
            return TIMED_BUCKET
        # Where the number of requests isn't told, no fee for them can be counted.
        return card.cost(shape) + card.tiers[0].request * (record.request_count - 1)

    def _model(self, provider: str, model: str) -> _Model | Unpriced:
        name = (provider, model)
        found = self._resolved.models.get(name)
        if found is None:
            if len(self._resolved.models) >= MAX_KEPT_MODELS:
                self._resolved.models.clear()
                self._resolved.cards.clear()
            found = self._resolved.models[name] = self._find(provider, model)
        return found

    def _depends_on_time(self, provider: str, model: str) -> bool:
        found = self._resolved.models.get((provider, model))
        return isinstance(found, _Model) and bool(found.day_breaks_s)

    def _find(self, provider: str, model: str) -> _Model | Unpriced:
        # Not through the snapshot's own lookup: it keeps every name it ever failed to find.
        if provider.lower() == "litellm" and "/" in model:
            provider, model = model.split("/", 1)
        providers = self._resolved.snapshot.providers
        owner = find_provider_by_id(providers, provider)
        if owner is None:
            return UNKNOWN_PROVIDER
        info = owner.find_model(model, all_providers=providers)
        if info is None:
            return UNKNOWN_MODEL
        return _Model(
            provider=owner.id,
            info=info,
            own=any(info is listed for listed in owner.models),
            day_breaks_s=_day_breaks_s(info),
        )


def _is_amount_only(record: UsageRecord) -> bool:
    return record.grain is Grain.BUCKET and not (
        record.request_count or record.input_tokens or record.output_tokens
    )


@cache
def _shipped() -> PriceCatalogue:
    return PriceCatalogue()


def _with_prices(snapshot: DataSnapshot) -> PriceCatalogue:
    return PriceCatalogue(snapshot=snapshot)


def shape_of(record: UsageRecord) -> TokenShape:
    """The tokens of a record that decide its price."""
    return TokenShape(
        record.input_tokens,
        record.cache_read_tokens,
        record.cache_write_5m_tokens,
        record.cache_write_1h_tokens,
        record.output_tokens,
        record.reasoning_tokens,
    )


def library_usage(shape: TokenShape) -> Usage:
    """The same tokens as the library wants them: an hour's writes count among the writes too."""
    return Usage(
        input_tokens=shape.input_tokens,
        cache_read_tokens=shape.cache_read_tokens,
        cache_write_tokens=shape.cache_write_5m_tokens + shape.cache_write_1h_tokens,
        cache_write_1h_tokens=shape.cache_write_1h_tokens,
        output_tokens=shape.output_tokens,
        output_reasoning_tokens=shape.reasoning_tokens,
    )


def library_context(processing: Processing) -> dict[str, str] | None:
    """What the library calls that service class; None for standard."""
    return _CONTEXTS.get(processing)


def _resolve(model: _Model, moment: datetime, processing: Processing) -> RateCard | Unpriced:
    context = _CONTEXTS.get(processing)
    if context is not None and not _has_own_rate(model, moment, context):
        return NO_RATE[processing]
    prices = model.info.get_prices(moment, context)
    try:
        # The library refuses combinations of prices that it could not tell apart.
        prices.calc_price(library_usage(TokenShape(0)))
        return _card(prices)
    except ValueError:
        return UNUSABLE_PRICE


def _has_own_rate(model: _Model, moment: datetime, context: dict[str, str]) -> bool:
    if not model.own:
        return False
    return any(
        variant.when == context
        and (variant.constraint is None or variant.constraint.active(moment))
        and any(
            variant.prices.__dict__.get(key) is not None for key in ("input_mtok", "output_mtok")
        )
        for variant in model.info.price_variants or ()
    )


def _card(prices: ModelPrice) -> RateCard | Unpriced:
    listed: dict[str, Decimal | TieredPrices] = {
        key: value for key, value in prices.__dict__.items() if value is not None
    }
    if "input_mtok" not in listed and "output_mtok" not in listed:
        return NO_TOKEN_PRICE
    thresholds = sorted(
        {
            tier.start
            for value in listed.values()
            if isinstance(value, TieredPrices)
            for tier in value.tiers
        }
    )
    # The smallest request of each tier stands for all of it.
    sizes = [0, *(start + 1 for start in thresholds)]
    return RateCard(
        thresholds=tuple(thresholds),
        tiers=tuple(_rates(listed, size) for size in sizes),
    )


def _rates(listed: dict[str, Decimal | TieredPrices], input_tokens: int) -> Rates:
    def rate(key: str, per: int = _MTOK) -> int | None:
        value = listed.get(key)
        if value is None:
            return None
        if isinstance(value, TieredPrices):
            reached = [tier.price for tier in value.tiers if input_tokens > tier.start]
            value = reached[-1] if reached else value.base
        units, remainder = divmod(to_units(value), per)
        if remainder:
            raise ValueError("A price is finer than the unit of money.")
        return units

    return Rates(
        input=rate("input_mtok"),
        cache_read=rate("cache_read_mtok"),
        cache_write=rate("cache_write_mtok"),
        cache_write_1h=rate("cache_write_1h_mtok"),
        output=rate("output_mtok"),
        reasoning=rate("output_reasoning_mtok"),
        request=rate("requests_kcount", _KCOUNT) or 0,
    )


def _day_breaks_s(info: ModelInfo) -> tuple[int, ...]:
    """When in the UTC day the price of a model may change."""
    breaks: set[int] = set()
    for condition in (*_conditions(info), *_variant_conditions(info)):
        if isinstance(condition, TimeOfDateConstraint):
            for bound in (condition.start_time, condition.end_time):
                aware = bound if bound.tzinfo is not None else bound.replace(tzinfo=UTC)
                moment = datetime.combine(datetime(1970, 1, 2, tzinfo=UTC), aware)
                breaks.add(_second_of_day(moment.astimezone(UTC)))
    return tuple(sorted(breaks))


def _conditions(info: ModelInfo, context: dict[str, str] | None = None) -> Iterable[object]:
    """On what the prices of a service class depend; the standard ones where it has none."""
    of_class = [variant for variant in info.price_variants or () if variant.when == context]
    if of_class:
        return [variant.constraint for variant in of_class]
    if isinstance(info.prices, ModelPrice):
        return ()
    return [conditional.constraint for conditional in info.prices]


def _variant_conditions(info: ModelInfo) -> Iterable[object]:
    return [variant.constraint for variant in info.price_variants or ()]


def _second_of_day(moment: datetime) -> int:
    return moment.hour * 3600 + moment.minute * 60 + moment.second

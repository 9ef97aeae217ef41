"""The catalogue as one tenant pays it: negotiated prices first, list prices for the rest."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from apex_actors.costs.money import to_units
from apex_actors.costs.price_override import PriceOverride, PriceRule, ordered
from apex_actors.costs.prices import MAX_KEPT_MODELS, PriceCatalogue, Unpriced
from apex_actors.costs.rates import RateCard, Rates
from apex_actors.costs.records import Processing, UsageRecord

_MTOK: Final = 1_000_000

_WHOLE: Final = 1_000_000
"""A discount has up to four places after the comma of its percents."""


class TenantPrices(PriceCatalogue):
    """Prices with a tenant's override: wherever a catalogue is asked, this can be.

    Its version names the override too, so that what is kept by version is the tenant's own. It
    shares what the catalogue has resolved.

    :param catalogue: the list prices.
    :param override: the tenant's rules, which go first.
    """

    def __init__(self, catalogue: PriceCatalogue, override: PriceOverride) -> None:
        super().__init__(shared_with=catalogue)
        self._catalogue = catalogue
        self._override = override
        self._ordered = ordered(override.prices)
        self._rules: dict[tuple[str, str, Processing], tuple[PriceRule, ...]] = {}
        self._named = {
            rule: _named_card(rule) for rule in self._ordered if rule.discount_percent is None
        }
        self._discounted: dict[tuple[RateCard, Decimal], RateCard] = {}
        self._version = f"{catalogue.version} with own prices {override.digest}"

    def __reduce__(self) -> tuple[Callable[..., "PriceCatalogue"], tuple[object, ...]]:
        return (TenantPrices, (self._catalogue, self._override))

    @property
    def own_providers(self) -> tuple[str, ...]:
        """The providers that rules are about."""
        return tuple(dict.fromkeys(rule.provider for rule in self._ordered))

    def rule(
        self, provider: str, model: str, at: datetime, processing: Processing
    ) -> PriceRule | None:
        """The tenant's own rule for a request at that moment, if there is one."""
        key = (provider, model, processing)
        rules = self._rules.get(key)
        if rules is None:
            if len(self._rules) >= MAX_KEPT_MODELS:
                self._rules.clear()
            rules = self._rules[key] = self._find_rules(provider, model, processing)
        if not rules:
            return None
        day = at.astimezone(UTC).date()
        return next((rule for rule in rules if rule.is_valid_on(day)), None)

    def card(
        self, provider: str, model: str, at: datetime, processing: Processing
    ) -> RateCard | Unpriced:
        """See `PriceCatalogue.card`."""
        rule = self.rule(provider, model, at, processing)
        if rule is None:
            return super().card(provider, model, at, processing)
        if rule.discount_percent is None:
            return self._named[rule]
        listed = super().card(provider, model, at, processing)
        if isinstance(listed, Unpriced):
            return listed
        key = (listed, rule.discount_percent)
        card = self._discounted.get(key)
        if card is None:
            if len(self._discounted) >= MAX_KEPT_MODELS:
                self._discounted.clear()
            card = self._discounted[key] = _discounted_card(*key)
        return card

    def price(self, record: UsageRecord) -> int | Unpriced:
        """See `PriceCatalogue.price`. Named prices are the same at any size and time of day."""
        rule = self.rule(record.provider, record.model, record.occurred_at, record.processing)
        if rule is None or rule.discount_percent is not None:
            return super().price(record)
        return self._price_at(self._named[rule], record, depends_on_time=False)

    def _find_rules(
        self, provider: str, model: str, processing: Processing
    ) -> tuple[PriceRule, ...]:
        names = {(provider, model)}
        listed = self.listed(provider, model)
        if listed is not None:
            names.add((listed.provider, listed.model))
        return tuple(
            rule
            for rule in self._ordered
            if rule.covers(processing) and any(rule.names(*name) for name in names)
        )


def _named_card(rule: PriceRule) -> RateCard:
    def rate(amount: Decimal | None) -> int | None:
        # Exact: an amount has 18 places at most, the unit of money 24.
        return None if amount is None else to_units(amount) // _MTOK

    rates = Rates(
        input=rate(rule.input),
        cache_read=rate(rule.cache_read),
        cache_write=rate(rule.cache_write_5m),
        cache_write_1h=rate(rule.cache_write_1h),
        output=rate(rule.output),
        reasoning=None,
        request=0,
    )
    return RateCard(thresholds=(), tiers=(rates,))


def _discounted_card(card: RateCard, percent: Decimal) -> RateCard:
    left = _WHOLE - int(percent * (_WHOLE // 100))

    def less(rate: int | None) -> int | None:
        return None if rate is None else _rounded(rate * left, _WHOLE)

    return RateCard(
        thresholds=card.thresholds,
        tiers=tuple(
            Rates(
                input=less(rates.input),
                cache_read=less(rates.cache_read),
                cache_write=less(rates.cache_write),
                cache_write_1h=less(rates.cache_write_1h),
                output=less(rates.output),
                reasoning=less(rates.reasoning),
                request=less(rates.request) or 0,
            )
            for rates in card.tiers
        ),
    )


def _rounded(numerator: int, denominator: int) -> int:
    """To whole units of money (10^-24 dollars) for a token, half to even."""
    units, remainder = divmod(numerator, denominator)
    doubled = 2 * remainder
    return units + (doubled > denominator or (doubled == denominator and units % 2 == 1))

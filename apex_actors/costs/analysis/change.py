"""Why a cost changed: the difference between two periods as volume, mix, tokens and price.

The cost of a period is C = sum over i of N * s_i * t_i * p_i, where i is a model (or a value of any
other dimension), N all requests, s_i the share of them that went to i, t_i the tokens per request
and p_i the cost per token of i. Additive LMDI-I (Ang, "The LMDI approach to decomposition analysis:
a practical guide", Energy Policy 33, 2005) gives each factor x of each i the effect

    L(C_i1, C_i0) * ln(x_i1 / x_i0),  L(a, b) = (a - b) / (ln a - ln b),  L(a, a) = a,

and these add up to the difference without a rest. Where a cost is 0 in one period the limits of Ang
and Liu ("Handling zero values in the logarithmic mean Divisia index decomposition approach", Energy
Policy 35, 2007) hold: the whole cost of the other period belongs to the factor that was 0.
"""

from collections.abc import Iterable, Sequence
from decimal import ROUND_FLOOR, Decimal, localcontext
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from apex_actors.costs.analysis.statistics import PRECISE
from apex_actors.costs.money import from_units, to_units, total
from apex_actors.costs.summary import Dimension

_CENT = Decimal("0.01")


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PeriodSums(_Value):
    """What was used and paid in one period. Only priced requests take part in a decomposition."""

    requests: int = Field(ge=0)
    """Priced requests."""
    tokens: int = Field(ge=0)
    """Input and output tokens of the priced requests."""
    cost: Decimal = Field(ge=0)
    """US dollars, exact."""
    unpriced_requests: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.cost and not self.requests:
            raise ValueError("requests: must not be 0 where there is a cost")
        return self


class PeriodPair(_Value):
    """The same thing in an earlier and a later period."""

    name: str | None
    """None: the records don't say."""
    before: PeriodSums
    after: PeriodSums


class Effects(_Value):
    """What each factor added to the cost, US dollars; negative where it took away."""

    volume: Decimal
    """More or fewer requests in all."""
    mix: Decimal
    """Requests that moved between the values; new and vanished values are here."""
    tokens_per_request: Decimal
    """Longer or shorter requests."""
    price: Decimal
    """Cost per token: list prices, and how tokens are shared among input, cache and output."""

    @property
    def total(self) -> Decimal:
        """All four together, exact."""
        return total((self.volume, self.mix, self.tokens_per_request, self.price))


class Contribution(_Value):
    """One value's part in the difference."""

    name: str | None
    before: PeriodSums
    after: PeriodSums
    difference: Decimal
    effects: Effects
    """Their sum is `difference`, exactly."""


class ChangeExplained(_Value):
    """The difference between two periods, by factor and by value."""

    dimension: Dimension
    before: PeriodSums
    after: PeriodSums
    difference: Decimal
    """`after.cost - before.cost`, exact."""
    effects: Effects
    """Their sum is `difference`, exactly."""
    contributions: tuple[Contribution, ...]
    """Largest difference first, either sign; their effects add up to `effects`, exactly."""

    @property
    def effects_in_cents(self) -> Effects:
        """The effects in whole cents, which add up to the difference of the two costs in cents.

        Each is at most one cent, and in the rarest case two, from its exact value: the missing
        cents go where rounding down took most (method of the largest remainder).
        """
        shown = _cents(self.after.cost) - _cents(self.before.cost)
        effects = self.effects
        amounts = (effects.volume, effects.mix, effects.tokens_per_request, effects.price)
        volume, mix, tokens, price = _apportioned(amounts, shown)
        return Effects(volume=volume, mix=mix, tokens_per_request=tokens, price=price)


def explain_change(pairs: Sequence[PeriodPair], *, dimension: Dimension) -> ChangeExplained:
    """Decompose the difference between two periods.

    Logarithms are taken to 80 digits and each effect is rounded to the unit of money (10^-24 US
    dollars). The rest of that rounding, a few units, is added to the largest effect of its value.

    Where a value has cost but no tokens in a period (a price per request), tokens and price can't
    be told apart: the change of its cost per request counts as price.

    :param pairs: every value of the dimension that occurs in either period, each once.
    """
    before, after = _sum(pair.before for pair in pairs), _sum(pair.after for pair in pairs)
    contributions = [_contribution(pair, before.requests, after.requests) for pair in pairs]
    contributions.sort(key=lambda each: (-abs(each.difference), each.name is None, each.name or ""))
    found = [each.effects for each in contributions]
    return ChangeExplained(
        dimension=dimension,
        before=before,
        after=after,
        difference=_difference(before, after),
        effects=Effects(
            volume=total(each.volume for each in found),
            mix=total(each.mix for each in found),
            tokens_per_request=total(each.tokens_per_request for each in found),
            price=total(each.price for each in found),
        ),
        contributions=tuple(contributions),
    )


def _contribution(pair: PeriodPair, requests_before: int, requests_after: int) -> Contribution:
    before, after = pair.before, pair.after
    difference = to_units(after.cost) - to_units(before.cost)
    if before.cost and after.cost:
        units = _logarithmic(before, after, requests_before, requests_after)
    else:
        units = [0, 0, 0, 0]
        if difference and before.cost:
            units[_vanishing(after, requests_after)] = difference
        elif difference:
            units[_vanishing(before, requests_before)] = difference
    largest = max(range(len(units)), key=lambda index: abs(units[index]))
    units[largest] += difference - sum(units)
    volume, mix, tokens, price = map(from_units, units)
    return Contribution(
        name=pair.name,
        before=before,
        after=after,
        difference=from_units(difference),
        effects=Effects(volume=volume, mix=mix, tokens_per_request=tokens, price=price),
    )


def _vanishing(sums: PeriodSums, requests: int) -> int:
    """The place of the first factor that is 0 in a period without cost."""
    if not requests:
        return 0
    if not sums.requests:
        return 1
    return 2 if not sums.tokens else 3


def _logarithmic(
    before: PeriodSums, after: PeriodSums, requests_before: int, requests_after: int
) -> list[int]:
    with localcontext(PRECISE):
        old, new = Decimal(to_units(before.cost)), Decimal(to_units(after.cost))
        cost = new.ln() - old.ln()
        weight = old if old == new else (new - old) / cost
        volume = Decimal(requests_after).ln() - Decimal(requests_before).ln()
        requests = Decimal(after.requests).ln() - Decimal(before.requests).ln()
        tokens = requests
        if before.tokens and after.tokens:
            tokens = Decimal(after.tokens).ln() - Decimal(before.tokens).ln()
        logarithms = (volume, requests - volume, tokens - requests, cost - tokens)
        return [int((weight * each).to_integral_value()) for each in logarithms]


def _sum(sums: Iterable[PeriodSums]) -> PeriodSums:
    everything = tuple(sums)
    return PeriodSums(
        requests=sum(each.requests for each in everything),
        tokens=sum(each.tokens for each in everything),
        cost=total(each.cost for each in everything),
        unpriced_requests=sum(each.unpriced_requests for each in everything),
    )


def _difference(before: PeriodSums, after: PeriodSums) -> Decimal:
    return from_units(to_units(after.cost) - to_units(before.cost))


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(_CENT, context=PRECISE)


def _apportioned(amounts: Sequence[Decimal], whole: Decimal) -> list[Decimal]:
    """The amounts in whole cents with the sum `whole`, which is near that of the amounts."""
    with localcontext(PRECISE):
        cents = [amount.quantize(_CENT, ROUND_FLOOR) for amount in amounts]
        missing = int((whole - sum(cents)) / _CENT)
        step = _CENT if missing > 0 else -_CENT
        # The farthest below its exact amount gains first; the nearest to it loses first.
        order = sorted(
            range(len(cents)), key=lambda index: cents[index] - amounts[index], reverse=missing < 0
        )
        for turn in range(abs(missing)):
            cents[order[turn % len(order)]] += step
        return cents

"""Capacity at a fixed price: would committed throughput, or machines of one's own, have paid?

Each hour of the range pays the fixed price, used or not, and saves what the load that fits into it
would have cost on demand: load = the larger of input and output as shares of what the capacity can
take in an hour. Load above it is still paid on demand. What an hour cost on demand is the day's
cost of the model after all other levers, spread over its hours in proportion to their list price.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

from apex_actors.costs.levers.settings import CapacityOffer
from apex_actors.costs.levers.tallies import DayTallies, ModelLoad
from apex_actors.costs.money import to_units

ModelDay = tuple[date, str, str]


@dataclass(frozen=True, slots=True)
class Backtest:
    """What an offer would have done in the hours of the range."""

    offer: CapacityOffer
    hours: int
    """Of all days from the first to the last; each pays the price."""
    loaded_hours: int
    """Hours in which there was anything to take."""
    price: int
    """Units for all hours."""
    on_demand: int
    """Units that the requests cost on demand."""
    taken: int
    """Units of these that the capacity would have taken over."""
    utilisation: Decimal
    """Share of the capacity that was used, over all hours."""
    break_even: Decimal | None
    """Utilisation at which the capacity costs what its load costs on demand; None without load."""
    saved_by_day: dict[date, int]

    @property
    def saving(self) -> int:
        """Units; below 0 it would have been a loss."""
        return self.taken - self.price


def backtest(
    offer: CapacityOffer,
    days: Iterable[DayTallies],
    costs: dict[ModelDay, int],
    *,
    first: date,
    last: date,
    in_plan: bool,
) -> Backtest:
    """Runs the offer over the hours.

    Args:
        offer: the capacity and its price.
        days: the loads by hour.
        costs: units that each day's eligible requests to each model cost after all other levers.
        first: the first day of the range with requests.
        last: the last one.
        in_plan: whether the load is what the plan leaves, or all that was sent.
    """
    count = (last - first).days + 1
    hourly = to_units(offer.usd_per_hour)
    saved = {date.fromordinal(first.toordinal() + n): -24 * hourly for n in range(count)}
    taken = on_demand = loaded = 0
    used = load_sum = Fraction(0)
    for day in days:
        cost = costs.get((day.day, offer.provider, offer.model), 0)
        on_demand += cost
        hours = _by_hour(day.loads if in_plan else day.sent_loads, offer)
        spent = weighed = 0
        weight_sum = sum(weight for _, weight in hours)
        for load, weight in hours:
            # Rounded on the running sum, so that the hours add up to the day.
            weighed += weight
            here = cost * weighed // weight_sum - spent if weight_sum else 0
            spent += here
            share = min(Fraction(1), load)
            covered = here if load <= 1 else here * load.denominator // load.numerator
            taken += covered
            saved[day.day] += covered
            used += share
            load_sum += load
            loaded += 1
    total_hours = 24 * count
    return Backtest(
        offer=offer,
        hours=total_hours,
        loaded_hours=loaded,
        price=total_hours * hourly,
        on_demand=on_demand,
        taken=taken,
        utilisation=_decimal(used / total_hours),
        # A full hour costs on demand: on_demand / load.
        break_even=_decimal(hourly * load_sum / on_demand) if on_demand else None,
        saved_by_day=saved,
    )


def _by_hour(loads: Iterable[ModelLoad], offer: CapacityOffer) -> list[tuple[Fraction, int]]:
    """Load and weight of each hour of the offer's model that has any."""
    return [
        (
            max(
                Fraction(input_tokens, offer.input_tokens_per_hour),
                Fraction(output_tokens, offer.output_tokens_per_hour),
            ),
            weight,
        )
        for each in loads
        if (each.provider, each.model) == (offer.provider, offer.model)
        for _, _, input_tokens, output_tokens, weight in each.hours
    ]


def _decimal(share: Fraction) -> Decimal:
    return (Decimal(share.numerator) / Decimal(share.denominator)).quantize(Decimal("0.0001"))

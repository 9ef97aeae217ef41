"""Committed throughput and self-hosting: capacity at a fixed price for the load of a model.

Backtested against the hours that were (`capacity`). An offer is needed; without one there is
nothing to compare with. Of several offers for one model the best is taken.
"""

from apex_actors.costs.formatting import names, percent, usd
from apex_actors.costs.levers.capacity import Backtest
from apex_actors.costs.levers.ledger import Ledger, Place
from apex_actors.costs.levers.monthly import monthly_of
from apex_actors.costs.levers.results import CapacityFinding, Confidence, LeverResult, Verdict
from apex_actors.costs.money import from_units

VERIFICATION = """\
select date_trunc('week', occurred_at) as week, provider, model,
       count(distinct date_trunc('hour', occurred_at)) as hours_with_load,
       round(sum(input_tokens) / 168.0) as input_tokens_per_hour,
       round(sum(output_tokens) / 168.0) as output_tokens_per_hour,
       sum(computed_cost) as usd
  from apex.usage_records
 where tenant = :tenant and processing = 'standard'
 group by week, provider, model
 order by week, provider, model"""


def committed(ledger: Ledger) -> LeverResult:
    """Takes capacity at a fixed price where it would have cost less."""
    offers = ledger.settings.offers
    findings = [_finding(each, ledger) for each in ledger.backtests]
    taken = [each.name for each in findings if each.saving]
    saving = sum(ledger.saved_by_day(Place.COMMITTED).values())
    verdict = Verdict.SAVES if saving else Verdict.NO_SAVING
    return LeverResult(
        lever="committed",
        title="Committed throughput and self-hosting",
        verdict=verdict if findings else Verdict.ABSTAINS,
        precondition=(
            f"An offer with its price and what it can take in an hour, and requests to its model: "
            f"{len(offers)} given, {len(findings)} with load"
        ),
        saving=from_units(saving),
        standalone=from_units(ledger.standalone[Place.COMMITTED]),
        monthly=monthly_of(ledger, Place.COMMITTED) if saving else None,
        confidence=Confidence.MEDIUM,
        confidence_basis="backtest against the load of each hour",
        risk=(
            "A commitment is paid when the load goes away, too. Whether the capacity takes what the "
            "offer says, and what running machines of your own costs beside, is not in the data."
        ),
        action=f"Take the offer: {names(taken)}." if taken else "Stay with prices on demand.",
        verification=VERIFICATION,
        data_needed=(
            None
            if findings
            else "Give an offer for a model in use: its price for an hour and the input and output "
            "tokens that it takes in an hour."
        ),
        notes=tuple(
            f"{each.name} would lose {usd(each.price - each.cost_taken)} in this period: "
            f"{percent(each.utilisation)} of it would be used"
            + (
                f", {percent(each.break_even_utilisation)} are needed."
                if each.break_even_utilisation is not None
                else "."
            )
            for each in findings
            if each.price > each.cost_taken
        ),
        findings=tuple(findings),
    )


def _finding(test: Backtest, ledger: Ledger) -> CapacityFinding:
    return CapacityFinding(
        name=test.offer.name,
        provider=test.offer.provider,
        model=test.offer.model,
        hours=test.hours,
        loaded_hours=test.loaded_hours,
        price=from_units(test.price),
        cost_on_demand=from_units(test.on_demand),
        cost_taken=from_units(test.taken),
        utilisation=test.utilisation,
        break_even_utilisation=test.break_even,
        saving=from_units(test.saving if test in ledger.taken else 0),
    )

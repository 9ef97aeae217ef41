"""Off-peak: requests that may wait, at the hours of the day when the model costs less.

Saving of a request = its price - its price at the cheapest hours of the same UTC day. Only for
models whose price in the catalogue depends on the time of day. Where a batch costs still less, the
request is left to it.
"""

from apex_actors.costs.formatting import names
from apex_actors.costs.levers.ledger import Ledger, Place
from apex_actors.costs.levers.monthly import monthly_of
from apex_actors.costs.levers.results import Confidence, LeverResult, OffPeakFinding, Verdict
from apex_actors.costs.levers.tallies import Fate, Wait
from apex_actors.costs.money import from_units

VERIFICATION = """\
select date_trunc('week', occurred_at) as week, provider, model,
       extract(hour from occurred_at at time zone 'UTC') as hour_utc,
       count(*) as requests, sum(computed_cost) as usd
  from apex.usage_records
 where tenant = :tenant and is_deferrable
 group by 1, 2, 3, 4
 order by 1, 2, 3, 4"""


def off_peak(ledger: Ledger) -> LeverResult:
    """Sends deferrable requests at their provider's cheaper hours."""
    timed = sum(day.timed for day in ledger.days)
    deferrable = sum(day.deferrable for day in ledger.days)
    findings = _findings(ledger)
    saving = sum(ledger.saved_by_day(Place.OFF_PEAK).values())
    speaks = bool(timed and deferrable)
    verdict = Verdict.SAVES if saving else Verdict.NO_SAVING
    models = sorted({each.model for each in findings if each.saving})
    return LeverResult(
        lever="off_peak",
        title="Off-peak hours",
        verdict=verdict if speaks else Verdict.ABSTAINS,
        precondition=(
            f"Requests that may wait, and prices by the time of day: {deferrable:,} of "
            f"{ledger.priced:,} priced requests are deferrable, {timed:,} went to models with such "
            "prices"
        ),
        saving=from_units(saving),
        standalone=from_units(ledger.standalone[Place.OFF_PEAK]),
        monthly=monthly_of(ledger, Place.OFF_PEAK) if saving else None,
        confidence=Confidence.HIGH,
        confidence_basis="catalogue prices on requests that are marked as deferrable",
        risk=(
            "Answers come hours later, and what a request finds in a cache at another hour is not "
            "known: cached tokens are taken to stay cached."
        ),
        action=(
            f"Send the deferrable requests to {names(models)} at the cheaper hours."
            if models
            else "Leave the hours as they are."
        ),
        verification=VERIFICATION,
        data_needed=(
            "Say which requests may wait: set deferrable on their records."
            if timed and not deferrable
            else None
        ),
        notes=(
            () if timed else ("None of the models used has prices that depend on the time of day.",)
        ),
        findings=tuple(findings),
    )


def _findings(ledger: Ledger) -> list[OffPeakFinding]:
    sums: dict[tuple[str, str], list[int]] = {}
    for entry in ledger.entries:
        row = entry.row
        if row.fate is Fate.KEPT and row.wait is Wait.OFF_PEAK:
            found = sums.setdefault((row.target_provider, row.target_model), [0, 0, 0])
            found[0] += row.requests
            found[1] += entry.before(Place.OFF_PEAK)
            found[2] += entry.after(Place.OFF_PEAK)
    findings = [
        OffPeakFinding(
            provider=provider,
            model=model,
            requests=requests,
            cost_now=from_units(now),
            cost_off_peak=from_units(then),
            saving=from_units(now - then),
        )
        for (provider, model), (requests, now, then) in sums.items()
    ]
    return sorted(findings, key=lambda each: (-each.saving, each.provider, each.model))

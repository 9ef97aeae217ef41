"""The report: one value that holds every figure a person is told; texts are rendered from it."""

from decimal import Decimal
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from apex_actors.costs.formatting import plural, tokens
from apex_actors.costs.levers.monthly import LEAST_DAYS, per_month
from apex_actors.costs.levers.results import LeverResult, SavingsPlan, Verdict
from apex_actors.costs.sample import SAMPLE_NOTICE
from apex_actors.costs.summary import (
    Breakdown,
    DayPoint,
    Totals,
    UnpricedGroup,
    UsageSummary,
)
from apex_actors.costs.timerange import TimeRange


class Coverage(BaseModel):
    """How much of the usage has a price."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    request_share: Decimal
    token_share: Decimal


class CostReport(BaseModel):
    """The answer to a question about AI costs.

    Money is US dollars, exact, and stands in JSON as decimal text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    currency: Literal["USD"] = "USD"
    time_range: TimeRange
    as_of: AwareDatetime
    """The moment at which the data were read."""
    data_version: int
    price_version: str
    coverage: Coverage
    totals: Totals
    observed_days: int
    """Local days from the first to the last day with usage, within the range."""
    cost_per_month: Decimal | None
    """The mean observed day times 30; None under a week of data."""
    breakdowns: tuple[Breakdown, ...]
    daily: tuple[DayPoint, ...]
    plan: SavingsPlan | None
    """None where savings could not be worked out; `data_gaps` says so."""
    unpriced: tuple[UnpricedGroup, ...]
    assumptions: tuple[str, ...]
    data_gaps: tuple[str, ...]
    sample: bool
    notice: str | None
    """What every reader of a report on sample data is told."""

    @property
    def ranked_levers(self) -> tuple[LeverResult, ...]:
        """The levers that save, the largest saving first."""
        levers = self.plan.levers if self.plan is not None else ()
        saving = [lever for lever in levers if lever.verdict is Verdict.SAVES]
        return tuple(sorted(saving, key=lambda lever: (-_weight(lever), lever.lever)))


def build_report(
    *,
    summary: UsageSummary,
    time_range: TimeRange,
    plan: SavingsPlan | None,
    price_version: str,
    sample: bool,
) -> CostReport:
    """Puts the parts together and says what was assumed and what is missing.

    Args:
        summary: the figures of the time range.
        time_range: the range that the summary and the plan are about.
        plan: None where the levers could not run.
        price_version: which prices the costs were computed with.
        sample: whether the usage is the sample's.
    """
    used = [point.day for point in summary.daily if point.requests]
    observed_days = (used[-1] - used[0]).days + 1 if used else 0
    return CostReport(
        title=f"AI costs, {time_range}",
        time_range=time_range,
        as_of=summary.as_of,
        data_version=summary.data_version,
        price_version=price_version,
        coverage=Coverage(
            request_share=summary.totals.priced_request_share,
            token_share=summary.totals.priced_token_share,
        ),
        totals=summary.totals,
        observed_days=observed_days,
        cost_per_month=(
            per_month(summary.totals.cost, observed_days) if observed_days >= LEAST_DAYS else None
        ),
        breakdowns=summary.breakdowns,
        daily=summary.daily,
        plan=plan,
        unpriced=summary.unpriced,
        assumptions=tuple(_assumptions(summary, price_version, plan)),
        data_gaps=tuple(_data_gaps(summary, time_range, plan, observed_days)),
        sample=sample,
        notice=SAMPLE_NOTICE if sample else None,
    )


def _weight(lever: LeverResult) -> Decimal:
    return lever.monthly.expected if lever.monthly is not None else lever.saving


def _assumptions(summary: UsageSummary, price_version: str, plan: SavingsPlan | None) -> list[str]:
    prices = (
        f"Costs are list prices in US dollars from the catalogue {price_version}, each request at "
        "the price of its own date; negotiated prices, taxes and credits are not in them."
    )
    month = "A month is 30 days like those observed; growth or decline is not projected."
    said = [prices, month]
    if summary.totals.errors:
        said.append(f"The {plural(summary.totals.errors, 'failed request')} are counted as billed.")
    if plan is not None:
        said.append(
            "Savings are worked out in one order (remove, shrink, route, cache, send later, commit), "
            "each on what the earlier ones left, so they can be added up."
        )
        said.extend(lever.risk for lever in plan.levers if lever.verdict is Verdict.SAVES)
    return said


def _data_gaps(
    summary: UsageSummary, time_range: TimeRange, plan: SavingsPlan | None, observed_days: int
) -> list[str]:
    totals = summary.totals
    gaps: list[str] = []
    if not totals.requests:
        return ["There is no usage in this time range."]
    if 0 < observed_days < LEAST_DAYS:
        gaps.append(
            f"The data cover {plural(observed_days, 'day')}: too few for monthly figures "
            f"({LEAST_DAYS} are needed)."
        )
    if summary.unpriced:
        missing = totals.tokens - totals.priced_tokens
        gaps.append(
            f"{plural(totals.requests - totals.priced_requests, 'request')} with "
            f"{tokens(missing)} tokens have no price and are in no cost above."
        )
    if not totals.reported_requests:
        gaps.append(
            "No record says what the provider charged, so the computed costs could not be compared "
            "with a bill."
        )
    if not totals.latency_requests:
        gaps.append("No record says how long its request took.")
    if plan is None:
        gaps.append("Savings could not be worked out this time; the figures above are complete.")
    else:
        if plan.pending_requests:
            gaps.append(
                f"The savings are as of {plan.as_of:%Y-%m-%d %H:%M} UTC: "
                f"{plural(plan.pending_requests, 'request')} that came in since are being worked "
                "on. Ask again in a while."
                if plan.as_of is not None
                else f"The savings are still being worked out, for "
                f"{plural(plan.pending_requests, 'request')}. Ask again in a while."
            )
        elif plan.time_range != time_range:
            gaps.append(
                f"With so many requests savings are worked out for whole days in UTC: here for "
                f"{plan.time_range}."
            )
        elif plan.requests < totals.requests:
            gaps.append(
                f"{plural(totals.requests - plan.requests, 'request')} are known only in sum and "
                "could not be looked at one by one for savings."
            )
        gaps.extend(
            f"{lever.title}: {lever.data_needed}"
            for lever in plan.levers
            if lever.data_needed is not None
        )
    return gaps

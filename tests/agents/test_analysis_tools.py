"""The tools that analyse: each asks for its data, and its answer survives being stored as JSON."""

import pickle
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

import pytest
from pydantic import TypeAdapter

from apex_actors.agents.tools.anomalies import AnomalyArguments, FindAnomalies
from apex_actors.agents.tools.arguments import PeriodsArguments, UsageArguments
from apex_actors.agents.tools.breakdowns import (
    TOO_MANY,
    BreakdownArguments,
    BreakDownRecords,
    BreakDownUsage,
    LatencyArguments,
    MeasureLatency,
    ReadCostSeries,
    RecordBreakdownArguments,
    SeriesArguments,
)
from apex_actors.agents.tools.changes import ComparePeriods, ExplainArguments, ExplainChange
from apex_actors.agents.tools.efficiency import EfficiencyArguments, MeasureEfficiency
from apex_actors.agents.tools.forecasts import (
    BudgetArguments,
    CheckBudgets,
    ForecastArguments,
    ForecastCosts,
    status_of,
)
from apex_actors.costs.analysis import (
    AnomalySettings,
    Budget,
    BudgetUnknown,
    DailyCost,
    Forecast,
    ForecastRefusal,
    Step,
)
from apex_actors.costs.filters import Filters
from apex_actors.costs.summary import Dimension
from apex_actors.costs.timerange import TimeRange
from apex_actors.storage.budgets import BudgetRepository
from apex_actors.storage.database import Database
from apex_actors.storage.usage import UsageRepository
from apex_actors.storage.usage_questions import UsageQuestions
from apex_actors.storage.work import ThreadRunner

ZONE = "Asia/Kolkata"
OCTOBER = TimeRange.days(date(2026, 10, 1), date(2026, 10, 31), ZONE)
NOVEMBER = TimeRange.days(date(2026, 11, 1), date(2026, 11, 22), ZONE)


class ProcessLike(ThreadRunner):
    """Hands over only what could go to another process."""

    async def call(self, function, /, *arguments):
        pickled = pickle.dumps((function, arguments))
        function, arguments = pickle.loads(pickled)  # noqa: S301 - of our own making
        return await super().call(function, *arguments)


@dataclass
class Context:
    """The part of a tool call's context that these tools look at."""

    org: str

    @property
    def execution(self):
        return self


@pytest.fixture
async def database(sample_database_url):
    database = Database(sample_database_url)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def usage(database):
    return UsageRepository(database)


@pytest.fixture
def questions(database):
    return UsageQuestions(database)


@pytest.fixture
async def tenant(database):
    async with database.connection() as connection:
        cursor = await connection.execute("select tenant from apex.tenants")
        return (await cursor.fetchone())["tenant"]


@pytest.fixture
def ask(tenant):
    """Run a tool, and store its answer as a step does."""

    async def ask(tool, arguments, org=tenant):
        output = await tool.run(arguments, Context(org))
        assert tool.is_repeatable
        assert tool.name == tool.name.lower()
        assert tool.summary(output)
        if output is not None:
            answer = TypeAdapter(type(output))
            assert answer.validate_json(answer.dump_json(output)) == output
        return output

    return ask


async def test_a_change_is_explained_to_the_last_digit(ask, questions, usage, tenant):
    periods = {"before": OCTOBER, "after": NOVEMBER}
    found = await ask(ExplainChange(questions), ExplainArguments(**periods))

    before, after = [await usage.totals(tenant, each) for each in (OCTOBER, NOVEMBER)]
    assert (found.before.cost, found.after.cost) == (before.cost, after.cost)
    assert found.before.requests == before.priced_requests
    assert found.before.unpriced_requests == before.requests - before.priced_requests
    assert found.effects.total == found.difference
    cents = found.effects_in_cents
    assert cents.total == round(after.cost, 2) - round(before.cost, 2)

    compared = await ask(ComparePeriods(questions), PeriodsArguments(**periods))
    [cost] = [each for each in compared.changes if each.figure == "cost"]
    assert cost.difference == found.difference
    assert ExplainChange(questions).summary(found).count("$") == 5


async def test_a_filter_reaches_every_tool(ask, usage, questions):
    top = await ask(
        BreakDownUsage(usage), BreakdownArguments(time_range=OCTOBER, dimension=Dimension.TEAM)
    )
    [team, *_] = [row for row in top.rows if row.name]
    chosen = {"time_range": OCTOBER, "filters": Filters.only(Dimension.TEAM, team.name)}

    series = await ask(ReadCostSeries(questions), SeriesArguments(**chosen))
    assert len(series.points) == 31
    assert sum((point.cost for point in series.points), Decimal(0)) == team.cost
    sessions = await ask(
        BreakDownRecords(questions), RecordBreakdownArguments(**chosen, limit=1000)
    )
    everything = [*sessions.rows, *([sessions.other] if sessions.other else [])]
    assert sum(row.requests for row in everything) == team.requests
    measured = await ask(MeasureEfficiency(questions), EfficiencyArguments(**chosen))
    assert measured.error_cost == team.error_cost
    latency = await ask(MeasureLatency(questions), LatencyArguments(**chosen))
    assert sum((row.requests for row in latency.rows), 0) <= team.requests


async def test_anomalies_of_hours_and_days_come_with_their_drivers(ask, questions, tenant):
    tool = FindAnomalies(questions, ProcessLike())
    whole = TimeRange.days(date(2026, 9, 1), date(2026, 11, 22), ZONE)
    least = AnomalySettings(least_impact=Decimal("0.01"))

    by_day = await ask(tool, AnomalyArguments(time_range=whole, settings=least))
    # The last day with records may not be over, and after it there is nothing.
    series = await questions.costs(tenant, whole, Step.DAY)
    assert by_day.judged == len(series.complete) == 81
    by_hour = await ask(tool, AnomalyArguments(time_range=whole, step=Step.HOUR, settings=least))
    assert 81 * 24 < by_hour.judged < 82 * 24
    assert by_hour.anomalies
    assert by_hour.anomalies[0].drivers
    nobody = await questions.costs("nobody", whole, Step.DAY)
    assert (len(nobody.points), nobody.complete) == (83, ())


async def test_a_forecast_goes_on_from_the_last_day_with_records(ask, usage):
    tool = ForecastCosts(usage, ProcessLike())

    found = await ask(tool, ForecastArguments(time_zone=ZONE, horizon_days=14))

    assert isinstance(found.result, Forecast)
    assert found.result.days[0].day == found.first_day
    assert found.history[-1].day == found.first_day - timedelta(days=1)
    assert len(found.result.days) == 14
    assert found.result.error is not None

    nothing = await ask(
        tool, ForecastArguments(filters=Filters.only(Dimension.TEAM, "nobody at all"))
    )
    assert isinstance(nothing.result, ForecastRefusal)
    assert await ask(tool, ForecastArguments(), "nobody") is None


async def test_budgets_are_checked_with_their_filters(ask, usage, database, tenant):
    budgets = BudgetRepository(database)
    tool = CheckBudgets(usage, budgets, ProcessLike())
    assert (await ask(tool, BudgetArguments(time_zone=ZONE))).statuses == ()
    team = "no such team"
    for budget in (
        Budget(name="1", monthly_amount=Decimal("0.01")),
        Budget(name="2", monthly_amount=Decimal(10**9)),
        Budget(name="3", monthly_amount=Decimal(1), dimension=Dimension.TEAM, value=team),
        Budget(name="4", monthly_amount=Decimal(1), currency="EUR"),
    ):
        await budgets.set(tenant, budget)

    report = await ask(tool, BudgetArguments(time_zone=ZONE))

    small, large, empty, foreign = report.statuses
    month = TimeRange.days(report.last_day.replace(day=1), report.last_day, ZONE)
    totals = await usage.totals(tenant, month)
    assert small.spent == large.spent == totals.cost
    assert small.runs_out_on is not None
    assert not small.runs_out_in_future
    assert large.runs_out_on is None
    assert large.projected >= totals.cost
    assert "forecast" in large.projection
    assert (empty.spent, empty.runs_out_on) == (0, None)
    assert isinstance(foreign, BudgetUnknown)
    assert tool.summary(report) == "1 of 4 budgets will not last the month."


def test_under_two_weeks_of_history_a_budget_goes_by_the_mean_of_complete_days():
    first = date(2026, 11, 1)
    days = [DailyCost(day=first + timedelta(days=day), cost=Decimal(10)) for day in range(10)]
    status = status_of(Budget(name="b", monthly_amount=Decimal(250)), days, date(2026, 11, 10))
    assert status.projected == 300
    assert status.projection == "the mean of the last 9 complete days"
    assert status.runs_out_on == date(2026, 11, 25)


async def test_nothing_is_said_of_nothing(ask, usage, questions):
    asked = {"time_range": OCTOBER}
    for tool, arguments in (
        (BreakDownUsage(usage), BreakdownArguments(**asked, dimension=Dimension.MODEL)),
        (BreakDownRecords(questions), RecordBreakdownArguments(**asked, tag="region")),
        (ReadCostSeries(questions), SeriesArguments(**asked)),
        (MeasureLatency(questions), LatencyArguments(**asked)),
        (MeasureEfficiency(questions), EfficiencyArguments(**asked)),
        (FindAnomalies(questions, ProcessLike()), AnomalyArguments(**asked)),
        (ExplainChange(questions), ExplainArguments(before=OCTOBER, after=NOVEMBER)),
        (ComparePeriods(questions), PeriodsArguments(before=OCTOBER, after=NOVEMBER)),
    ):
        await ask(tool, arguments, "nobody")


async def test_too_many_records_are_said_to_be_so(ask, database):
    questions = UsageQuestions(database, max_records=1)
    tool = BreakDownRecords(questions)
    assert await ask(tool, RecordBreakdownArguments(time_range=OCTOBER)) is None
    assert tool.summary(None) == MeasureLatency(questions).summary(None) == TOO_MANY


def test_arguments_refuse_what_they_do_not_know():
    with pytest.raises(ValueError, match="surprise"):
        UsageArguments(time_range=OCTOBER, surprise=1)
    with pytest.raises(ValueError, match="horizon_days"):
        ForecastArguments(horizon_days=93)

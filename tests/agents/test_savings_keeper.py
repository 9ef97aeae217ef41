"""Savings are worked out behind the imports: what a question finds is what all requests come to."""

import asyncio
import io
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from apex_actors.agents import SavingsKeeper, cost_tools
from apex_actors.agents.cost_tools import BuildSavingsPlan, PlanArguments
from apex_actors.agents.savings_keeper import work_out_a_piece
from apex_actors.costs.levers import DEFAULT_SETTINGS, Verdict, affected_days
from apex_actors.costs.price_override import PriceOverride, PriceRule
from apex_actors.costs.prices import PriceCatalogue
from apex_actors.costs.timerange import TimeRange
from apex_actors.protocol.identity import Identity
from apex_actors.storage.event_log import EventLog
from apex_actors.storage.prices import PriceStore
from apex_actors.storage.savings import SavingsStore, TallyKey, spans
from apex_actors.storage.usage import UsageRepository
from apex_actors.storage.usage_imports import UsageImports
from apex_actors.storage.usage_plan import UsagePlanner
from apex_actors.storage.work import ThreadRunner

FIRST = date(2026, 11, 1)
LAST = date(2026, 11, 6)
RANGE = TimeRange.days(FIRST, LAST)


def usage_file(days, *, per_day=40, offset=0):
    """Requests all day long: repeated ones, truncated ones, conversations, some that may wait."""
    rows = []
    for day in days:
        for number in range(offset, offset + per_day):
            moment = datetime.combine(day, datetime.min.time(), UTC) + timedelta(
                minutes=number * (1440 // per_day) % 1440, seconds=number
            )
            blocks = [number % 4, *range(100 + number % 3, 103 + number % 3)]
            rows.append(
                {
                    "record_id": f"{day}-{number}",
                    "occurred_at": moment.isoformat(),
                    "provider": "anthropic",
                    "model": "claude-sonnet-4-5",
                    "input_tokens": 512 * len(blocks),
                    "output_tokens": 50 + number,
                    "finish_reason": "length" if number % 7 == 0 else "stop",
                    "request_hash": f"h{number // 2}",
                    "temperature": "0",
                    "session_id": f"s{number % 4}",
                    "deferrable": number % 5 == 0,
                    "prefix_block_hashes": blocks,
                }
            )
    return io.BytesIO("\n".join(map(json.dumps, rows)).encode())


DAYS = [FIRST + timedelta(days=number) for number in range(6)]


@dataclass
class Context:
    """The part of a tool call's context that the tool looks at."""

    org: str = "acme"

    @property
    def execution(self):
        return self


@dataclass
class Scene:
    database: object
    catalogue: PriceCatalogue

    def __post_init__(self):
        self.usage = UsageRepository(self.database)
        self.savings = SavingsStore(self.database)
        self.planner = UsagePlanner(self.usage.reader, self.catalogue)
        self.work = ThreadRunner()

    async def bring(self, file, tenant="acme"):
        return await self.usage.import_file(tenant, file, name="f", catalogue=self.catalogue)

    async def work_out_all(self):
        pieces = 0
        while await work_out_a_piece(self.savings, self.usage, self.catalogue, self.work):
            pieces += 1
        return pieces

    async def stored(self):
        return await self.savings.days("acme", FIRST, LAST, self.planner.key)

    async def build(self, time_range=RANGE, requests=240):
        tool = BuildSavingsPlan(self.usage, self.savings, self.catalogue, self.work)
        arguments = PlanArguments(time_range=time_range, data_version=1, requests=requests)
        return await tool.run(arguments, Context())

    async def direct(self, time_range=RANGE):
        return await asyncio.to_thread(self.planner.plan, "acme", time_range)


@pytest.fixture(scope="module")
def catalogue():
    return PriceCatalogue()


@pytest.fixture
def scene(database, catalogue):
    return Scene(database, catalogue)


async def test_a_plan_of_tallied_days_is_that_of_all_requests(scene):
    await scene.bring(usage_file(DAYS))
    await scene.work_out_all()
    stored = await scene.stored()
    assert (len(stored.tallied), stored.untallied) == (6, {})
    plan = await scene.build()
    assert plan == await scene.direct()
    assert plan.as_of is None
    assert sum(lever.verdict is Verdict.SAVES for lever in plan.levers) >= 2


async def test_an_import_makes_its_days_due_and_those_that_remember_them(scene):
    await scene.bring(usage_file(DAYS))
    await scene.work_out_all()
    await scene.bring(usage_file([DAYS[1], DAYS[3]], per_day=10, offset=40))
    stored = await scene.stored()
    assert sorted(stored.untallied) == [DAYS[1], DAYS[2], DAYS[3], DAYS[4]]
    assert stored.pending_requests == 50 + 40 + 50 + 40
    # The question does not wait for the keeper, where there is little to do.
    assert await scene.build() == await scene.direct()
    await scene.work_out_all()
    assert (await scene.stored()).untallied == {}
    assert await scene.build() == await scene.direct()


async def test_the_due_days_are_those_that_the_levers_call_affected(scene):
    await scene.bring(usage_file([DAYS[1]]))
    _, due = await scene.savings.claim(requests=10**6, days=100, claim_s=60)
    end = datetime.combine(DAYS[2], datetime.min.time(), UTC)
    last_moment = end - timedelta(microseconds=1)
    first, last = affected_days(end - timedelta(days=1), last_moment, settings=DEFAULT_SETTINGS)
    assert [one.day for one in due] == [first, last]


async def test_an_undone_import_is_no_longer_in_the_savings(scene, database):
    await scene.bring(usage_file(DAYS))
    whole = await scene.direct()
    more = await scene.bring(usage_file([DAYS[2]], per_day=10, offset=40))
    await scene.work_out_all()
    position = await EventLog(database).open(Identity(org="acme", sub="ann"))
    await UsageImports(database).undo(position.user_id, "acme", more.import_id)
    assert sorted((await scene.stored()).untallied) == [DAYS[2], DAYS[3]]
    await scene.work_out_all()
    assert await scene.build() == whole


async def test_what_is_much_is_not_waited_for_and_the_plan_says_so(scene, monkeypatch):
    monkeypatch.setattr(cost_tools, "REQUESTS_WHILE_WAITING", 60)
    await scene.bring(usage_file(DAYS[:3]))
    await scene.work_out_all()
    before = await scene.build()
    assert (before.requests, before.pending_requests) == (120, 0)
    await scene.bring(usage_file(DAYS[3:]))
    plan = await scene.build()
    assert (plan.requests, plan.pending_requests) == (120, 120)
    assert plan.as_of is not None
    assert plan.saving == before.saving


async def test_a_range_of_other_days_is_planned_by_itself_or_by_the_whole_days_in_it(
    scene, monkeypatch
):
    await scene.bring(usage_file(DAYS))
    await scene.work_out_all()
    local = TimeRange.days(FIRST, LAST, "Europe/Berlin")
    assert await scene.build(local) == await scene.direct(local)
    monkeypatch.setattr(cost_tools, "REQUESTS_WHILE_WAITING", 60)
    plan = await scene.build(local)
    assert plan.time_range == TimeRange.days(FIRST, date(2026, 11, 5))
    assert plan == await scene.direct(plan.time_range)


async def test_a_day_that_changes_while_it_is_worked_out_stays_due(scene):
    await scene.bring(usage_file(DAYS))
    tenant, due = await scene.savings.claim(requests=10**6, days=100, claim_s=60)
    assert [one.day for one in due] == [*DAYS, LAST + timedelta(days=1)]
    await scene.bring(usage_file([DAYS[5]], per_day=1, offset=40))
    await scene.savings.settle(tenant, due, {}, scene.planner.key)
    assert await scene.work_out_all() == 1
    assert list((await scene.stored()).tallied) == [DAYS[5]]


async def test_a_piece_is_as_large_as_asked_for_and_somebody_elses_for_a_while(scene):
    await scene.bring(usage_file(DAYS))
    claim = {"requests": 100, "days": 100}
    _, first = await scene.savings.claim(**claim, claim_s=0.05)
    assert [one.day for one in first] == DAYS[:3]  # two days have fewer than 100 requests
    _, second = await scene.savings.claim(**claim, claim_s=60)
    assert [one.day for one in second] == [*DAYS[3:]]
    await asyncio.sleep(0.1)
    _, again = await scene.savings.claim(**claim, claim_s=60)
    assert again[:3] == first


async def test_other_prices_make_all_days_due(scene):
    await scene.bring(usage_file(DAYS))
    await scene.work_out_all()
    await scene.savings.expire(scene.planner.key)
    assert await scene.savings.claim(requests=1, days=1, claim_s=1) is None
    other = TallyKey("prices of tomorrow", scene.planner.key.settings)
    assert (await scene.savings.days("acme", FIRST, LAST, other)).pending_requests == 240
    await scene.savings.expire(other)
    assert await scene.savings.claim(requests=1, days=1, claim_s=1) is not None


async def test_own_prices_are_those_of_the_savings_from_then_on(scene):
    await scene.bring(usage_file(DAYS))
    await scene.work_out_all()
    listed = await scene.build()
    rule = PriceRule(provider="anthropic", model="claude-sonnet-4-5", discount_percent=Decimal(50))
    await PriceStore(scene.database).put("acme", PriceOverride(prices=(rule,)))
    assert await scene.work_out_all() == 1
    prices = await scene.usage.prices("acme", scene.catalogue)
    stored = await scene.savings.days(
        "acme", FIRST, LAST, UsagePlanner(scene.usage.reader, prices).key
    )
    assert (len(stored.tallied), stored.untallied) == (6, {})
    plan = UsagePlanner(scene.usage.reader, prices).plan_tallied("acme", RANGE, stored.tallied, ())
    assert plan.baseline * 2 == listed.baseline
    await scene.savings.expire(scene.planner.key)  # as at the next start
    assert await scene.work_out_all() == 0


async def test_promise_8_a_tenants_tallies_are_its_own(scene):
    await scene.bring(usage_file(DAYS))
    await scene.bring(usage_file(DAYS[:1], per_day=10), tenant="other")
    assert await scene.work_out_all() == 2
    [tallied] = (await scene.savings.days("other", FIRST, LAST, scene.planner.key)).tallied
    assert tallied == FIRST
    assert (await scene.build()).requests == 240


async def test_the_keeper_works_out_what_comes_and_stops(scene, eventually):
    keeper = SavingsKeeper.start(
        savings=scene.savings, usage=scene.usage, catalogue=scene.catalogue, work=scene.work
    )
    try:
        await scene.bring(usage_file(DAYS))

        async def done():
            stored = await scene.stored()
            return len(stored.tallied) == 6 and not stored.untallied

        await eventually(done)
    finally:
        keeper.kill()
        await keeper.stopped()


async def test_the_keeper_outlives_what_nobody_foresaw(scene, eventually, monkeypatch, caplog):
    real = SavingsStore.settle
    failures = [ValueError("a bug"), ValueError("a bug")]

    async def settle(store, tenant, *rest):
        if failures:
            raise failures.pop()
        await real(store, tenant, *rest)

    monkeypatch.setattr(SavingsStore, "settle", settle)
    await scene.bring(usage_file(DAYS[:1]))
    await scene.bring(usage_file(DAYS[:1]), tenant="other")
    await scene.bring(usage_file(DAYS[:1]), tenant="third")
    monkeypatch.setattr("apex_actors.agents.savings_keeper.LOOK_S", 0.01)
    keeper = SavingsKeeper.start(
        savings=scene.savings, usage=scene.usage, catalogue=scene.catalogue, work=scene.work
    )
    try:
        await eventually(lambda: not failures)

        async def third():
            found = await scene.savings.days("third", FIRST, LAST, scene.planner.key)
            return len(found.tallied) == 1

        # What failed keeps its claim for a while; others have their turn.
        await eventually(third)
    finally:
        keeper.kill()
        await keeper.stopped()
    assert "savings could not be worked out" in caplog.text


def test_days_make_spans():
    day = date(2026, 11, 1).replace
    assert list(spans([])) == []
    assert list(spans([day(day=1), day(day=2), day(day=4)])) == [
        (day(day=1), day(day=2)),
        (day(day=4), day(day=4)),
    ]

"""Budgets: kept by name, for one tenant, to the last digit."""

from decimal import Decimal

import psycopg
import pytest

from apex_actors.costs.analysis import Budget
from apex_actors.costs.summary import Dimension
from apex_actors.storage import budgets as module
from apex_actors.storage.budgets import QUERIES, BudgetRepository, TooManyBudgetsError

ALL = Budget(name="all", monthly_amount=Decimal("1000.000000000000000000000001"))
TEAM = Budget(
    name="Search", monthly_amount=Decimal(250), currency="EUR", dimension=Dimension.TEAM, value="s"
)


@pytest.fixture
def budgets(database):
    return BudgetRepository(database)


async def test_a_budget_is_kept_as_it_was_given_and_replaced_by_name(budgets):
    await budgets.set("acme", TEAM)
    await budgets.set("acme", ALL)
    assert sorted(await budgets.list("acme"), key=lambda each: each.name) == [TEAM, ALL]

    changed = TEAM.model_copy(update={"dimension": None, "value": None})
    await budgets.set("acme", changed)
    assert changed in await budgets.list("acme")
    assert len(await budgets.list("acme")) == 2


async def test_promise_8_budgets_belong_to_one_tenant(budgets):
    await budgets.set("acme", ALL)
    assert await budgets.list("other") == ()
    assert not await budgets.delete("other", "all")
    assert await budgets.list("acme") == (ALL,)


async def test_a_deleted_budget_is_gone_and_there_is_none_to_delete_twice(budgets):
    await budgets.set("acme", ALL)
    assert await budgets.delete("acme", "all")
    assert not await budgets.delete("acme", "all")
    assert await budgets.list("acme") == ()


async def test_there_are_at_most_so_many_and_those_may_still_be_changed(budgets, monkeypatch):
    monkeypatch.setattr(module, "MAX_BUDGETS", 2)
    await budgets.set("acme", ALL)
    await budgets.set("acme", TEAM)
    with pytest.raises(TooManyBudgetsError, match="delete one"):
        await budgets.set("acme", ALL.model_copy(update={"name": "third"}))
    await budgets.set("acme", TEAM)
    await budgets.set("other", ALL)


@pytest.mark.parametrize(
    "change", [{"value": None}, {"dimension": None}, {"monthly_amount": 0}, {"currency": "usd"}]
)
async def test_the_table_itself_refuses_half_a_filter_and_no_money(database, change):
    async with database.connection() as connection:
        with pytest.raises(psycopg.errors.CheckViolation):
            await connection.execute(
                QUERIES["set_budget"], {"tenant": "acme", **TEAM.model_dump(), **change}
            )

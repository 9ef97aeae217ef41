"""Fixtures of the storage floor: prices, imports, a user, messages of theirs, what a query reads."""

import re

import pytest
from psycopg import sql

from apex_actors.costs.prices import PriceCatalogue
from apex_actors.execution import Acceptance, ExecutionSettings, MessageToAccept
from apex_actors.protocol.identity import Identity
from apex_actors.storage.event_log import EventLog
from apex_actors.storage.usage_imports import UsageImports


class Silence:
    def events_committed(self, *_):
        pass

    def work_available(self):
        pass


@pytest.fixture(scope="session")
def catalogue():
    return PriceCatalogue()


@pytest.fixture
def imports(database):
    return UsageImports(database)


@pytest.fixture
async def user_id(database):
    return (await EventLog(database).open(Identity(org="acme", sub="ann"))).user_id


@pytest.fixture
async def other_id(database):
    return (await EventLog(database).open(Identity(org="acme", sub="bob"))).user_id


@pytest.fixture
def ask(database):
    """Have a message accepted: ``await ask(user_id, "How much?", thread_id=…)``."""
    acceptance = Acceptance(
        database=database, announcer=Silence(), settings=ExecutionSettings(waiting_per_user=1000)
    )

    async def ask(user_id, text="How much?", **fields):
        return await acceptance.accept(
            MessageToAccept(user_id=user_id, text=text, pipeline="p", **fields)
        )

    return ask


@pytest.fixture
def rows_read(database):
    """Rows that a query takes from each table, those that it throws away again too.

    With the plan that the server makes for any arguments, which is what long-lived connections use.
    """

    async def rows_read(query, arguments):
        names = list(dict.fromkeys(re.findall(rb"%\((\w+)\)s", query)))
        for number, name in enumerate(names, start=1):
            query = query.replace(b"%(" + name + b")s", b"$" + str(number).encode())
        values = [sql.Literal(arguments[name.decode()]) for name in names]
        async with database.transaction() as connection:
            await connection.execute("set local plan_cache_mode = force_generic_plan")
            await connection.execute(b"prepare looked_at as " + query.replace(b"%%", b"%"))
            cursor = await connection.execute(
                sql.SQL(
                    "explain (analyze, costs off, timing off, summary off, format json)"
                    " execute looked_at ({})"
                ).format(sql.SQL(", ").join(values))
            )
            plan = (await cursor.fetchone())["QUERY PLAN"][0]["Plan"]
            await connection.execute("deallocate looked_at")
        read = {}
        _count(plan, read)
        return read

    return rows_read


def _count(plan, read):
    table = plan.get("Relation Name")
    if table is not None and plan["Node Type"] != "ModifyTable":
        rows = plan["Actual Rows"] + sum(
            value for key, value in plan.items() if key.startswith("Rows Removed by")
        )
        read[table] = read.get(table, 0) + rows * plan["Actual Loops"]
    for child in plan.get("Plans", ()):
        _count(child, read)

"""Budgets of tenants: set, listed and deleted by name."""

from typing import Final

from apex_actors.costs.analysis import Budget
from apex_actors.storage.database import Database
from apex_actors.storage.errors import StorageError
from apex_actors.storage.sql import load_queries

QUERIES = load_queries("budgets")

MAX_BUDGETS: Final = 100


class TooManyBudgetsError(StorageError):
    """The tenant has as many budgets as it may: delete one first."""


class BudgetRepository:
    """The budgets of all tenants; every method is about one of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def set(self, tenant: str, budget: Budget) -> None:
        """Keep the budget; one of the same name is replaced.

        :raises TooManyBudgetsError: the tenant has 100 others.
        """
        async with self._database.transaction() as connection:
            await connection.execute(QUERIES["lock_tenant"], {"tenant": tenant})
            cursor = await connection.execute(
                QUERIES["count_others"], {"tenant": tenant, "name": budget.name}
            )
            row = await cursor.fetchone()
            if row is not None and row["budgets"] >= MAX_BUDGETS:
                raise TooManyBudgetsError(
                    f"There are {MAX_BUDGETS} budgets already: delete one first."
                )
            await connection.execute(
                QUERIES["set_budget"], {"tenant": tenant, **budget.model_dump()}
            )

    async def list(self, tenant: str) -> tuple[Budget, ...]:
        """All budgets of the tenant, by name."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(QUERIES["list_budgets"], {"tenant": tenant})
            return tuple(Budget(**row) for row in await cursor.fetchall())

    async def delete(self, tenant: str, name: str) -> bool:
        """Forget the budget; False: there was none of that name."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                QUERIES["delete_budget"], {"tenant": tenant, "name": name}
            )
            return cursor.rowcount > 0

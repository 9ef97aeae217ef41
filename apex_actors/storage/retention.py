"""How long what the server stores is kept, and removing what is older or more than that."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from apex_actors.storage.database import Connection, Database
from apex_actors.storage.sql import load_queries

QUERIES = load_queries("retention")

#: Users that one look takes, and looks of one pass: so many users have their logs looked at in an
#: interval, and the next pass goes on behind them.
USER_PAGE: Final = 2000
PAGES_PER_PASS: Final = 10

# Any constant will do, as long as nothing else in the database uses it: "trim" in hexadecimal.
_ADVISORY_LOCK_KEY: Final = 0x7472696D


class RetentionSettings(BaseModel):
    """What is older or more than this is removed in the background, in small batches."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    events_days: float = Field(default=30.0, gt=0)
    """Events older than this go; those of unfinished runs and what follows them stay."""
    events_per_user: int = Field(default=100_000, ge=1)
    """Most events of one user that are kept, with the same exception."""
    error_reports_days: float = Field(default=90.0, gt=0)
    """Error reports older than this go."""
    tasks_hours: float = Field(default=1.0, gt=0)
    """Durable tasks that ended longer ago go: they are there for whoever looks into what happened."""
    sessions_days: float = Field(default=90.0, gt=0)
    """Sessions that were not used for so long go."""
    interval_s: float = Field(default=60.0, gt=0)
    """How often is looked for what may go."""
    batch: int = Field(default=1000, ge=1)
    """Rows that one transaction removes."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What a pass has removed, in rows."""

    events: int = 0
    error_reports: int = 0
    sessions: int = 0

    @property
    def any(self) -> bool:
        """Whether it was anything."""
        return self != Removed()


class _NotOurTurn(Exception):  # noqa: N818 - no fault: another node is at it
    pass


class Retention:
    """Removes what the settings do not keep, a batch in a transaction.

    Any number of nodes may have one: each transaction asks for the turn, and who does not get it
    leaves the rest to the node that has it.
    """

    def __init__(
        self,
        database: Database,
        settings: RetentionSettings,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._settings = settings
        self._now = now
        self._after_id = 0

    async def run(self) -> Removed:
        """One pass: logs of the next users, error reports, sessions.

        Raises StorageUnavailableError when the database is away; what was removed stays so.
        """
        events = error_reports = sessions = 0
        try:
            events = await self._trim_logs()
            error_reports = await self._delete_old(
                "delete_old_error_reports", self._settings.error_reports_days
            )
            sessions = await self._delete_old("delete_old_sessions", self._settings.sessions_days)
        except _NotOurTurn:
            pass
        return Removed(events, error_reports, sessions)

    async def clean_tasks(self) -> int:
        """Remove durable tasks that ended too long ago; how many there were."""
        life_s = round(self._settings.tasks_hours * 3600)
        arguments = {"life_s": life_s, "batch": self._settings.batch}
        removed = 0
        try:
            while True:
                row = await self._in_turn("clean_up_tasks", arguments)
                removed += row["removed"]
                if row["removed"] < self._settings.batch:
                    break
        except _NotOurTurn:
            pass
        return removed

    async def _trim_logs(self) -> int:
        removed = 0
        for _ in range(PAGES_PER_PASS):
            page = await self._in_turn(
                "logs_to_trim",
                {
                    "after_id": self._after_id,
                    "page": USER_PAGE,
                    "most": self._settings.events_per_user,
                    "older_than": self._older_than(self._settings.events_days),
                },
            )
            for user_id in page["user_ids"]:
                removed += await self._trim(user_id)
            if page["users"] < USER_PAGE:
                self._after_id = 0
                break
            self._after_id = page["last_id"]
        return removed

    async def _trim(self, user_id: int) -> int:
        """One log, from its beginning as far as may be."""
        removed = 0
        while True:
            async with self._database.transaction() as connection:
                await _take_turn(connection)
                batch = await self._trim_batch(connection, user_id)
            removed += batch
            if batch < self._settings.batch:
                return removed

    async def _trim_batch(self, connection: Connection, user_id: int) -> int:
        # The user's row first, as everywhere: no run of the user begins or ends meanwhile.
        cursor = await connection.execute(QUERIES["lock_log_to_trim"], {"user_id": user_id})
        log = await cursor.fetchone()
        if log is None:
            return 0
        cursor = await connection.execute(
            QUERIES["trim_log"],
            {
                "user_id": user_id,
                "trimmed_seq": log["trimmed_seq"],
                "batch": self._settings.batch,
                "older_than": self._older_than(self._settings.events_days),
                "over_count_seq": log["seq"] - self._settings.events_per_user,
            },
        )
        row = await cursor.fetchone()
        return 0 if row is None else int(row["removed"])

    async def _delete_old(self, query: str, days: float) -> int:
        arguments = {"older_than": self._older_than(days), "batch": self._settings.batch}
        removed = 0
        while True:
            async with self._database.transaction() as connection:
                await _take_turn(connection)
                batch = (await connection.execute(QUERIES[query], arguments)).rowcount
            removed += batch
            if batch < self._settings.batch:
                return removed

    async def _in_turn(self, query: str, arguments: dict[str, Any]) -> dict[str, Any]:
        async with self._database.transaction() as connection:
            await _take_turn(connection)
            row = await (await connection.execute(QUERIES[query], arguments)).fetchone()
        if row is None:
            raise RuntimeError(f"{query} gives one row, always")
        return row

    def _older_than(self, days: float) -> datetime:
        return self._now() - timedelta(days=days)


async def _take_turn(connection: Connection) -> None:
    cursor = await connection.execute(QUERIES["try_turn"], {"key": _ADVISORY_LOCK_KEY})
    row = await cursor.fetchone()
    if row is None or not row["mine"]:
        raise _NotOurTurn

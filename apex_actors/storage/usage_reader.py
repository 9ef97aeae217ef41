"""Reads single requests over a connection of its own: for processes that have no pool and no loop."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg.rows import tuple_row

from apex_actors.costs.levers import LeverRequest
from apex_actors.costs.rates import TokenShape
from apex_actors.costs.records import Processing, Status
from apex_actors.costs.timerange import TimeRange
from apex_actors.storage.backend_priority import lower_priority
from apex_actors.storage.errors import StorageUnavailableError
from apex_actors.storage.sql import load_queries
from apex_actors.storage.usage_copy import unpack_blocks

QUERIES: Final = load_queries("usage")

_FETCH_ROWS: Final = 2_000
"""Rows on their way at a time: memory stays flat."""

_CHECK_MS: Final = 500
"""Whoever asked may be gone, and this process killed: so often the server looks for its client, in
milliseconds, and stops the query."""

_PROCESSING: Final = {processing.value: processing for processing in Processing}
_STATUS: Final = {status.value: status for status in Status}


@dataclass(frozen=True, slots=True)
class UsageReader:
    """Where the usage of all tenants is read from; can be handed to another process."""

    conninfo: str = field(repr=False)
    niceness: int = 0
    """As of ``Database``."""

    def requests(
        self, tenant: str, time_range: TimeRange, *, warm_up_s: int = 0
    ) -> Iterator[LeverRequest]:
        """The single requests of the range in order of time, with what the levers look at.

        With those of `warm_up_s` seconds before it, which levers remember and don't count.

        Blocks; holds a connection until it is exhausted or closed. Raises StorageUnavailableError.
        """
        try:
            with (
                psycopg.connect(self.conninfo) as connection,
                connection.cursor("usage_requests", row_factory=tuple_row) as cursor,
            ):
                lower_priority(connection.info.backend_pid, self.niceness)
                connection.execute(QUERIES["watch_client"], {"interval": f"{_CHECK_MS}ms"})
                cursor.itersize = _FETCH_ROWS
                cursor.execute(
                    QUERIES["requests"],
                    {
                        "tenant": tenant,
                        "start": time_range.start - timedelta(seconds=warm_up_s),
                        "end": time_range.end,
                    },
                )
                for row in cursor:
                    yield _request(*row)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise StorageUnavailableError("PostgreSQL is away or too busy; try again") from error


def _request(
    occurred_at: datetime,
    provider: str,
    model: str,
    processing: str,
    *rest: Any,
) -> LeverRequest:
    """The columns of `requests`, in their order."""
    packed = rest[7]
    return LeverRequest(
        occurred_at,
        provider,
        model,
        _PROCESSING[processing],
        TokenShape(*rest[:6]),
        rest[6],
        None if packed is None else unpack_blocks(packed),
        rest[8],
        _STATUS[rest[9]],
        *rest[10:],
    )

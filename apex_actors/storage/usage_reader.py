"""Reads single requests over a connection of its own: for processes that have no pool and no loop."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import psycopg
from psycopg.rows import tuple_row

from apex_actors.costs.levers import LeverRequest
from apex_actors.costs.rates import TokenShape
from apex_actors.costs.records import Processing
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


@dataclass(frozen=True, slots=True)
class UsageReader:
    """Where the usage of all tenants is read from; can be handed to another process."""

    conninfo: str = field(repr=False)
    niceness: int = 0
    """As of ``Database``."""

    def requests(self, tenant: str, time_range: TimeRange) -> Iterator[LeverRequest]:
        """The single requests of the range in order of time, with what the levers look at.

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
                    {"tenant": tenant, "start": time_range.start, "end": time_range.end},
                )
                for occurred_at, provider, model, processing, *tokens, deferrable, packed in cursor:
                    yield LeverRequest(
                        occurred_at,
                        provider,
                        model,
                        _PROCESSING[processing],
                        TokenShape(*tokens),
                        deferrable,
                        None if packed is None else unpack_blocks(packed),
                    )
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise StorageUnavailableError("PostgreSQL is away or too busy; try again") from error

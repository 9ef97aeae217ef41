"""Threads and messages, and what a client needs to list and to draw them."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from apex_actors.storage.database import Connection, Database, Row
from apex_actors.storage.run_records import RunRecord, end_of_log, runs_of_messages
from apex_actors.storage.sql import load_queries

QUERIES = load_queries("threads")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

#: Bytes of a cursor: a moment in microseconds, and a UUID.
_MOMENT_BYTES: Final = 8
_CURSOR_BYTES: Final = _MOMENT_BYTES + 16


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a thread."""

    id: UUID
    role: str
    content: str
    created_at: datetime
    run_id: UUID

    def __repr__(self) -> str:
        # Without the content: what a user wrote must not get into a log.
        return f"Message(id={self.id}, role={self.role!r})"


@dataclass(frozen=True, slots=True)
class ThreadRecord:
    """A line in the list of threads.

    ``latest`` is the beginning of the latest message; ``active_run_id`` names the run that goes on
    or waits first, None where the thread is idle.
    """

    thread_id: UUID
    title: str
    created_at: datetime
    updated_at: datetime
    latest: str | None
    active_run_id: UUID | None


@dataclass(frozen=True, slots=True)
class ThreadCursor:
    """A place in the list of threads: those behind it were touched earlier.

    A thread that is touched moves to the front, and its event tells of it. All others keep their
    order, so that going on behind a cursor neither leaves one out nor gives one twice.
    """

    updated_at: datetime
    thread_id: UUID

    def encode(self) -> str:
        """As clients get it: 32 characters that go into a URL."""
        # Exact to the microsecond, as the database keeps it.
        moment = (self.updated_at - _EPOCH) // _MICROSECOND
        data = moment.to_bytes(_MOMENT_BYTES, signed=True) + self.thread_id.bytes
        return base64.urlsafe_b64encode(data).decode()

    @classmethod
    def decode(cls, text: str) -> "ThreadCursor":
        """What ``encode`` has made; ValueError for anything else."""
        try:
            data = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
            if len(data) != _CURSOR_BYTES:
                raise ValueError("a cursor has 24 bytes")
            moment = int.from_bytes(data[:_MOMENT_BYTES], signed=True)
            return cls(_EPOCH + moment * _MICROSECOND, UUID(bytes=data[_MOMENT_BYTES:]))
        except (UnicodeError, binascii.Error, OverflowError) as error:
            raise ValueError("not a cursor of the list of threads") from error


#: The place before all threads: behind it stands the first page.
FRONT: Final = ThreadCursor(datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1))


@dataclass(frozen=True, slots=True)
class ThreadPage:
    """Threads, latest first; ``next`` leads to those behind them, None at the end."""

    threads: tuple[ThreadRecord, ...]
    next: ThreadCursor | None


@dataclass(frozen=True, slots=True)
class ThreadHistory:
    """A page of a thread: messages oldest first, the runs that they belong to, and the log's end.

    All of it is one snapshot: whoever follows the log from ``seq`` misses nothing.
    """

    thread_id: UUID
    title: str
    messages: tuple[Message, ...]
    runs: tuple[RunRecord, ...]
    seq: int


class ThreadStore:
    """Reading side of threads. What is asked to be deleted is not there."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, user_id: int, *, limit: int, before: ThreadCursor | None = None
    ) -> ThreadPage:
        """Up to ``limit`` threads of the user behind ``before``, latest first."""
        # One more than asked for: whether there is a page behind this one.
        behind = FRONT if before is None else before
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                QUERIES["threads_before"],
                {
                    "user_id": user_id,
                    "updated_at": behind.updated_at,
                    "id": behind.thread_id,
                    "limit": limit + 1,
                },
            )
            threads = [ThreadRecord(**row) for row in await cursor.fetchall()]
        if len(threads) <= limit:
            return ThreadPage(tuple(threads), None)
        last = threads[limit - 1]
        return ThreadPage(tuple(threads[:limit]), ThreadCursor(last.updated_at, last.thread_id))

    async def history(
        self,
        user_id: int,
        thread_id: UUID,
        *,
        limit: int,
        before: UUID | None,
        with_runs: bool = True,
    ) -> ThreadHistory | None:
        """The latest ``limit`` messages before message ``before``; None: no such thread of theirs.

        A ``before`` that is no message of this thread gives an empty page.
        """
        # One snapshot for all reads, so that messages, runs and position fit together.
        async with self._database.transaction() as connection:
            await connection.execute("set transaction isolation level repeatable read, read only")
            thread = await thread_of_user(connection, user_id, thread_id)
            if thread is None:
                return None
            seq = await end_of_log(connection, user_id)
            rows = await _messages(connection, thread_id, limit, before)
            messages = tuple(Message(**row) for row in reversed(rows))
            runs: tuple[RunRecord, ...] = ()
            if with_runs:
                runs = await runs_of_messages(
                    connection,
                    [message.id for message in messages],
                    [message.run_id for message in messages],
                )
        return ThreadHistory(thread_id, thread["title"], messages, runs, seq)


async def thread_of_user(
    connection: Connection, user_id: int, thread_id: UUID
) -> dict[str, Any] | None:
    """The thread's row if it is this user's; None alike for another's and for none.

    None as well for one that is asked to be deleted.
    """
    cursor = await connection.execute(
        QUERIES["thread_of_user"], {"thread_id": thread_id, "user_id": user_id}
    )
    return await cursor.fetchone()


async def _messages(
    connection: Connection, thread_id: UUID, limit: int, before: UUID | None
) -> Sequence[Row]:
    """Newest first."""
    arguments: dict[str, Any] = {"thread_id": thread_id, "limit": limit}
    if before is None:
        cursor = await connection.execute(QUERIES["latest_messages"], arguments)
        return await cursor.fetchall()
    cursor = await connection.execute(
        QUERIES["place_of_message"], {"thread_id": thread_id, "message_id": before}
    )
    place = await cursor.fetchone()
    if place is None:
        return []
    cursor = await connection.execute(QUERIES["messages_before"], arguments | place)
    return await cursor.fetchall()

"""The transaction in which a run says something: user's row, fence, events and writes at once."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from apex_actors.execution.context import UserExecutionContext
from apex_actors.execution.ledger import Said
from apex_actors.execution.patience import patiently
from apex_actors.execution.publishing import Announcer
from apex_actors.protocol.events import Event
from apex_actors.storage import event_log
from apex_actors.storage.database import Database
from apex_actors.storage.errors import LeaseLostError, StorageError
from apex_actors.storage.event_log import Draft
from apex_actors.storage.runs import Write, hold_fence, lease_is_lost


class Committer:
    """Commits what the runs of one user say, and tells the announcer afterwards.

    While PostgreSQL is away it tries again, until ``give_up_s`` have passed.
    """

    def __init__(
        self, *, user_id: int, database: Database, announcer: Announcer, give_up_s: float
    ) -> None:
        self._user_id = user_id
        self._database = database
        self._announcer = announcer
        self._give_up_s = give_up_s

    async def commit(
        self, fence_id: UUID, drafts: Sequence[Draft], writes: Sequence[Write]
    ) -> list[Event]:
        """Make all of it durable, once; not announced yet.

        Raises LeaseLostError when the run belongs to another worker, StorageUnavailableError when
        PostgreSQL stayed away.
        """

        async def attempt(outcome_unknown: bool) -> list[Event]:  # noqa: FBT001 - as patiently calls it
            try:
                return await self._commit(fence_id, drafts, writes, look_first=outcome_unknown)
            except StorageError:
                raise
            except Exception as error:
                # The writes are sent before the fence has answered: behind a lost lease they meet
                # what the next worker has stored, and their errors come first.
                if await lease_is_lost(self._database, fence_id):
                    raise LeaseLostError("the run was taken over, its writes failed") from error
                raise

        return await patiently("a commit", attempt, give_up_s=self._give_up_s)

    async def _commit(
        self,
        fence_id: UUID,
        drafts: Sequence[Draft],
        writes: Sequence[Write],
        *,
        look_first: bool,
    ) -> list[Event]:
        async with self._database.pipelined() as connection:
            if look_first:
                done = await event_log.find(connection, self._user_id, drafts)
                if done is not None:
                    return done
            appending = await event_log.append(connection, self._user_id, drafts)
            fence = await hold_fence(connection, fence_id)
            for write in writes:
                await write.apply(connection)
            events = await appending.events()
            await fence.held()
        return events

    def announce(self, events: Sequence[Event]) -> None:
        """Tell of what was committed."""
        self._announcer.events_committed(self._user_id, events)


def draft_of(context: UserExecutionContext, said: Said) -> Draft:
    """What the run of ``context`` says, as it goes into the log."""
    return Draft(
        payload=said.payload,
        thread_id=context.thread_id,
        run_id=context.run_id,
        agent=said.agent,
        attempt=context.attempt,
        ts=datetime.now(UTC),
    )

"""Journal, then send: what a run says is durable before anybody sees it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from apex_actors.actors import ActorRef, Future, LoopActor
from apex_actors.execution.committer import Committer, draft_of
from apex_actors.execution.context import UserExecutionContext
from apex_actors.execution.ledger import RunLedger, Said
from apex_actors.execution.publishing import Announcer
from apex_actors.protocol.payloads import AgentName, EventPayload
from apex_actors.storage.database import Database
from apex_actors.storage.event_log import Draft
from apex_actors.storage.runs import Write


@dataclass(frozen=True, slots=True)
class OpenBook:
    """A run begins to write; ``ledger`` knows what earlier attempts left open."""

    run_id: UUID
    fence_id: UUID
    ledger: RunLedger


@dataclass(frozen=True, slots=True)
class CloseBook:
    """The run writes no more."""

    run_id: UUID


@dataclass(frozen=True, slots=True)
class Append:
    """Say these things and change these rows, in one transaction.

    ``abort_tools``: first close the run's tool calls in flight. ``close_reason``: first close all
    that the run has open, with these words.
    """

    context: UserExecutionContext
    said: tuple[Said, ...]
    writes: tuple[Write, ...] = ()
    abort_tools: bool = False
    close_reason: str | None = None
    committed: Future[None] = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class _Flush:
    pass


@dataclass(slots=True)
class _Book:
    fence_id: UUID
    ledger: RunLedger
    error: Exception | None = None
    waiting: list[tuple[Append, tuple[Draft, ...]]] = field(default_factory=list)


class Journal(LoopActor):
    """Commits what the runs of one user say, in order; one transaction for all that waits.

    Receives OpenBook, CloseBook, Append. Owns the ledgers of the runs under way. A commit locks
    the user's row, then the run's fence, then writes; the announcer hears of it afterwards. When
    the lease is lost, every Append of that run fails with LeaseLostError and nothing is sent.
    While PostgreSQL is away the commit is tried again until ``give_up_s`` have passed. When this
    actor dies, its engine's runs are taken over after their lease.
    """

    def __init__(
        self, *, user_id: int, database: Database, announcer: Announcer, give_up_s: float
    ) -> None:
        super().__init__()
        self._committer = Committer(
            user_id=user_id, database=database, announcer=announcer, give_up_s=give_up_s
        )
        self._books: dict[UUID, _Book] = {}
        self._flush_due = False

    def on_receive(self, message: object) -> object:
        match message:
            case Append():
                self._append(message)
            case _Flush():
                return self._flush()
            case OpenBook(run_id, fence_id, ledger):
                self._books[run_id] = _Book(fence_id, ledger)
            case CloseBook(run_id):
                self._books.pop(run_id, None)
            case _:
                return super().on_receive(message)
        return None

    def _append(self, message: Append) -> None:
        book = self._books.get(message.context.run_id)
        if book is None:
            _fail(message, RuntimeError("the run has ended: its journal takes nothing more"))
            return
        if book.error is not None:
            # What comes behind a gap must not be stored: the run is given up as a whole.
            _fail(message, book.error)
            return
        said = message.said
        if message.close_reason is not None:
            said = (*book.ledger.close_all(message.close_reason), *said)
        elif message.abort_tools:
            said = (*book.ledger.close_tools(), *said)
        drafts = tuple(draft_of(message.context, item) for item in said)
        for item, draft in zip(said, drafts, strict=True):
            book.ledger.note(item, draft.ts)
        book.waiting.append((message, drafts))
        if not self._flush_due:
            # Behind all that is in the mailbox already: it goes into the same transaction.
            self._flush_due = True
            self.ref.tell(_Flush())

    async def _flush(self) -> None:
        self._flush_due = False
        for book in list(self._books.values()):
            waiting, book.waiting = book.waiting, []
            if waiting:
                await self._commit(book, waiting)

    async def _commit(
        self, book: _Book, waiting: Sequence[tuple[Append, tuple[Draft, ...]]]
    ) -> None:
        drafts = [draft for _, drafts in waiting for draft in drafts]
        writes = [write for append, _ in waiting for write in append.writes]
        try:
            events = await self._committer.commit(book.fence_id, drafts, writes)
        except Exception as error:  # noqa: BLE001 - whoever waits for the commit decides
            book.error = error
            for append, _ in waiting:
                _fail(append, error)
            return
        for append, _ in waiting:
            append.committed.set(None)
        self._committer.announce(events)


class RunJournal:
    """The journal as one run sees it: ``say`` without waiting, ``commit`` to be sure."""

    def __init__(self, journal: ActorRef[Journal], context: UserExecutionContext) -> None:
        self._journal = journal
        self._context = context

    def say(
        self, agent: AgentName | None, *payloads: EventPayload, abort_tools: bool = False
    ) -> None:
        """Send these in order, soon; a failure shows at the next ``commit``.

        ``abort_tools``: first close the tool calls in flight, whose outcome nobody will know.
        """
        self._journal.tell(Append(self._context, _said(agent, payloads), abort_tools=abort_tools))

    async def commit(
        self,
        agent: AgentName | None,
        *payloads: EventPayload,
        writes: tuple[Write, ...] = (),
        abort_tools: bool = False,
    ) -> None:
        """Send these and store ``writes`` with them; returns when all is durable.

        Raises LeaseLostError when the run belongs to another worker, StorageUnavailableError when
        PostgreSQL stayed away.
        """
        await self._commit(Append(self._context, _said(agent, payloads), writes, abort_tools))

    async def commit_said(self, said: tuple[Said, ...], writes: tuple[Write, ...]) -> None:
        """As ``commit``, for several speakers."""
        await self._commit(Append(self._context, said, writes))

    async def commit_closing(
        self, reason: str, said: tuple[Said, ...], writes: tuple[Write, ...]
    ) -> None:
        """As ``commit``, but first close all that the run has open."""
        await self._commit(Append(self._context, said, writes, close_reason=reason))

    async def _commit(self, append: Append) -> None:
        self._journal.tell(append)
        await append.committed


def _said(agent: AgentName | None, payloads: tuple[EventPayload, ...]) -> tuple[Said, ...]:
    return tuple(Said(agent, payload) for payload in payloads)


def _fail(append: Append, error: Exception) -> None:
    append.committed.set_exception((type(error), error, error.__traceback__))

"""The product broken on purpose: what a judge must find, or it finds nothing.

A mutant is a change of the text of one function or statement, made in the processes of the nodes
after they have loaded it. One whose text is no longer there fails at once.
"""

import asyncio
import contextvars
import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from apex_actors.agents.sub_agent import SubAgent
from apex_actors.execution.acceptance import Acceptance
from apex_actors.execution.committer import Committer
from apex_actors.storage import event_log
from apex_actors.storage.runs import Fence


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """How the product is broken, and which promises that breaks."""

    apply: Callable[[], None]
    """Called in each node's process, before the node is made."""
    breaks: frozenset[int]
    sql: str = ""
    """What its statements need in the database."""


class StaleMutantError(Exception):
    """The product has changed: the text that a mutant changes is not there, or is there twice."""


def replace_once(text: str, old: str, new: str) -> str:
    """``text`` with ``old`` as ``new``; raises StaleMutantError unless it is there once."""
    if text.count(old) != 1:
        raise StaleMutantError(f"found {text.count(old)} times: {old!r}")
    return text.replace(old, new)


def rewrite(owner: type, name: str, *changes: tuple[str, str], **names: Any) -> None:
    """Change the text of a method; ``names`` are what the new text may use besides its own."""
    function = inspect.getattr_static(owner, name)
    text = textwrap.dedent(inspect.getsource(function))
    for old, new in changes:
        text = replace_once(text, old, new)
    namespace = {**function.__globals__, **names}
    exec(compile(text, f"<mutant of {owner.__name__}.{name}>", "exec"), namespace)  # noqa: S102 - our own text
    setattr(owner, name, namespace[name])


def _no_fence() -> None:
    rewrite(
        Fence,
        "held",
        (
            'raise LeaseLostError("the lease on this run has ended: another worker may have it")',
            "return",
        ),
    )


def _split_transaction() -> None:
    rewrite(Committer, "_commit", (WRITES_OF_COMMIT, WRITES_APART))


WRITES_OF_COMMIT: Final = """\
        for write in writes:
            await write.apply(connection)
        events = await appending.events()
        await fence.held()
"""

WRITES_APART: Final = """\
        events = await appending.events()
        await fence.held()
    async with self._database.pipelined() as connection:
        fence = await hold_fence(connection, fence_id)
        for write in writes:
            await write.apply(connection)
        await fence.held()
"""

SEQUENCE_SQL: Final = """
create function apex.chaos_make_sequence() returns trigger language plpgsql as $$
begin
    execute format('create sequence apex.chaos_seq_%s', new.id);
    return null;
end
$$;
create trigger chaos_sequence after insert on apex.users
    for each row execute function apex.chaos_make_sequence();
create function apex.chaos_take(user_id bigint, wanted bigint) returns bigint language plpgsql as $$
declare
    numbers regclass := format('apex.chaos_seq_%s', user_id)::regclass;
begin
    return setval(numbers, nextval(numbers) + wanted - 1);
end
$$;
"""


def _sequence_cursor() -> None:
    statements: dict[str, bytes] = dict(event_log.QUERIES)
    statements["append_events"] = replace_once(
        statements["append_events"].decode(),
        "set seq = seq + %(count)s",
        "set seq = apex.chaos_take(id, %(count)s)",
    ).encode()
    event_log.QUERIES = MappingProxyType(statements)


SENT_EVENTS: Final = """\
        events = await appending.events()
        self._announcer.events_committed(self._user_id, events)
"""

SENT_ANSWER: Final = """\
        accepted, events = await self._store(connection, message, thread_id, accept_no, ids)
        told.get().set_result(accepted)
"""


def _send_before_commit() -> None:
    rewrite(
        Committer,
        "_commit",
        ("        events = await appending.events()\n", SENT_EVENTS),
    )
    told: contextvars.ContextVar[asyncio.Future[Any]] = contextvars.ContextVar("told")
    rewrite(Acceptance, "_accept", (SENT_ANSWER.partition("\n")[0] + "\n", SENT_ANSWER), told=told)
    store = Acceptance._accept  # noqa: SLF001 - it is changed here
    storing: set[asyncio.Task[Any]] = set()

    async def accept(self: Acceptance, *arguments: Any) -> Any:
        answer = asyncio.get_running_loop().create_future()
        told.set(answer)
        task = asyncio.create_task(store(self, *arguments))
        storing.add(task)
        task.add_done_callback(storing.discard)
        await asyncio.wait([answer, task], return_when=asyncio.FIRST_COMPLETED)
        return answer.result() if answer.done() else await task

    Acceptance._accept = accept  # type: ignore[assignment,method-assign]  # noqa: SLF001 - as above


def _no_idempotency() -> None:
    rewrite(SubAgent, "use", ('f"{self.context.run_id}/{self._step}/{self._calls}"', "call_id"))


MUTANTS: Final[Mapping[str, Mutant]] = MappingProxyType(
    {
        "no-fence": Mutant(apply=_no_fence, breaks=frozenset({7})),
        "split-transaction": Mutant(apply=_split_transaction, breaks=frozenset({2, 6})),
        "sequence-cursor": Mutant(apply=_sequence_cursor, breaks=frozenset({3}), sql=SEQUENCE_SQL),
        "send-before-commit": Mutant(apply=_send_before_commit, breaks=frozenset({1, 4})),
        "no-idempotency": Mutant(apply=_no_idempotency, breaks=frozenset({9})),
    }
)

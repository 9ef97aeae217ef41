"""The checks that one user's stream of events must pass, whoever received it and how."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from apex_actors.protocol.events import Event
from apex_actors.protocol.grammar import (
    ACCEPTED_ONCE,
    GAPLESS,
    IN_ORDER,
    NO_OVERLAP,
    ONE_END,
    RunGrammar,
    Violation,
)
from apex_actors.protocol.payloads import AgentName, EventType, MessageRole


@dataclass(slots=True)
class _RunSeen:
    grammar: RunGrammar
    thread_id: UUID | None
    opened: bool
    """Seen from its first event, so that the grammar can be applied."""
    excused: bool = False


class LogCheck:
    """Fed one user's stream as a client received it; collects what breaks promises 1 to 7.

    `start_seq` is the `seq` of the welcome: the first event must be the next one. Runs that had
    begun before are not checked for their grammar.
    """

    def __init__(self, start_seq: int) -> None:
        self._seq = start_seq
        self._runs: dict[UUID, _RunSeen] = {}
        self._working: dict[UUID, UUID] = {}
        self._messages: dict[UUID, int] = {}
        self._accepted: dict[UUID, UUID] = {}
        self._retried: set[UUID] = set()
        self._event_ids: set[UUID] = set()
        self.violations: list[Violation] = []
        """Everything found so far."""

    @property
    def seq(self) -> int:
        """Position of the last event seen."""
        return self._seq

    def accepted(self, message_id: UUID, run_id: UUID, *, retried: bool = False) -> None:
        """An acknowledgement was received; `retried` where it answers `retry_run`."""
        self._accepted[run_id] = message_id
        if retried:
            self._retried.add(run_id)

    def feed(self, event: Event) -> None:
        """The next event in the order of arrival."""
        if event.seq <= self._seq:
            self._break(IN_ORDER, f"seq {event.seq} came after {self._seq}")
            return
        if event.seq != self._seq + 1:
            self._break(GAPLESS, f"seq {event.seq} follows {self._seq}")
        self._seq = event.seq
        if event.event_id in self._event_ids:
            self._break(IN_ORDER, f"the event at seq {event.seq} came before under another seq")
        self._event_ids.add(event.event_id)
        if event.type is EventType.THREAD_DELETED:
            self._excuse(event.thread_id)
        if event.run_id is None:
            return
        run = self._run(event.run_id, event)
        if event.type is EventType.EVENT_REDACTED:
            run.excused = True
        if run.excused:
            return
        self._count_message(event)
        if run.opened:
            for violation in run.grammar.feed(event):
                self._break(violation.promise, f"run {event.run_id}: {violation.detail}")
        self._check_overlap(event)

    def close(self, *, all_finished: bool = True) -> list[Violation]:
        """All violations, once the stream is over; `all_finished`: every run had time to end."""
        for run_id, message_id in self._accepted.items():
            run = self._runs.get(run_id)
            if run is not None and run.excused:
                continue
            if run is None:
                self._break(ACCEPTED_ONCE, f"accepted run {run_id} never appeared")
            elif run_id not in self._retried and self._messages.get(message_id, 0) != 1:
                count = self._messages.get(message_id, 0)
                self._break(ACCEPTED_ONCE, f"accepted message {message_id} appeared {count} times")
        if all_finished:
            for run_id, run in self._runs.items():
                if run.opened and not run.excused and not run.grammar.is_finished:
                    self._break(ONE_END, f"run {run_id} did not finish")
        return self.violations

    def unsent(self, sent: Iterable[UUID]) -> list[UUID]:
        """User messages in the log that are not among those the user sent."""
        return sorted(self._messages.keys() - set(sent))

    def _run(self, run_id: UUID, event: Event) -> _RunSeen:
        run = self._runs.get(run_id)
        if run is None:
            asked = event.type is EventType.MESSAGE_CREATED
            # Without a message of its own a run was made by retry_run, or its message came
            # before the stream began; from here on the grammar of both is the same.
            begun = event.type is EventType.RUN_QUEUED or (
                event.type is EventType.AGENT_STARTED and event.agent is AgentName.SUPERVISOR
            )
            run = _RunSeen(RunGrammar(retried=begun), event.thread_id, opened=asked or begun)
            self._runs[run_id] = run
        return run

    def _count_message(self, event: Event) -> None:
        if event.type is EventType.MESSAGE_CREATED and _role(event) == MessageRole.USER:
            body = event.payload["message"]
            message_id = UUID(body["id"])
            self._messages[message_id] = self._messages.get(message_id, 0) + 1
            if self._messages[message_id] > 1:
                self._break(ACCEPTED_ONCE, f"message {message_id} appeared twice")

    def _check_overlap(self, event: Event) -> None:
        if event.thread_id is None or event.run_id is None:
            return
        working = self._working.get(event.thread_id)
        if event.type is EventType.AGENT_STARTED and event.agent is AgentName.SUPERVISOR:
            if working is not None and working != event.run_id:
                self._break(NO_OVERLAP, f"run {event.run_id} started before {working} had ended")
            self._working[event.thread_id] = event.run_id
        elif event.type is EventType.RUN_FINISHED and working == event.run_id:
            del self._working[event.thread_id]

    def _excuse(self, thread_id: UUID | None) -> None:
        for run in self._runs.values():
            if run.thread_id == thread_id:
                run.excused = True
        if thread_id is not None:
            self._working.pop(thread_id, None)

    def _break(self, promise: int, detail: str) -> None:
        self.violations.append(Violation(promise, detail))


def _role(event: Event) -> object:
    message = event.payload.get("message")
    return message.get("role") if isinstance(message, dict) else None

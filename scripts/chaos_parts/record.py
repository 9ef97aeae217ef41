"""What the users did and saw, kept for the judge."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from apex_actors.protocol import MessageAccepted, Violation


@dataclass(slots=True)
class Sent:
    """One message of a user, sent once or several times under one ``client_message_id``."""

    client_message_id: str
    text: str
    sent_s: float
    """By the wall clock, as everything here."""
    answer: MessageAccepted | None = None
    """The first acknowledgement."""
    answered_s: float | None = None


@dataclass(slots=True, eq=False)
class Diary:
    """All that one user did and saw."""

    org: str
    sub: str
    mark: str
    """In every text of this user, and in nobody else's."""
    start_seq: int | None = None
    """Position of the first welcome."""
    sent: list[Sent] = field(default_factory=list)
    retried: list[MessageAccepted] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    """As received, over all connections."""
    violations: list[Violation] = field(default_factory=list)
    """What the user saw to be wrong at once."""

    @property
    def user(self) -> str:
        """The pair that a user is."""
        return f"{self.org}/{self.sub}"

    @property
    def seq(self) -> int:
        """Of the last event that was received."""
        return self.events[-1]["seq"] if self.events else (self.start_seq or 0)

    def violates(self, promise: int, detail: str) -> None:
        """Note what is wrong."""
        self.violations.append(Violation(promise, f"{self.user}: {detail}"))


@dataclass(frozen=True, slots=True)
class Kill:
    """kill -9 of a node, or of PostgreSQL (``node`` is None)."""

    at_s: float
    node: str | None


@dataclass(slots=True)
class Record:
    """Everything that happened."""

    diaries: list[Diary] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    skipped: dict[str, str] = field(default_factory=dict)
    """Faults that are not possible here, and why."""
    kills: list[Kill] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    """Requests that were answered with an error, by its code."""
    reconnects: int = 0
    recovered: int = 0
    calm_s: float = 0.0
    """When the last fault was over."""
    errors: list[str] = field(default_factory=list)
    """What went wrong beside the promises."""

    def acknowledged(self) -> list[Sent]:
        """Messages with an acknowledgement."""
        return [sent for diary in self.diaries for sent in diary.sent if sent.answer is not None]

    def run_ids(self, diary: Diary) -> list[UUID]:
        """Of all runs that the user knows to be accepted."""
        answers = [sent.answer for sent in diary.sent if sent.answer is not None]
        return [answer.run_id for answer in (*answers, *diary.retried)]

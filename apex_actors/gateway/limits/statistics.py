"""What the limits have done: counters, and a snapshot of them."""

from dataclasses import dataclass
from enum import StrEnum


class Mode(StrEnum):
    """Whom this process shares the limits with."""

    ALONE = "alone"
    """There is no other process: the whole is its own, and nobody is told anything."""
    SHARED = "shared"
    """Processes tell each other what they let through."""
    AWAY = "away"
    """Redis or Valkey is away: each process has its share."""


@dataclass(slots=True)
class Counters:
    """What has happened since the process started."""

    messages_refused: int = 0
    handshakes_refused: int = 0
    connections_refused: int = 0
    connections_closed: int = 0
    exchanges: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class LimitStatistics:
    """A snapshot. ``users`` and ``addresses`` are those remembered, ``connections`` the live ones.

    ``processes`` is how many there are, or were when that was known last. The others count since
    the start: ``evictions`` are addresses that were forgotten while they still had to wait, for
    want of room; ``failures`` are exchanges and registrations that came to nothing.
    """

    mode: Mode
    processes: int
    users: int
    connections: int
    addresses: int
    evictions: int
    messages_refused: int
    handshakes_refused: int
    connections_refused: int
    connections_closed: int
    exchanges: int
    failures: int

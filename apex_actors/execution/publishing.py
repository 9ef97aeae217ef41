"""To whom committed events and new work are announced."""

from collections.abc import Sequence
from typing import Protocol

from apex_actors.protocol.events import Event


class Announcer(Protocol):
    """Told after a commit, and only then; must neither block nor raise."""

    def events_committed(self, user_id: int, events: Sequence[Event]) -> None:
        """These events of the user are durable now, in the order of their numbers."""

    def work_available(self) -> None:
        """A run may be claimed now, or one under way is to be stopped."""

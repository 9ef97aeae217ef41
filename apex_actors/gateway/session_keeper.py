"""Stores what the next connections of users begin with."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from apex_actors.actors import LoopActor
from apex_actors.gateway.registry_messages import SessionChanged
from apex_actors.storage.errors import StorageError
from apex_actors.storage.sessions import SessionChange, SessionStore

logger = logging.getLogger(__name__)

#: How long a change that is wanted soon waits for others, in seconds.
SOON_S: Final = 0.05

_TIMER: Final = "store"


@dataclass(frozen=True, slots=True)
class _Store:
    pass


class SessionKeeper(LoopActor):
    """Stores sessions that have changed, those of many users in one statement.

    Receives SessionChanged from connections. Owns the changes that are not stored yet: at its stop
    they are stored first, and while PostgreSQL is away they are kept for the next time. When it
    dies unexpectedly the node stops.
    """

    def __init__(self, *, sessions: SessionStore, interval_s: float) -> None:
        super().__init__()
        self._sessions = sessions
        self._interval_s = interval_s
        self._changes: dict[int, SessionChange] = {}
        self._due = False
        self._due_soon = False

    async def on_stop(self) -> None:  # type: ignore[override]  # hooks of the loop may be async
        await self._store()

    def on_receive(self, message: object) -> object:
        match message:
            case SessionChanged(user_id, thread_id, acknowledged_seq, soon):
                self._keep({user_id: SessionChange(thread_id, acknowledged_seq)})
                if soon and not self._due_soon:
                    self._due_soon = True
                    self.timers.once(_TIMER, SOON_S, _Store())
            case _Store():
                return self._store()
            case _:
                return super().on_receive(message)
        return None

    async def _store(self) -> None:
        self._due = self._due_soon = False
        changes, self._changes = self._changes, {}
        if not changes:
            return
        try:
            await self._sessions.store_many(changes)
        except StorageError as error:
            logger.debug("sessions are not stored yet: %s", error)
            # In this order: what came meanwhile is newer.
            newer, self._changes = self._changes, changes
            self._keep(newer)

    def _keep(self, changes: Mapping[int, SessionChange]) -> None:
        for user_id, change in changes.items():
            before = self._changes.get(user_id)
            self._changes[user_id] = change if before is None else _both(before, change)
        if not self._due:
            self._due = True
            self.timers.once(_TIMER, self._interval_s, _Store())


def _both(before: SessionChange, after: SessionChange) -> SessionChange:
    return SessionChange(
        after.thread_id or before.thread_id,
        max(before.acknowledged_seq, after.acknowledged_seq),
    )

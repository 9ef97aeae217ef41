"""Keeps a node's list of revoked tokens as fresh as one query a second allows."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from apex_actors.actors import LoopActor
from apex_actors.gateway.auth.revocation import RevocationList, Revocations
from apex_actors.storage.errors import StorageError
from apex_actors.storage.revocations import RevocationStore

logger = logging.getLogger(__name__)

#: How long one look may take, in seconds: a connection that was cut without a word is given up.
LOOK_TIMEOUT_S: Final = 5.0

#: How often what has expired is removed from the table, in seconds.
SWEEP_INTERVAL_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class LookThrough:
    """Look now, by this way to the table; answered with whether the list is complete now."""

    store: RevocationStore


@dataclass(frozen=True, slots=True)
class _Look:
    pass


@dataclass(frozen=True, slots=True)
class _Sweep:
    pass


class RevocationWatch(LoopActor):
    """Renews ``revocations``; started when the first look has ended, well or not.

    Sends itself one message a look; receives LookThrough. Calls ``on_change`` when tokens were
    revoked that were good before: live connections are to be checked then. While PostgreSQL is away
    the last known list stays. When it dies the list grows stale and says so,
    and the node stops.

    :param interval_s: between two looks.
    """

    def __init__(
        self,
        *,
        store: RevocationStore,
        revocations: Revocations,
        interval_s: float,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        if interval_s <= 0:
            raise ValueError("interval_s must be more than 0")
        self._store = store
        self._revocations = revocations
        self._interval_s = interval_s
        self._on_change = on_change
        self._version: int | None = None
        self._failing = False

    async def on_start(self) -> None:  # type: ignore[override]  # hooks of the loop may be async
        await self._look(self._store)
        self.timers.every("look", self._interval_s, _Look())
        self.timers.every("sweep", SWEEP_INTERVAL_S, _Sweep())

    def on_receive(self, message: object) -> object:
        match message:
            case _Look():
                return self._look(self._store)
            case LookThrough(store):
                return self._look(store)
            case _Sweep():
                return self._sweep()
            case _:
                return super().on_receive(message)

    async def _look(self, store: RevocationStore) -> bool:
        began = self._revocations.now()
        try:
            async with asyncio.timeout(LOOK_TIMEOUT_S):
                snapshot = await store.live(known=self._version)
        except (StorageError, TimeoutError) as error:
            self._failed(str(error) or "no answer")
            return False
        except Exception:
            # Without this actor nothing could be revoked: it looks on, whatever it was.
            logger.exception("looking up revocations broke")
            self._failed("see above")
            return False
        if self._failing:
            self._failing = False
            logger.warning("revocations are looked up again")
        if snapshot is None:
            self._revocations.confirm(began)
            return True
        self._version = snapshot.version
        before = self._revocations.known
        after = RevocationList.of(record.revoked for record in snapshot.records)
        self._revocations.renew(after, began)
        if after.exceeds(before):
            try:
                self._on_change()
            except Exception:
                # The list is in use by now; who could not be told must not end the looking.
                logger.exception("who wants to know of revocations cannot be told")
        return True

    async def _sweep(self) -> None:
        try:
            async with asyncio.timeout(LOOK_TIMEOUT_S):
                await self._store.remove_expired()
        except (StorageError, TimeoutError):
            logger.debug("expired revocations stay until the next sweep")

    def _failed(self, reason: str) -> None:
        # After a restore from a backup the same number may stand for another list.
        self._version = None
        if not self._failing:
            self._failing = True
            logger.warning("revocations cannot be looked up, the last known ones count: %s", reason)

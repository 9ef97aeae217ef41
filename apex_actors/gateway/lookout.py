"""Where logs end: asked of the database beside the registry."""

import logging
from collections.abc import Mapping
from typing import Any

from apex_actors.actors import ActorRef, LoopActor
from apex_actors.gateway.registry_messages import Look, Seen
from apex_actors.storage.errors import StorageError
from apex_actors.storage.event_log import EventLog, KnownPositions

logger = logging.getLogger(__name__)


class LogLookout(LoopActor):
    """Asks the database where logs end, beside the registry: an answer may take its time.

    Receives Look, tells the registry Seen, once for each. When it dies the registry dies too, since
    nobody would find what a lost wake-up has left.
    """

    def __init__(self, *, log: EventLog, registry: ActorRef[Any]) -> None:
        super().__init__()
        self._log = log
        self._registry = registry

    def on_receive(self, message: object) -> object:
        if isinstance(message, Look):
            return self._look(message.known)
        return super().on_receive(message)

    async def _look(self, known: KnownPositions) -> None:
        positions: Mapping[int, int] | None = None
        try:
            positions = await self._log.positions(known)
        except StorageError:
            # What comes back may be another database: a backup, or a replica that took over.
            self._log.forget_epoch()
            logger.debug("the log cannot be read; the server's health tells of it")
        except Exception:
            # Without an answer the registry would never ask again.
            logger.exception("the log cannot be read")
        self._registry.tell(Seen(positions))

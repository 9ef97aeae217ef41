"""Tells this node and the others what was committed."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from apex_actors.actors import ActorDeadError, ActorRef, LoopActor
from apex_actors.execution.janitor import LookForDeletions
from apex_actors.execution.worker import WorkAvailable
from apex_actors.gateway.metrics import GatewayMetrics
from apex_actors.gateway.registry_messages import EventsCommitted, LogAdvanced
from apex_actors.protocol.events import Event
from apex_actors.protocol.payloads import EventType, MessageRole
from apex_actors.storage.errors import CacheUnavailableError
from apex_actors.storage.wake_ups import WakeUps

logger = logging.getLogger(__name__)

#: Pause before listening is tried again after the cache was away, in seconds.
LISTEN_AGAIN_S: Final = 1.0

#: Pause before listening is cancelled once more, in seconds.
CANCEL_AGAIN_S: Final = 0.1


class NodeAnnouncer:
    """An Announcer for one node: its own actors at once, other nodes through the relay.

    Made before the actors that it tells, because they need it: ``attach`` closes the circle.
    """

    def __init__(self, metrics: GatewayMetrics) -> None:
        self._metrics = metrics
        self._targets: dict[str, ActorRef[Any]] = {}

    def attach(self, **targets: ActorRef[Any]) -> None:
        """Name ``registry``, ``worker``, ``relay`` and ``janitor``, as far as the node has them."""
        self._targets.update(targets)

    def events_committed(self, user_id: int, events: Sequence[Event]) -> None:
        """Push the events to the node's connections of the user; wake the other nodes."""
        self._tell("registry", EventsCommitted(user_id, tuple(events)))
        self._tell("relay", WakeUser(user_id))
        for event in events:
            if event.type is EventType.RUN_FINISHED:
                self._metrics.run_finished(event.payload["status"])
            elif event.type is EventType.MESSAGE_CREATED and (
                event.payload["message"]["role"] == MessageRole.USER
            ):
                self._metrics.run_accepted()

    def log_advanced(self, user_id: int) -> None:
        """Another node has committed something of the user's."""
        self._tell("registry", LogAdvanced(user_id))

    def work_available(self) -> None:
        """Wake the node's worker, and those of other nodes."""
        self._tell("worker", WorkAvailable())
        self._tell("relay", WakeWorkers())

    def deletion_requested(self) -> None:
        """A thread waits to be removed: other nodes find it by themselves."""
        self._tell("janitor", LookForDeletions())

    def work_elsewhere(self) -> None:
        """Another node knows of work."""
        self._tell("worker", WorkAvailable())

    def _tell(self, name: str, message: object) -> None:
        target = self._targets.get(name)
        if target is not None:
            try:
                target.tell(message)
            except ActorDeadError:
                # The node is shutting down: what it would have told is in the database.
                logger.debug("%s is gone", name)


@dataclass(frozen=True, slots=True)
class WakeUser:
    """Wake whoever holds connections of the user on other nodes."""

    user_id: int


@dataclass(frozen=True, slots=True)
class WakeWorkers:
    """Wake the workers of other nodes."""


@dataclass(frozen=True, slots=True)
class _Publish:
    pass


class WakeUpRelay(LoopActor):
    """Carries wake-ups between nodes through Redis or Valkey; losing one costs a poll's time.

    Receives WakeUser and WakeWorkers; many of them within one publication become one each.
    """

    def __init__(self, *, wake_ups: WakeUps, announcer: NodeAnnouncer) -> None:
        super().__init__()
        self._wake_ups = wake_ups
        self._announcer = announcer
        self._users: set[int] = set()
        self._work = False
        self._publish_due = False
        self._listening: asyncio.Task[None] | None = None

    def on_start(self) -> None:
        self._listening = asyncio.get_running_loop().create_task(self._listen())

    async def on_stop(self) -> None:  # type: ignore[override]  # hooks of the loop may be async
        listening = self._listening
        # Again and again, because redis-py swallows a cancellation that meets it at connecting.
        while listening is not None and not listening.done():
            listening.cancel()
            await asyncio.wait([listening], timeout=CANCEL_AGAIN_S)

    def on_receive(self, message: object) -> object:
        match message:
            case WakeUser(user_id):
                self._users.add(user_id)
            case WakeWorkers():
                self._work = True
            case _Publish():
                return self._publish()
            case _:
                return super().on_receive(message)
        if not self._publish_due:
            self._publish_due = True
            self.ref.tell(_Publish())
        return None

    async def _publish(self) -> None:
        self._publish_due = False
        users, self._users = self._users, set()
        work, self._work = self._work, False
        try:
            await self._wake_ups.wake(users, work=work)
        except CacheUnavailableError:
            logger.debug("wake-ups were not published; the others poll")

    async def _listen(self) -> None:
        while True:
            try:
                await self._wake_ups.listen(
                    on_user=self._announcer.log_advanced, on_work=self._announcer.work_elsewhere
                )
            except CacheUnavailableError:
                logger.debug("wake-ups are not heard; this node polls")
            except Exception:
                # Without this task the node would poll for good, and nobody would know.
                logger.exception("listening for wake-ups broke; trying again")
            await asyncio.sleep(LISTEN_AGAIN_S)

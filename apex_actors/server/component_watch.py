"""Tells clients when a part of the server goes away and when it comes back."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from apex_actors.actors import ActorRef, LoopActor
from apex_actors.gateway.health import Health
from apex_actors.gateway.registry_messages import ComponentsChanged

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _LookAround:
    pass


class ComponentWatch(LoopActor):
    """Asks all components in turn how they are; tells its listeners ComponentsChanged.

    Owns what was down at the last look. When it dies the node stops: nobody would be told any more.
    """

    def __init__(
        self, *, health: Health, listeners: Sequence[ActorRef[Any]], interval_s: float
    ) -> None:
        super().__init__()
        self._health = health
        self._listeners = listeners
        self._interval_s = interval_s
        self._down: frozenset[str] = frozenset()

    def on_start(self) -> None:
        # At once: what is away when a node starts is known to the first who connect.
        self.ref.tell(_LookAround())

    def on_receive(self, message: object) -> object:
        if isinstance(message, _LookAround):
            return self._look_around()
        return super().on_receive(message)

    async def _look_around(self) -> None:
        report = await self._health.report()
        self.tell_later(self._interval_s, _LookAround())
        down = frozenset(name for name, state in report.components.items() if state != "up")
        if down == self._down:
            return
        recovered, self._down = self._down - down, down
        for name in sorted(recovered):
            logger.warning("%s is back", name)
        for name in sorted(down):
            logger.warning("%s is away", name)
        changed = ComponentsChanged(tuple(sorted(down)), tuple(sorted(recovered)))
        for listener in self._listeners:
            listener.tell(changed)

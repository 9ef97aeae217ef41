"""The actor that keeps the limits of this process and those of the others together."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from apex_actors.actors import LoopActor
from apex_actors.gateway.limits.exchange import CloseNewest, LimitsExchange
from apex_actors.gateway.limits.limits import Limits
from apex_actors.gateway.limits.statistics import Mode
from apex_actors.storage.errors import CacheUnavailableError
from apex_actors.storage.shared_limits import Membership, SharedLimits

logger = logging.getLogger(__name__)

#: How often a process says that it lives, in seconds; while Redis is away, how often it tries.
REGISTRATION_INTERVAL_S: Final = 1.0

#: A process that has not said so for so many intervals counts as dead. A busy one may miss some.
MISSED_REGISTRATIONS: Final = 4

#: Life of a registration in seconds: what SharedLimits is made with.
REGISTRATION_LIFE_S: Final = REGISTRATION_INTERVAL_S * MISSED_REGISTRATIONS

#: A process that has been the only one for so long stops telling, in seconds. Another may be
#: between its end and its next start.
ALONE_AFTER_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class _Exchange:
    pass


class LimitsSync(LoopActor):
    """Registers this process, exchanges with the others, and falls back to a share without them.

    Receives nothing from others: a timer of its own is all. Calls ``close_newest`` for users over
    the cap of connections. Owns the registration of the process and the mode of Limits; there is no
    other task or timer of the limits, however many users there are.

    A process without company tells nobody anything (ALONE). With others it exchanges every
    ``sync_interval_s`` (SHARED). When Redis or Valkey does not answer, each goes on with its share
    (AWAY), asks every ``registration_interval_s``, and has the whole again with the first answer.
    A change is logged once. Stopped, it takes back what the others count, and its registration.

    When it dies the limits hold for this process alone and are whole in each: a vital actor of
    the node. Killed with its process, its registration expires, and what it had told of
    connections counts no more.
    """

    def __init__(
        self,
        *,
        limits: Limits,
        shared: SharedLimits,
        close_newest: CloseNewest,
        sync_interval_s: float,
        registration_interval_s: float = REGISTRATION_INTERVAL_S,
        alone_after_s: float = ALONE_AFTER_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        if sync_interval_s <= 0 or registration_interval_s <= 0:
            raise ValueError("intervals must be more than nothing")
        self._limits = limits
        self._shared = shared
        self._exchange = LimitsExchange(
            limits=limits, shared=shared, close_newest=close_newest, clock=clock
        )
        self._sync_interval_s = sync_interval_s
        self._registration_interval_s = registration_interval_s
        self._alone_after_s = alone_after_s
        self._clock = clock
        self._register_at_s = clock()
        self._alone_since_s: float | None = None
        # Whether the others may count connections of this process.
        self._has_told = False

    def on_start(self) -> None:
        self.timers.every("exchange", self._sync_interval_s, _Exchange(), first_s=0.0)

    def on_receive(self, message: object) -> object:
        if isinstance(message, _Exchange):
            return self._turn()
        return super().on_receive(message)

    async def on_stop(self) -> None:  # type: ignore[override]  # hooks of the loop may be async
        if self._limits.mode is Mode.AWAY:
            return  # nobody would hear it
        try:
            if self._limits.mode is Mode.SHARED:
                await self._exchange.run()
                await self._exchange.withdraw()
            await self._shared.leave()
        except CacheUnavailableError:
            logger.debug("the limits were not taken leave of; the registration expires")

    async def _turn(self) -> None:
        self._limits.sweep()
        try:
            await self._keep_together()
        except CacheUnavailableError as error:
            self._be_away(str(error))
        except Exception:
            # An answer that nobody foresaw must not end the node: each process has its share.
            logger.exception("the limits cannot be shared")
            self._be_away("an unexpected answer")

    async def _keep_together(self) -> None:
        if self._clock() >= self._register_at_s:
            membership = await self._shared.register()
            self._register_at_s = self._clock() + self._registration_interval_s
            await self._heard(membership)
        if self._limits.mode is Mode.SHARED:
            await self._exchange.run()

    async def _heard(self, membership: Membership) -> None:
        limits, before = self._limits, self._limits.mode
        processes = len(membership.processes)
        limits.know(processes)
        if before is Mode.AWAY:
            logger.info("limits are whole again: Redis or Valkey is back, processes: %d", processes)
        if processes > 1 or self._has_told:
            if before is not Mode.SHARED or membership.joined:
                self._begin()
            await self._be_alone_at_last(processes)
        elif before is Mode.AWAY:
            limits.go_alone()

    def _begin(self) -> None:
        if self._limits.mode is Mode.ALONE:
            logger.info("limits are shared, processes: %d", self._limits.processes)
        self._has_told = True
        self._limits.go_shared()
        self._exchange.begin()

    async def _be_alone_at_last(self, processes: int) -> None:
        now_s = self._clock()
        if processes > 1:
            self._alone_since_s = None
        elif self._alone_since_s is None:
            self._alone_since_s = now_s
        elif now_s - self._alone_since_s >= self._alone_after_s:
            # Without this whoever comes next would count connections that are long gone.
            await self._exchange.run()
            await self._exchange.withdraw()
            self._has_told = False
            self._alone_since_s = None
            self._limits.go_alone()
            logger.info("limits are this process's alone: there is no other any more")

    def _be_away(self, why: str) -> None:
        limits = self._limits
        limits.counters.failures += 1
        self._register_at_s = self._clock() + self._registration_interval_s
        self._alone_since_s = None
        if limits.mode is Mode.AWAY:
            return
        limits.go_away()
        logger.warning(
            "limits are enforced by each process for itself, with 1/%d of the whole: %s",
            limits.processes,
            why,
        )

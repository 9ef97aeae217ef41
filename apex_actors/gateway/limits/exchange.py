"""The exchange with the other processes: tell what was let through, hear what is left."""

import math
from collections.abc import Callable
from itertools import islice
from typing import Final

from apex_actors.gateway.limits.addresses import AddressLimits
from apex_actors.gateway.limits.bucket import Quota
from apex_actors.gateway.limits.limits import Limits
from apex_actors.gateway.limits.user import UserLimits
from apex_actors.storage.shared_limits import (
    CONNECTION_LIFE_S,
    SUBJECTS_PER_PIPELINE,
    BucketTerms,
    SharedLimits,
    Use,
)

#: Connections are told again so often before what was told of them expires.
REFRESHES_PER_LIFE: Final = 3

#: Pages of addresses in one exchange, at most: an attack from a million addresses must not keep
#: the loop busy with telling of it. The others follow in the next ones, first come first.
MAX_ADDRESS_PAGES: Final = 4

USER: Final = "user"
ADDRESS: Final = "address"


#: Called with a user's key and how many of the user's connections in this process are to be closed,
#: the newest first, those included that are closing already. Said again until they are closed.
CloseNewest = Callable[[str, int], None]


class LimitsExchange:
    """Carries what changed in Limits to SharedLimits and the answer back, a page at a time.

    Whatever cannot be told is to be told again; the error is the caller's.
    """

    def __init__(
        self,
        *,
        limits: Limits,
        shared: SharedLimits,
        close_newest: CloseNewest,
        clock: Callable[[], float],
    ) -> None:
        self._limits = limits
        self._shared = shared
        self._close_newest = close_newest
        self._clock = clock
        quotas = limits.quotas
        self._user_terms = [_terms(quotas.whole_messages), _terms(quotas.whole_bytes)]
        self._address_terms = [_terms(quotas.whole_handshakes)]
        self._connection_cap = quotas.connections_per_user
        self._began_s: float | None = None
        self._refresh_began_s = clock()
        self._to_refresh: list[UserLimits] = []

    def begin(self) -> None:
        """The others are told for the first time, or for the first time again."""
        self._began_s = None
        self._refresh_began_s = self._clock()
        self._to_refresh = []

    async def run(self) -> None:
        """Tell of all users and addresses that were active, and hear of them.

        Raises CacheUnavailableError, and is then to be run again after ``begin``.
        """
        now_s = self._clock()
        window_s = 0.0 if self._began_s is None else now_s - self._began_s
        self._began_s = now_s
        self._refresh(now_s)
        # As many as there are now: who becomes active meanwhile is told of next time.
        for _ in range(0, len(self._limits.active_users), SUBJECTS_PER_PIPELINE):
            await self._exchange_users(window_s)
        addresses = len(self._limits.active_addresses)
        for _ in range(min(math.ceil(addresses / SUBJECTS_PER_PIPELINE), MAX_ADDRESS_PAGES)):
            await self._exchange_addresses(window_s)
        self._limits.counters.exchanges += 1

    async def withdraw(self) -> None:
        """Have the others count no connection here; what was taken they know."""
        told = list(self._limits.told_users())
        for begin in range(0, len(told), SUBJECTS_PER_PIPELINE):
            page = told[begin : begin + SUBJECTS_PER_PIPELINE]
            uses = [Use(user.key, (0.0, 0.0)) for user in page]
            await self._shared.exchange(USER, self._user_terms, uses, window_s=0.0)
            for user in page:
                user.withdrawn()

    async def _exchange_users(self, window_s: float) -> None:
        page = list(islice(self._limits.active_users, SUBJECTS_PER_PIPELINE))
        uses = [user.tell() for user in page]
        try:
            standings = await self._shared.exchange(
                USER,
                self._user_terms,
                uses,
                window_s=window_s,
                connection_cap=self._connection_cap,
            )
        except BaseException:
            # A cancellation too: the actor that is stopped tells it once more.
            for user, use in zip(page, uses, strict=True):
                user.take_back(use)
            raise
        for user, use, standing in zip(page, uses, standings, strict=True):
            user.hear(use, standing)
            excess = self._limits.excess(user.key)
            if excess:
                self._limits.counters.connections_closed += user.ask_to_close(excess)
                self._close_newest(user.key, excess)

    async def _exchange_addresses(self, window_s: float) -> None:
        page: list[AddressLimits] = list(
            islice(self._limits.active_addresses, SUBJECTS_PER_PIPELINE)
        )
        uses = [address.tell() for address in page]
        try:
            standings = await self._shared.exchange(
                ADDRESS, self._address_terms, uses, window_s=window_s
            )
        except BaseException:
            for address, use in zip(page, uses, strict=True):
                address.take_back(use)
            raise
        for address, standing in zip(page, standings, strict=True):
            address.hear(standing)

    def _refresh(self, now_s: float) -> None:
        """Tell again of those who are connected and idle, some of them each time."""
        period_s = CONNECTION_LIFE_S / REFRESHES_PER_LIFE
        if not self._to_refresh:
            if now_s - self._refresh_began_s < period_s:
                return
            self._refresh_began_s = now_s
            self._to_refresh = list(self._limits.connected_users())
        for user in self._to_refresh[-SUBJECTS_PER_PIPELINE:]:
            user.note()
        del self._to_refresh[-SUBJECTS_PER_PIPELINE:]


def _terms(quota: Quota) -> BucketTerms:
    return BucketTerms(quota.rate_per_s, quota.burst)

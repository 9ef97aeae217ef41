"""What one user may still send, and how many connections the user has, here and elsewhere."""

from collections.abc import Callable

from apex_actors.gateway.limits.bucket import SharedBucket
from apex_actors.gateway.limits.quotas import Quotas
from apex_actors.gateway.limits.statistics import Counters
from apex_actors.storage.shared_limits import Standing, Use


class UserLimits:
    """The limits of one user, shared by all of the user's connections in this process.

    Kept while it is held or there is a connection, and after that until its buckets are full
    again: to leave and come back gives nobody a new burst.
    """

    __slots__ = (
        "_active",
        "_asked_to_close",
        "_bytes",
        "_clock",
        "_counters",
        "_elsewhere",
        "_messages",
        "_noted",
        "_on_idle",
        "_over_since_s",
        "_told_connections",
        "connections",
        "holders",
        "key",
    )

    def __init__(
        self,
        key: str,
        *,
        quotas: Quotas,
        clock: Callable[[], float],
        active: "dict[UserLimits, None]",
        counters: Counters,
        on_idle: "Callable[[UserLimits], None]",
    ) -> None:
        now_s = clock()
        self.key = key
        #: Live connections in this process.
        self.connections = 0
        #: Those who take from it, and have not released it.
        self.holders = 0
        self._messages = SharedBucket(quotas.messages, now_s=now_s)
        self._bytes = SharedBucket(quotas.bytes, now_s=now_s)
        self._clock = clock
        self._counters = counters
        self._active = active
        self._noted = False
        self._elsewhere = 0
        self._told_connections = 0
        self._over_since_s: float | None = None
        self._asked_to_close = 0
        self._on_idle = on_idle

    def take(self, size_bytes: int) -> int:
        """0 when a message of ``size_bytes`` may pass, else the milliseconds to wait, at least 1.

        A refused message takes nothing. NEVER_MS for one that is more than the burst of bytes.
        """
        now_s = self._clock()
        messages, volume = self._messages, self._bytes
        if messages.refill(now_s) >= 1.0 and volume.refill(now_s) >= size_bytes:
            # SharedBucket.pass_on, written out: every message takes this path.
            messages.tokens -= 1.0
            messages.untold += 1.0
            volume.tokens -= size_bytes
            volume.untold += size_bytes
            if not self._noted:
                self.note()
            return 0
        volume.refill(now_s)
        self._counters.messages_refused += 1
        return max(messages.wait_ms(1.0), volume.wait_ms(size_bytes))

    def release(self) -> None:
        """Whoever got it from ``Limits.user`` takes from it no more; raises ValueError if nobody did."""
        if not self.holders:
            raise ValueError("nobody holds these limits: release once for each that got them")
        self.holders -= 1
        self.let_go()

    @property
    def connections_everywhere(self) -> int:
        """The user's connections on all nodes, as far as this process knows."""
        return self.connections + self._elsewhere

    @property
    def is_in_use(self) -> bool:
        """Whether somebody holds it or is connected."""
        return self.holders > 0 or self.connections > 0

    def connected(self) -> None:
        """There is one more connection."""
        self.connections += 1
        self.note()

    def disconnected(self) -> None:
        """There is one connection less."""
        self.connections -= 1
        self._asked_to_close = max(self._asked_to_close - 1, 0)
        self.note()
        self.let_go()

    def let_go(self) -> None:
        """Say so where nobody needs it any more."""
        if not self.is_in_use:
            self._on_idle(self)

    def is_full(self, now_s: float) -> bool:
        """Whether nothing is missing from its buckets: it need not be remembered."""
        return self._messages.missing(now_s) == 0 and self._bytes.missing(now_s) == 0

    # For the exchange.

    def note(self) -> None:
        """Something is to be told, or asked, at the next exchange."""
        self._noted = True
        self._active[self] = None

    def forget(self) -> None:
        """Nothing of this user is to be told any more."""
        self._noted = False
        self._active.pop(self, None)

    @property
    def is_noted(self) -> bool:
        """Whether something is to be told at the next exchange."""
        return self._noted

    @property
    def is_told(self) -> bool:
        """Whether others count connections of this user here."""
        return self._told_connections > 0

    def tell(self) -> Use:
        """What the others are to be told now; it counts as told."""
        self.forget()
        return Use(
            self.key,
            (self._messages.tell(), self._bytes.tell()),
            connections=self.connections,
            known=self._told_connections,
        )

    def take_back(self, use: Use) -> None:
        """It was not told after all."""
        messages, volume = use.taken
        self._messages.take_back(messages)
        self._bytes.take_back(volume)
        self.note()

    def hear(self, use: Use, standing: Standing) -> None:
        """What all processes have left, and have, as an answer to ``use``."""
        now_s = self._clock()
        messages, volume = standing.levels
        self._messages.hear(messages, now_s=now_s)
        self._bytes.hear(volume, now_s=now_s)
        self._elsewhere = standing.elsewhere
        # Those that are too many stay news: the next exchange tells whether they still are.
        self._told_connections = use.connections - standing.excess
        if standing.excess == 0:
            self._over_since_s = None
            self._asked_to_close = 0
            return
        self.note()
        if self._over_since_s is None:
            self._over_since_s = now_s

    def excess(self, *, grace_s: float) -> int:
        """How many of the connections here are to be closed, those included that are closing.

        None before they were too many for ``grace_s`` seconds: what was closed elsewhere a moment
        ago, or went with a process that died, may still be counted.
        """
        since_s = self._over_since_s
        if since_s is None or self._clock() - since_s < grace_s:
            return 0
        return max(self.connections - self._told_connections, 0)

    def ask_to_close(self, connections: int) -> int:
        """So many are to be closed; how many of them were not asked before."""
        news = max(connections - self._asked_to_close, 0)
        self._asked_to_close = max(connections, self._asked_to_close)
        return news

    def withdrawn(self) -> None:
        """The others count no connections of this user here any more."""
        self._told_connections = 0

    def leave(self) -> None:
        """What others know and have is not known from now on."""
        self._elsewhere = 0
        self._told_connections = 0
        self._over_since_s = None
        self._asked_to_close = 0

    def rejoin(self, quotas: Quotas, *, now_s: float) -> None:
        """Become a copy of the whole again, and tell the others at the next exchange."""
        self.leave()
        self._messages.rejoin(quotas.whole_messages, now_s=now_s)
        self._bytes.rejoin(quotas.whole_bytes, now_s=now_s)
        if self.connections or self._messages.untold or self._bytes.untold:
            self.note()

"""The limits of one process: who may connect, how often, and what each user may send."""

import time
from collections.abc import Callable, Iterable
from typing import Final

from apex_actors.gateway.limits.addresses import AddressBook, AddressLimits
from apex_actors.gateway.limits.quotas import Quotas
from apex_actors.gateway.limits.statistics import Counters, LimitStatistics, Mode
from apex_actors.gateway.limits.user import UserLimits
from apex_actors.gateway.settings import LimitSettings

#: Addresses that are remembered, at some 600 bytes each.
MAX_ADDRESSES: Final = 50_000

#: Users without a connection that are remembered until their buckets are full, at some 1,000 bytes.
MAX_DEPARTED: Final = 20_000

#: The default of ``GatewaySettings.max_message_bytes``.
LARGEST_MESSAGE_BYTES: Final = 8192

#: What one sweep drops at most: it must not keep others waiting.
SWEEP_LIMIT: Final = 1000

#: How long connections over the cap are left alone, in seconds: what a process that died had told
#: of counts for the life of its registration and the difference of the clocks.
CAP_GRACE_S: Final = 10.0

#: How long a client over a cap on connections is told to wait, in milliseconds. Nobody knows when
#: another one closes; what other processes have is known anew by then.
CAP_RETRY_AFTER_MS: Final = 1000


class TooManyConnectionsError(Exception):
    """There are as many connections as there may be: close one, or come back later.

    ``of_user``: the user has too many over all nodes; else this process has.
    """

    def __init__(self, *, of_user: bool, retry_after_ms: int = CAP_RETRY_AFTER_MS) -> None:
        super().__init__(f"too many connections of this {'user' if of_user else 'process'}")
        self.of_user = of_user
        self.retry_after_ms = retry_after_ms


class Limits:
    """All limits of one process; everything is decided at once, on the event loop's thread.

    Nothing here waits, does I/O or starts anything: LimitsSync tells the other processes and
    hears of them, and sweeps up what need not be remembered.

    What holds over all N processes, while they exchange every I seconds (I being
    ``sync_interval_s`` and the time an exchange takes):

    - A process by itself never lets more through in t seconds than burst + rate * t.
    - All of them together let at most N * burst + rate * (t + N * I) through: each may spend a
      whole burst, and what came in, before it hears of the others. What was too much is owed:
      everybody waits until it has come in again, so that in the long run it is rate * t.
    - A user gets at most N times the cap of connections, within I seconds; after that new ones are
      refused everywhere, and ``excess`` names those over the cap once ``cap_grace_s`` have passed:
      the process that brought the user over the cap closes what it added, and no other.

    A process that was alone hears of another one within the interval of registration, and until
    then tells it nothing: I is that long, once.

    While Redis or Valkey is away, each process has 1/N of the rate and of the burst, N being the
    processes that it knew last: together they let burst + rate * t through, more only where the
    share of a burst had to be rounded up (Quotas) or where there are more processes by now. A
    process that alone is cut off has its share on top of what the others have.
    """

    def __init__(
        self,
        settings: LimitSettings | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        largest_message_bytes: int = LARGEST_MESSAGE_BYTES,
        max_addresses: int = MAX_ADDRESSES,
        max_departed: int = MAX_DEPARTED,
        cap_grace_s: float = CAP_GRACE_S,
    ) -> None:
        if max_departed < 0 or cap_grace_s < 0:
            raise ValueError("max_departed and cap_grace_s must not be negative")
        self._settings = settings or LimitSettings()
        self._clock = clock
        self._max_departed = max_departed
        self._cap_grace_s = cap_grace_s
        self.quotas = Quotas(self._settings, largest_message_bytes=largest_message_bytes)
        self._addresses = AddressBook(self.quotas.handshakes, clock=clock, capacity=max_addresses)
        self._users: dict[str, UserLimits] = {}
        # Those without a connection, who left first first.
        self._departed: dict[str, UserLimits] = {}
        self._connections = 0
        self._processes = 1
        self.active_users: dict[UserLimits, None] = {}
        self.mode = Mode.ALONE
        self.counters = Counters()

    # What the gateway asks.

    def handshake(self, address: str) -> int:
        """0 when a handshake from ``address`` may go on, else the milliseconds to wait."""
        wait_ms = self._addresses.take(address)
        if wait_ms:
            self.counters.handshakes_refused += 1
        return wait_ms

    def user(self, key: str) -> UserLimits:
        """The limits of a user; to be released by each who got it.

        ``key`` names the user: no two pairs of org and sub may have the same.
        """
        user = self._users.get(key)
        if user is None:
            user = self._users[key] = UserLimits(
                key,
                quotas=self.quotas,
                clock=self._clock,
                active=self.active_users,
                counters=self.counters,
                on_idle=self._depart,
            )
            # What others have let through is heard before much is let through here.
            user.note()
        else:
            self._departed.pop(key, None)
        user.holders += 1
        return user

    def connect(self, key: str) -> None:
        """Count one more connection of the user; raises TooManyConnectionsError.

        What is counted must be taken back by ``disconnect``, once, however the connection ends.
        """
        user = self._users.get(key)
        if user is not None and user.connections_everywhere >= self.quotas.connections_per_user:
            self.counters.connections_refused += 1
            # What is known of the others may be old: it is asked anew before the client is back.
            user.note()
            raise TooManyConnectionsError(of_user=True)
        if self._connections >= self._settings.connections_per_node:
            self.counters.connections_refused += 1
            raise TooManyConnectionsError(of_user=False)
        user = self.user(key)
        user.connected()
        user.release()
        self._connections += 1

    def disconnect(self, key: str) -> None:
        """A connection that was counted is gone; raises ValueError where none was."""
        user = self._users.get(key)
        if user is None or not user.connections:
            raise ValueError("no connection of this user is counted: disconnect once for each")
        self._connections -= 1
        user.disconnected()

    def excess(self, key: str) -> int:
        """How many of the user's connections here are to be closed, the newest first.

        Those that are closing already are among them. 0 where the user is not over the cap, or
        was there first, or for less than ``cap_grace_s`` seconds.
        """
        user = self._users.get(key)
        return 0 if user is None else user.excess(grace_s=self._cap_grace_s)

    def statistics(self) -> LimitStatistics:
        """A snapshot of what there is and what has happened."""
        counters = self.counters
        return LimitStatistics(
            mode=self.mode,
            processes=self._processes,
            users=len(self._users),
            connections=self._connections,
            addresses=len(self._addresses),
            evictions=self._addresses.evictions,
            messages_refused=counters.messages_refused,
            handshakes_refused=counters.handshakes_refused,
            connections_refused=counters.connections_refused,
            connections_closed=counters.connections_closed,
            exchanges=counters.exchanges,
            failures=counters.failures,
        )

    def _depart(self, user: UserLimits) -> None:
        self._departed[user.key] = user
        if len(self._departed) > self._max_departed:
            # Who left first has had the longest time to become full again.
            self._drop(next(iter(self._departed.values())))

    # What LimitsSync asks and says.

    @property
    def processes(self) -> int:
        """How many processes there are, or were when that was known last."""
        return self._processes

    @property
    def active_addresses(self) -> dict[AddressLimits, None]:
        """Addresses of which something is to be told."""
        return self._addresses.active

    def connected_users(self) -> Iterable[UserLimits]:
        """The users who have a connection here."""
        return [user for user in self._users.values() if user.connections]

    def told_users(self) -> Iterable[UserLimits]:
        """The users of whom others count connections here."""
        return [user for user in self._users.values() if user.is_told]

    def know(self, processes: int) -> None:
        """There are so many processes now, this one among them."""
        self._processes = max(processes, 1)

    def go_alone(self) -> None:
        """There is no other process: have the whole, and tell nobody."""
        if self.mode is Mode.AWAY:
            self._rejoin()
        else:
            for user in self._users.values():
                user.leave()
        self.mode = Mode.ALONE

    def go_shared(self) -> None:
        """Share with the others from now on; they know nothing that was told before."""
        self._rejoin()
        self.mode = Mode.SHARED

    def go_away(self) -> None:
        """The others are not heard: have a share."""
        self.mode = Mode.AWAY
        self.quotas.share(self._processes)
        for user in self._users.values():
            user.leave()

    def sweep(self) -> None:
        """Drop users who left and addresses that came, as far as their buckets are full again."""
        now_s = self._clock()
        for _ in range(min(SWEEP_LIMIT, len(self._departed))):
            user = next(iter(self._departed.values()))
            if not user.is_full(now_s):
                break
            if self.mode is Mode.SHARED and user.is_noted:
                # The others still count a connection of this user here, until they are told.
                break
            self._drop(user)
        self._addresses.sweep(SWEEP_LIMIT)

    def _rejoin(self) -> None:
        now_s = self._clock()
        for user in self._users.values():
            user.rejoin(self.quotas, now_s=now_s)
        self._addresses.rejoin(self.quotas.whole_handshakes, now_s=now_s)
        self.quotas.share(1)

    def _drop(self, user: UserLimits) -> None:
        del self._departed[user.key]
        del self._users[user.key]
        user.forget()

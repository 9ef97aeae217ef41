"""Handshakes by address: a bounded number of buckets, whoever comes."""

from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address, ip_address
from typing import Final

from apex_actors.gateway.limits.bucket import Quota, SharedBucket
from apex_actors.storage.shared_limits import Standing, Use

#: One household or server has 2**64 addresses of IPv6 (RFC 6177): they count as one.
IPV6_PREFIX_BITS: Final = 64

#: What is no address counts as itself, up to this length.
MAX_NAME_LENGTH: Final = 64


@lru_cache(maxsize=256)
def network_of(address: str) -> str:
    """What handshakes of ``address`` are counted under.

    An address of IPv4 by itself, also where it is mapped into IPv6; one of IPv6 by its network of
    64 bits, without a zone; anything else (a socket without addresses) by itself.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return address[:MAX_NAME_LENGTH]
    if isinstance(parsed, IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    host_bits = parsed.max_prefixlen - IPV6_PREFIX_BITS
    # Not as people write it: that takes longer than all the rest of a handshake's check.
    return f"{int(parsed) >> host_bits:x}/{IPV6_PREFIX_BITS}"


class AddressLimits:
    """The handshakes of one address or network."""

    __slots__ = ("_active", "_bucket", "_clock", "_noted", "key")

    def __init__(
        self,
        key: str,
        *,
        quota: Quota,
        clock: Callable[[], float],
        active: "dict[AddressLimits, None]",
    ) -> None:
        self.key = key
        self._clock = clock
        self._bucket = SharedBucket(quota, now_s=clock())
        self._active = active
        self._noted = False

    def take(self) -> int:
        """0 when a handshake may go on, else the milliseconds to wait."""
        bucket = self._bucket
        if bucket.refill(self._clock()) < 1.0:
            return bucket.wait_ms(1.0)
        bucket.pass_on(1.0)
        if not self._noted:
            self.note()
        return 0

    def is_full(self, now_s: float) -> bool:
        """Whether nothing is missing from its bucket: it need not be remembered."""
        return self._bucket.missing(now_s) == 0

    # For the exchange.

    def note(self) -> None:
        """Something is to be told at the next exchange."""
        self._noted = True
        self._active[self] = None

    def forget(self) -> None:
        """Nothing of this address is to be told any more."""
        self._noted = False
        self._active.pop(self, None)

    def tell(self) -> Use:
        """What the others are to be told now; it counts as told."""
        self.forget()
        return Use(self.key, (self._bucket.tell(),))

    def take_back(self, use: Use) -> None:
        """It was not told after all."""
        (handshakes,) = use.taken
        self._bucket.take_back(handshakes)
        self.note()

    def hear(self, standing: Standing) -> None:
        """What all processes have left."""
        (handshakes,) = standing.levels
        self._bucket.hear(handshakes, now_s=self._clock())

    def rejoin(self, whole: Quota, *, now_s: float) -> None:
        """Become a copy of the whole again, and tell the others at the next exchange."""
        self._bucket.rejoin(whole, now_s=now_s)
        if self._bucket.untold:
            self.note()


class AddressBook:
    """The addresses that came lately, at most ``capacity`` of them.

    Whoever was not heard of for longest goes first. Where more come than there is room for, one
    that goes has waited for ``capacity`` handshakes of others: it gets a new burst, and gains
    little by it.
    """

    def __init__(self, quota: Quota, *, clock: Callable[[], float], capacity: int) -> None:
        if capacity < 1:
            raise ValueError("at least one address must be remembered")
        self._quota = quota
        self._clock = clock
        self._capacity = capacity
        self._addresses: OrderedDict[str, AddressLimits] = OrderedDict()
        self.active: dict[AddressLimits, None] = {}
        #: Addresses that went before their buckets were full.
        self.evictions = 0

    def __len__(self) -> int:
        return len(self._addresses)

    def take(self, address: str) -> int:
        """0 when a handshake from ``address`` may go on, else the milliseconds to wait."""
        key = network_of(address)
        limits = self._addresses.get(key)
        if limits is None:
            if len(self._addresses) >= self._capacity:
                self._evict()
            limits = self._addresses[key] = AddressLimits(
                key, quota=self._quota, clock=self._clock, active=self.active
            )
        else:
            self._addresses.move_to_end(key)
        return limits.take()

    def sweep(self, limit: int) -> None:
        """Drop what need not be remembered, at most ``limit`` addresses."""
        now_s = self._clock()
        for _ in range(min(limit, len(self._addresses))):
            key, limits = next(iter(self._addresses.items()))
            if not limits.is_full(now_s):
                return
            del self._addresses[key]
            limits.forget()

    def rejoin(self, whole: Quota, *, now_s: float) -> None:
        """Become copies of the whole again."""
        for limits in self._addresses.values():
            limits.rejoin(whole, now_s=now_s)

    def _evict(self) -> None:
        _, limits = self._addresses.popitem(last=False)
        if not limits.is_full(self._clock()):
            self.evictions += 1
        limits.forget()

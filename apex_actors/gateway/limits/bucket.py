"""A token bucket: what may pass at a rate, with a burst, decided without waiting and without I/O."""

import math
from typing import Final

#: How long something must wait that can never pass, in milliseconds: it is more than the burst.
#: The largest number that every timer of a client takes.
NEVER_MS: Final = 2**31 - 1

#: Waits are told so much longer than they are, in milliseconds: whoever waits exactly as long as
#: it was told is not refused because of a rounding.
_MARGIN_MS: Final = 0.001


class Quota:
    """The rate and the burst of many buckets; changed, all of them change.

    ``rate_per_s`` tokens come in each second, and at most ``burst`` are kept.
    """

    __slots__ = ("burst", "rate_per_s")

    def __init__(self, rate_per_s: float, burst: float) -> None:
        self.rate_per_s = rate_per_s
        self.burst = burst
        self.change(rate_per_s, burst)

    def change(self, rate_per_s: float, burst: float) -> None:
        """Take other terms from now on; raises ValueError for what is not above nothing."""
        if not (0 < rate_per_s < math.inf and 0 < burst < math.inf):
            raise ValueError("a quota needs a finite rate and burst of more than nothing")
        self.rate_per_s = float(rate_per_s)
        self.burst = float(burst)


class TokenBucket:
    """Starts full. In any window of t seconds no more than burst + rate * t is let through.

    The caller says what time it is, in seconds of a clock that does not go backwards; one that
    does grants nothing until it is where it was. What others took may leave ``tokens`` below
    nothing; that is paid off at the rate.
    """

    __slots__ = ("_at_s", "quota", "tokens")

    def __init__(self, quota: Quota, *, now_s: float) -> None:
        self.quota = quota
        self.tokens = quota.burst
        self._at_s = now_s

    def refill(self, now_s: float) -> float:
        """Add what came in since the last time; the tokens that there are now."""
        elapsed_s = now_s - self._at_s
        if elapsed_s > 0.0:
            quota = self.quota
            tokens = self.tokens + elapsed_s * quota.rate_per_s
            if tokens > quota.burst:  # noqa: PLR1730 - min() would be a fifth of every message's check
                tokens = quota.burst
            self.tokens = tokens
            self._at_s = now_s
            return tokens
        return self.tokens

    def take(self, amount: float, *, now_s: float) -> int:
        """0 when ``amount`` passes, and is taken; else the milliseconds to wait, at least 1."""
        if self.refill(now_s) >= amount:
            self.tokens -= amount
            return 0
        return self.wait_ms(amount)

    def wait_ms(self, amount: float) -> int:
        """In how many milliseconds ``amount`` can pass, from the last refill on, rounded up.

        0 where it can pass now; NEVER_MS where it is more than the burst.
        """
        missing = amount - self.tokens
        if missing <= 0:
            return 0
        quota = self.quota
        if amount > quota.burst:
            return NEVER_MS
        return min(math.ceil(missing / quota.rate_per_s * 1000 + _MARGIN_MS), NEVER_MS)

    def missing(self, now_s: float) -> float:
        """How much came out of a full bucket and has not come in again."""
        return max(self.quota.burst - self.refill(now_s), 0.0)

    def lower_to(self, tokens: float) -> None:
        """Others have taken of it too: there is no more left than ``tokens``."""
        self.tokens = min(self.tokens, tokens)


class SharedBucket(TokenBucket):
    """One process's copy of a bucket that other processes take from as well.

    ``untold`` is what was taken here and the others do not know of yet. Between two exchanges
    this copy is exact about this process and knows nothing new of the others; each exchange
    brings it down to what all of them have left.
    """

    __slots__ = ("untold",)

    def __init__(self, quota: Quota, *, now_s: float) -> None:
        super().__init__(quota, now_s=now_s)
        self.untold = 0.0

    def pass_on(self, amount: float) -> None:
        """Take ``amount``, which is there, and tell the others of it next time."""
        self.tokens -= amount
        self.untold += amount

    def tell(self) -> float:
        """What is to be told now; it counts as told."""
        untold, self.untold = self.untold, 0.0
        return untold

    def take_back(self, told: float) -> None:
        """It was not told after all."""
        self.untold += told

    def hear(self, level: float, *, now_s: float) -> None:
        """All processes have ``level`` left, without what was taken here since it was asked."""
        self.refill(now_s)
        self.lower_to(level - self.untold)

    def rejoin(self, whole: Quota, *, now_s: float) -> None:
        """Become a copy of the whole again, before its quota is: nothing used is forgotten.

        What was taken long ago has come in again by now, and the others need not hear of it.
        """
        missing = self.quota.burst - self.refill(now_s)
        self.untold = max(min(self.untold, missing), 0.0)
        self.tokens = whole.burst - missing

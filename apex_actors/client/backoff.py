"""How long to wait before the next attempt to connect."""

from random import Random


class Backoff:
    """Exponential backoff with full jitter.

    The n-th delay is drawn evenly from 0 to min(`cap_s`, `base_s` · 2ⁿ): clients that lost their
    server at the same moment come back spread out (M. Brooker, "Exponential Backoff and Jitter",
    AWS Architecture Blog, 2015).
    """

    def __init__(
        self, *, base_s: float = 0.25, cap_s: float = 15.0, random: Random | None = None
    ) -> None:
        if not 0 < base_s <= cap_s:
            raise ValueError(f"0 < base_s <= cap_s must hold, not base_s={base_s}, cap_s={cap_s}")
        self._base_s = base_s
        self._cap_s = cap_s
        # Spreading load needs no cryptographic randomness.
        self._random = random or Random()  # noqa: S311
        self._attempts = 0

    def next_delay_s(self) -> float:
        """Seconds to wait before the next attempt."""
        limit_s = min(self._cap_s, self._base_s * 2.0 ** min(self._attempts, 30))
        self._attempts += 1
        return self._random.uniform(0, limit_s)

    def long_delay_s(self) -> float:
        """Seconds to stay away after we were too much for the server: half of `cap_s` or more."""
        return self._random.uniform(self._cap_s / 2, self._cap_s)

    def reset(self) -> None:
        """An attempt succeeded: begin with short delays again."""
        self._attempts = 0

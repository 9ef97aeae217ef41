"""When a connection is told that its token expires, and when it has to go."""

from collections.abc import Callable
from datetime import UTC, datetime


def _now() -> datetime:
    return datetime.now(UTC)


class TokenLife:
    """The two moments of one token: its announcement, and the end of its connection.

    :param notice_s: so long before it expires it is announced.
    :param grace_s: so long after it has expired its connection ends.
    """

    __slots__ = ("_expires_at", "_grace_s", "_notice_s", "_now", "is_announced")

    def __init__(
        self,
        expires_at: datetime,
        *,
        notice_s: float,
        grace_s: float,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._expires_at = expires_at
        self._notice_s = notice_s
        self._grace_s = grace_s
        self._now = now
        self.is_announced = False

    def due_s(self) -> float:
        """Seconds until the next of the two moments."""
        if self.is_announced:
            return max(0.0, self._left_s() + self._grace_s)
        return max(0.0, self._left_s() - self._notice_s)

    @property
    def is_over(self) -> bool:
        """Whether its connection has to go."""
        return self.is_announced and self._left_s() + self._grace_s <= 0

    def announce(self) -> int:
        """It is announced now; whole seconds until it expires, none where it has expired."""
        self.is_announced = True
        return max(0, round(self._left_s()))

    def _left_s(self) -> float:
        return (self._expires_at - self._now()).total_seconds()

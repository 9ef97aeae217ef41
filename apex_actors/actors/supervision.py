"""What becomes of an actor that failed: pure decisions, taken by its parent."""

import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final


class Directive(Enum):
    """What to do with a failed child."""

    RESUME = "resume"
    """Go on with the next message; the state stays as the failed handler left it."""

    RESTART = "restart"
    """A new instance from the same arguments, behind the same ref and mailbox."""

    STOP = "stop"
    """End it; the parent is told ChildFailed."""

    ESCALATE = "escalate"
    """The parent fails itself, and its own supervisor decides."""


class Scope(Enum):
    """Whom a directive reaches (RESUME and ESCALATE: the failed child alone)."""

    ONE_FOR_ONE = "one for one"
    """The failed child."""

    ONE_FOR_ALL = "one for all"
    """All children of the parent."""

    REST_FOR_ONE = "rest for one"
    """The failed child and those started after it."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before a restart: ``first_s * factor ** n``, at most ``longest_s``.

    ``jitter`` spreads it evenly over ± that share, so that those who failed together do not come
    back together.
    """

    first_s: float = 0.1
    factor: float = 2.0
    longest_s: float = 30.0
    jitter: float = 0.2

    def __post_init__(self) -> None:
        if self.first_s < 0 or self.longest_s < self.first_s:
            raise ValueError("a backoff needs 0 <= first_s <= longest_s")
        if self.factor < 1 or not 0 <= self.jitter < 1:
            raise ValueError("a backoff needs factor >= 1 and 0 <= jitter < 1")

    def delay_s(self, restarts: int, uniform: Callable[[float, float], float]) -> float:
        """Seconds before the next restart, after ``restarts`` of them within the window."""
        # The exponent is bounded: 2.0 ** 1100 would be an OverflowError.
        delay = min(self.first_s * self.factor ** min(restarts, 64), self.longest_s)
        return delay * uniform(1 - self.jitter, 1 + self.jitter)


Decider = Callable[[BaseException], Directive]


@dataclass(frozen=True, slots=True)
class Supervision:
    """How a parent treats children that fail.

    ``default`` is the directive for errors that ``rules`` does not name; ``rules`` maps types of
    exceptions to directives, the most specific type wins. After ``max_restarts`` restarts within
    ``within_s`` seconds (None: ever) the next failure stops the child instead. A parent sets it for
    all its children by the class attribute ``supervision``, for one of them by ``Options``.
    """

    default: Directive = Directive.STOP
    rules: Mapping[type[BaseException], Directive] = field(default_factory=dict)
    scope: Scope = Scope.ONE_FOR_ONE
    max_restarts: int | None = 3
    within_s: float | None = 60.0
    backoff: Backoff | None = None

    def __post_init__(self) -> None:
        if self.max_restarts is not None and self.max_restarts < 0:
            raise ValueError("max_restarts is a count, or None for no limit")
        if self.within_s is not None and self.within_s <= 0:
            raise ValueError("within_s is a length of time, or None for ever")

    @classmethod
    def restarting(
        cls,
        *,
        max_restarts: int | None = 3,
        within_s: float | None = 60.0,
        backoff: Backoff | None = Backoff(),
        scope: Scope = Scope.ONE_FOR_ONE,
    ) -> "Supervision":
        """Restart whatever failed, with a growing pause, a few times within a while."""
        return cls(
            Directive.RESTART,
            scope=scope,
            max_restarts=max_restarts,
            within_s=within_s,
            backoff=backoff,
        )

    def decide(self, error: BaseException) -> Directive:
        """The directive for ``error``: that of its most specific type with a rule."""
        for kind in type(error).__mro__:
            directive = self.rules.get(kind)
            if directive is not None:
                return directive
        return self.default


#: The default of parents and systems: who failed ends, and the parent is told.
STOPPING: Final = Supervision()


class RestartLog:
    """When one child was restarted: enough to count its restarts within a window."""

    __slots__ = ("_moments",)

    def __init__(self) -> None:
        self._moments: deque[float] = deque()

    def allow(
        self,
        policy: Supervision,
        now: float,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> float | None:
        """Seconds to wait before a restart at ``now``, which is counted; None: no more of them."""
        moments = self._moments
        if policy.within_s is not None:
            while moments and moments[0] <= now - policy.within_s:
                moments.popleft()
        restarts = len(moments)
        if policy.max_restarts is not None and restarts >= policy.max_restarts:
            return None
        moments.append(now)
        if policy.max_restarts is None and len(moments) > _REMEMBERED:
            moments.popleft()
        return 0.0 if policy.backoff is None else policy.backoff.delay_s(restarts, uniform)


#: Restarts without a limit are counted up to here, which is as far as a backoff grows.
_REMEMBERED: Final = 64

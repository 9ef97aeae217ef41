"""What works and what does not: the answer of ``/readyz``."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

Check = Callable[[], Awaitable[bool]]

#: A component that takes longer to answer counts as down.
CHECK_TIMEOUT_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class HealthReport:
    """State of each component: ``up`` or ``down``; and whether new connections are welcome."""

    ready: bool
    draining: bool
    components: Mapping[str, str]


class Health:
    """Asks each component when it is asked itself; ``required`` ones decide about readiness."""

    def __init__(self, checks: Mapping[str, Check], *, required: frozenset[str]) -> None:
        unknown = required - checks.keys()
        if unknown:
            raise ValueError(f"no check for the required components {sorted(unknown)}")
        self._checks = dict(checks)
        self._required = required
        self.draining = False

    async def report(self) -> HealthReport:
        """Ask all components at the same time."""
        # Whoever asks may be cancelled: with return_exceptions, gather then waits for every check to
        # have ended, not only for the first. Nothing but cancellation comes out of them.
        states = await asyncio.gather(
            *(_state(check) for check in self._checks.values()), return_exceptions=True
        )
        components = {
            name: state if isinstance(state, str) else "down"
            for name, state in zip(self._checks, states, strict=True)
        }
        up = all(components[name] == "up" for name in self._required)
        return HealthReport(
            ready=up and not self.draining,
            draining=self.draining,
            components=MappingProxyType(components),
        )


async def _state(check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            return "up" if await check() else "down"
    except Exception:  # noqa: BLE001 - a check that breaks says that its component is down
        return "down"

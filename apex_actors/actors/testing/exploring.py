"""Many runs of one scenario, each with its actors' turns in another order."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Unpack

from apex_actors.actors.testing.kit import (
    LAST_TURNS,
    ActorTestKit,
    KitOptions,
    Scenario,
    run_kit,
)


@dataclass(frozen=True, slots=True)
class Exploration:
    """What was explored, when nothing was found."""

    runs: int
    """How often the scenario ran."""

    schedules: int
    """How many different orders of turns there were; 1 says that there was nothing to shuffle."""


def explore(
    scenario: Scenario[Any],
    *,
    seeds: Iterable[int] = range(100),
    virtual_time: bool = True,
    last: int = LAST_TURNS,
    **options: Unpack[KitOptions],
) -> Exploration:
    """Run ``await scenario(kit)`` once for each seed, each time in another order of turns.

    Each run has an event loop, a system and a ShuffledDispatcher of its own. Whatever the scenario
    raises is raised here, with notes that tell the seed and the ``last`` turns; ``seeds=[that]``
    gives the same run again, and so does ``run(scenario, seed=that)``. That holds as long as the
    scenario is the same each time: no threads, no real time, no randomness but ``random``'s own
    (which is seeded), no order of a set of objects.
    """
    runs = 0
    schedules: set[int] = set()
    for seed in seeds:
        kit = ActorTestKit(seed=seed, **options)
        try:
            run_kit(kit, scenario, virtual_time=virtual_time, last=last)
        except BaseException as failure:
            failure.add_note(
                f"found by explore() after {runs} runs without a failure; again: "
                f"explore(..., seeds=[{seed}])"
            )
            raise
        runs += 1
        schedules.add(hash(tuple(kit.history)))
    return Exploration(runs, len(schedules))

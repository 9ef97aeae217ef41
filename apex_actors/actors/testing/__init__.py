"""A kit for tests of actors: virtual time, turns one by one or shuffled, probes, leak checks.

For users' tests as well as our own, with any test runner: it knows the actor runtime, Pykka and the
standard library. ::

    def test_a_greeter_greets_after_an_hour():
        async def scenario(kit):
            probe = kit.probe()
            Greeter.start(probe.ref, after_s=3600)
            await probe.expect("hello", within_s=3600)

        run(scenario)

``run`` plays a scenario on an event loop whose time jumps; ``explore`` plays it in a hundred orders
and names the seed of the first that fails; within a coroutine ``async with ActorTestKit() as kit:``
does the same on the loop that runs. How to use them is in docs/how-to/test-actors.md.
"""

from apex_actors.actors.testing.exploring import Exploration, explore
from apex_actors.actors.testing.kit import ActorTestKit, run
from apex_actors.actors.testing.leaks import LeakCheck, assert_nothing_left
from apex_actors.actors.testing.probe import Probe
from apex_actors.actors.testing.shuffling import ShuffledDispatcher
from apex_actors.actors.testing.stepping import SteppingDispatcher
from apex_actors.actors.testing.turns import Turn
from apex_actors.actors.testing.virtual_clock import DeadlockError, VirtualClock, VirtualTimeLoop

__all__ = [
    "ActorTestKit",
    "DeadlockError",
    "Exploration",
    "LeakCheck",
    "Probe",
    "ShuffledDispatcher",
    "SteppingDispatcher",
    "Turn",
    "VirtualClock",
    "VirtualTimeLoop",
    "assert_nothing_left",
    "explore",
    "run",
]

"""A world of actors for one test, and what becomes of it."""

import asyncio
import random

import pytest

from apex_actors.actors import (
    ActorSystem,
    DeadLetterReason,
    Directive,
    Hooks,
    LoopActor,
    Supervision,
    testing,
)
from apex_actors.actors.testing import (
    ActorTestKit,
    DeadlockError,
    VirtualClock,
    VirtualTimeLoop,
    run,
)


class Echo(LoopActor):
    def __init__(self, ended=None):
        super().__init__()
        self.ended = ended

    def on_receive(self, message):
        if isinstance(message, Exception):
            raise message
        return message

    def on_stop(self):
        if self.ended is not None:
            self.ended.append(self)


async def test_on_a_loop_of_the_tests_own_it_is_the_system_for_as_long_as_the_test_lasts():
    before = ActorSystem.current()
    async with ActorTestKit() as kit:
        assert ActorSystem.current() is kit.system
        assert await Echo.start().ask_async("hello") == "hello"
    assert ActorSystem.current() is before
    assert kit.system.alive() == []


async def test_where_there_was_no_system_there_is_none_of_the_kits_afterwards():
    async with ActorTestKit() as kit:
        pass
    assert ActorSystem.current() is not kit.system


async def test_on_real_time_its_clock_is_the_loops_and_there_is_no_virtual_one():
    async with ActorTestKit() as kit:
        assert kit.now() <= asyncio.get_running_loop().time()
        with pytest.raises(TypeError, match="real time"):
            _ = kit.clock


def test_a_kit_leaves_nothing_of_its_own_on_a_virtual_loop_that_goes_on():
    async def scenario():
        loop = asyncio.get_running_loop()
        before = len(loop._works)
        async with ActorTestKit():
            assert len(loop._works) == before + 1
        assert len(loop._works) == before

    run(scenario)


def test_run_returns_what_the_scenario_returns_and_gives_it_the_kit_if_it_takes_one():
    async def with_kit(kit):
        return ActorSystem.current() is kit.system

    async def without_kit():
        return await Echo.start().ask_async("hello")

    assert run(with_kit) is True
    assert run(without_kit) == "hello"


def test_a_default_of_the_scenario_is_its_own():
    async def scenario(value="mine"):
        return value

    assert run(scenario) == "mine"


def test_run_is_on_virtual_time_unless_told_otherwise():
    async def loop_and_time(kit):
        await asyncio.sleep(0.01)
        return type(asyncio.get_running_loop()), kit.now()

    assert run(loop_and_time) == (VirtualTimeLoop, 0.01)
    kind, now = run(loop_and_time, virtual_time=False)
    assert kind is not VirtualTimeLoop
    assert now > 0.01


def test_the_loop_is_closed_afterwards_also_when_the_scenario_fails():
    loops = []

    async def scenario():
        loops.append(asyncio.get_running_loop())
        raise LookupError("of the test")

    with pytest.raises(LookupError, match="of the test"):
        run(scenario)
    assert loops[0].is_closed()


def test_all_actors_are_killed_at_the_end_and_their_on_stop_has_run():
    ended = []

    async def scenario():
        for _ in range(3):
            await Echo.start(ended).started()

    run(scenario)
    assert len(ended) == 3


def test_what_is_left_behind_fails_the_test_by_name():
    async def forgotten():
        await asyncio.sleep(3600)

    async def scenario():
        asyncio.create_task(forgotten(), name="the forgotten one")  # noqa: RUF006 - the fault

    with pytest.raises(
        AssertionError, match=r"left behind:\n  task the forgotten one: .*forgotten"
    ):
        run(scenario)


def test_an_actor_that_does_not_stop_is_left_behind():
    class Clinging(Echo):
        async def on_stop(self):
            await asyncio.sleep(3600)

    async def scenario():
        await Clinging.start().started()

    with pytest.raises(AssertionError, match="left behind:\n  actor Clinging"):
        run(scenario, stop_within_s=60)


def test_a_failure_of_the_test_goes_before_what_it_leaves_behind():
    async def scenario():
        asyncio.create_task(asyncio.sleep(3600), name="forgotten")  # noqa: RUF006 - the fault
        raise LookupError("of the test")

    with pytest.raises(LookupError, match="of the test") as raised:
        run(scenario)
    (note,) = raised.value.__notes__
    assert note.startswith("and at the end of the test: left behind:\n  task forgotten")


def test_what_nobody_awaits_fails_the_test():
    async def scenario():
        async def failing():
            raise LookupError("of nobody")

        asyncio.create_task(failing())  # noqa: RUF006 - the fault
        await asyncio.sleep(1)

    with pytest.raises(AssertionError, match="the event loop reported") as raised:
        run(scenario)
    assert isinstance(raised.value.__cause__, LookupError)


def test_dead_letters_are_collected():
    async def scenario(kit):
        ref = Echo.start()
        ref.tell("never handled")
        ref.kill()
        await ref.stopped()
        return [(letter.message, letter.reason) for letter in kit.dead_letters]

    assert run(scenario) == [("never handled", DeadLetterReason.STOPPED)]


def test_the_systems_supervision_and_hooks_are_what_the_test_says():
    class Seen(Hooks):
        def __init__(self):
            self.directives = []

        def failed(self, _ref, _error, directive):
            self.directives.append(directive)

    async def scenario():
        ref = Echo.start()
        ref.tell(ValueError("x"))
        return await ref.ask_async("alive again")

    hooks = Seen()
    once = Supervision(default=Directive.RESTART)
    assert run(scenario, supervision=once, hooks=hooks) == "alive again"
    assert hooks.directives == [Directive.RESTART]


def test_a_deadlock_of_the_scenario_is_told_and_all_is_cleaned_up():
    ended = []

    async def scenario():
        await Echo.start(ended).started()
        await asyncio.get_running_loop().create_future()

    with pytest.raises(DeadlockError, match=r"scenario at .*test_kit\.py:"):
        run(scenario)
    assert len(ended) == 1


def test_run_until_idle_does_what_can_be_done_without_time_passing():
    async def scenario(kit):
        ref = Echo.start()
        answer = asyncio.ensure_future(asyncio.wait_for(ref.ask_async("hello"), 60))
        await kit.run_until_idle()
        assert answer.done()
        assert await answer == "hello"
        assert kit.now() == 0

    run(scenario)


def test_without_auto_advance_the_test_moves_the_time():
    async def scenario(kit):
        await kit.clock.advance(5)
        return kit.now()

    assert run(scenario, auto_advance=False) == 5


def test_a_seed_and_steps_exclude_each_other():
    with pytest.raises(ValueError, match="either"):
        ActorTestKit(seed=1, stepping=True)


async def test_a_kit_is_for_one_test():
    kit = ActorTestKit()
    with pytest.raises(RuntimeError, match="async with"):
        _ = kit.system
    async with kit:
        pass
    with pytest.raises(RuntimeError, match="make another one"):
        await kit.__aenter__()


async def test_run_is_refused_within_a_running_loop():
    async def scenario():
        raise NotImplementedError

    with pytest.raises(RuntimeError, match="async with ActorTestKit"):
        run(scenario)


def test_a_failure_under_a_seed_names_the_seed_and_the_turns():
    async def scenario():
        assert await Echo.start().ask_async("x") == "y"

    with pytest.raises(AssertionError) as raised:
        run(scenario, seed=7)
    assert raised.value.__notes__ == [
        "seed 7: the same seed gives the same order of turns",
        "the last 1 of 1 turns:\n  Echo <- str",
    ]


def test_a_seed_makes_random_repeatable_and_leaves_it_alone_afterwards():
    async def scenario():
        return random.random()  # noqa: S311 - no secret

    state = random.getstate()
    assert run(scenario, seed=3) == run(scenario, seed=3) != run(scenario, seed=4)
    assert random.getstate() == state


def test_without_seed_and_steps_there_is_no_history():
    async def scenario(kit):
        await Echo.start().ask_async("x")
        return kit.history

    assert run(scenario) == []


def test_the_package_exports_what_it_says():
    assert testing.__all__ == sorted(testing.__all__)
    assert {VirtualClock, ActorTestKit} <= {getattr(testing, name) for name in testing.__all__}

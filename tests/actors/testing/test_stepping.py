"""Turns when the test says so, one message at a time."""

import asyncio

import pytest

from apex_actors.actors import ActorDeadError, LoopActor
from apex_actors.actors.testing import DeadlockError, Turn, VirtualClock, run


class Recorder(LoopActor):
    """Remembers what it handled; ("then", ref, message) tells somebody else something."""

    def __init__(self, log):
        super().__init__()
        self.log = log

    def on_start(self):
        self.log.append("start")

    def on_receive(self, message):
        match message:
            case ("then", ref, next_message):
                ref.tell(next_message)
            case ("wait", seconds):
                return self._wait(seconds)
        self.log.append(message)
        return message

    async def _wait(self, seconds):
        self.log.append("waits")
        await asyncio.sleep(seconds)
        self.log.append("waited")


def test_nothing_is_handled_until_a_step_handles_one_message():
    async def scenario(kit):
        log = []
        ref = Recorder.start(log)
        for message in "abc":
            ref.tell(message)
        await VirtualClock().advance(60)
        assert log == []
        assert kit.step() == "a"
        assert log == ["start", "a"]
        assert kit.step(ref) == "b"
        assert log == ["start", "a", "b"]

    run(scenario, stepping=True)


def test_a_step_of_an_actor_without_messages_starts_it_and_returns_nothing():
    async def scenario(kit):
        log = []
        Recorder.start(log)
        assert kit.step() is None
        assert log == ["start"]
        assert kit.ready() == []

    run(scenario, stepping=True)


def test_ready_are_those_with_something_to_do_longest_ready_first():
    async def scenario(kit):
        log = []
        first, second, third = (Recorder.start(log) for _ in range(3))
        await kit.run_until_idle()
        assert kit.ready() == []
        for ref in (second, third, first):
            ref.tell("x")
        assert kit.ready() == [second, third, first]
        kit.step(third)
        assert kit.ready() == [second, first]
        first.tell("y")
        kit.step()
        kit.step()
        assert kit.ready() == [first], "it has one more"

    run(scenario, stepping=True)


def test_a_test_plays_two_actors_against_each_other_as_it_likes():
    async def scenario(kit):
        log = []
        left, right = Recorder.start(log), Recorder.start(log)
        await kit.run_until_idle()
        log.clear()
        left.tell(("then", right, "from left"))
        right.tell("direct")
        kit.step(left)
        right.tell("late")
        for _ in range(3):
            kit.step(right)
        assert log[1:] == ["direct", "from left", "late"]

    run(scenario, stepping=True)


def test_a_kill_goes_before_what_waits_and_is_a_step_without_a_message():
    async def scenario(kit):
        log = []
        ref = Recorder.start(log)
        kit.step(ref)
        ref.tell("never handled")
        ref.kill()
        assert kit.step(ref) is None
        assert log == ["start"]
        assert [letter.message for letter in kit.dead_letters] == ["never handled"]
        with pytest.raises(ActorDeadError):
            ref.tell("too late")

    run(scenario, stepping=True)


def test_an_async_handler_goes_on_by_itself_behind_its_first_wait():
    async def scenario(kit):
        log = []
        ref = Recorder.start(log)
        ref.tell(("wait", 5))
        ref.tell("next")
        kit.step(ref)
        assert log == ["start", "waits"]
        assert kit.ready() == [], "one message at a time, also across await"
        await kit.clock.advance(5)
        assert log == ["start", "waits", "waited"]
        assert kit.ready() == [ref]
        assert kit.step() == "next"

    run(scenario, stepping=True, auto_advance=False)


def test_a_step_with_nothing_to_do_says_who_is_ready():
    async def scenario(kit):
        idle, busy = Recorder.start([]), Recorder.start([])
        for ref in (idle, busy):
            ref.tell("x")
            kit.step(ref)
        with pytest.raises(AssertionError, match="nothing to do; ready: nobody"):
            kit.step()
        busy.tell("x")
        with pytest.raises(AssertionError) as raised:
            kit.step(idle)
        assert str(raised.value) == f"{idle} has nothing to do; ready: {busy}"

    run(scenario, stepping=True)


def test_an_ask_that_nobody_steps_is_a_deadlock_that_names_who_is_ready():
    async def scenario():
        await Recorder.start([]).ask_async("anybody?")

    with pytest.raises(DeadlockError) as raised:
        run(scenario, stepping=True)
    assert any("ready, but no step" in note for note in raised.value.__notes__)
    assert any("Recorder (urn:uuid:" in note for note in raised.value.__notes__)


def test_run_until_idle_goes_on_with_all_that_follows_without_time_passing():
    async def scenario(kit):
        log = []
        left, right = Recorder.start(log), Recorder.start(log)
        left.tell(("wait", 0))
        left.tell(("then", right, "last"))
        right.tell("first")
        await kit.run_until_idle()
        assert log[-1] == "last"
        assert kit.now() == 0

    run(scenario, stepping=True)


def test_run_until_idle_gives_up_on_actors_that_are_never_idle():
    class Restless(LoopActor):
        def on_receive(self, message):
            self.ref.tell(message)

    async def scenario(kit):
        Restless.start().tell("again")
        with pytest.raises(AssertionError, match="not idle after 50 turns; ready: Restless"):
            await kit.run_until_idle(max_turns=50)

    run(scenario, stepping=True)


def test_the_history_names_actors_and_types_of_messages():
    async def scenario(kit):
        first, second = Recorder.start([]), Recorder.start([])
        first.tell(1)
        kit.step(second)
        kit.step(first)
        second.tell("x")
        second.kill()
        kit.step(second)
        return kit.history

    assert run(scenario, stepping=True) == [
        Turn("Recorder", "on_start"),
        Turn("Recorder#2", "int"),
        Turn("Recorder", "the runtime's own"),
    ]


def test_probes_have_their_turns_by_themselves():
    async def scenario(kit):
        probe = kit.probe()
        ref = Recorder.start([])
        ref.tell(("then", probe.ref, "hello"))
        kit.step(ref)
        await probe.expect("hello")
        assert kit.ready() == []

    run(scenario, stepping=True)


def test_a_handler_may_step_somebody_else():
    class Impatient(LoopActor):
        def __init__(self, kit, other):
            super().__init__()
            self.kit = kit
            self.other = other

        def on_receive(self, message):
            self.other.tell(message)
            return self.kit.step(self.other)

    async def scenario(kit):
        log = []
        ref = Impatient.start(kit, Recorder.start(log))
        answer = ref.ask_async("x")
        kit.step(ref)
        return await answer, log

    assert run(scenario, stepping=True) == ("x", ["start", "x"])


def test_stepping_works_on_real_time_too():
    async def scenario(kit):
        log = []
        ref = Recorder.start(log)
        ref.tell("a")
        ref.tell("b")
        assert kit.step() == "a"
        await kit.run_until_idle()
        return log

    assert run(scenario, stepping=True, virtual_time=False) == ["start", "a", "b"]


def test_only_a_stepping_kit_steps():
    async def scenario(kit):
        for refused in (kit.step, kit.ready):
            with pytest.raises(TypeError, match="stepping=True"):
                refused()

    run(scenario)

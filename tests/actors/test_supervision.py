"""Supervision: who decides about a failed actor, what the directives do, and how often."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_actors.actors import (
    ActorDeadError,
    ActorSystem,
    Backoff,
    ChildEscalatedError,
    ChildFailed,
    Directive,
    LoopActor,
    Options,
    PoolActor,
    Scope,
    StopReason,
    Supervision,
    Terminated,
    ThreadActor,
)
from apex_actors.actors.supervision import RestartLog

pytestmark = pytest.mark.usefixtures("expected_failures_are_quiet")


# The decisions.


def test_the_most_specific_rule_decides():
    policy = Supervision(
        Directive.STOP,
        rules={OSError: Directive.RESTART, ConnectionError: Directive.RESUME},
    )
    assert policy.decide(ConnectionResetError()) is Directive.RESUME
    assert policy.decide(FileNotFoundError()) is Directive.RESTART
    assert policy.decide(ValueError()) is Directive.STOP


@given(
    st.floats(0, 10),
    st.floats(1, 4),
    st.floats(0, 100),
    st.floats(0, 0.99),
    st.integers(0, 2000),
)
def test_a_backoff_grows_up_to_its_longest_and_keeps_within_its_jitter(
    first, factor, more, jitter, restarts
):
    backoff = Backoff(first, factor, first + more, jitter)
    plain = backoff.delay_s(restarts, lambda _low, _high: 1.0)
    assert plain == min(first * factor ** min(restarts, 64), first + more)
    lowest = backoff.delay_s(restarts, lambda low, _high: low)
    highest = backoff.delay_s(restarts, lambda _low, high: high)
    assert lowest == pytest.approx(plain * (1 - jitter))
    assert highest == pytest.approx(plain * (1 + jitter))


@given(st.lists(st.floats(0, 30), max_size=40), st.integers(0, 5), st.floats(0.1, 20))
def test_no_window_holds_more_restarts_than_allowed(gaps, most, within):
    policy, log = Supervision(Directive.RESTART, max_restarts=most, within_s=within), RestartLog()
    now, allowed = 0.0, []
    for gap in gaps:
        now += gap
        if log.allow(policy, now) is not None:
            allowed.append(now)
    for begin in allowed:
        assert sum(begin <= moment < begin + within for moment in allowed) <= most


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Backoff(first_s=2, longest_s=1),
        lambda: Backoff(first_s=-1),
        lambda: Backoff(factor=0.5),
        lambda: Backoff(jitter=1),
        lambda: Supervision(max_restarts=-1),
        lambda: Supervision(within_s=0),
    ],
)
def test_impossible_policies_are_refused_when_they_are_made(wrong):
    with pytest.raises(ValueError):
        wrong()


# What the directives do.


class Worker(LoopActor):
    """Counts; tells its diary what happens to it."""

    def __init__(self, diary, name="worker"):
        super().__init__()
        self.diary = diary
        self.name = name
        self.count = 0

    def on_start(self):
        self.diary.append((self.name, "start"))

    def on_stop(self):
        self.diary.append((self.name, "stop"))

    def on_failure(self, _type, error, _traceback):
        self.diary.append((self.name, f"failed of {error}"))

    def on_receive(self, message):
        if isinstance(message, Exception):
            raise message
        self.count += 1
        return self.count


class PoolWorker(Worker, PoolActor):
    dispatcher_of = PoolActor.dispatcher_of


class ThreadWorker(Worker, ThreadActor):
    dispatcher_of = ThreadActor.dispatcher_of


class Boss(LoopActor):
    """Supervises as it is told, starts what it is told, and writes down what it hears."""

    def __init__(self, policy, heard):
        super().__init__()
        self.policy = policy
        self.heard = heard

    @property
    def supervision(self):
        return self.policy

    def on_receive(self, message):
        match message:
            case (kind, *args) if isinstance(kind, type):
                ref = self.start_child(kind, *args)
                self.watch(ref)
                return ref
            case ChildFailed() | Terminated():
                self.heard.append(message)
        return None


@pytest.fixture
def diary():
    return []


@pytest.fixture
def heard():
    return []


@pytest.fixture
def boss(system, heard):
    """``boss(policy)``: a parent that supervises by it."""

    def start(policy):
        return system.start(Boss, policy, heard)

    return start


KINDS = pytest.mark.parametrize("kind", [Worker, PoolWorker, ThreadWorker])


@KINDS
async def test_resume_goes_on_with_the_state_that_there_is(boss, diary, kind):
    ref = await boss(Supervision(Directive.RESUME)).ask_async((kind, diary))
    assert await ref.ask_async("x") == 1
    ref.tell(ValueError("a"))
    assert await ref.ask_async("x", timeout=5) == 2
    assert diary == [("worker", "start")]


@KINDS
async def test_restart_keeps_ref_and_mailbox_and_begins_with_a_new_instance(boss, diary, kind):
    ref = await boss(Supervision(Directive.RESTART)).ask_async((kind, diary))
    urn = ref.actor_urn
    assert await ref.ask_async("x") == 1
    ref.tell(ValueError("a"))
    behind = [ref.ask("x", block=False) for _ in range(3)]
    assert [await asyncio.wait_for(future, 5) for future in behind] == [1, 2, 3]
    assert ref.actor_urn == urn
    assert diary == [("worker", "start"), ("worker", "failed of a"), ("worker", "start")]


@KINDS
async def test_stop_ends_the_child_and_its_parent_is_told_of_both(
    boss, diary, heard, eventually, kind
):
    ref = await boss(Supervision(Directive.STOP)).ask_async((kind, diary))
    error = ValueError("a")
    ref.tell(error)
    await eventually(lambda: len(heard) == 2)
    assert ChildFailed(ref, error) in heard
    assert Terminated(ref, StopReason.FAILED) in heard
    with pytest.raises(ActorDeadError):
        ref.tell("x")
    assert diary == [("worker", "start"), ("worker", "failed of a")]


async def test_escalate_fails_the_parent_whose_own_supervisor_decides(
    system, diary, heard, eventually
):
    class Grandparent(Boss):
        def on_receive(self, message):
            if message == "start":
                return self.start_child(Boss, Supervision(Directive.ESCALATE), heard)
            return super().on_receive(message)

    grandparent = system.start(Grandparent, Supervision(Directive.STOP), heard)
    parent = await grandparent.ask_async("start")
    ref = await parent.ask_async((Worker, diary))
    error = ValueError("a")
    ref.tell(error)
    await eventually(lambda: heard)
    [failed] = heard
    assert failed.child is parent
    assert isinstance(failed.error, ChildEscalatedError)
    assert failed.error.__cause__ is error
    assert not ref.is_alive()
    assert grandparent.is_alive()


async def test_an_ask_that_raises_is_the_askers_affair_and_no_failure(boss, diary):
    ref = await boss(Supervision(Directive.STOP)).ask_async((Worker, diary))
    with pytest.raises(ValueError, match="a"):
        await ref.ask_async(ValueError("a"))
    assert await ref.ask_async("x") == 1


@pytest.mark.parametrize(
    ("scope", "restarted"),
    [
        (Scope.ONE_FOR_ONE, ["b"]),
        (Scope.ONE_FOR_ALL, ["a", "b", "c"]),
        (Scope.REST_FOR_ONE, ["b", "c"]),
    ],
)
async def test_the_scope_says_whom_a_restart_reaches(boss, diary, eventually, scope, restarted):
    parent = boss(Supervision(Directive.RESTART, scope=scope))
    refs = [await parent.ask_async((Worker, diary, name)) for name in "abc"]
    for ref in refs:
        await ref.ask_async("x")
    diary.clear()
    refs[1].tell(ValueError("!"))
    await eventually(lambda: [n for n, what in diary if what == "start"] == restarted)
    assert [name for name, what in diary if what == "failed of !"] == ["b"]
    assert sorted(name for name, what in diary if what == "stop") == [
        name for name in restarted if name != "b"
    ]
    counts = [await ref.ask_async("x", timeout=5) for ref in refs]
    assert counts == [1 if name in restarted else 2 for name in "abc"]


@pytest.mark.parametrize(
    ("scope", "stopped"),
    [
        (Scope.ONE_FOR_ONE, ["b"]),
        (Scope.ONE_FOR_ALL, ["a", "b", "c"]),
        (Scope.REST_FOR_ONE, ["b", "c"]),
    ],
)
async def test_the_scope_says_whom_a_stop_reaches(boss, diary, heard, eventually, scope, stopped):
    parent = boss(Supervision(Directive.STOP, scope=scope))
    refs = [await parent.ask_async((Worker, diary, name)) for name in "abc"]
    refs[1].tell(ValueError("!"))
    await eventually(
        lambda: sum(isinstance(message, Terminated) for message in heard) == len(stopped)
    )
    assert [name for name, ref in zip("abc", refs, strict=True) if not ref.is_alive()] == stopped
    assert [message.child for message in heard if isinstance(message, ChildFailed)] == [refs[1]]


async def test_too_many_restarts_in_the_window_end_the_child(boss, diary, heard, eventually):
    ref = await boss(Supervision(Directive.RESTART, max_restarts=2)).ask_async((Worker, diary))
    for number in range(3):
        ref.tell(ValueError(str(number)))
    await eventually(lambda: len(heard) == 2)
    assert not ref.is_alive()
    assert [what for _, what in diary] == [
        "start",
        "failed of 0",
        "start",
        "failed of 1",
        "start",
        "failed of 2",
    ]


async def test_an_on_start_that_fails_is_tried_again(boss):
    tries = []

    class Reluctant(LoopActor):
        async def on_start(self):
            tries.append(self)
            await asyncio.sleep(0)
            if len(tries) < 3:
                raise ConnectionError("not yet")

    parent = boss(Supervision(Directive.RESTART, backoff=Backoff(0.001, longest_s=0.002)))
    ref = await parent.ask_async((Reluctant,))
    await asyncio.wait_for(ref.started(), 5)
    assert len(tries) == 3


async def test_a_constructor_that_fails_at_a_restart_is_a_failure(boss, heard, eventually):
    made = []

    class Once(Worker):
        def __init__(self, diary):
            if made:
                raise ValueError("no second one")
            made.append(self)
            super().__init__(diary)

    ref = await boss(Supervision(Directive.RESTART, max_restarts=2)).ask_async((Once, []))
    ref.tell(KeyError("first"))
    await eventually(lambda: len(heard) == 2)
    [failed] = [message for message in heard if isinstance(message, ChildFailed)]
    assert str(failed.error) == "no second one"


async def test_a_restart_takes_the_children_of_the_old_instance_along(boss, diary, eventually):
    class Parent(Worker):
        def on_start(self):
            super().on_start()
            self.start_child(Worker, self.diary, "child")

    ref = await boss(Supervision(Directive.RESTART)).ask_async((Parent, diary, "parent"))
    ref.tell(ValueError("a"))
    await eventually(lambda: diary.count(("child", "start")) == 2)
    assert diary == [
        ("parent", "start"),
        ("child", "start"),
        ("child", "stop"),
        ("parent", "failed of a"),
        ("parent", "start"),
        ("child", "start"),
    ]


async def test_a_sibling_restarted_in_its_handler_is_interrupted_and_its_asker_told(boss, diary):
    class Slow(Worker):
        async def on_receive(self, message):
            if message == "wait":
                await asyncio.Event().wait()
            return super().on_receive(message)

    parent = boss(Supervision(Directive.RESTART, scope=Scope.ONE_FOR_ALL))
    slow = await parent.ask_async((Slow, diary, "slow"))
    other = await parent.ask_async((Worker, diary, "other"))
    waiting = slow.ask("wait", block=False)
    await asyncio.sleep(0.01)
    other.tell(ValueError("a"))
    with pytest.raises(ActorDeadError):
        await asyncio.wait_for(waiting, 5)
    assert await slow.ask_async("x", timeout=5) == 1


async def test_a_parent_decides_also_while_its_own_handler_waits_for_the_child(system, diary):
    class Waiting(LoopActor):
        supervision = Supervision(Directive.RESTART)

        async def on_receive(self, _message):
            child = self.start_child(Worker, diary)
            child.tell(ValueError("a"))
            return await child.ask_async("behind it")

    assert await system.start(Waiting).ask_async("go", timeout=5) == 1


async def test_a_childs_own_supervision_goes_before_its_parents(system, diary):
    class Parent(LoopActor):
        def on_receive(self, _message):
            own = Options(supervision=Supervision(Directive.RESUME))
            return self.start_child_with(own, Worker, diary)

    ref = await system.start(Parent).ask_async("start")
    ref.tell(ValueError("a"))
    assert await ref.ask_async("x", timeout=5) == 1


async def test_an_actor_without_a_parent_is_supervised_by_its_system(diary):
    system = ActorSystem(loop=asyncio.get_running_loop(), supervision=Supervision.restarting())
    ref = system.start(Worker, diary)
    ref.tell(ValueError("a"))
    assert await ref.ask_async("x", timeout=5) == 1
    await system.stop_all(5)


async def test_a_decision_that_raises_ends_the_child(boss, heard, diary, eventually):
    class Broken(Supervision):
        def decide(self, error):
            raise ZeroDivisionError from error

    ref = await boss(Broken()).ask_async((Worker, diary))
    ref.tell(ValueError("a"))
    await eventually(lambda: len(heard) == 2)
    assert not ref.is_alive()


async def test_a_killed_child_waiting_for_its_restart_never_comes_back(boss, diary, eventually):
    policy = Supervision(Directive.RESTART, backoff=Backoff(60, longest_s=60))
    ref = await boss(policy).ask_async((Worker, diary))
    ref.tell(ValueError("a"))
    await eventually(lambda: ("worker", "failed of a") in diary)
    asked = ref.ask("while it is away", block=False)
    ref.kill()
    await asyncio.wait_for(ref.stopped(), 5)
    with pytest.raises(ActorDeadError):
        await asked
    assert diary == [("worker", "start"), ("worker", "failed of a")]


async def test_a_directive_for_a_failed_instance_does_not_meet_the_one_after_it(boss, diary):
    policy = Supervision(Directive.RESTART, scope=Scope.ONE_FOR_ALL, max_restarts=None)
    parent = boss(policy)
    first, second = [await parent.ask_async((Worker, diary, name)) for name in "ab"]
    for ref in (first, second):
        await ref.ask_async("count")
    for ref in (first, second):
        ref.tell(ValueError(f"told {ref.actor_urn}"))
    for ref in (first, second):
        assert await asyncio.wait_for(ref.ask_async("count"), 5) == 1
    # Both failed, and both were replaced once: neither decision was carried out twice.
    for name, ref in (("a", first), ("b", second)):
        assert [what for who, what in diary if who == name] == [
            "start",
            f"failed of told {ref.actor_urn}",
            "start",
        ]


async def test_a_kill_takes_the_timer_of_the_pause_before_a_restart_along(
    boss, diary, eventually, monkeypatch
):
    policy = Supervision(Directive.RESTART, backoff=Backoff(60, longest_s=60))
    set_timers = []
    loop = asyncio.get_running_loop()
    call_later = loop.call_later

    def noting(delay_s, *args, **kwargs):
        handle = call_later(delay_s, *args, **kwargs)
        if delay_s > 20:
            set_timers.append(handle)
        return handle

    monkeypatch.setattr(loop, "call_later", noting)
    ref = await boss(policy).ask_async((Worker, diary))
    ref.tell(ValueError("a"))
    await eventually(lambda: set_timers)
    ref.kill()
    await asyncio.wait_for(ref.stopped(), 5)
    assert [handle.cancelled() for handle in set_timers] == [True]


async def test_children_of_a_constructor_that_raised_end(system, diary):
    class Unborn(LoopActor):
        def __init__(self):
            super().__init__()
            born.append(self.start_child(Worker, diary))
            raise ValueError("no")

    born = []
    with pytest.raises(ValueError, match="no"):
        system.start(Unborn)
    await asyncio.wait_for(born[0].stopped(), 5)
    assert system.alive() == []


def test_restarting_is_a_few_restarts_with_growing_pauses():
    policy = Supervision.restarting()
    assert policy.decide(ValueError()) is Directive.RESTART
    assert policy.max_restarts == 3
    assert policy.within_s == 60
    assert policy.backoff == Backoff()
    assert policy.scope is Scope.ONE_FOR_ONE
    assert Supervision.restarting(max_restarts=None, scope=Scope.ONE_FOR_ALL) == Supervision(
        Directive.RESTART,
        max_restarts=None,
        within_s=60.0,
        backoff=Backoff(),
        scope=Scope.ONE_FOR_ALL,
    )

"""Random lives: ordering, at-most-once, supervision and watch under crashes, stops and kills.

A state machine of hypothesis plays with a family of actors on virtual time, whose turns are taken
in an order that a seed decides. It does not wait between its steps, so that crashes meet stops
and kills meet restarts; now and then, and at the end, all comes to rest, and every message, every
asker and every watcher is accounted for.
"""

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from apex_actors.actors import (
    ActorDeadError,
    AskerGoneError,
    Backoff,
    ChildFailed,
    Directive,
    Lane,
    LoopActor,
    Options,
    Scope,
    Supervision,
    Terminated,
)
from apex_actors.actors.phase import Phase
from apex_actors.actors.testing import ActorTestKit, VirtualTimeLoop

pytestmark = pytest.mark.usefixtures("expected_failures_are_quiet")

#: Longer than any pause of a restart in these tests, in virtual seconds.
LONG_S = 100.0


@dataclass(frozen=True)
class Said:
    """A numbered message; its handler waits ``pauses`` times, then perhaps crashes."""

    sender: str
    number: int
    pauses: int = 0
    crash: bool = False


@dataclass(frozen=True)
class PassOn:
    """Have the actor send ``said`` on, as its own."""

    target: object
    said: Said


@dataclass
class World:
    """What the actors of one example did."""

    begun: list = field(default_factory=list)
    busy: Counter = field(default_factory=Counter)
    overlaps: list = field(default_factory=list)
    out_of_place: list = field(default_factory=list)
    terminated: Counter = field(default_factory=Counter)
    failed_children: Counter = field(default_factory=Counter)
    instances: Counter = field(default_factory=Counter)
    ended: Counter = field(default_factory=Counter)
    names: dict = field(default_factory=dict)
    watching: set = field(default_factory=set)
    watches: Counter = field(default_factory=Counter)
    sent: dict = field(default_factory=dict)
    numbers: Counter = field(default_factory=Counter)

    def say(self, sender, target, *, pauses=0, crash=False):
        """The next message of ``sender`` to ``target``."""
        self.numbers[sender, target] += 1
        return Said(sender, self.numbers[sender, target], pauses, crash)


class Member(LoopActor):
    """Handles what it is told, one at a time, and has it written down."""

    def __init__(self, world, name, supervision):
        super().__init__()
        self.world = world
        self.name = name
        self.policy = supervision
        self.ready = False
        world.names[self.ref] = name
        world.instances[name] += 1

    @property
    def supervision(self):
        return self.policy

    async def on_start(self):
        await asyncio.sleep(0)
        self.ready = True

    async def on_stop(self):
        await self._end()

    async def on_failure(self, *_):
        await self._end()

    async def _end(self):
        self.ready = False
        self.world.ended[self.name] += 1
        await asyncio.sleep(0)
        if any(child.is_alive() for child in self.children):
            self.world.out_of_place.append(f"{self.name} ended before its children")

    def on_receive(self, message):
        if not self.ready:
            self.world.out_of_place.append(f"{message} handled by {self.name} out of its life")
        match message:
            case Said():
                return self._handle(message)
            case Terminated(ref):
                self.world.terminated[self.ref, ref] += 1
                self.world.watching.discard((self.ref, ref))
            case ChildFailed(child):
                self.world.failed_children[child] += 1
            case PassOn(target, said):
                try:
                    target.tell(said)
                except ActorDeadError:
                    self.world.sent.pop((target, said), None)
            case ("start", options, name, policy):
                return self.start_child_with(options, Member, self.world, name, policy)
            case ("watch", ref):
                if (self.ref, ref) not in self.world.watching:
                    self.world.watching.add((self.ref, ref))
                    self.world.watches[self.ref, ref] += 1
                self.watch(ref)
            case ("unwatch", ref):
                if (self.ref, ref) in self.world.watching and ref.is_alive():
                    self.world.watching.discard((self.ref, ref))
                    self.world.watches[self.ref, ref] -= 1
                    self.unwatch(ref)
        return None

    def _handle(self, said):
        self.world.begun.append((self.name, self.ref, said))
        if said.pauses:
            return self._slowly(said)
        if said.crash:
            raise ValueError(said.number)
        return said.number

    async def _slowly(self, said):
        self.world.busy[self.name] += 1
        if self.world.busy[self.name] > 1:
            self.world.overlaps.append(self.name)
        try:
            for _ in range(said.pauses):
                await asyncio.sleep(0)
            if said.crash:
                raise ValueError(said.number)
            return said.number
        finally:
            self.world.busy[self.name] -= 1


policies = st.builds(
    Supervision,
    st.sampled_from([*Directive, Directive.RESTART, Directive.RESTART]),
    scope=st.sampled_from(Scope),
    max_restarts=st.sampled_from([0, 2, None]),
    within_s=st.just(60.0),
    backoff=st.sampled_from([None, Backoff(0.5, longest_s=4.0)]),
)
picks = st.integers(0, 1000)
pauses = st.sampled_from([0, 0, 1, 3, 30, 30])
crashes = st.sampled_from([False, False, True])
messages = st.tuples(st.sampled_from([Lane.NORMAL, Lane.CONTROL, "ask", "ask"]), pauses, crashes)


class Family(RuleBasedStateMachine):
    """A root and whoever it and its children start."""

    def __init__(self):
        super().__init__()
        self.world = World()
        self.asked = []
        self.stopping = []
        self.made = 0
        self.suspended = set()
        self.letters = []
        self.runner = None

    @initialize(seed=st.integers(0, 2**32), policy=policies, own=st.lists(policies, max_size=4))
    def begin(self, seed, policy, own):
        self.runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        self.kit = ActorTestKit(seed=seed, supervision=Supervision(Directive.STOP))
        self.runner.run(self.kit.__aenter__())
        self.letters = self.kit.dead_letters
        ref = self.soon(lambda: self.kit.system.start(Member, self.world, "m0", policy))
        assert self.names == {ref: "m0"}
        for one in own:
            self.start_child(0, one, None)

    @property
    def names(self):
        return self.world.names

    def pick(self, number, *, dead_too=False):
        """Mostly one of the living; now and then any."""
        anyone = dead_too or number % 8 == 0
        members = [ref for ref in self.names if ref.is_alive() or anyone]
        return (members or list(self.names))[number % len(members or self.names)]

    def soon(self, function, *args):
        """Call ``function`` on the loop; what it begins goes on when the loop does."""

        async def call():
            return function(*args)

        return self.runner.run(call())

    # What may happen.

    @rule(parent=picks, policy=policies, own=st.none() | policies)
    def start_child(self, parent, policy, own):
        parent = self.pick(parent)
        self.made += 1
        name = f"m{self.made}"
        options = Options(supervision=own)

        self.tell_it(parent, ("start", options, name, policy))

    def tell_it(self, member, message):
        def tell():
            with contextlib.suppress(ActorDeadError):
                member.tell(message)

        self.soon(tell)

    @rule(member=picks, script=st.lists(messages, min_size=1, max_size=6))
    def talk(self, member, script):
        """Several messages at once, some of which crash their handler."""
        member = self.pick(member)

        def talk():
            for how, waits, crash in script:
                if how == "ask":
                    self.ask(member, waits, crash)
                else:
                    self.tell(member, how, waits, crash)

        self.soon(talk)

    def tell(self, member, lane, waits, crash):
        said = self.world.say(f"test, {lane.value}", member, pauses=waits, crash=crash)
        try:
            member.tell(said, lane=lane)
        except ActorDeadError:
            return
        self.world.sent[member, said] = None

    def ask(self, member, waits, crash):
        said = self.world.say("test, normal", member, pauses=waits, crash=crash)
        future = member.ask(said, block=False)
        self.asked.append((said, future))
        if not future.done():
            self.world.sent[member, said] = None

    @rule(by=picks, to=picks, waits=pauses, crash=crashes)
    def pass_on(self, by, to, waits, crash):
        by, to = self.pick(by), self.pick(to)

        def pass_on():
            if not by.is_alive():
                return
            said = self.world.say(self.names[by], to, pauses=waits, crash=crash)
            self.world.sent[to, said] = None
            by.tell(PassOn(to, said))

        self.soon(pass_on)

    @rule(watcher=picks, watched=picks, word=st.sampled_from(["watch", "watch", "unwatch"]))
    def watch(self, watcher, watched, word):
        self.tell_it(self.pick(watcher), (word, self.pick(watched, dead_too=True)))

    @rule(member=picks, how=st.sampled_from(["cancel", "suspend", "resume", "stop", "kill"]))
    def disturb(self, member, how):
        member = self.pick(member)
        if how == "suspend":
            self.suspended.add(member)
        elif how == "resume":
            self.suspended.discard(member)
        if how == "stop":
            self.stopping.append(self.soon(lambda: member.stop(block=False)))
        else:
            self.soon(getattr(member, how))

    @rule(turns=st.integers(1, 10))
    def go_on(self, turns):
        async def go_on():
            for _ in range(turns):
                await asyncio.sleep(0)

        self.runner.run(go_on())

    @rule()
    def come_to_rest(self):
        for member in self.suspended:
            self.soon(member.resume)
        self.suspended.clear()
        self.runner.run(asyncio.sleep(LONG_S))
        self.check_accounts()

    # What must hold.

    @invariant()
    def one_handler_at_a_time(self):
        assert self.world.overlaps == []
        assert self.world.out_of_place == []

    @invariant()
    def nothing_twice_and_each_sender_in_order(self):
        heard = {}
        for _, ref, said in self.world.begun:
            heard.setdefault((ref, said.sender), []).append(said.number)
        for numbers in heard.values():
            assert numbers == sorted(set(numbers))

    def check_accounts(self):
        """All is at rest: nothing is missing."""
        begun = Counter((ref, said) for _, ref, said in self.world.begun)
        lost = Counter(
            (letter.recipient, letter.message)
            for letter in self.letters
            if isinstance(letter.message, Said)
        )
        passing = {
            (letter.message.target, letter.message.said)
            for letter in self.letters
            if isinstance(letter.message, PassOn)
        }
        for ref, said in self.world.sent:
            if (ref, said) in passing:
                continue  # its sender died before it sent it
            assert begun[ref, said] + lost[ref, said] == 1, (self.names[ref], said)
        for said, future in self.asked:
            assert future.done(), said
            value, error = future.outcome()
            if error is None:
                assert value == said.number
            else:
                assert isinstance(error, ValueError | ActorDeadError | AskerGoneError)
        for (watcher, watched), times in self.world.watches.items():
            if watcher.is_alive():
                open_one = (
                    1 if watched.is_alive() and (watcher, watched) in self.world.watching else 0
                )
                told = self.world.terminated[watcher, watched]
                assert told == times - open_one, (self.names[watcher], self.names[watched])
        for ref, name in self.names.items():
            living = 1 if ref.is_alive() else 0
            assert self.world.instances[name] - self.world.ended[name] == living, name
        assert all(count <= 1 for count in self.world.failed_children.values())
        alive = {ref for ref in self.names if ref.is_alive()}
        assert set(self.kit.system.alive()) == alive
        assert {ref.cell.phase for ref in alive} <= {Phase.RUNNING}
        assert all(future.done() for future in self.stopping)

    def teardown(self):
        if self.runner is None:
            return
        try:
            self.come_to_rest()
            self.one_handler_at_a_time()
            self.nothing_twice_and_each_sender_in_order()
            self.runner.run(self.kit.system.stop_all(LONG_S))
            assert self.kit.system.alive() == []
            self.check_accounts()
        finally:
            self.runner.run(self.kit.__aexit__(None, None, None))
            self.runner.close()


TestFamily = Family.TestCase
TestFamily.settings = settings(
    max_examples=200, stateful_step_count=40, suppress_health_check=list(HealthCheck)
)

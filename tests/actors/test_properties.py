"""Properties of mailbox and dispatcher under random tells from threads, slow handlers and kills."""

import asyncio
import threading
from dataclasses import dataclass, field

import pykka
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_actors.actors import ActorSystem, LoopActor
from apex_actors.actors.dispatcher import THROUGHPUT


@dataclass
class Witness:
    """What the actors of one example did."""

    handled: list = field(default_factory=list)
    busy: int = 0
    most_busy: int = 0
    stopped: int = 0
    threads: set = field(default_factory=set)


class Careful(LoopActor):
    """Handles some messages at once and some across a wait, and counts what goes on meanwhile."""

    def __init__(self, witness):
        super().__init__()
        self.witness = witness

    def on_stop(self):
        self.witness.stopped += 1

    def on_receive(self, message):
        self.witness.threads.add(threading.get_ident())
        self._enter()
        pauses = message[-1]
        if pauses:
            return self._slowly(message, pauses)
        self.witness.handled.append(message)
        self.witness.busy -= 1
        return message

    async def _slowly(self, message, pauses):
        try:
            for _ in range(pauses):
                await asyncio.sleep(0)
            self.witness.handled.append(message)
            return message
        finally:
            self.witness.busy -= 1

    def _enter(self):
        self.witness.busy += 1
        self.witness.most_busy = max(self.witness.most_busy, self.witness.busy)


# A sender's messages: for each, how many turns of the loop its handler waits.
senders = st.lists(st.lists(st.integers(0, 3), max_size=80), min_size=1, max_size=4)


async def talk(ref, sender, pauses, outcomes):
    """Tell or ask everything from a thread; remembers what was asked and what became of it."""

    def work():
        for number, pause in enumerate(pauses):
            message = (sender, number, pause)
            try:
                if number % 3 == 0:
                    outcomes[message] = ref.ask(message, block=False)
                else:
                    ref.tell(message)
            except pykka.ActorDeadError:
                outcomes[message] = None

    await asyncio.to_thread(work)


@given(senders)
@settings(max_examples=40)
def test_no_message_is_lost_or_doubled_and_each_sender_is_heard_in_order(scripts):
    async def scenario():
        witness, outcomes = Witness(), {}
        ref = Careful.start(witness)
        await asyncio.gather(
            *(talk(ref, sender, script, outcomes) for sender, script in enumerate(scripts))
        )
        for message, future in outcomes.items():
            assert await asyncio.wait_for(future, 5) == message
        await asyncio.wait_for(ref.ask_async(("end", 0, 0)), 5)
        for sender, script in enumerate(scripts):
            heard = [message for message in witness.handled if message[0] == sender]
            assert heard == [(sender, number, pause) for number, pause in enumerate(script)]
        assert witness.most_busy == 1
        assert witness.threads == {threading.get_ident()}
        ref.kill()
        await ref.stopped()
        assert witness.stopped == 1
        assert ActorSystem.current().alive() == []

    asyncio.run(scenario())


@given(scripts=senders, turns=st.integers(0, 30), kills=st.integers(1, 3), graceful=st.booleans())
@settings(max_examples=60)
def test_after_a_kill_at_any_moment_each_asker_has_an_answer_and_nothing_is_handled(
    scripts, turns, kills, graceful
):
    async def scenario():
        witness, outcomes = Witness(), {}
        ref = Careful.start(witness)
        talking = [
            asyncio.ensure_future(talk(ref, sender, script, outcomes))
            for sender, script in enumerate(scripts)
        ]
        for _ in range(turns):
            await asyncio.sleep(0)
        stopping = ref.stop(block=False) if graceful else None
        for _ in range(kills):
            ref.kill()
        await asyncio.wait_for(ref.stopped(), 5)
        handled = list(witness.handled)
        await asyncio.gather(*talking)
        if stopping is not None:
            await asyncio.wait_for(stopping, 5)
        # An asker hears the reply or of the death, and the reply only if it was handled.
        for message, future in outcomes.items():
            try:
                reply = None if future is None else await asyncio.wait_for(future, 5)
            except pykka.ActorDeadError:
                reply = None
            assert reply in {None, message}
            if reply is not None:
                assert message in handled
        assert witness.handled == handled, "handled after it had stopped"
        assert len(set(handled)) == len(handled)
        for sender in range(len(scripts)):
            numbers = [number for name, number, _ in handled if name == sender]
            assert numbers == list(range(len(numbers)))
        assert (witness.busy, witness.stopped) == (0, 1)
        assert witness.most_busy <= 1
        assert ActorSystem.current().alive() == []
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(scenario())


class Family(LoopActor):
    """Starts a tree of children, each with a message on its way."""

    def __init__(self, shape, order):
        super().__init__()
        self.shape = shape
        self.order = order

    async def on_start(self):
        for shape in self.shape:
            self.start_child(Family, shape, self.order).tell("hello")
            await asyncio.sleep(0)

    async def on_stop(self):
        await asyncio.sleep(0)
        self.order.append(self.actor_urn)
        assert all(ref.actor_urn in self.order for ref in self.children)

    def on_receive(self, _message):
        return asyncio.sleep(3600)


trees = st.recursive(st.just([]), lambda shapes: st.lists(shapes, max_size=3), max_leaves=12)


@given(trees, st.integers(0, 20))
@settings(max_examples=40)
def test_a_family_killed_at_any_moment_leaves_nobody(shape, turns):
    async def scenario():
        order = []
        ref = Family.start(shape, order)
        for _ in range(turns):
            await asyncio.sleep(0)
        alive = len(ActorSystem.current().alive())
        ref.kill()
        await asyncio.wait_for(ref.stopped(), 5)
        assert order[-1] == ref.actor_urn
        assert len(order) == len(set(order)) >= alive
        assert ActorSystem.current().alive() == []
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(scenario())


async def test_turns_go_round_so_that_nobody_waits_for_anothers_whole_queue():
    order = []

    class Named(LoopActor):
        def __init__(self, name):
            super().__init__()
            self.name = name

        def on_receive(self, _message):
            order.append(self.name)

    refs = [Named.start(name) for name in "ab"]
    for ref in refs:
        for _ in range(3 * THROUGHPUT):
            ref.tell("x")
    for ref in refs:
        await ref.ask_async("last")
    assert order[THROUGHPUT : 2 * THROUGHPUT].count("b") > 0
    assert order.index("b") <= THROUGHPUT
    for ref in refs:
        ref.kill()
        await ref.stopped()

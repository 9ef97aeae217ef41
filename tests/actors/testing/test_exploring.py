"""Bugs of order, found by a seed and found again by it."""

import asyncio
import random
import traceback

import pytest

from apex_actors.actors import LoopActor
from apex_actors.actors.testing import explore, run


class Account(LoopActor):
    """A balance that is read by one message and written by another: there is the bug."""

    def __init__(self):
        super().__init__()
        self.balance = 0

    def on_receive(self, message):
        match message:
            case "read":
                return self.balance
            case ("write", balance):
                self.balance = balance
            case ("add", amount):
                self.balance += amount
        return None


class Depositor(LoopActor):
    """Reads, adds, writes; another one may have written in between."""

    def __init__(self, account):
        super().__init__()
        self.account = account

    async def on_receive(self, amount):
        balance = await self.account.ask_async("read")
        await self.account.ask_async(("write", balance + amount))


class Auditor(LoopActor):
    """Hears of orders and payments, and relies on hearing of the order first: there is the bug."""

    def __init__(self):
        super().__init__()
        self.orders = set()
        self.unknown = []

    def on_receive(self, message):
        match message:
            case ("ordered", order):
                self.orders.add(order)
            case ("paid", order) if order not in self.orders:
                self.unknown.append(order)
            case "unknown":
                return self.unknown
        return None


class Relay(LoopActor):
    """Passes on what it is told."""

    def __init__(self, receiver):
        super().__init__()
        self.receiver = receiver

    def on_receive(self, message):
        self.receiver.tell(message)


async def deposit_twice(kit):
    """The lost update: both deposits must be there in the end."""
    account = Account.start()
    depositors = [Depositor.start(account) for _ in range(2)]
    for ref in depositors:
        ref.tell(10)
    await kit.run_until_idle()
    balance = await account.ask_async("read")
    assert balance == 20, f"a deposit was lost: {balance}"


async def order_and_pay(kit):
    """The overtaken message: two ways to the auditor, and the second one may be the faster."""
    auditor = Auditor.start()
    orders, payments = Relay.start(auditor), Relay.start(auditor)
    orders.tell(("ordered", "order 1"))
    payments.tell(("paid", "order 1"))
    await kit.run_until_idle()
    assert await auditor.ask_async("unknown") == []


def failure_of(scenario, **options):
    """The failure that explore finds."""
    with pytest.raises(AssertionError) as raised:
        explore(scenario, **options)
    return raised.value


def seed_told_by(failure):
    (seed,) = [
        int(note.split("seeds=[")[1].split("]")[0])
        for note in failure.__notes__
        if "seeds=[" in note
    ]
    return seed


@pytest.mark.parametrize("scenario", [deposit_twice, order_and_pay])
def test_a_bug_of_order_is_found_its_seed_printed_and_the_same_schedule_comes_again(scenario):
    found = failure_of(scenario)
    seed = seed_told_by(found)
    printed = "".join(traceback.format_exception(found))
    assert f"seed {seed}: the same seed gives the same order of turns" in printed
    for _ in range(2):
        again = failure_of(scenario, seeds=[seed])
        assert str(again) == str(found)
        assert told_turns(again) == told_turns(found)


def told_turns(failure):
    (turns,) = [note for note in failure.__notes__ if note.startswith("the last")]
    return turns


def test_the_schedule_that_is_printed_names_actors_and_messages_up_to_the_failure():
    turns = told_turns(failure_of(deposit_twice)).splitlines()
    assert sorted(turns[1:]) == sorted(
        [
            "  Depositor <- int",
            "  Depositor#2 <- int",
            *["  Account <- str"] * 3,
            *["  Account <- tuple"] * 2,
        ]
    )
    assert turns[0] == "the last 7 of 7 turns:"


def test_only_the_last_turns_are_printed():
    turns = told_turns(failure_of(deposit_twice, last=2)).splitlines()
    assert turns[0] == "the last 2 of 7 turns:"
    assert len(turns) == 3


def test_a_bug_that_needs_luck_is_missed_by_some_seeds():
    def fails(seed):
        try:
            run(deposit_twice, seed=seed)
        except AssertionError:
            return True
        return False

    assert {fails(seed) for seed in range(30)} == {True, False}


def test_without_a_bug_it_says_how_much_it_has_seen():
    async def correct(kit):
        account = Account.start()

        class Adder(LoopActor):
            def on_receive(self, amount):
                account.tell(("add", amount))

        for ref in [Adder.start() for _ in range(3)]:
            ref.tell(1)
            ref.tell(2)
        await kit.run_until_idle()
        assert await account.ask_async("read") == 9

    seen = explore(correct, seeds=range(50))
    assert seen.runs == 50
    assert seen.schedules > 25


def test_where_there_is_one_actor_there_is_one_schedule():
    async def alone(kit):
        ref = Account.start()
        for _ in range(5):
            ref.tell(("add", 1))
        await kit.run_until_idle()

    assert explore(alone, seeds=range(10)).schedules == 1


def test_randomness_of_the_scenario_is_seeded_too():
    seen = []

    async def scenario():
        seen.append(random.random())  # noqa: S311 - no secret

    state = random.getstate()
    explore(scenario, seeds=[1, 2, 1])
    assert seen[0] == seen[2] != seen[1]
    assert random.getstate() == state, "the randomness of others is left alone"


def test_each_run_has_a_loop_and_a_system_of_its_own():
    worlds = []

    async def scenario(kit):
        worlds.append((asyncio.get_running_loop(), kit.system))
        assert Account.start() in kit.system.alive()

    explore(scenario, seeds=range(3))
    assert len({id(thing) for world in worlds for thing in world}) == 6

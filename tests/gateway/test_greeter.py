"""The greeter: many logs in one statement, and nobody waits for a log that cannot be read."""

import asyncio
from dataclasses import dataclass, field

import pytest

from apex_actors.actors import LoopActor
from apex_actors.gateway.greeter import RETRY_S, Greeter, OpenLog
from apex_actors.gateway.registry_messages import ComponentsChanged
from apex_actors.protocol.identity import Identity
from apex_actors.storage.errors import StorageUnavailableError
from apex_actors.storage.event_log import LogPosition


@dataclass
class Log:
    asked: list = field(default_factory=list)
    error: Exception | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def open_many(self, identities):
        self.asked.append([identity.sub for identity in identities])
        await self.gate.wait()
        if self.error:
            raise self.error
        return [LogPosition(int(identity.sub), 0, 0, "epoch") for identity in identities]


@pytest.fixture
def log():
    return Log()


@pytest.fixture
async def greeter(log):
    ref = Greeter.start(log=log, timeout_s=5.0, early_s=0)
    yield ref
    ref.kill()
    await ref.stopped()


class Asker(LoopActor):
    def __init__(self, answers):
        super().__init__()
        self.answers = answers

    def on_receive(self, message):
        self.answers.append(message.position and message.position.user_id)


@pytest.fixture
async def ask(greeter, eventually):
    """Ask for the logs of some users; returns a coroutine function that waits for the answers."""
    refs = []

    def ask(*subs, of=None, is_back=False):
        answers = []
        for sub in subs:
            ref = Asker.start(answers)
            refs.append(ref)
            (of or greeter).tell(OpenLog(Identity(org="acme", sub=sub), ref, is_back))

        async def answered():
            await eventually(lambda: len(answers) == len(subs))
            return answers

        return answered

    yield ask
    for ref in refs:
        ref.kill()
        await ref.stopped()


async def test_those_who_come_while_one_statement_runs_share_the_next(log, ask, eventually):
    first = ask("1")
    await eventually(lambda: log.asked)
    others = ask("2", "3", "4")
    log.gate.set()
    assert await first() == [1]
    assert await others() == [2, 3, 4]
    assert log.asked == [["1"], ["2", "3", "4"]]


async def test_a_log_that_cannot_be_read_is_told_to_all_and_not_asked_for_again_at_once(log, ask):
    log.gate.set()
    log.error = StorageUnavailableError("away")
    assert await ask("1", "2")() == [None, None]
    assert await ask("3")() == [None]
    assert log.asked == [["1", "2"]]


async def test_who_knows_that_the_log_is_back_has_it_asked_for_at_once(log, ask):
    log.gate.set()
    log.error = StorageUnavailableError("away")
    assert await ask("1")() == [None]
    log.error = None
    assert await ask("2", is_back=True)() == [2]
    assert await ask("3")() == [3]


async def test_nobody_waits_longer_than_the_limit(log, ask):
    greeter = Greeter.start(log=log, timeout_s=0.02)
    assert await ask("1", of=greeter)() == [None]
    greeter.kill()
    await greeter.stopped()


@pytest.fixture
async def early(log):
    """A greeter of a server that has just started, long before its first seconds are over."""
    ref = Greeter.start(log=log, timeout_s=3 * RETRY_S, early_s=600)
    yield ref
    ref.kill()
    await ref.stopped()


async def test_in_the_first_seconds_a_log_that_comes_late_is_waited_for(
    log, ask, early, eventually
):
    log.gate.set()
    log.error = StorageUnavailableError("away")
    first = ask("1", of=early)
    await eventually(lambda: log.asked)
    second = ask("2", of=early)
    log.error = None
    assert await first() == [1]
    assert await second() == [2]


async def test_nobody_waits_for_more_than_three_looks_after_the_first(log, ask, early):
    log.gate.set()
    log.error = StorageUnavailableError("away")
    assert await ask("1", of=early)() == [None]
    assert 2 <= len(log.asked) <= 4


async def test_who_knows_that_the_log_is_back_takes_the_waiting_with_it(
    log, ask, early, eventually
):
    log.gate.set()
    log.error = StorageUnavailableError("away")
    waiting = ask("1", of=early)
    await eventually(lambda: log.asked)
    log.error = None
    assert await ask("2", of=early, is_back=True)() == [2]
    assert await waiting() == [1]
    assert log.asked == [["1"], ["1", "2"]]


async def test_who_was_greeted_without_the_log_is_not_kept_waiting_for_it_again(log, ask, early):
    log.gate.set()
    log.error = StorageUnavailableError("away")
    assert await ask("1", of=early, is_back=True)() == [None]
    assert log.asked == [["1"]]


async def test_a_log_that_is_silent_is_not_waited_for_twice_even_early(log, ask, eventually):
    greeter = Greeter.start(log=log, timeout_s=0.1, early_s=600)
    first = ask("1", of=greeter)
    await eventually(lambda: log.asked)
    second = ask("2", of=greeter)
    assert await first() + await second() == [None, None]
    assert log.asked == [["1"]]
    greeter.kill()
    await greeter.stopped()


async def test_while_the_database_is_known_to_be_away_nobody_waits_for_a_look(log, greeter, ask):
    log.gate.set()
    greeter.tell(ComponentsChanged(down=("database",)))
    assert await ask("1")() == [None]
    assert log.asked == []
    greeter.tell(ComponentsChanged(down=("cache",), recovered=("database",)))
    assert await ask("1")() == [1]


async def test_a_database_that_is_back_ends_the_pause_after_a_failure(log, greeter, ask):
    log.gate.set()
    log.error = StorageUnavailableError("away")
    assert await ask("1")() == [None]
    log.error = None
    greeter.tell(ComponentsChanged(down=(), recovered=("database",)))
    assert await ask("2")() == [2]


async def test_a_bug_leaves_nobody_waiting_and_the_greeter_alive(log, ask, caplog):
    log.gate.set()
    log.error = LookupError("a bug")
    assert await ask("1")() == [None]
    log.error = None
    assert await ask("2")() == [2]
    assert "logs cannot be opened" in caplog.text


async def test_who_has_gone_meanwhile_harms_nobody(log, greeter, ask, eventually):
    gone = Asker.start([])
    greeter.tell(OpenLog(Identity(org="acme", sub="1"), gone))
    await eventually(lambda: log.asked)
    gone.kill()
    await gone.stopped()
    log.gate.set()
    assert await ask("2")() == [2]

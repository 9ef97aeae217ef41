"""Death watch: every watcher is told once, whenever it began to watch."""

import asyncio

import pykka
import pytest

from apex_actors.actors import (
    ActorSystem,
    LoopActor,
    PoolActor,
    StopReason,
    Terminated,
    ThreadActor,
)

pytestmark = pytest.mark.usefixtures("expected_failures_are_quiet")


class Watcher(LoopActor):
    """Watches whom it is told to and writes down what it hears, in order."""

    def __init__(self, heard):
        super().__init__()
        self.heard = heard

    def on_receive(self, message):
        match message:
            case ("watch", ref):
                self.watch(ref)
            case ("unwatch", ref):
                self.unwatch(ref)
            case Terminated() | str():
                self.heard.append(message)


def fragile(actor_type):
    class Fragile(actor_type):
        def on_receive(self, message):
            match message:
                case ("say", ref, word):
                    ref.tell(word)
                case Exception():
                    raise message

    return Fragile


@pytest.fixture(params=[LoopActor, PoolActor, ThreadActor], ids=lambda kind: kind.__name__)
def kind(request):
    return fragile(request.param)


@pytest.fixture
def heard():
    return []


@pytest.fixture
async def watcher(system, heard):
    return system.start(Watcher, heard)


async def settled(watcher):
    """All that the watcher has been told by now is handled."""
    await watcher.ask_async("", timeout=5)


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (lambda ref: ref.stop(block=False), StopReason.STOPPED),
        (lambda ref: ref.kill(), StopReason.KILLED),
        (lambda ref: ref.tell(ValueError("x")), StopReason.FAILED),
    ],
)
async def test_a_watcher_is_told_once_and_why(
    system, watcher, heard, eventually, kind, end, reason
):
    ref = system.start(kind)
    for _ in range(3):
        await watcher.ask_async(("watch", ref))
    end(ref)
    await eventually(lambda: heard)
    await settled(watcher)
    assert [message for message in heard if message] == [Terminated(ref, reason)]


async def test_a_watcher_of_the_dead_is_told_too(system, watcher, heard, eventually, kind):
    ref = system.start(kind)
    ref.kill()
    await asyncio.wait_for(ref.stopped(), 5)
    watcher.tell(("watch", ref))
    await eventually(lambda: heard)
    await settled(watcher)
    assert [message for message in heard if message] == [Terminated(ref, StopReason.KILLED)]


async def test_what_the_dead_said_before_comes_before_the_news(system, watcher, heard, eventually):
    ref = system.start(fragile(LoopActor))
    await watcher.ask_async(("watch", ref))
    for word in ("a", "b"):
        ref.tell(("say", watcher, word))
    ref.stop(block=False)
    await eventually(lambda: len(heard) == 3)
    assert heard == ["a", "b", Terminated(ref, StopReason.STOPPED)]


async def test_who_unwatches_hears_nothing_even_of_news_that_wait(system, watcher, heard, kind):
    ref = system.start(kind)
    await watcher.ask_async(("watch", ref))
    watcher.tell(("unwatch", ref))
    ref.kill()
    await asyncio.wait_for(ref.stopped(), 5)
    await settled(watcher)
    assert [message for message in heard if message] == []


async def test_who_watches_again_is_told_again_but_once(system, watcher, heard, eventually, kind):
    ref = system.start(kind)
    for word in ("watch", "unwatch", "watch"):
        await watcher.ask_async((word, ref))
    ref.kill()
    await eventually(lambda: [message for message in heard if message])
    await settled(watcher)
    assert len([message for message in heard if message]) == 1


async def test_who_was_told_and_asks_again_is_told_again(system, watcher, heard, eventually, kind):
    ref = system.start(kind)
    ref.kill()
    for times in (1, 2):
        watcher.tell(("watch", ref))
        await eventually(lambda times=times: len(heard) == times)
    assert heard == [Terminated(ref, StopReason.KILLED)] * 2


async def test_a_dead_watcher_is_forgotten(system, watcher, kind, eventually):
    ref = system.start(kind)
    await watcher.ask_async(("watch", ref))
    await eventually(lambda: ref.cell.watchers)
    watcher.kill()
    await asyncio.wait_for(watcher.stopped(), 5)
    await eventually(lambda: not ref.cell.watchers)


async def test_an_actor_of_a_closed_loop_counts_as_dead(watcher, heard, eventually):
    async def start():
        ref = ActorSystem.current().start(fragile(LoopActor))
        await ref.started()
        return ref

    ref = await asyncio.to_thread(asyncio.run, start())
    watcher.tell(("watch", ref))
    await eventually(lambda: heard)
    assert heard == [Terminated(ref, StopReason.KILLED)]


async def test_an_actor_of_pykkas_cannot_be_watched(system):
    class Stock(pykka.ThreadingActor):
        pass

    class Watching(LoopActor):
        def on_receive(self, message):
            self.watch(message)

    stock = Stock.start()
    try:
        with pytest.raises(TypeError):
            await system.start(Watching).ask_async(stock)
    finally:
        await asyncio.to_thread(stock.stop)


async def test_watchers_are_told_in_the_order_in_which_they_began_to_watch(
    system, heard, eventually
):
    class Numbered(LoopActor):
        def __init__(self, number):
            super().__init__()
            self.number = number

        def on_receive(self, message):
            if isinstance(message, Terminated):
                heard.append(self.number)
            else:
                self.watch(message)

    ref = system.start(fragile(LoopActor))
    order = [5, 2, 7, 0, 3, 6, 1, 4]
    watchers = {number: system.start(Numbered, number) for number in sorted(order)}
    for number in order:
        await watchers[number].ask_async(ref)
    ref.kill()
    await eventually(lambda: len(heard) == len(order))
    assert heard == order

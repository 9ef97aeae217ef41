"""Actors whose event loop is closed: whoever still holds a ref is told, and nobody waits."""

import asyncio
import gc
import weakref

import pytest

from apex_actors.actors import (
    ActorDeadError,
    ActorRegistry,
    ActorSystem,
    LoopActor,
    StopReason,
    Terminated,
    ThreadActor,
)

SOON_S = 10


class Echo(LoopActor):
    async def on_receive(self, message):
        return message


class Plain(LoopActor):
    def on_receive(self, message):
        return message


async def settled(kind):
    ref = kind.start()
    await ref.ask_async("settled")
    return ref


def run_and_close(main):
    """What ``main`` returns, from a loop that is closed and was not tidied up."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.close()


@pytest.fixture(params=[Plain, Echo], ids=lambda kind: kind.__name__)
def left_behind(request):
    """An actor that was alive when its loop was closed."""
    ref = run_and_close(settled(request.param))
    yield ref
    ActorRegistry.unregister(ref)


def tell(ref):
    ref.tell("late")


def tell_with_limit(ref):
    ref.tell("late", expires_in_s=60)


def ask(ref):
    ref.ask("late", timeout=SOON_S)


def ask_without_blocking(ref):
    ref.ask("late", block=False).get(timeout=SOON_S)


every_ask = pytest.mark.parametrize("way", [ask, ask_without_blocking])


@every_ask
def test_who_asks_it_is_told_that_it_is_dead_the_first_time_and_the_next(left_behind, way):
    for _ in range(2):
        with pytest.raises(ActorDeadError):
            way(left_behind)


@pytest.mark.parametrize("first", [tell, tell_with_limit])
@pytest.mark.parametrize("way", [tell, tell_with_limit, ask, ask_without_blocking])
def test_the_first_tell_finds_out_and_whoever_comes_then_knows(left_behind, first, way):
    letters = []
    left_behind.cell.system.dead_letters.subscribe(letters.append)
    first(left_behind)
    assert [letter.message for letter in letters] == ["late"]
    for _ in range(2):
        with pytest.raises(ActorDeadError):
            way(left_behind)


def test_its_end_has_come_for_whoever_waits_for_it(left_behind):
    assert left_behind.stopped().get(timeout=SOON_S) is None
    assert not left_behind.is_alive()


def test_a_stop_does_not_wait_for_a_loop_that_is_gone(left_behind):
    left_behind.stop(timeout=SOON_S)
    assert not left_behind.is_alive()
    assert left_behind.stop(timeout=SOON_S) is False


def test_a_kill_makes_it_dead_at_once(left_behind):
    left_behind.kill()
    assert not left_behind.is_alive()
    assert left_behind.stopped().get(timeout=SOON_S) is None


def test_stop_all_does_not_wait_for_it_and_forgets_it(left_behind):
    assert left_behind in ActorRegistry.get_all()
    ActorRegistry.stop_all(timeout=SOON_S)
    assert left_behind not in ActorRegistry.get_all()


async def test_a_broadcast_passes_over_it():
    left = await asyncio.to_thread(lambda: run_and_close(settled(Echo)))
    heard = []

    class Hearing(LoopActor):
        def on_receive(self, message):
            heard.append(message)

    ref = Hearing.start()
    ActorRegistry.broadcast("news", target_class=LoopActor)
    await ref.ask_async("end")
    ActorRegistry.unregister(left)
    await ActorSystem.current().stop_all(SOON_S)
    assert heard == ["news", "end"]


async def test_its_system_can_be_stopped_from_another_loop():
    def elsewhere():
        async def main():
            await settled(Echo)
            return ActorSystem.current()

        return run_and_close(main())

    system = await asyncio.to_thread(elsewhere)
    await asyncio.wait_for(system.stop_all(SOON_S), SOON_S)
    assert system.alive() == []


async def test_who_watches_it_is_told_that_it_was_killed(eventually):
    class Watching(LoopActor):
        def on_receive(self, message):
            if isinstance(message, Terminated):
                heard.append(message)
            else:
                self.watch(message)

    heard = []
    left = await asyncio.to_thread(lambda: run_and_close(settled(Echo)))
    Watching.start().tell(left)
    await eventually(lambda: heard)
    assert heard == [Terminated(left, StopReason.KILLED)]
    await ActorSystem.current().stop_all(SOON_S)


def test_an_actor_elsewhere_ends_though_its_watchers_loop_is_closed():
    class Own(ThreadActor):
        pass

    class Watching(LoopActor):
        def on_receive(self, message):
            self.watch(message)

    async def main():
        own, watcher = Own.start(), Watching.start()
        await own.started()
        await watcher.ask_async(own)
        return own, watcher

    own, watcher = run_and_close(main())
    assert own.stop(timeout=SOON_S) is True
    ActorRegistry.unregister(watcher)


def test_a_closed_loop_is_not_kept_by_its_actors():
    loop = asyncio.new_event_loop()
    ref = loop.run_until_complete(settled(Echo))
    loop.close()
    witness = weakref.ref(loop)
    ref.kill()
    del loop, ref
    gc.collect()
    assert witness() is None

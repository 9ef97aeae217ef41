"""The future of a reply: set once, got from threads, awaited on loops, derived, called back."""

import asyncio
import concurrent.futures
import gc
import operator
import queue
import threading
import weakref
from contextlib import suppress

import pykka
import pytest

from apex_actors.actors import (
    BlockingCallError,
    Future,
    LoopActor,
    PoolActor,
    ThreadActor,
    get_all,
)
from apex_actors.actors.future import Countdown, resolve, resolve_from_any_thread


@pytest.fixture
def future():
    return Future()


@pytest.fixture
def no_collector():
    """What is freed here is freed by reference counts alone."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def in_a_thread(function, *args):
    thread = threading.Thread(target=function, args=args)
    thread.start()
    return thread


# Set once.


def test_a_value_is_there_for_everybody_as_often_as_they_like(future):
    assert not future.done()
    future.set("value")
    assert future.done()
    assert not future.failed()
    assert [future.get(), future.get(timeout=0)] == ["value", "value"]
    assert future.outcome() == ("value", None)


def test_none_is_a_value(future):
    future.set()
    assert future.done()
    assert future.get() is None


def test_an_exception_is_raised_as_often_as_it_is_asked_for(future):
    error = ValueError("no")
    future.set_exception((ValueError, error, None))
    assert future.failed()
    for _ in range(2):
        with pytest.raises(ValueError, match="no") as raised:
            future.get()
        assert raised.value is error


def test_raising_again_does_not_lengthen_the_traceback_for_ever(future):
    future.set_exception((ValueError, ValueError("no"), None))
    lengths = []
    for _ in range(3):
        with pytest.raises(ValueError, match="no") as raised:
            future.get()
        lengths.append(len(raised.traceback))
    assert len(set(lengths)) == 1


def test_an_exception_being_handled_is_taken_with_its_traceback(future):
    def fails():
        raise KeyError("inner")

    try:
        fails()
    except KeyError:
        future.set_exception()
    with pytest.raises(KeyError) as raised:
        future.get()
    assert raised.traceback[-1].name == "fails"


def test_an_exception_may_be_given_by_its_type_alone(future):
    future.set_exception((ValueError, None, None))
    with pytest.raises(ValueError):
        future.get()


def test_no_exception_at_all_is_an_error_of_its_own(future):
    future.set_exception()
    with pytest.raises(RuntimeError, match="no exception given"):
        future.get()


@pytest.mark.parametrize("again", [Future.set, Future.set_exception])
def test_a_second_result_is_refused_and_changes_nothing(future, again):
    future.set("first")
    with pytest.raises(queue.Full):
        again(future)
    assert future.get() == "first"


def test_try_resolve_says_whether_it_was_first(future):
    assert future.try_resolve("first") is True
    assert future.try_resolve("second") is False
    assert future.try_resolve(None, ValueError("third")) is False
    assert future.outcome() == ("first", None)


def test_of_many_threads_one_sets_it(future):
    together = threading.Barrier(8)

    def race(number):
        together.wait(10)
        return future.try_resolve(number)

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        first = list(threads.map(race, range(8)))
    assert first.count(True) == 1
    assert future.get() == first.index(True)


# Got from a thread.


def test_get_waits_for_another_thread(future):
    got = []
    waits = in_a_thread(lambda: got.append(future.get(timeout=10)))
    future.set("value")
    waits.join(10)
    assert got == ["value"]


def test_get_gives_up_after_its_time_and_the_future_is_as_good_as_before(future):
    with pytest.raises(pykka.Timeout):
        future.get(timeout=0.001)
    with pytest.raises(pykka.Timeout):
        future.get(timeout=0)
    future.set("late")
    assert future.get(timeout=0) == "late"


def test_get_all_keeps_the_order():
    futures = [Future() for _ in range(3)]
    for number in (2, 0, 1):
        futures[number].set(number)
    assert get_all(futures) == [0, 1, 2]


async def test_get_on_a_loop_is_refused_while_it_would_block(future):
    with pytest.raises(BlockingCallError):
        future.get()
    with pytest.raises(BlockingCallError):
        future.get(timeout=1)
    with pytest.raises(BlockingCallError):
        future.map(str).get()
    future.set(1)
    assert future.get() == 1
    assert future.map(str).get() == "1"


# Awaited.


async def test_awaiting_does_not_block_the_loop(future):
    async def set_it():
        await asyncio.sleep(0)
        future.set("value")

    assert (await asyncio.gather(future, set_it()))[0] == "value"


async def test_a_thread_may_set_what_a_loop_awaits(future):
    waits = asyncio.ensure_future(_awaited(future))
    await asyncio.sleep(0)
    await asyncio.to_thread(future.set, "value")
    assert await asyncio.wait_for(waits, 10) == "value"


async def test_awaiting_what_is_set_already_returns_at_once(future):
    future.set("value")
    waits = asyncio.ensure_future(_awaited(future))
    await asyncio.sleep(0)
    assert waits.done()
    assert waits.result() == "value"


async def test_awaiting_raises_the_very_exception(future):
    error = ValueError("no")
    future.set_exception((ValueError, error, None))
    for _ in range(2):
        with pytest.raises(ValueError, match="no") as raised:
            await future
        assert raised.value is error


async def test_many_may_await_the_same_future_on_several_loops(future):
    others = [
        asyncio.to_thread(asyncio.run, _awaited(future)),
        asyncio.to_thread(future.get, timeout=10),
    ]
    waiting = asyncio.gather(*(_awaited(future) for _ in range(3)), *others)
    await asyncio.sleep(0)
    future.set("value")
    assert await asyncio.wait_for(waiting, 10) == ["value"] * 5


async def test_who_no_longer_awaits_it_does_no_harm(future):
    gives_up = asyncio.ensure_future(_awaited(future))
    patient = asyncio.ensure_future(_awaited(future))
    await asyncio.sleep(0)
    gives_up.cancel()
    await asyncio.wait({gives_up})
    future.set("value")
    assert await patient == "value"
    assert gives_up.cancelled()


async def test_wait_for_works_on_it(future):
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(_awaited(future), 0.001)
    future.set("value")
    assert await asyncio.wait_for(_awaited(future), 5) == "value"


def test_it_may_be_set_when_the_loop_that_awaited_it_is_closed(future):
    async def give_up():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(_awaited(future), 0.001)

    asyncio.run(give_up())
    future.set("late")
    assert future.get() == "late"


async def _awaited(future):
    return await future


# Derived futures and hooks.


async def test_derived_futures_await_those_behind_them():
    numbers, more = Future(), Future()
    derived = [
        numbers.filter(lambda number: number > 1),
        numbers.map(sum),
        numbers.reduce(operator.mul),
        numbers.reduce(operator.mul, 10),
        numbers.join(more),
        numbers.map(sum).map(str).map(len),
        numbers.map(len).join(more.map(len), numbers.filter(bool).map(len)),
    ]
    waits = [asyncio.ensure_future(_awaited(future)) for future in derived]
    await asyncio.sleep(0)
    await asyncio.to_thread(numbers.set, [1, 2, 3])
    assert await asyncio.wait_for(asyncio.gather(*waits[:4]), 10) == [[2, 3], 6, 6, 60]
    assert not waits[4].done()
    more.set([4])
    assert await asyncio.wait_for(asyncio.gather(*waits[4:]), 10) == [
        [[1, 2, 3], [4]],
        1,
        [3, 1, 3],
    ]


def test_derived_futures_are_got_from_threads_as_pykkas_are():
    numbers = Future()
    total = numbers.map(sum)
    setting = in_a_thread(numbers.set, [1, 2])
    assert total.get(timeout=10) == 3
    assert numbers.join(numbers).get() == [[1, 2], [1, 2]]
    setting.join(10)


async def test_a_derived_value_is_computed_once(future):
    calls = []
    derived = future.map(calls.append)
    future.set("value")
    await derived
    await derived
    derived.get()
    assert calls == ["value"]


async def test_errors_pass_through_derived_futures():
    good, bad = Future(), Future()
    good.set([1])
    bad.set_exception((ValueError, ValueError("no"), None))
    for derived in (
        bad.map(str),
        bad.filter(bool),
        bad.reduce(operator.add),
        good.join(bad),
        bad.join(good).map(len),
        good.map(lambda _: bad.get()),
    ):
        with pytest.raises(ValueError, match="no"):
            await derived


async def test_an_error_of_the_function_is_raised_to_who_awaits(future):
    derived = future.map(lambda value: 1 // value)
    future.set(0)
    with pytest.raises(ZeroDivisionError):
        await derived
    not_iterable = Future()
    not_iterable.set(1)
    with pytest.raises(TypeError):
        await not_iterable.filter(bool)


async def test_a_cancelled_await_of_a_derived_future_is_cancelled(future):
    waits = asyncio.ensure_future(_awaited(future.map(str)))
    await asyncio.sleep(0)
    waits.cancel()
    await asyncio.wait({waits})
    assert waits.cancelled()


async def test_a_users_hook_may_block_because_it_runs_on_another_thread(future):
    threads = []
    released = threading.Event()

    def hook(timeout):
        threads.append(threading.get_ident())
        released.wait(10)
        return ("hooked", timeout)

    future.set_get_hook(hook)
    waits = asyncio.ensure_future(_awaited(future))
    await asyncio.sleep(0)
    released.set()
    assert await asyncio.wait_for(waits, 10) == ("hooked", None)
    assert threads != [threading.get_ident()]
    assert await future == ("hooked", None)
    assert len(threads) == 1


def test_a_users_hook_is_given_the_time_to_wait(future):
    future.set_get_hook(lambda timeout: timeout)
    assert future.get(timeout=7) == 7


def test_a_hook_and_a_value_exclude_each_other(future):
    future.set("value")
    with pytest.raises(queue.Full):
        future.set_get_hook(lambda _: "hooked")
    hooked = Future()
    hooked.set_get_hook(lambda _: "hooked")
    with pytest.raises(queue.Full):
        hooked.set("value")
    with pytest.raises(queue.Full):
        hooked.set_exception((ValueError, None, None))
    assert (future.get(), hooked.get()) == ("value", "hooked")


# Callbacks.


def test_callbacks_are_called_once_on_the_thread_that_sets_it(future):
    calls = []
    for name in "ab":
        future.add_done_callback(lambda name=name: calls.append((name, threading.get_ident())))
    assert calls == []
    setter = in_a_thread(future.set, "value")
    setter.join(10)
    assert calls == [("a", setter.ident), ("b", setter.ident)]
    assert not future.try_resolve("again")
    assert len(calls) == 2


def test_a_callback_that_comes_late_is_called_at_once(future):
    future.set_exception((ValueError, ValueError("no"), None))
    calls = []
    future.add_done_callback(lambda: calls.append(future.failed()))
    assert calls == [True]


def test_a_callback_finds_the_future_done_and_may_add_another(future):
    calls = []

    def outer():
        calls.append(future.get())
        future.add_done_callback(lambda: calls.append("inner"))

    future.add_done_callback(outer)
    future.set("value")
    assert calls == ["value", "inner"]


def test_of_callbacks_added_while_it_is_set_none_is_lost():
    calls = []
    futures = [Future() for _ in range(500)]
    together = threading.Barrier(2)

    def set_all():
        together.wait(10)
        for one in futures:
            one.set()

    setter = in_a_thread(set_all)
    together.wait(10)
    for one in futures:
        one.add_done_callback(lambda: calls.append(1))
    setter.join(10)
    assert len(calls) == 500


def test_a_countdown_is_done_when_all_have_reported():
    countdown = Countdown(3)
    assert countdown.try_resolve() is False
    assert countdown.try_resolve(None, ValueError("counts as well")) is False
    assert not countdown.done()
    assert countdown.try_resolve() is True
    assert countdown.get() is None
    assert countdown.try_resolve() is False


# Who waits for a reply.


async def test_a_reply_goes_to_whatever_kind_of_future_waits():
    ours, pykkas = Future(), pykka.ThreadingFuture()
    asyncios = asyncio.get_running_loop().create_future()
    for waiting in (ours, pykkas, asyncios):
        resolve(waiting, "reply")
    assert (ours.get(), pykkas.get(), await asyncios) == ("reply", "reply", "reply")


async def test_an_error_goes_to_whatever_kind_of_future_waits():
    ours, pykkas = Future(), pykka.ThreadingFuture()
    asyncios = asyncio.get_running_loop().create_future()
    for waiting in (ours, pykkas, asyncios):
        resolve(waiting, None, ValueError("no"))
    for got in (ours.get, pykkas.get, asyncios.result):
        with pytest.raises(ValueError, match="no"):
            got()


async def test_a_second_reply_changes_nothing_and_costs_nobody_anything():
    ours, pykkas = Future(), pykka.ThreadingFuture()
    asyncios, cancelled = (asyncio.get_running_loop().create_future() for _ in range(2))
    cancelled.cancel()
    for waiting in (ours, pykkas, asyncios, cancelled):
        resolve(waiting, "first")
        resolve(waiting, "second")
        resolve(waiting, None, ValueError("third"))
    assert (ours.get(), pykkas.get(), await asyncios) == ("first", "first", "first")
    assert cancelled.cancelled()


async def test_a_stop_iteration_reaches_the_asker_as_an_error_that_can_be_awaited():
    asyncios = asyncio.get_running_loop().create_future()
    resolve(asyncios, None, StopIteration("over"))
    with pytest.raises(RuntimeError, match="StopIteration"):
        await asyncios


async def test_a_thread_replies_to_a_future_of_the_loop():
    asyncios = asyncio.get_running_loop().create_future()
    await asyncio.to_thread(resolve_from_any_thread, asyncios, "reply")
    assert await asyncio.wait_for(asyncios, 10) == "reply"


def test_a_reply_to_a_closed_loop_and_to_nobody_is_nothing():
    loop = asyncio.new_event_loop()
    asyncios = loop.create_future()
    loop.close()
    resolve_from_any_thread(asyncios, "reply")
    resolve_from_any_thread(None, "reply")
    assert not asyncios.done()


# Nothing is kept alive by a cycle.


class Witness:
    """Something that a weak reference may point to."""


def raised_error():
    def fails():
        raise ValueError(Witness())

    try:
        fails()
    except ValueError as error:
        return error


@pytest.mark.usefixtures("no_collector")
def test_an_error_that_was_got_and_dropped_is_gone_without_the_collector():
    future, error = Future(), raised_error()
    remembered, witness = weakref.ref(future), weakref.ref(error.args[0])
    future.try_resolve(None, error)
    with suppress(ValueError):
        future.get()
    # The frames of the error lead to this one, which must not know them either.
    del future, error
    assert witness() is None
    assert remembered() is None


@pytest.mark.usefixtures("no_collector")
async def test_an_error_that_was_awaited_and_dropped_is_gone_without_the_collector():
    future, error = Future(), raised_error()
    remembered, witness = weakref.ref(future), weakref.ref(error.args[0])
    future.try_resolve(None, error)
    with suppress(ValueError):
        await future
    # The frames of the error lead to this one, which must not know them either.
    del future, error
    assert witness() is None
    assert remembered() is None


@pytest.mark.usefixtures("no_collector")
async def test_an_error_that_a_handler_raised_is_gone_when_its_asker_has_dropped_it():
    class Failing(LoopActor):
        def on_receive(self, _message):
            witness = Witness()
            witnesses.append(weakref.ref(witness))
            raise ValueError(witness)

    witnesses = []
    ref = Failing.start()
    for ask in (ref.ask_async, lambda message: ref.ask(message, block=False)):
        with suppress(ValueError):
            await ask("x")
    ref.kill()
    await ref.stopped()
    assert [witness() for witness in witnesses] == [None, None]


# Callbacks that raise.


def test_a_callback_that_raises_keeps_the_others_from_nothing(future, caplog):
    called = []
    future.add_done_callback(lambda: called.append("first"))
    future.add_done_callback(lambda: 1 / 0)
    future.add_done_callback(lambda: called.append("last"))
    future.set("value")
    assert called == ["first", "last"]
    assert future.get() == "value"
    assert "ZeroDivisionError" in caplog.text


async def test_who_awaits_a_future_goes_on_though_a_callback_raised(future, caplog):
    future.add_done_callback(lambda: 1 / 0)
    awaited = asyncio.ensure_future(_awaited(future))
    await asyncio.sleep(0)
    future.set("value")
    assert await asyncio.wait_for(awaited, 5) == "value"
    assert "ZeroDivisionError" in caplog.text


async def _awaited(future):
    return await future


@pytest.mark.parametrize("kind", [LoopActor, PoolActor, ThreadActor])
@pytest.mark.usefixtures("caplog")
async def test_an_actor_handles_more_after_a_callback_of_its_reply_raised(kind):
    class Held(kind):
        def on_receive(self, message):
            return message

    ref = Held.start()
    await ref.started()
    ref.suspend()
    asked = ref.ask("x", block=False)
    asked.add_done_callback(lambda: 1 / 0)
    ref.resume()
    assert await asyncio.wait_for(asked, 5) == "x"
    assert await asyncio.wait_for(ref.ask("y", block=False), 5) == "y"
    ref.kill()
    await ref.stopped()

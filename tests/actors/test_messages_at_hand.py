"""What an actor may do with the message at hand: stash, forward, reply later, pipe, be cancelled."""

import asyncio
import threading

import pykka
import pytest

from apex_actors.actors import (
    ActorDeadError,
    AskerGoneError,
    AsyncHandlerError,
    Directive,
    Future,
    LoopActor,
    MessageExpiredError,
    Options,
    PoolActor,
    StashFullError,
    Supervision,
    Terminated,
    ThreadActor,
)

pytestmark = pytest.mark.usefixtures("expected_failures_are_quiet", "system")

RESTART = Supervision(default=Directive.RESTART, max_restarts=None)


class Answering:
    """Answers with what it was told, from wherever its type runs."""

    def on_receive(self, message):
        if isinstance(message, Exception):
            raise message
        return ("answer", message)


class LoopAnswering(Answering, LoopActor):
    pass


class PoolAnswering(Answering, PoolActor):
    pass


class ThreadAnswering(Answering, ThreadActor):
    pass


every_kind = pytest.mark.parametrize("kind", [LoopAnswering, PoolAnswering, ThreadAnswering])


@pytest.fixture
def log():
    return []


def both_asks(ref, message):
    """The two ways of asking from the loop."""
    return [ref.ask(message, block=False), ref.ask_async(message)]


# Stash.


class Stashing(LoopActor):
    """Puts everything off until it is told that it is ready."""

    def __init__(self, log):
        super().__init__()
        self.log = log
        self.ready = False

    def on_receive(self, message):
        if message == "ready":
            self.ready = True
            self.unstash_all()
        elif isinstance(message, Exception):
            raise message
        elif not self.ready:
            self.stash()
            return "the reply of a stashed message goes nowhere"
        else:
            self.log.append(message)
        return message


async def test_what_was_stashed_is_handled_in_its_order_before_what_waits(log):
    ref = Stashing.start(log)
    for message in ("a", "b", "ready", "c", "d"):
        ref.tell(message)
    await ref.ask_async("end")
    assert log == ["a", "b", "c", "d", "end"]


async def test_who_asked_waits_on_and_gets_the_reply_of_the_second_time(log, eventually):
    ref = Stashing.start(log)
    asked = both_asks(ref, "question")
    await eventually(lambda: ref.statistics().processed == 2)
    assert not any(reply.done() for reply in asked)
    ref.tell("ready")
    assert [await reply for reply in asked] == ["question", "question"]


async def test_a_message_may_be_stashed_again(log):
    class Reluctant(Stashing):
        def on_receive(self, message):
            if message == "not yet":
                self.unstash_all()
                return None
            return super().on_receive(message)

    ref = Reluctant.start(log)
    for message in ("a", "b", "not yet", "c", "ready"):
        ref.tell(message)
    await ref.ask_async("end")
    assert log == ["a", "b", "c", "end"]


async def test_unstashing_nothing_does_nothing(log):
    ref = Stashing.start(log)
    for message in ("ready", "ready", "a"):
        ref.tell(message)
    await ref.ask_async("end")
    assert log == ["a", "end"]


async def test_a_full_stash_refuses_and_the_asker_knows(log):
    ref = Stashing.start_with(Options(stash_capacity=2), log)
    first, second = ref.ask("first", block=False), ref.ask("second", block=False)
    with pytest.raises(StashFullError):
        await ref.ask_async("third")
    ref.tell("ready")
    assert await first == "first"
    assert await second == "second"
    assert await ref.ask_async("there is room again") == "there is room again"


async def test_the_stash_may_be_filled_again_when_it_was_emptied(log):
    class Twice(LoopActor):
        rounds = 0

        def on_receive(self, message):
            if message == "next":
                self.rounds += 1
                self.unstash_all()
            elif self.rounds < 2:
                self.stash()
            else:
                log.append(message)

    ref = Twice.start_with(Options(stash_capacity=2))
    for message in ("a", "b", "next"):
        ref.tell(message)
    ref.tell("next")
    await ref.ask_async("end")
    assert log == ["a", "b", "end"]


async def test_an_async_handler_may_stash_after_it_has_waited(log):
    class Slow(LoopActor):
        ready = False

        async def on_receive(self, message):
            await asyncio.sleep(0)
            if message == "ready":
                self.ready = True
                self.unstash_all()
            elif not self.ready:
                self.stash()
            else:
                log.append(message)
            return message

    ref = Slow.start()
    asked = ref.ask_async("a")
    ref.tell("b")
    ref.tell("ready")
    assert await asked == "a"
    await ref.ask_async("end")
    assert log == ["a", "b", "end"]


async def test_the_stash_of_a_failed_instance_is_handled_by_the_next_one(log):
    ref = Stashing.start_with(Options(supervision=Supervision.restarting()), log)
    asked = ref.ask_async("a")
    ref.tell("b")
    ref.tell(ValueError("restart"))
    ref.tell("ready")
    assert await asked == "a"
    await ref.ask_async("end")
    assert log == ["a", "b", "end"]


async def test_who_asked_for_what_is_stashed_knows_when_the_actor_ends(log, eventually):
    ref = Stashing.start(log)
    asked = both_asks(ref, "question")
    await eventually(lambda: ref.statistics().processed == 2)
    await ref.stop(block=False)
    for reply in asked:
        with pytest.raises(ActorDeadError):
            await reply


# Forward.


class Forwarding(LoopActor):
    def __init__(self, target):
        super().__init__()
        self.target = target

    def on_receive(self, message):
        if isinstance(message, tuple):
            self.forward(self.target, *message)
        else:
            self.forward(self.target)
        return "the forwarder's own reply goes nowhere"


@every_kind
async def test_a_forwarded_message_is_answered_to_who_asked_first(kind):
    ref = Forwarding.start(kind.start())
    for reply in both_asks(ref, "question"):
        assert await asyncio.wait_for(reply, 5) == ("answer", "question")
    reply = await asyncio.to_thread(ref.ask, "from a thread", timeout=5)
    assert reply == ("answer", "from a thread")


@every_kind
async def test_an_error_of_the_next_one_is_raised_to_who_asked_first(kind):
    ref = Forwarding.start(kind.start())
    for reply in both_asks(ref, ValueError("no")):
        with pytest.raises(ValueError, match="no"):
            await asyncio.wait_for(reply, 5)


@pytest.mark.parametrize("kind", [PoolActor, ThreadActor])
async def test_actors_on_threads_forward_too(kind):
    class Relay(kind):
        def on_receive(self, _message):
            self.forward(target)

    target = LoopAnswering.start()
    for reply in both_asks(Relay.start(), "question"):
        assert await asyncio.wait_for(reply, 5) == ("answer", "question")


async def test_a_message_may_go_through_many_hands():
    ref = LoopAnswering.start()
    for kind in (PoolActor, LoopActor, ThreadActor, LoopActor):

        class Relay(kind):
            def __init__(self, target):
                super().__init__()
                self.target = target

            def on_receive(self, _message):
                self.forward(self.target)

        ref = Relay.start(ref)
    for reply in both_asks(ref, "question"):
        assert await asyncio.wait_for(reply, 5) == ("answer", "question")


async def test_another_message_may_be_sent_in_its_place_and_the_last_one_answers():
    target = LoopAnswering.start()
    ref = Forwarding.start(target)
    assert await ref.ask_async(("one", "two", "three")) == ("answer", "three")
    assert target.statistics().processed == 3


async def test_a_told_message_is_told_on(eventually):
    target = LoopAnswering.start()
    Forwarding.start(target).tell("told")
    await eventually(lambda: target.statistics().processed == 1)


async def test_forwarding_to_a_dead_actor_fails_and_who_asked_gets_that():
    target = LoopAnswering.start()
    target.kill()
    await target.stopped()
    ref = Forwarding.start(target)
    for reply in both_asks(ref, "question"):
        with pytest.raises(ActorDeadError):
            await asyncio.wait_for(reply, 5)
    assert ref.is_alive()


async def test_who_asked_is_answered_when_the_next_one_ends_first(eventually):
    class Stuck(LoopActor):
        async def on_receive(self, _message):
            await asyncio.Event().wait()

    target = Stuck.start()
    ref = Forwarding.start(target)
    asked = both_asks(ref, "question")
    await eventually(lambda: target.statistics().depth == 1)
    target.kill()
    for reply in asked:
        with pytest.raises(ActorDeadError):
            await asyncio.wait_for(reply, 5)


# Replying later.


class Deferring(LoopActor):
    def __init__(self, answers):
        super().__init__()
        self.answers = answers

    def on_receive(self, _message):
        self.answers.append(self.defer_reply())
        return "the handler's own reply goes nowhere"


@pytest.fixture
def answers():
    return []


async def test_a_reply_may_be_given_when_the_handler_has_long_ended(answers, eventually):
    ref = Deferring.start(answers)
    asked = both_asks(ref, "question")
    await eventually(lambda: len(answers) == 2)
    assert not any(reply.done() for reply in asked)
    for answer in answers:
        answer("late")
    assert [await reply for reply in asked] == ["late", "late"]


async def test_a_thread_may_reply(answers, eventually):
    ref = Deferring.start(answers)
    asked = both_asks(ref, "question")
    await eventually(lambda: len(answers) == 2)
    for answer in answers:
        await asyncio.to_thread(answer, "from a thread")
    replies = await asyncio.wait_for(asyncio.gather(*map(_awaited, asked)), 5)
    assert replies == ["from a thread"] * 2


async def test_of_several_replies_the_first_counts(answers, eventually):
    ref = Deferring.start(answers)
    asked = both_asks(ref, "question")
    await eventually(lambda: len(answers) == 2)
    for answer in answers:
        threads = [threading.Thread(target=answer, args=("same",)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)
        await asyncio.to_thread(answer, "another")
        await asyncio.to_thread(answer, ValueError("another"))
    replies = await asyncio.wait_for(asyncio.gather(*map(_awaited, asked)), 5)
    assert replies == ["same", "same"]


async def test_an_exception_is_raised_to_who_asked_and_the_actor_lives_on(answers, eventually):
    ref = Deferring.start(answers)
    asked = both_asks(ref, "question")
    await eventually(lambda: len(answers) == 2)
    for answer in answers:
        answer(ValueError("no"))
    for reply in asked:
        with pytest.raises(ValueError, match="no"):
            await reply
    assert ref.is_alive()


async def test_the_reply_to_a_told_message_goes_nowhere(answers, eventually):
    ref = Deferring.start(answers)
    ref.tell("told")
    await eventually(lambda: answers)
    answers[0]("nobody hears it")
    answers[0](ValueError("nor this"))
    assert ref.is_alive()


async def test_who_waits_for_a_deferred_reply_is_told_when_the_actor_ends(answers, eventually):
    ref = Deferring.start(answers)
    patient = ref.ask("question", block=False)
    gone = ref.ask_async("question")
    await eventually(lambda: len(answers) == 2)
    gone.cancel()
    ref.kill()
    await ref.stopped()
    with pytest.raises(ActorDeadError, match="ended before it answered"):
        await asyncio.wait_for(patient, 5)
    for answer in answers:
        answer("late")  # goes nowhere


async def test_a_handler_that_fails_after_it_took_the_reply_fails_the_actor(answers):
    class Careless(Deferring):
        def on_receive(self, message):
            super().on_receive(message)
            raise ValueError("after all")

    ref = Careless.start(answers)
    asked = ref.ask("question", block=False)
    await asyncio.wait_for(ref.stopped(), 5)
    with pytest.raises(ActorDeadError):
        await asked


async def _awaited(future):
    return await future


# Piping results to oneself.


class Piping(LoopActor):
    """Pipes what the test gives it, and notes what it is told."""

    def __init__(self, log):
        super().__init__()
        self.log = log

    def on_receive(self, message):
        match message:
            case ("pipe", source, how):
                self.pipe_to_self(source, **how)
            case ValueError():
                raise message
            case _:
                self.log.append(message)
        return message


async def later(value, gate):
    await gate.wait()
    if isinstance(value, Exception):
        raise value
    return value


@pytest.fixture
def gate():
    return asyncio.Event()


async def test_the_actor_goes_on_until_the_result_comes_as_a_message(log, gate, eventually):
    ref = Piping.start(log)
    await ref.ask_async(("pipe", later("result", gate), {}))
    await ref.ask_async("meanwhile")
    assert log == ["meanwhile"]
    gate.set()
    await eventually(lambda: log == ["meanwhile", "result"])


async def test_results_and_errors_are_made_into_messages(log, gate, eventually):
    ref = Piping.start(log)
    how = {
        "done": lambda value: ("done", value),
        "failed": lambda error: ("failed", type(error)),
    }
    ref.tell(("pipe", later("result", gate), how))
    ref.tell(("pipe", later(KeyError("no"), gate), how))
    gate.set()
    await eventually(lambda: sorted(log) == [("done", "result"), ("failed", KeyError)])


async def test_an_error_is_told_as_it_is_where_nothing_else_is_said(log, gate, eventually):
    ref = Piping.start(log)
    error = KeyError("no")
    ref.tell(("pipe", later(error, gate), {}))
    gate.set()
    await eventually(lambda: log == [error])


async def test_what_was_cancelled_by_others_is_told_as_an_error(log, eventually):
    ref = Piping.start(log)
    source = asyncio.get_running_loop().create_future()
    ref.tell(("pipe", source, {}))
    await ref.ask_async("begun")
    source.cancel()
    await eventually(lambda: len(log) == 2)
    assert isinstance(log[1], asyncio.CancelledError)


async def test_all_kinds_of_futures_can_be_piped(log, eventually):
    ref = Piping.start(log)
    echo = PoolAnswering.start()
    ours, pykkas = Future(), pykka.ThreadingFuture()
    asyncios = asyncio.get_running_loop().create_future()
    done_already = Future()
    done_already.set("done already")
    sources = [
        ours,
        ours.map(str.upper),
        pykkas,
        asyncios,
        done_already,
        echo.ask("asked", block=False),
        echo.ask_async("asked"),
        LoopAnswering.start().ask_async("asked on the loop"),
    ]
    for source in sources:
        await ref.ask_async(("pipe", source, {"done": lambda value: ("done", value)}))
    await asyncio.to_thread(ours.set, "ours")
    await asyncio.to_thread(pykkas.set, "pykka's")
    asyncios.set_result("asyncio's")
    await eventually(lambda: len(log) == len(sources))
    assert sorted(map(str, log)) == sorted(
        str(("done", value))
        for value in (
            "ours",
            "OURS",
            "pykka's",
            "asyncio's",
            "done already",
            ("answer", "asked"),
            ("answer", "asked"),
            ("answer", "asked on the loop"),
        )
    )


async def test_a_failed_future_is_told_as_an_error(log, eventually):
    ref = Piping.start(log)
    future = LoopAnswering.start().ask(KeyError("no"), block=False)
    ref.tell(("pipe", future, {"failed": lambda error: ("failed", type(error))}))
    await eventually(lambda: log == [("failed", KeyError)])


async def test_what_still_runs_when_the_actor_ends_is_cancelled_and_nothing_is_told(log, system):
    letters, ended = [], []
    system.dead_letters.subscribe(letters.append)

    async def runs():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    ref = Piping.start(log)
    future = Future()
    await ref.ask_async(("pipe", runs(), {}))
    await ref.ask_async(("pipe", future, {}))
    await asyncio.sleep(0)
    ref.kill()
    await ref.stopped()
    future.set("late")
    await asyncio.sleep(0)
    assert ended == ["cancelled"]
    assert (log, letters) == ([], [])


async def test_what_runs_for_an_instance_is_not_told_to_the_next_one(log, gate, eventually):
    ref = Piping.start_with(Options(supervision=Supervision.restarting()), log)
    future = Future()
    await ref.ask_async(("pipe", later("old", gate), {}))
    await ref.ask_async(("pipe", future, {}))
    before = ref.cell.actor
    ref.tell(ValueError("restart"))
    await eventually(lambda: ref.cell.actor not in {None, before})
    gate.set()
    future.set("old")
    await ref.ask_async(("pipe", later("new", gate), {}))
    await eventually(lambda: log == ["new"])


async def test_actors_on_threads_pipe_futures_of_actors(log, eventually):
    class Pool(PoolActor):
        def on_receive(self, message):
            if message == "ask":
                self.pipe_to_self(echo.ask("question", block=False))
            else:
                log.append((message, threading.get_ident()))

    echo = LoopAnswering.start()
    Pool.start().tell("ask")
    await eventually(lambda: log)
    message, thread = log[0]
    assert message == ("answer", "question")
    assert thread != threading.get_ident()


async def test_actors_on_threads_cannot_pipe_what_must_be_awaited():
    class Pool(PoolActor):
        def on_receive(self, message):
            self.pipe_to_self(message)

    awaitable = asyncio.get_running_loop().create_future()
    with pytest.raises(AsyncHandlerError):
        await Pool.start().ask_async(awaitable)


# Cancelling the message under way.


class Cancellable(LoopActor):
    def __init__(self, log):
        super().__init__()
        self.log = log

    async def on_receive(self, message):
        self.log.append(message)
        if message == "long":
            await asyncio.Event().wait()
        if message == "stubborn":
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return "replied all the same"
        if message == "awaits what is cancelled":
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future
        return message


async def test_who_asked_for_a_cancelled_message_knows_and_the_actor_lives_on(log, eventually):
    ref = Cancellable.start(log)
    for ask in (ref.ask_async, lambda message: ref.ask(message, block=False)):
        log.clear()
        asked = ask("long")
        await eventually(lambda: log == ["long"])
        ref.cancel()
        with pytest.raises(AskerGoneError):
            await asyncio.wait_for(asked, 5)
        assert await ref.ask_async("next") == "next"


async def test_a_told_message_that_is_cancelled_is_no_failure(log, eventually):
    ref = Cancellable.start(log)
    ref.tell("long")
    await eventually(lambda: log == ["long"])
    await asyncio.to_thread(ref.cancel)
    assert await ref.ask_async("next", timeout=5) == "next"


async def test_a_cancel_goes_before_what_waits_and_cancels_one_message_only(log, eventually):
    ref = Cancellable.start(log)
    first = ref.ask("long", block=False)
    await eventually(lambda: log == ["long"])
    second = ref.ask("waits", block=False)
    ref.cancel()
    ref.cancel()
    with pytest.raises(AskerGoneError):
        await asyncio.wait_for(first, 5)
    assert await asyncio.wait_for(second, 5) == "waits"


async def test_cancelling_an_actor_that_is_idle_or_dead_does_nothing(log):
    ref = Cancellable.start(log)
    ref.cancel()
    assert await ref.ask_async("a") == "a"
    ref.cancel()
    assert await ref.ask_async("b") == "b"
    ref.kill()
    await ref.stopped()
    ref.cancel()


async def test_a_handler_that_ends_well_although_it_was_cancelled_has_its_reply(log, eventually):
    ref = Cancellable.start(log)
    asked = ref.ask_async("stubborn")
    await eventually(lambda: log == ["stubborn"])
    ref.cancel()
    assert await asyncio.wait_for(asked, 5) == "replied all the same"
    # That it was cancelled is over: the next cancellation is one of what it awaits.
    with pytest.raises(RuntimeError, match="awaited was cancelled"):
        await ref.ask_async("awaits what is cancelled", timeout=5)


async def test_a_cancelled_on_start_is_none_of_its_business(log, gate):
    class Starting(Cancellable):
        async def on_start(self):
            await gate.wait()

    ref = Starting.start(log)
    ref.cancel()
    asked = ref.ask("a", block=False)
    ref.cancel()
    gate.set()
    assert await asyncio.wait_for(asked, 5) == "a"


# What else may be at hand.


async def test_the_news_of_an_end_may_be_stashed(log, eventually):
    class Watching(Stashing):
        def on_receive(self, message):
            if isinstance(message, pykka.ActorRef):
                self.watch(message)
                return None
            if isinstance(message, Terminated) and not self.ready:
                stashed.append(message)
            return super().on_receive(message)

    stashed = []
    other, ref = LoopAnswering.start(), Watching.start(log)
    await ref.ask_async(other)
    other.kill()
    await eventually(lambda: stashed)
    await ref.ask_async("ready")
    await ref.ask_async("end")
    assert log == [*stashed, "end"]


async def test_a_forwarded_message_keeps_its_limit(eventually):
    class Forwarding(LoopActor):
        def on_receive(self, _message):
            self.forward(target)

    target = LoopAnswering.start()
    await target.started()
    target.suspend()
    ref = Forwarding.start()
    asked = ref.ask_async("short-lived", expires_in_s=0.02)
    await eventually(lambda: target.statistics().depth == 1)
    await eventually(lambda: target.statistics().oldest_age_s > 0.02)
    target.resume()
    with pytest.raises(MessageExpiredError):
        await asyncio.wait_for(asked, 5)


async def test_a_piped_result_that_cannot_be_made_a_message_does_not_break_who_gave_it(log):
    def unlucky(_result):
        raise ZeroDivisionError("no message")

    source = LoopAnswering.start()
    await source.started()
    source.suspend()
    ref = Piping.start(log)
    await ref.ask_async(("pipe", source.ask("x", block=False), {"done": unlucky}))
    source.resume()
    assert await source.ask_async("y", timeout=5) == ("answer", "y")


async def test_a_deferred_reply_that_a_thread_gave_is_not_replaced_by_a_later_one(
    answers, eventually
):
    ref = Deferring.start(answers)
    asked = ref.ask_async("question")
    await eventually(lambda: answers)
    # Both before the loop could pass the first one on.
    thread = threading.Thread(target=answers[0], args=("first",))
    thread.start()
    thread.join(5)
    answers[0]("second")
    assert await asked == "first"


@pytest.mark.parametrize("fails", [False, True])
async def test_a_class_says_whether_an_ask_that_raises_fails_the_actor(fails):
    class Asked(LoopAnswering):
        fails_on_ask = fails

    ref = Asked.start()
    with pytest.raises(ValueError, match="no"):
        await ref.ask_async(ValueError("no"))
    if fails:
        await asyncio.wait_for(ref.stopped(), 5)
    assert ref.is_alive() is not fails

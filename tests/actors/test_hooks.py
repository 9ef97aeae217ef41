"""Hooks: what metrics and traces see of messages, their causes, and the lives of actors."""

import asyncio
import logging

import pytest

from apex_actors.actors import (
    ActorSystem,
    AskerGoneError,
    Bound,
    Directive,
    Hooks,
    Lane,
    LoopActor,
    Options,
    PoolActor,
    StopReason,
    Supervision,
)

pytestmark = pytest.mark.usefixtures("expected_failures_are_quiet")


class Recording(Hooks):
    """Remembers everything; a message's trace is its own, drawn from a span of the test's."""

    def __init__(self):
        self.messages = {}
        self.traces = {}
        self.open = {}
        self.waited = []
        self.handled_messages = []
        self.lives = []

    @staticmethod
    def name(message):
        return message if isinstance(message, str) else type(message).__name__

    def sent(self, ref, message, headers):
        assert ref.is_alive()
        self.messages[self.name(message)] = headers
        return ("trace of", message)

    def received(self, ref, message, headers, waited_s):
        # What timers and pipes tell is sent in a wrapping of the runtime's, and received without.
        self.messages.setdefault(self.name(message), headers)
        self.traces[self.name(message)] = headers.trace
        self.waited.append(waited_s)
        self.open[ref] = self.name(message)
        return self.name(message)

    def handled(self, ref, seen, error):
        # Pairs: whatever was received by an actor is handled before it receives the next.
        assert self.open.pop(ref) == seen
        self.handled_messages.append((seen, type(error)))

    def started(self, ref):
        self.lives.append(("started", ref))

    def stopped(self, ref, reason):
        self.lives.append(("stopped", ref, reason))

    def failed(self, ref, error, directive):
        self.lives.append(("failed", ref, type(error), directive))

    def cause_of(self, message):
        """The message whose handler sent ``message``."""
        cause_id = self.messages[message].cause_id
        causes = [name for name, sent in self.messages.items() if sent.message_id == cause_id]
        return causes[0] if causes else None


@pytest.fixture
def hooks():
    return Recording()


@pytest.fixture(autouse=True)
async def system(hooks):
    loop = asyncio.get_running_loop()
    system = ActorSystem(loop=loop, hooks=hooks).install(loop)
    yield system
    await system.stop_all(5, kill=True)
    assert hooks.open == {}, "received and never handled"


class Plain(LoopActor):
    """Tells the next actor what is left of the message, until nothing is."""

    def __init__(self, target=None):
        super().__init__()
        self.target = target

    def on_receive(self, message):
        if self.target is not None:
            self.target.tell(message + "'")
        return message


class Waiting(Plain):
    """The same across waits, one before and one behind."""

    async def on_receive(self, message):
        await asyncio.sleep(0)
        super().on_receive(message)
        await asyncio.sleep(0)
        return message


class Quick(Plain):
    """The same in an async handler that does not wait."""

    async def on_receive(self, message):
        return super().on_receive(message)


class OnPool(PoolActor):
    def __init__(self, target=None):
        super().__init__()
        self.target = target

    on_receive = Plain.on_receive


every_kind = pytest.mark.parametrize("kind", [Plain, Waiting, Quick, OnPool])


# Causation.


async def test_messages_are_numbered_and_those_from_outside_have_no_cause(hooks):
    ref = Plain.start()
    ref.tell("told")
    await ref.ask_async("asked")
    await ref.ask("asked again", block=False)
    await ref.tell_async("told and awaited")
    ref.tell("urgent", lane=Lane.CONTROL)
    await asyncio.to_thread(ref.tell, "from a thread")
    await ref.ask_async("last")
    ids = [headers.message_id for headers in hooks.messages.values()]
    assert ids == sorted(set(ids))
    assert {headers.cause_id for headers in hooks.messages.values()} == {None}


@every_kind
async def test_what_a_handler_sends_names_the_message_that_it_handles_as_its_cause(
    hooks, eventually, kind
):
    last = Plain.start()
    ref = kind.start(kind.start(last))
    ref.tell("a")
    ref.tell("b")
    await eventually(lambda: last.statistics().processed == 2)
    assert hooks.cause_of("a") is None
    assert hooks.cause_of("a'") == "a"
    assert hooks.cause_of("a''") == "a'"
    assert hooks.cause_of("b''") == "b'"


async def test_causes_are_not_mixed_up_between_handlers_that_wait_at_the_same_time(
    hooks, eventually
):
    last = Plain.start()
    refs = [Waiting.start(last) for _ in range(5)]
    for number, ref in enumerate(refs):
        ref.tell(f"{number}")
    await eventually(lambda: last.statistics().processed == 5)
    assert [hooks.cause_of(f"{number}'") for number in range(5)] == list("01234")


async def test_an_ask_of_a_handler_has_a_cause_too(hooks):
    class Asking(LoopActor):
        async def on_receive(self, message):
            return await target.ask_async(message + "?")

    target = Plain.start()
    assert await Asking.start().ask_async("a") == "a?"
    assert hooks.cause_of("a?") == "a"


async def test_a_task_that_a_handler_began_still_has_the_message_as_its_cause(hooks, eventually):
    class Spawning(LoopActor):
        async def on_receive(self, message):
            self.task = asyncio.create_task(self.later(message))

        async def later(self, message):
            await asyncio.sleep(0)
            target.tell(message + "'")

    target = Plain.start()
    Spawning.start().tell("a")
    await eventually(lambda: target.statistics().processed == 1)
    assert hooks.cause_of("a'") == "a"


@every_kind
async def test_the_cause_is_over_when_the_handler_has_ended(hooks, kind):
    target = Plain.start()
    ref = kind.start(target)
    await ref.ask_async("a")
    target.tell("from outside")
    await target.ask_async("end")
    assert hooks.cause_of("from outside") is None


@pytest.mark.parametrize("kind", [LoopActor, PoolActor])
async def test_what_the_last_hook_sends_has_not_the_last_message_as_its_cause(hooks, kind):
    class Leaving(kind):
        def on_receive(self, message):
            return message

        def on_stop(self):
            target.tell("goodbye")

    target = Plain.start()
    ref = Leaving.start()
    ref.tell("a")
    await ref.stop(block=False)
    await target.ask_async("end")
    assert hooks.cause_of("goodbye") is None


async def test_a_forwarded_message_is_caused_by_the_one_it_was(hooks):
    class Forwarding(LoopActor):
        def on_receive(self, message):
            self.forward(target, message + "'")

    target = Plain.start()
    assert await Forwarding.start().ask_async("a") == "a'"
    assert hooks.cause_of("a'") == "a"


@every_kind
async def test_a_trace_travels_with_its_message(hooks, eventually, kind):
    last = Plain.start()
    kind.start(last).tell("a")
    await eventually(lambda: last.statistics().processed == 1)
    assert hooks.traces == {"a": ("trace of", "a"), "a'": ("trace of", "a'")}


async def test_what_a_message_waited_is_told(hooks, system):
    ref = Plain.start()
    await ref.ask_async("a")
    assert len(hooks.waited) == 1
    assert 0 <= hooks.waited[0] <= system.loop_dispatcher.clock()


# Received and handled.


class Troubled(LoopActor):
    """Ends a message in every way there is."""

    async def on_receive(self, message):
        match message:
            case "raises at once":
                raise ValueError(message)
            case "raises later":
                await asyncio.sleep(0)
                raise ValueError(message)
            case "waits":
                await asyncio.Event().wait()
            case "exits":
                raise SystemExit
            case "stops":
                self.ref.kill()
                await asyncio.Event().wait()
            case "stashes":
                self.stash()
            case "defers":
                self.defer_reply()("deferred")
        return message


class PlainTroubled(LoopActor):
    def on_receive(self, message):
        if message == "raises":
            raise ValueError(message)
        if message == "exits":
            raise SystemExit
        return message


@pytest.mark.parametrize("message", ["raises at once", "raises later"])
async def test_a_failing_handler_is_handled_with_its_error(hooks, message):
    ref = Troubled.start()
    with pytest.raises(ValueError, match=message):
        await ref.ask_async(message)
    assert hooks.handled_messages == [(message, ValueError)]
    ref.tell(message)
    await ref.stopped()
    assert hooks.handled_messages == [(message, ValueError)] * 2


@pytest.mark.parametrize("kind", [Troubled, PlainTroubled])
async def test_a_handler_that_exits_is_handled_with_its_error(hooks, kind):
    ref = kind.start()
    ref.tell("exits")
    await ref.stopped()
    assert hooks.handled_messages == [("exits", SystemExit)]


async def test_a_plain_handler_that_fails_for_an_asker_is_handled_with_its_error(hooks):
    ref = PlainTroubled.start()
    with pytest.raises(ValueError):
        await ref.ask_async("raises")
    await ref.ask_async("next")
    assert hooks.handled_messages == [("raises", ValueError), ("next", type(None))]


async def test_a_cancelled_handler_is_handled_as_cancelled(hooks, eventually):
    ref = Troubled.start()
    asked = ref.ask("waits", block=False)
    await eventually(lambda: hooks.open)
    ref.cancel()
    with pytest.raises(AskerGoneError):
        await asked
    await ref.ask_async("next")
    assert hooks.handled_messages == [
        ("waits", asyncio.CancelledError),
        ("next", type(None)),
    ]


@pytest.mark.parametrize("message", ["waits", "stops"])
async def test_a_handler_that_the_end_interrupts_is_handled_as_cancelled(
    hooks, eventually, message
):
    ref = Troubled.start()
    ref.tell(message)
    await eventually(lambda: hooks.traces)
    ref.kill()
    await ref.stopped()
    assert hooks.handled_messages == [(message, asyncio.CancelledError)]


async def test_a_stashed_message_is_received_and_handled_each_time(hooks):
    class Once(LoopActor):
        stashed = False

        def on_receive(self, message):
            if message == "a" and not self.stashed:
                self.stashed = True
                self.stash()
                self.unstash_all()

    ref = Once.start()
    ref.tell("a")
    await ref.ask_async("end")
    assert hooks.handled_messages == [("a", type(None)), ("a", type(None)), ("end", type(None))]


async def test_a_deferred_reply_ends_its_message_when_the_handler_ends(hooks):
    assert await Troubled.start().ask_async("defers") == "deferred"
    await asyncio.sleep(0)
    assert hooks.handled_messages == [("defers", type(None))]


async def test_what_is_dropped_is_sent_and_never_received(hooks, eventually):
    ref = Troubled.start_with(Options(mailbox=Bound(2)))
    ref.tell("waits")
    await eventually(lambda: hooks.open)
    ref.tell("expired", expires_in_s=-1)
    ref.tell("behind")
    ref.cancel()
    await ref.stop(block=False)
    assert [message for message, _ in hooks.handled_messages] == ["waits", "behind"]
    assert set(hooks.messages) == {"waits", "expired", "behind"}


async def test_pykkas_proxies_are_seen_as_well(hooks):
    class Counter(LoopActor):
        def __init__(self):
            super().__init__()
            self.count = 0

        def add(self, number):
            self.count += number
            return self.count

    assert await Counter.start().proxy().add(2) == 2
    assert hooks.handled_messages == [("ProxyCall", type(None))]


# Lives.


async def test_starts_and_ends_are_seen_with_their_reasons(hooks):
    stopped, killed = Plain.start(), Plain.start()
    await stopped.started()
    await killed.started()
    await stopped.stop(block=False)
    killed.kill()
    await killed.stopped()
    assert hooks.lives == [
        ("started", stopped),
        ("started", killed),
        ("stopped", stopped, StopReason.STOPPED),
        ("stopped", killed, StopReason.KILLED),
    ]


async def test_a_failure_is_seen_with_what_was_decided(hooks):
    ref = PlainTroubled.start()
    ref.tell("raises")
    await ref.stopped()
    assert hooks.lives == [
        ("started", ref),
        ("failed", ref, ValueError, Directive.STOP),
        ("stopped", ref, StopReason.FAILED),
    ]


async def test_a_restart_is_a_failure_and_another_start(hooks):
    options = Options(supervision=Supervision(default=Directive.RESTART, max_restarts=1))
    ref = PlainTroubled.start_with(options)
    ref.tell("raises")
    await ref.ask_async("back")
    ref.tell("raises")
    await ref.stopped()
    assert hooks.lives == [
        ("started", ref),
        ("failed", ref, ValueError, Directive.RESTART),
        ("started", ref),
        ("failed", ref, ValueError, Directive.STOP),
        ("stopped", ref, StopReason.FAILED),
    ]


async def test_a_start_that_failed_is_no_start(hooks):
    class Unborn(LoopActor):
        async def on_start(self):
            await asyncio.sleep(0)
            raise ValueError("no")

    ref = Unborn.start()
    await ref.stopped()
    assert hooks.lives == [
        ("failed", ref, ValueError, Directive.STOP),
        ("stopped", ref, StopReason.FAILED),
    ]


async def test_children_end_before_their_parents(hooks):
    class Parent(LoopActor):
        def on_start(self):
            children.append(self.start_child(Plain))

    children = []
    ref = await Parent.start_async()
    await children[0].started()
    ref.kill()
    await ref.stopped()
    assert hooks.lives == [
        ("started", ref),
        ("started", children[0]),
        ("stopped", children[0], StopReason.KILLED),
        ("stopped", ref, StopReason.KILLED),
    ]


async def test_hooks_that_do_nothing_change_nothing():
    loop = asyncio.get_running_loop()
    system = ActorSystem(loop=loop, hooks=Hooks())
    ref = system.start(PlainTroubled)
    ref.tell("a")
    assert await ref.ask_async("b") == "b"
    with pytest.raises(ValueError):
        await ref.ask_async("raises")
    await system.stop_all(5)


# Timers, piped results, and hooks that raise.


async def test_a_timer_and_a_piped_result_are_seen_with_the_message_that_began_them(
    hooks, eventually
):
    class Beginning(LoopActor):
        def on_receive(self, message):
            match message:
                case "sets":
                    self.timers.once("key", 0, "tick")
                case "pipes":
                    self.pipe_to_self(asyncio.sleep(0, "piped"))

    ref = Beginning.start()
    ref.tell("sets")
    ref.tell("pipes")
    await eventually(lambda: len(hooks.handled_messages) == 4)
    assert {"tick", "piped"} < {message for message, _ in hooks.handled_messages}
    assert hooks.cause_of("tick") == "sets"
    assert hooks.cause_of("piped") == "pipes"


async def test_what_hooks_raise_is_logged_and_changes_nothing(caplog):
    class Raising(Hooks):
        def raises(self, *_):
            raise ZeroDivisionError("a hook")

        started = stopped = failed = sent = received = handled = raises

    caplog.set_level(logging.ERROR, logger="apex_actors.actors")
    system = ActorSystem(loop=asyncio.get_running_loop(), hooks=Raising())
    ref = system.start(PlainTroubled)
    assert await ref.ask_async("a", timeout=5) == "a"
    ref.tell("raises")
    await asyncio.wait_for(ref.stopped(), 5)
    assert caplog.text.count("A hook raised") >= 6

"""Async handlers: no task for those that do not wait, and all of asyncio for those that do."""

import asyncio
import contextvars

import pytest

from apex_actors.actors import ActorDeadError, ActorSystem, AskerGoneError, LoopActor
from apex_actors.actors.understudy import Understudy

pytestmark = pytest.mark.usefixtures("expected_failures_are_quiet")

variable = contextvars.ContextVar("variable", default="nobody's")


class Doing(LoopActor):
    """Awaits what the message, a function, returns."""

    async def on_receive(self, message):
        return await message()


class Plain(LoopActor):
    """Calls the message."""

    def on_receive(self, message):
        return message()


@pytest.fixture(autouse=True)
async def system():
    system = ActorSystem.current()
    yield system
    await system.stop_all(10, kill=True)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.fixture
async def tasks():
    """Call it for the tasks made so far, besides the test's own."""
    loop = asyncio.get_running_loop()
    made = []

    def factory(loop, coroutine, **options):
        made.append(asyncio.Task(coroutine, loop=loop, **options))
        return made[-1]

    loop.set_task_factory(factory)
    yield lambda: [task for task in made if task is not asyncio.current_task()]
    loop.set_task_factory(None)


# How many tasks.


async def immediately():
    return asyncio.current_task()


async def after_a_while():
    await asyncio.sleep(0)
    return asyncio.current_task()


async def test_handlers_that_do_not_wait_cost_no_task_each(tasks):
    ref = Doing.start()
    for _ in range(200):
        await ref.ask_async(immediately)
    assert len(tasks()) == 1


async def test_many_actors_share_the_one_that_stands_ready(tasks):
    refs = [Doing.start() for _ in range(50)]
    for ref in refs:
        for _ in range(3):
            ref.tell(immediately)
    for ref in refs:
        await ref.ask_async(immediately)
    assert len(tasks()) == 1


async def test_plain_handlers_need_none_at_all(tasks):
    ref = Plain.start()
    for _ in range(100):
        await ref.ask_async(int)
    assert tasks() == []


async def test_async_hooks_that_do_not_wait_cost_none_either(tasks):
    class Hooked(Doing):
        async def on_start(self):
            pass

        async def on_stop(self):
            pass

    keeper = Doing.start()
    await keeper.ask_async(immediately)
    for _ in range(20):
        ref = Hooked.start()
        ref.kill()
        await ref.stopped()
    assert len(tasks()) == 1


async def test_a_handler_that_waits_takes_one_task_along(tasks):
    ref = Doing.start()
    for _ in range(10):
        await ref.ask_async(after_a_while)
    assert 10 <= len(tasks()) <= 11


async def test_handlers_that_fail_at_once_leave_the_task_to_the_next(tasks):
    async def fails():
        raise ValueError("at once")

    ref = Doing.start()
    for _ in range(20):
        with pytest.raises(ValueError, match="at once"):
            await ref.ask_async(fails)
    assert len(tasks()) == 1


async def test_nothing_is_left_on_the_loop_when_the_last_actor_has_ended():
    refs = [Doing.start() for _ in range(3)]
    for ref in refs:
        await ref.ask_async(immediately)
        await ref.ask_async(after_a_while)
    await refs[0].ask_async(immediately)
    assert len(asyncio.all_tasks()) == 2, "the one that stands ready"
    for ref in refs:
        ref.kill()
        await ref.stopped()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_who_cancels_all_tasks_of_the_loop_does_not_break_handlers_to_come():
    ref = Doing.start()
    await ref.ask_async(immediately)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    assert await ref.ask_async(immediately) is not None
    await asyncio.sleep(0)
    assert await ref.ask_async(after_a_while) is not None


# The current task.


async def test_a_handler_runs_in_one_task_from_its_first_step_to_its_last():
    async def look():
        first = asyncio.current_task()
        await asyncio.sleep(0)
        second = asyncio.current_task()
        await asyncio.sleep(0)
        return {first, second, asyncio.current_task()}

    seen = await Doing.start().ask_async(look)
    assert len(seen) == 1
    assert seen != {None}
    assert asyncio.current_task() not in seen


async def test_the_first_step_of_a_hook_has_a_current_task_too():
    class Hooked(Doing):
        async def on_start(self):
            tasks.append(asyncio.current_task())
            async with asyncio.timeout(10):
                await asyncio.sleep(0)

        async def on_stop(self):
            tasks.append(asyncio.current_task())

    tasks = []
    ref = await Hooked.start_async()
    ref.kill()
    await ref.stopped()
    assert None not in tasks
    assert len(tasks) == 2


async def test_a_plain_handler_has_no_current_task_and_the_test_keeps_its_own():
    mine = asyncio.current_task()
    assert await Plain.start().ask_async(asyncio.current_task) is None
    assert await Doing.start().ask_async(immediately) is not mine
    assert asyncio.current_task() is mine


# Timeouts, groups, and what else needs a task.


async def test_a_timeout_set_in_the_first_step_is_up_later():
    async def waits_too_long():
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            return "up"

    ref = Doing.start()
    assert await ref.ask_async(waits_too_long) == "up"
    assert await ref.ask_async(waits_too_long) == "up"


async def test_a_timeout_that_is_up_at_once_interrupts_the_first_wait():
    async def waits():
        try:
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        except TimeoutError:
            return asyncio.current_task().cancelling()

    assert await Doing.start().ask_async(waits) == 0


async def test_timeouts_that_are_not_needed_leave_nothing_behind(tasks):
    async def in_time():
        async with asyncio.timeout(3600):
            return await immediately()

    ref = Doing.start()
    assert await ref.ask_async(in_time) is await ref.ask_async(in_time)
    assert len(tasks()) == 1


async def test_wait_for_and_gather_and_shield_work_in_the_first_step():
    async def all_of_it():
        event = asyncio.Event()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(event.wait(), 0.001)
        both = await asyncio.gather(asyncio.sleep(0, "a"), asyncio.sleep(0, "b"))
        return [*both, await asyncio.shield(asyncio.sleep(0, "c"))]

    assert await Doing.start().ask_async(all_of_it) == ["a", "b", "c"]


async def test_a_task_group_in_the_first_step_waits_for_its_tasks():
    async def group():
        async with asyncio.TaskGroup() as tasks:
            both = [tasks.create_task(asyncio.sleep(0, name)) for name in "ab"]
        return [task.result() for task in both]

    assert await Doing.start().ask_async(group) == ["a", "b"]


async def test_a_failing_task_of_a_group_is_raised_and_the_others_are_cancelled():
    ended = []

    async def fails():
        raise ValueError("no")

    async def waits():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def group():
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(waits())
            tasks.create_task(fails())

    ref = Doing.start()
    with pytest.raises(ExceptionGroup) as raised:
        await ref.ask_async(group)
    assert raised.group_contains(ValueError, match="no")
    assert ended == ["cancelled"]
    assert await ref.ask_async(immediately) is not None


async def test_async_iterators_and_locks_may_be_used():
    lock = asyncio.Lock()

    async def numbers():
        for number in range(3):
            await asyncio.sleep(0)
            yield number

    async def collect():
        async with lock:
            return [number async for number in numbers()]

    refs = [Doing.start() for _ in range(3)]
    replies = await asyncio.gather(*(ref.ask_async(collect) for ref in refs))
    assert replies == [[0, 1, 2]] * 3


async def test_a_handler_may_await_other_actors_in_its_first_step():
    echo = Plain.start()
    ref = Doing.start()
    for ask in (echo.ask_async, lambda message: echo.ask(message, block=False)):
        assert await ref.ask_async(lambda ask=ask: ask(lambda: "reply")) == "reply"


async def test_an_awaitable_that_yields_nothing_gives_others_a_turn():
    class Bare:
        def __await__(self):
            yield
            return "went on"

    async def bare():
        return await Bare()

    assert await Doing.start().ask_async(bare) == "went on"


# Context variables.


async def test_a_variable_set_in_one_handler_is_not_seen_by_another_actor():
    async def sets_at_once():
        variable.set("mine")

    async def sets_and_waits():
        variable.set("mine")
        await asyncio.sleep(0)
        return variable.get()

    async def looks():
        return variable.get()

    setting, looking = Doing.start(), Doing.start()
    await setting.ask_async(sets_at_once)
    assert await looking.ask_async(looks) == "nobody's"
    assert await setting.ask_async(sets_and_waits) == "mine"
    assert await looking.ask_async(looks) == "nobody's"
    assert await setting.ask_async(looks) == "nobody's"
    assert await Plain.start().ask_async(variable.get) == "nobody's"


async def test_a_variable_set_in_a_plain_handler_is_not_seen_by_another_actor():
    setting, plain = Plain.start(), Plain.start()
    asynchronous = Doing.start()

    async def looks():
        return variable.get()

    for ref in (setting, plain, asynchronous):
        await ref.started()
    # All in one drain of the dispatcher: one turn after the other.
    setting.tell(lambda: variable.set("mine"))
    replies = [plain.ask_async(variable.get), asynchronous.ask_async(looks)]
    assert [await reply for reply in replies] == ["nobody's", "nobody's"]
    assert variable.get() == "nobody's"


async def test_a_variable_is_the_handlers_own_across_its_waits():
    async def keeps(value):
        variable.set(value)
        for _ in range(3):
            await asyncio.sleep(0)
            assert variable.get() == value
        return variable.get()

    refs = [Doing.start() for _ in range(5)]
    replies = [
        ref.ask_async(lambda number=number: keeps(number)) for number, ref in enumerate(refs)
    ]
    assert [await reply for reply in replies] == list(range(5))


async def test_a_task_that_a_handler_makes_sees_its_variables():
    async def looks():
        return variable.get()

    async def makes():
        variable.set("the handler's")
        return await asyncio.create_task(looks())

    assert await Doing.start().ask_async(makes) == "the handler's"


async def test_a_variable_may_be_reset_in_another_step():
    async def resets():
        token = variable.set("for a while")
        await asyncio.sleep(0)
        variable.reset(token)
        return variable.get()

    assert await Doing.start().ask_async(resets) == "nobody's"


# Cancellation.


async def waits_and_says(said):
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        said.append("cancelled")
        raise


async def test_a_kill_in_the_very_turn_reaches_a_handler_whose_task_never_ran():
    class Impatient(LoopActor):
        async def on_receive(self, said):
            self.ref.kill()
            await waits_and_says(said)

    keeper = Doing.start()
    await keeper.ask_async(immediately)
    for _ in range(2):
        said = []
        ref = Impatient.start()
        asked = ref.ask(said, block=False)
        await asyncio.wait_for(ref.stopped(), 10)
        with pytest.raises(ActorDeadError):
            await asked
        assert said == ["cancelled"]


async def test_a_cancel_in_the_very_turn_reaches_it_too():
    class Cancelling(LoopActor):
        async def on_receive(self, said):
            self.ref.cancel()
            await waits_and_says(said)

    said = []
    ref = Cancelling.start()
    with pytest.raises(AskerGoneError):
        await asyncio.wait_for(ref.ask_async(said), 10)
    assert said == ["cancelled"]
    assert ref.is_alive()


async def test_a_handler_that_cancels_itself_is_cancelled_at_its_next_wait():
    said = []

    async def cancels_itself():
        asyncio.current_task().cancel()
        said.append("before")
        await waits_and_says(said)

    ref = Doing.start()
    ref.tell(cancels_itself)
    await asyncio.wait_for(ref.stopped(), 10)
    assert said == ["before", "cancelled"]


async def test_a_handler_that_cancels_itself_and_does_not_wait_spoils_nothing():
    async def cancels_itself():
        asyncio.current_task().cancel()
        return "done"

    ref = Doing.start()
    assert await ref.ask_async(cancels_itself) == "done"
    assert await ref.ask_async(after_a_while) is not None
    assert await ref.ask_async(immediately) is not None


async def test_a_cancellation_passes_through_finally_blocks_that_wait():
    said = []

    async def cleans_up():
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            said.append("cleaned up")

    begun = asyncio.Event()
    ref = Doing.start()
    ref.tell(cleans_up)
    await begun.wait()
    ref.kill()
    await asyncio.wait_for(ref.stopped(), 10)
    assert said == ["cleaned up"]


async def test_whoever_cancels_a_handlers_task_ends_its_actor(eventually):
    tasks = []

    async def tells_its_task():
        tasks.append(asyncio.current_task())
        await asyncio.Event().wait()

    ref = Doing.start()
    asked = ref.ask(tells_its_task, block=False)
    await eventually(lambda: tasks)
    tasks[0].cancel()
    await asyncio.wait_for(ref.stopped(), 10)
    with pytest.raises(ActorDeadError):
        await asked


# The end of a loop.


def test_a_loop_that_ends_with_handlers_under_way_ends_their_actors():
    ended = []

    async def waits():
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    class Waiting(Doing):
        def on_stop(self):
            ended.append("stopped")

    async def main():
        ref = await Waiting.start_async()
        ref.tell(waits)
        await begun.wait()
        return ref

    begun = asyncio.Event()
    ref = asyncio.run(main())
    assert ended == ["cancelled", "stopped"]
    assert not ref.is_alive()


# The understudy by itself.


async def test_it_reports_what_a_coroutine_returned_or_raised():
    async def fails():
        raise ValueError("no")

    loop = asyncio.get_running_loop()
    understudy = Understudy(loop, contextvars.copy_context())
    outcomes = []
    outcome = lambda result, error: outcomes.append((result, type(error)))  # noqa: E731 - a table
    assert understudy.begin(immediately(), outcome) is True
    assert understudy.begin(fails(), outcome) is True
    assert understudy.begin(after_a_while(), outcome) is False
    assert understudy.is_taken
    task = understudy.task
    await asyncio.wait({task})
    assert outcomes == [(task, type(None)), (None, ValueError), (task, type(None))]


async def test_it_knows_when_its_context_is_no_longer_as_it_was():
    async def sets():
        variable.set("mine")

    understudy = Understudy(asyncio.get_running_loop(), contextvars.copy_context())
    assert not understudy.is_soiled
    understudy.begin(sets(), lambda *_: None)
    assert understudy.is_soiled
    understudy.retire()
    await asyncio.sleep(0)
    assert understudy.is_taken


async def test_it_cannot_be_awaited_itself():
    understudy = Understudy(asyncio.get_running_loop(), contextvars.copy_context())
    with pytest.raises(TypeError, match="by its task alone"):
        await understudy
    understudy.retire()
    await asyncio.sleep(0)


async def test_debuggers_see_the_handler_behind_the_task(eventually):
    tasks = []

    async def handler_at_work():
        tasks.append(asyncio.current_task())
        await asyncio.Event().wait()

    ref = Doing.start()
    ref.tell(handler_at_work)
    await eventually(lambda: tasks)
    frames = tasks[0].get_stack()
    assert frames
    assert frames[0].f_code.co_name == "on_receive"


# Cancellation of what the first step awaits.


async def test_a_kill_in_the_first_step_reaches_the_task_that_it_awaits():
    async def kills_and_awaits():
        tasks.append(asyncio.create_task(asyncio.Event().wait()))
        ref.kill()
        await tasks[0]

    tasks = []
    ref = Doing.start()
    ref.tell(kills_and_awaits)
    await ref.stopped()
    await asyncio.wait(tasks, timeout=5)
    assert tasks[0].cancelled()


async def test_a_timeout_that_is_up_at_once_cancels_the_task_that_is_awaited():
    async def times_out():
        tasks.append(asyncio.create_task(asyncio.Event().wait()))
        async with asyncio.timeout(0):
            await tasks[0]

    tasks = []
    ref = Doing.start()
    with pytest.raises(TimeoutError):
        await ref.ask_async(times_out)
    await asyncio.wait(tasks, timeout=5)
    assert tasks[0].cancelled()
    ref.kill()
    await ref.stopped()

"""Names in reports, by which a reader finds things."""

import asyncio

from apex_actors.actors import LoopActor, Options
from apex_actors.actors.messages import Stop, TimerFired
from apex_actors.actors.testing import run
from apex_actors.actors.testing.labels import (
    actor_label,
    callback_label,
    message_label,
    task_label,
)


class Idle(LoopActor):
    pass


def test_an_actor_is_called_by_its_name_or_else_by_class_and_urn():
    async def scenario():
        named, nameless = Idle.start_with(Options(name="Ann")), Idle.start()
        return actor_label(named), actor_label(nameless) == f"Idle ({nameless.actor_urn})"

    assert run(scenario) == ("Idle 'Ann'", True)


def test_a_message_is_called_by_its_type():
    assert message_label(5) == "int"
    assert message_label(Stop()) == "stop"
    assert message_label(TimerFired("key", 1, 5)) == "int (timer)"


def test_a_task_is_called_by_its_name_and_the_line_of_its_user_in_which_it_waits():
    async def inner():
        await asyncio.sleep(60)

    async def outer():
        await inner()

    async def scenario():
        task = asyncio.create_task(outer(), name="worker")
        await asyncio.sleep(1)
        label = task_label(task)
        task.cancel()
        return label, inner.__code__.co_firstlineno + 1

    label, line = run(scenario)
    assert label.startswith("worker: ")
    assert ".inner at " in label
    assert label.endswith(f"test_labels.py:{line}")


def test_a_task_of_a_librarys_own_is_called_by_what_it_runs():
    async def scenario():
        sleeping = asyncio.create_task(asyncio.sleep(60), name="sleeper")
        await asyncio.sleep(1)
        label = task_label(sleeping)
        sleeping.cancel()
        return label

    assert run(scenario).startswith("sleeper: sleep at ")


def test_a_task_that_has_ended_is_called_by_its_name():
    async def scenario():
        task = asyncio.create_task(asyncio.sleep(0), name="over")
        await task
        return task_label(task)

    assert run(scenario) == "over"


def test_a_callback_is_called_by_its_function():
    assert callback_label(callback_label) == "callback_label"
    assert callback_label([].append) == "list.append"

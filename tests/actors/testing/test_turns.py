"""Turns of one message each, and what is remembered of them."""

import asyncio
import contextvars

from apex_actors.actors import LoopActor, Options
from apex_actors.actors.testing import Turn, run

variable = contextvars.ContextVar("variable", default="untouched")


class Worker(LoopActor):
    async def on_start(self):
        await asyncio.sleep(0)

    def on_receive(self, message):
        match message:
            case "set":
                variable.set("touched")
            case "later":
                self.tell_later(1, 5)
        return variable.get()


def test_a_turn_says_who_had_it_and_what_was_handled_or_else_done():
    async def scenario(kit):
        ref = Worker.start_with(Options(name="Ann"))
        ref.tell("later")
        await kit.run_until_idle()
        await kit.clock.advance(1)
        await kit.run_until_idle()
        ref.stop(block=False)
        await kit.run_until_idle()
        return kit.history

    assert run(scenario, stepping=True, auto_advance=False) == [
        Turn("Ann", "on_start"),
        Turn("Ann", "str"),
        Turn("Ann", "int (timer)"),
        Turn("Ann", "stop"),
    ]


def test_a_turn_reads_as_an_arrow():
    assert str(Turn("Ann", "Order")) == "Ann <- Order"


def test_what_a_handler_sets_in_the_context_is_seen_by_no_other_turn():
    async def scenario(kit):
        ref = Worker.start()
        ref.tell("set")
        answer = ref.ask_async("get")
        await kit.run_until_idle()
        return await answer, variable.get()

    assert run(scenario, stepping=True) == ("untouched", "untouched")
    assert run(scenario, seed=1) == ("untouched", "untouched")


def test_what_the_kit_does_at_the_end_is_not_in_the_history():
    kits = []

    async def scenario(kit):
        kits.append(kit)
        await Worker.start().ask_async("x")

    run(scenario, seed=1)
    assert kits[0].history == [Turn("Worker", "on_start"), Turn("Worker", "str")]

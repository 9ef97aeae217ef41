"""What works and what does not."""

import asyncio

import pytest

from apex_actors.gateway import health
from apex_actors.gateway.health import Health


async def up() -> bool:
    return True


async def down() -> bool:
    return False


async def broken() -> bool:
    raise RuntimeError("a check that breaks")


async def test_each_component_is_up_or_down_and_the_required_ones_decide():
    checks = {"database": up, "cache": down, "worker": broken}

    report = await Health(checks, required=frozenset({"database"})).report()
    strict = await Health(checks, required=frozenset({"database", "cache"})).report()

    assert report.components == {"database": "up", "cache": "down", "worker": "down"}
    assert report.ready
    assert not strict.ready


async def test_a_draining_node_is_not_ready():
    asked = Health({"database": up}, required=frozenset({"database"}))
    asked.draining = True

    report = await asked.report()

    assert (report.ready, report.draining) == (False, True)


async def test_a_component_that_does_not_answer_is_down(monkeypatch):
    monkeypatch.setattr(health, "CHECK_TIMEOUT_S", 0.01)

    async def silent() -> bool:
        await asyncio.Event().wait()
        return True

    report = await Health({"cache": silent}, required=frozenset()).report()

    assert report.components == {"cache": "down"}


async def test_whoever_stops_asking_leaves_no_check_behind(eventually):
    ended = []

    async def quick() -> bool:
        await asyncio.Event().wait()
        return True

    async def slow_to_end() -> bool:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            ended.append("slow")
        return True

    asked = Health({"a": quick, "b": slow_to_end}, required=frozenset())
    asking = asyncio.create_task(asked.report())
    await eventually(lambda: len(asyncio.all_tasks()) == 4)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    assert ended == ["slow"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_a_required_component_needs_a_check():
    with pytest.raises(ValueError, match="database"):
        Health({"cache": up}, required=frozenset({"database"}))

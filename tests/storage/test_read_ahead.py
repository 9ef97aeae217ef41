"""Fetching what comes before it is asked for."""

import asyncio

import pytest

from apex_actors.storage.read_ahead import read_ahead


class Source:
    """Counts what is fetched from it; breaks behind the last if told to."""

    def __init__(self, count, error=None):
        self.fetched = 0
        self.count = count
        self.error = error

    async def items(self):
        for number in range(self.count):
            self.fetched += 1
            yield number
        if self.error is not None:
            raise self.error


async def test_all_items_come_in_their_order():
    async with read_ahead(Source(10).items(), limit=3) as ahead:
        assert [item async for item in ahead] == list(range(10))


async def test_so_many_are_fetched_before_they_are_asked_for_and_no_more(eventually):
    source = Source(10)
    async with read_ahead(source.items(), limit=3) as ahead:
        await eventually(lambda: source.fetched == 4)  # three wait, and one for its place
        await asyncio.sleep(0.02)
        assert source.fetched == 4
        assert await anext(ahead) == 0
        await eventually(lambda: source.fetched == 5)
    await asyncio.sleep(0.02)
    assert source.fetched == 5


async def test_a_failure_comes_behind_the_items_before_it():
    async with read_ahead(Source(2, ValueError("broken")).items(), limit=5) as ahead:
        assert [await anext(ahead), await anext(ahead)] == [0, 1]
        with pytest.raises(ValueError, match="broken"):
            await anext(ahead)


async def test_who_leaves_early_leaves_no_task_behind():
    before = asyncio.all_tasks()

    async def leave():
        async with read_ahead(Source(100).items(), limit=1) as ahead:
            await anext(ahead)
            raise KeyError

    with pytest.raises(KeyError):
        await leave()
    assert asyncio.all_tasks() == before

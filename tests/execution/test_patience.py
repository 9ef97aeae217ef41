"""Trying again: soon at first, later with longer pauses, and not for ever."""

import asyncio

import pytest

from apex_actors.actors.testing import run
from apex_actors.execution.patience import FIRST_PAUSE_S, JITTER, LONGEST_PAUSE_S, Patience
from apex_actors.storage.errors import StorageUnavailableError

AWAY = StorageUnavailableError("away")


async def pauses_of(patience, count):
    """How long each of the next pauses is, in seconds."""
    time, pauses = asyncio.get_running_loop().time, []
    for _ in range(count):
        before = time()
        await patience.after(AWAY)
        pauses.append(time() - before)
    return pauses


def test_pauses_double_up_to_the_longest_and_differ_a_little():
    async def scenario(_kit):
        pauses = await pauses_of(Patience(3600), 10)
        whole = [min(FIRST_PAUSE_S * 2**number, LONGEST_PAUSE_S) for number in range(10)]
        for pause, longest in zip(pauses, whole, strict=True):
            assert longest * (1 - JITTER) - 1e-6 <= pause <= longest + 1e-6
        others = await pauses_of(Patience(3600), 10)
        assert others != pauses

    run(scenario)


def test_when_there_is_no_time_for_another_try_the_error_is_raised_at_once():
    async def scenario(_kit):
        time = asyncio.get_running_loop().time
        began, patience = time(), Patience(1.5)
        with pytest.raises(StorageUnavailableError) as raised:
            await pauses_of(patience, 100)
        assert raised.value is AWAY
        assert 1.5 - LONGEST_PAUSE_S <= time() - began <= 1.5

    run(scenario)


def test_a_first_try_that_took_long_is_followed_by_another():
    async def scenario(_kit):
        patience = Patience(1.5)
        await asyncio.sleep(60)
        assert await pauses_of(patience, 1) != []

    run(scenario)

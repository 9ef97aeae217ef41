"""Fixtures that the tests of the actor runtime share."""

import logging

import pytest

from apex_actors.actors import ActorSystem


@pytest.fixture
def expected_failures_are_quiet(caplog):
    """No log of failures that a test brings about on purpose."""
    caplog.set_level(logging.CRITICAL, logger="apex_actors.actors")


@pytest.fixture
async def system():
    """The system of this test's loop; nothing of it is alive afterwards."""
    system = ActorSystem.current()
    yield system
    await system.stop_all(5, kill=True)
    assert system.alive() == []


@pytest.fixture
def letters(system):
    """The dead letters of the test."""
    published = []
    system.dead_letters.subscribe(published.append)
    return published

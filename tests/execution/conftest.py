"""Fixtures of the execution floor: a user, and an announcer that remembers."""

from dataclasses import dataclass, field

import pytest

from apex_actors.execution import Acceptance, ExecutionSettings
from apex_actors.protocol.identity import Identity
from apex_actors.storage.event_log import EventLog
from apex_actors.storage.runs import RunStore


@dataclass
class RecordingAnnouncer:
    events: list = field(default_factory=list)
    work: int = 0

    def events_committed(self, _user_id, events):
        self.events.extend(events)

    def work_available(self):
        self.work += 1


@pytest.fixture
def announcer():
    return RecordingAnnouncer()


@pytest.fixture
def log(database):
    return EventLog(database)


@pytest.fixture
def runs(database):
    return RunStore(database)


@pytest.fixture
async def user_id(log):
    return (await log.open(Identity(org="acme", sub="ann"))).user_id


@pytest.fixture
def acceptance(database, announcer):
    return Acceptance(
        database=database,
        announcer=announcer,
        settings=ExecutionSettings(runs_per_user=2, waiting_per_user=3),
    )

"""The table of handlers: every type of message once."""

import pytest

from apex_actors.gateway.handlers import (
    LivenessHandlers,
    PreferenceHandlers,
    RunHandlers,
    RunStateHandlers,
    ThreadHandlers,
    assemble,
)
from apex_actors.protocol.messages import (
    MESSAGE_TYPES,
    Ack,
    DeleteThread,
    GetPreferences,
    GetRun,
    GetThreadHistory,
    Heartbeat,
    ListThreads,
    Ping,
    Pong,
    RenameThread,
    SetPreferences,
    SwitchThread,
)

PARTS = {
    LivenessHandlers: {Ping, Heartbeat, Pong, Ack},
    ThreadHandlers: {ListThreads, GetThreadHistory, SwitchThread, RenameThread, DeleteThread},
    PreferenceHandlers: {GetPreferences, SetPreferences},
    RunStateHandlers: {GetRun},
}


def made(part):
    """A part whose handlers are only looked at."""
    return object.__new__(part)


@pytest.mark.parametrize(("part", "types"), PARTS.items())
def test_each_part_has_its_types(part, types):
    assert set(made(part).table()) == types


def test_the_table_has_every_handler_of_every_part_and_only_types_of_the_protocol():
    parts = [made(part) for part in (*PARTS, RunHandlers)]
    table = assemble(*parts)
    assert len(table) == sum(len(part.table()) for part in parts)
    assert set(table) <= set(MESSAGE_TYPES.values())


def test_two_handlers_of_one_type_are_a_mistake():
    with pytest.raises(ValueError, match="Ping has two handlers"):
        assemble(LivenessHandlers(), LivenessHandlers())

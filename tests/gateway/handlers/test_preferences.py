"""Preferences over the wire: merged, and told to the user's other connections."""

import pytest

from apex_actors.gateway.handlers import PreferenceHandlers
from apex_actors.protocol.messages import GetPreferences, SetPreferences
from apex_actors.storage.errors import StorageUnavailableError
from apex_actors.storage.preferences import PreferenceStore


@pytest.fixture
def handlers(database, announcer):
    return PreferenceHandlers(preferences=PreferenceStore(database), announcer=announcer)


async def test_preferences_are_merged_and_both_replies_have_all(handlers, session, announcer):
    assert (await handlers.get_preferences(GetPreferences(), session)).preferences == {}
    await handlers.set_preferences(SetPreferences(preferences={"a": 1, "b": [True]}), session)
    reply = await handlers.set_preferences(
        SetPreferences(preferences={"a": None, "time_zone": "Europe/Berlin"}), session
    )
    assert reply.preferences == {"b": [True], "time_zone": "Europe/Berlin"}
    read = await handlers.get_preferences(GetPreferences(), session)
    assert read.preferences == reply.preferences
    assert [event.type for event in announcer.events] == ["preferences_updated"] * 2
    assert announcer.events[-1].payload == {"preferences": reply.preferences}
    assert announcer.events[-1].thread_id is None


async def test_what_changes_nothing_is_answered_and_not_told(handlers, session, announcer):
    await handlers.set_preferences(SetPreferences(preferences={"a": 1}), session)
    again = await handlers.set_preferences(SetPreferences(preferences={"a": 1}), session)
    assert again.preferences == {"a": 1}
    assert len(announcer.events) == 1


async def test_promise_8_preferences_are_the_users_own(handlers, session, session_of):
    await handlers.set_preferences(SetPreferences(preferences={"a": 1}), session)
    for other in (await session_of("bob"), await session_of("ann", org="other")):
        assert (await handlers.get_preferences(GetPreferences(), other)).preferences == {}


async def test_without_the_log_there_is_nobody_to_prefer_anything(handlers, session):
    session.user_id = None
    with pytest.raises(StorageUnavailableError):
        await handlers.get_preferences(GetPreferences(), session)
    with pytest.raises(StorageUnavailableError):
        await handlers.set_preferences(SetPreferences(preferences={"a": 1}), session)

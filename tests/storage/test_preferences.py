"""Preferences: merged key by key, within limits, to the letter."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_actors.protocol.codes import ErrorCode
from apex_actors.protocol.violation import ProtocolViolation
from apex_actors.storage.event_log import EventLog
from apex_actors.storage.preferences import (
    MAX_KEYS,
    MAX_SIZE_BYTES,
    PreferenceStore,
    merged,
    time_zone_of,
)


@pytest.fixture
def preferences(database):
    return PreferenceStore(database)


def refusal(before, changes):
    with pytest.raises(ProtocolViolation) as refused:
        merged(before, changes)
    assert refused.value.code is ErrorCode.INVALID_MESSAGE
    return refused.value


def test_keys_are_set_replaced_and_removed_and_others_stay():
    assert merged({"a": 1, "b": 2, "c": 3}, {"a": 5, "b": None, "d": {"x": None}}) == {
        "a": 5,
        "c": 3,
        "d": {"x": None},
    }
    assert merged({}, {"never_set": None}) == {}


@pytest.mark.parametrize("key", ["", "1a", "a b", "a.b", "ä", "a" * 65, "a\n", "__proto__ "])
def test_a_key_that_is_no_identifier_is_refused_without_being_shown(key):
    violation = refusal({}, {key: 1})
    assert violation.details == {"field": "preferences"}
    assert not key or key not in violation.message


@pytest.mark.parametrize("key", ["a", "_", "a" * 64, "timeZone2"])
def test_identifiers_are_keys(key):
    assert merged({}, {key: 1}) == {key: 1}


def test_there_are_at_most_so_many_keys_after_the_change():
    full = {f"k{number}": 1 for number in range(MAX_KEYS)}
    assert merged({}, full) == full
    assert refusal(full, {"one_more": 1}).details == {"field": "preferences"}
    assert len(merged(full, {"one_more": 1, "k0": None})) == MAX_KEYS


def test_all_of_them_have_at_most_so_many_bytes_of_json():
    frame = len(json.dumps({"a": ""}, separators=(",", ":")))
    fits = {"a": "x" * (MAX_SIZE_BYTES - frame)}
    assert merged({}, fits) == fits
    assert refusal({}, {"a": fits["a"] + "x"}).details == {"field": "preferences"}
    assert refusal({}, {"a": "ü" * (MAX_SIZE_BYTES // 2)}).details == {"field": "preferences"}
    assert refusal(fits, {"b": 1}).details == {"field": "preferences"}


@pytest.mark.parametrize(
    "value", ["Nowhere/City", "", "europe/berlin", "../UTC", "/etc/passwd", "Europe", 1, [], {}]
)
def test_a_time_zone_must_be_one_and_its_value_is_not_shown(value):
    violation = refusal({}, {"time_zone": value})
    assert violation.details == {"field": "preferences.time_zone"}
    assert "Nowhere" not in violation.message


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", None])
def test_time_zones_are_those_of_the_iana_and_may_be_removed(name):
    assert merged({}, {"time_zone": name}) == ({} if name is None else {"time_zone": name})


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_][a-z0-9_]{0,5}", fullmatch=True).filter(
            lambda key: key != "time_zone"
        ),
        st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
        max_size=8,
    ),
    st.dictionaries(
        st.from_regex(r"[a-z_][a-z0-9_]{0,5}", fullmatch=True).filter(
            lambda key: key != "time_zone"
        ),
        st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
        max_size=8,
    ),
)
def test_merging_twice_changes_nothing_more(first, second):
    once = merged(merged({}, first), second)
    assert merged(once, second) == once
    assert None not in once.values()


async def test_they_are_kept_to_the_letter_as_in_the_event(preferences, user_id, database):
    sent = {
        "big": 1e300,
        "z": 1.0,
        "a": True,
        "text": "ü\u2028",
        "nested": {"b": [1, None], "a": {}},
    }
    stored = await preferences.merge(user_id, sent)
    [event] = await EventLog(database).read(user_id, after=0, limit=5)
    read = await preferences.get(user_id)
    for found in (stored.preferences, read, event.payload["preferences"]):
        assert json.dumps(found) == json.dumps(sent)
    assert event.encode() == stored.events[0].encode()


async def test_a_change_from_true_to_1_is_one(preferences, user_id):
    await preferences.merge(user_id, {"a": True})
    assert len((await preferences.merge(user_id, {"a": 1})).events) == 1
    assert (await preferences.merge(user_id, {"a": 1})).events == ()


async def test_two_who_set_at_once_lose_nothing_of_each_other(preferences, user_id, database):
    await asyncio.gather(
        *(preferences.merge(user_id, {f"k{number}": number}) for number in range(20))
    )
    assert await preferences.get(user_id) == {f"k{number}": number for number in range(20)}
    events = await EventLog(database).read(user_id, after=0, limit=50)
    assert [len(event.payload["preferences"]) for event in events] == list(range(1, 21))


async def test_what_is_refused_leaves_all_as_it_was(preferences, user_id, database):
    await preferences.merge(user_id, {"a": 1})
    with pytest.raises(ProtocolViolation):
        await preferences.merge(user_id, {"b": 2, "time_zone": "nowhere"})
    assert await preferences.get(user_id) == {"a": 1}
    assert len(await EventLog(database).read(user_id, after=0, limit=5)) == 1


async def test_the_time_zone_of_runs_is_the_users_choice_or_utc(preferences, user_id, database):
    async def zone():
        async with database.connection() as connection:
            return await time_zone_of(connection, user_id)

    assert await zone() == "UTC"
    await preferences.merge(user_id, {"a": 1})
    assert await zone() == "UTC"
    await preferences.merge(user_id, {"time_zone": "Asia/Tokyo"})
    assert await zone() == "Asia/Tokyo"
    async with database.connection() as connection:
        await connection.execute(
            """update apex.preferences set preferences = '{"time_zone": "Old"}'"""
        )
    assert await zone() == "UTC"

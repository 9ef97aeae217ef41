"""What users have set for themselves: a small JSON object for each, merged key by key."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from apex_actors.protocol.codes import ErrorCode
from apex_actors.protocol.events import Event
from apex_actors.protocol.payloads import PreferencesUpdated
from apex_actors.protocol.violation import ProtocolViolation
from apex_actors.storage import event_log
from apex_actors.storage.database import Connection, Database
from apex_actors.storage.event_log import Draft
from apex_actors.storage.sql import load_queries

QUERIES = load_queries("preferences")

MAX_KEYS: Final = 64
MAX_SIZE_BYTES: Final = 8 * 1024

#: Runs that a user starts think in this time zone: the name of an IANA zone.
TIME_ZONE: Final = "time_zone"
DEFAULT_TIME_ZONE: Final = "UTC"

_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class StoredPreferences:
    """All preferences as they are now, and the events that tell of the change, if there was one."""

    preferences: Mapping[str, Any]
    events: tuple[Event, ...]


class PreferenceStore:
    """Preferences of users, one row for each who has any."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, user_id: int) -> Mapping[str, Any]:
        """All preferences of the user."""
        async with self._database.connection() as connection:
            return await _read(connection, user_id)

    async def merge(self, user_id: int, changes: Mapping[str, Any]) -> StoredPreferences:
        """Set the keys of ``changes``; None removes one. The event is stored with them.

        Raises ProtocolViolation (invalid_message) when they do not fit, and nothing is stored.
        The caller announces the events. What changes nothing makes none.
        """
        async with self._database.transaction() as connection:
            # Whoever merges at the same time waits: neither loses what the other has set.
            await event_log.lock_log(connection, user_id)
            before = await _read(connection, user_id)
            after = merged(before, changes)
            # As JSON, in which 1 and true are two things.
            if _canonical(after) == _canonical(before):
                return StoredPreferences(before, ())
            await connection.execute(
                QUERIES["store_preferences"],
                {"user_id": user_id, "preferences": json.dumps(after)},
            )
            draft = Draft(PreferencesUpdated(preferences=after))
            appending = await event_log.append(connection, user_id, [draft])
            return StoredPreferences(after, tuple(await appending.events()))


async def time_zone_of(connection: Connection, user_id: int) -> str:
    """The time zone that the user has chosen, UTC where none; inside the caller's transaction."""
    cursor = await connection.execute(QUERIES["time_zone_of_user"], {"user_id": user_id})
    row = await cursor.fetchone()
    name = DEFAULT_TIME_ZONE if row is None else row["time_zone"]
    # Zones are renamed and dropped: one that was known when it was stored need not be so now.
    return str(name) if _is_time_zone(name) else DEFAULT_TIME_ZONE


def merged(before: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``before`` with ``changes``, without what these set to None.

    Raises ProtocolViolation for a key that is no identifier of up to 64 characters, a known key
    with a value that does not fit, more than 64 keys, or more than 8 KiB of JSON. Keys that the
    server does not know are the client's own.
    """
    for key, value in changes.items():
        if not _KEY.fullmatch(key):
            # Without the key: it may be anything.
            raise _invalid(
                "preferences", "Keys are letters, digits and _, up to 64 of them, no digit first."
            )
        if key == TIME_ZONE and value is not None and not _is_time_zone(value):
            raise _invalid(
                f"preferences.{TIME_ZONE}", "time_zone must be an IANA name such as Europe/Berlin."
            )
    after = {key: value for key, value in {**before, **changes}.items() if value is not None}
    if len(after) > MAX_KEYS:
        raise _invalid("preferences", f"At most {MAX_KEYS} keys are kept: remove some with null.")
    size_bytes = len(json.dumps(after, ensure_ascii=False, separators=(",", ":")).encode())
    if size_bytes > MAX_SIZE_BYTES:
        raise _invalid("preferences", f"At most {MAX_SIZE_BYTES} bytes of JSON are kept in all.")
    return after


def _is_time_zone(name: object) -> bool:
    return isinstance(name, str) and name in _time_zones()


def _canonical(preferences: Mapping[str, Any]) -> str:
    return json.dumps(preferences, sort_keys=True)


async def _read(connection: Connection, user_id: int) -> dict[str, Any]:
    cursor = await connection.execute(QUERIES["preferences_of_user"], {"user_id": user_id})
    row = await cursor.fetchone()
    return {} if row is None else row["preferences"]


def _invalid(field: str, message: str) -> ProtocolViolation:
    return ProtocolViolation(ErrorCode.INVALID_MESSAGE, message, details={"field": field})


@cache
def _time_zones() -> frozenset[str]:
    # The list of the package that zones are taken from where the system has none: to look for the
    # files of all zones takes long enough to be felt by others.
    return frozenset((files("tzdata") / "zones").read_text(encoding="utf-8").split())

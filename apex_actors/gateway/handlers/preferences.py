"""What users have set for themselves."""

from apex_actors.execution.publishing import Announcer
from apex_actors.gateway.handlers.owner import owner_of
from apex_actors.gateway.router import HandlerTable
from apex_actors.gateway.session import Session
from apex_actors.protocol.messages import GetPreferences, SetPreferences
from apex_actors.protocol.notices import Preferences
from apex_actors.storage.preferences import PreferenceStore


class PreferenceHandlers:
    """Read and set preferences; the user's other connections hear of a change."""

    def __init__(self, *, preferences: PreferenceStore, announcer: Announcer) -> None:
        self._preferences = preferences
        self._announcer = announcer

    def table(self) -> HandlerTable:
        """Handler by type of message."""
        return {GetPreferences: self.get_preferences, SetPreferences: self.set_preferences}

    async def get_preferences(self, _message: GetPreferences, session: Session) -> Preferences:
        """All of them as they are now."""
        return Preferences(preferences=dict(await self._preferences.get(owner_of(session))))

    async def set_preferences(self, message: SetPreferences, session: Session) -> Preferences:
        """Set the keys named, remove those that are null; the reply has all."""
        user_id = owner_of(session)
        stored = await self._preferences.merge(user_id, message.preferences)
        if stored.events:
            self._announcer.events_committed(user_id, stored.events)
        return Preferences(preferences=dict(stored.preferences))

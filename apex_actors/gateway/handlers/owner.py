"""In whose name a message is handled."""

from apex_actors.gateway.session import Session
from apex_actors.storage.errors import StorageUnavailableError


def owner_of(session: Session) -> int:
    """The user's number; raises StorageUnavailableError as long as it is not known."""
    if session.user_id is None:
        raise StorageUnavailableError("the user's log has not been read yet")
    return session.user_id

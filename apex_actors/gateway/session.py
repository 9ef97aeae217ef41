"""What one connection knows of its user: the state behind its messages."""

from dataclasses import dataclass
from uuid import UUID

from apex_actors.gateway.auth import VerifiedToken
from apex_actors.protocol.identity import Identity


@dataclass(slots=True)
class Session:
    """Owned by one ConnectionActor and touched by it and its handlers alone.

    ``user_id`` is None as long as the log cannot be read (degraded mode).
    """

    connection_id: str
    token: VerifiedToken
    user_id: int | None = None
    thread_id: UUID | None = None
    acknowledged: int = 0
    """Highest position that the client has confirmed."""

    @property
    def identity(self) -> Identity:
        """Whom the token speaks for; the same for as long as the connection lives, but for roles."""
        return self.token.identity

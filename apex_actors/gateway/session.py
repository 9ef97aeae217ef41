"""What one connection knows of its user: the state behind its messages."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from apex_actors.protocol.identity import Identity


@dataclass(slots=True)
class Session:
    """Owned by one ConnectionActor and touched by it and its handlers alone.

    ``user_id``, ``seq`` and ``epoch`` are None as long as the log cannot be read (degraded mode);
    ``seq`` is the cursor: the number of the last event that was sent.
    """

    connection_id: str
    identity: Identity
    token_expires_at: datetime
    user_id: int | None = None
    thread_id: UUID | None = None
    seq: int | None = None
    epoch: str | None = None
    acknowledged: int = 0

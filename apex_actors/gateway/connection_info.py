"""What an operator is shown of a live connection."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """One live connection as it is now; nothing in it opens anything."""

    connection_id: str
    node: str
    org: str
    sub: str
    address: str
    """Where the client connects from, as the socket says."""
    connected_at: datetime
    last_sign_of_life_s: float
    """How long ago the last frame of the client came."""
    seq: int | None
    """The last event it was sent; None while the log could not be read."""
    acknowledged: int
    """The highest position that the client has confirmed."""
    thread_id: UUID | None
    outbound_bytes: int
    """What the client has not taken yet."""
    token_expires_at: datetime

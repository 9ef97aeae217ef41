"""A small asyncio client of the wire protocol: reconnects, resumes, resends.

It knows the wire (`apex_actors.protocol`) and nothing of the server.
"""

from apex_actors.client.backoff import Backoff
from apex_actors.client.client import ApexClient, Statistics
from apex_actors.client.errors import (
    ClientError,
    ConnectionLostError,
    HandshakeRefusedError,
    RequestFailedError,
)

__all__ = [
    "ApexClient",
    "Backoff",
    "ClientError",
    "ConnectionLostError",
    "HandshakeRefusedError",
    "RequestFailedError",
    "Statistics",
]

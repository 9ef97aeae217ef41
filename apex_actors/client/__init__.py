"""A small asyncio client of the wire protocol: reconnects, resumes, resends.

It knows the wire (`apex_actors.protocol`) and nothing of the server. Read `client` first: it is
what a program sees. `link` keeps the connection alive underneath.
"""

from apex_actors.client.backoff import Backoff
from apex_actors.client.client import ApexClient
from apex_actors.client.errors import (
    ClientError,
    ConnectionLostError,
    HandshakeRefusedError,
    InvalidReplyError,
    RequestFailedError,
)
from apex_actors.client.link import Position, Statistics

__all__ = [
    "ApexClient",
    "Backoff",
    "ClientError",
    "ConnectionLostError",
    "HandshakeRefusedError",
    "InvalidReplyError",
    "Position",
    "RequestFailedError",
    "Statistics",
]

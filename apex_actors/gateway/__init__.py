"""Where clients come in: handshake, connections and their registry, router, HTTP, chat page.

Hands messages to the execution floor and events back to sockets. Must not know how a run is worked
on, nor which agents there are.
"""

from apex_actors.gateway.auth import InvalidTokenError, TokenAuthority, VerifiedToken
from apex_actors.gateway.connection import ConnectionActor, ConnectionServices
from apex_actors.gateway.handshake import Admitted, Doorkeeper, Refused
from apex_actors.gateway.registry import ConnectionRegistry
from apex_actors.gateway.router import MessageRouter
from apex_actors.gateway.socket_messages import SocketMessages

__all__ = [
    "Admitted",
    "ConnectionActor",
    "ConnectionRegistry",
    "ConnectionServices",
    "Doorkeeper",
    "InvalidTokenError",
    "MessageRouter",
    "Refused",
    "SocketMessages",
    "TokenAuthority",
    "VerifiedToken",
]

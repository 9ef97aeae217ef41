"""Plain HTTP beside the WebSocket, on the same port: a module of routes for each noun.

Answers from what it is given (``HttpServices``). Must not know sockets, connection actors or how a
run is worked on.
"""

from apex_actors.gateway.http.app import build_app
from apex_actors.gateway.http.services import HttpServices, ThreadReader

__all__ = ["HttpServices", "ThreadReader", "build_app"]

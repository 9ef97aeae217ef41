"""What the server does with each type of message: a module for each matter, a method for each type.

Handlers own nothing but what they are given; ``assemble`` makes one table of them for the router.
They must not know sockets: a session, a message in, a reply out.
"""

from apex_actors.gateway.handlers.fallback import WithFallback
from apex_actors.gateway.handlers.liveness import LivenessHandlers
from apex_actors.gateway.handlers.preferences import PreferenceHandlers
from apex_actors.gateway.handlers.run_states import RunStateHandlers
from apex_actors.gateway.handlers.runs import RunHandlers
from apex_actors.gateway.handlers.threads import ThreadHandlers
from apex_actors.gateway.router import HandlerPart, HandlerTable

__all__ = [
    "LivenessHandlers",
    "PreferenceHandlers",
    "RunHandlers",
    "RunStateHandlers",
    "ThreadHandlers",
    "WithFallback",
    "assemble",
]


def assemble(*parts: HandlerPart) -> HandlerTable:
    """One table of all parts' handlers; ValueError when two of them handle the same type."""
    table: HandlerTable = {}
    for part in parts:
        for message_type, handler in part.table().items():
            if message_type in table:
                raise ValueError(f"{message_type.__name__} has two handlers: keep one of them")
            table[message_type] = handler
    return table

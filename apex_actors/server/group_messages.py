"""What the parent of a group and its processes say to each other, over a socket of their own.

The socket is a pair that only the two hold, so whatever comes is from the other; its end is the
other's death.
"""

from dataclasses import dataclass

from apex_actors.server.node import Part
from apex_actors.server.server_urls import ServerUrls
from apex_actors.server.settings import Settings
from apex_actors.server.siblings import Place


@dataclass(frozen=True, slots=True)
class StartMember:
    """To a process, first of all: what it is.

    ``listener``: the number of the descriptor of the listening socket; None for workers.
    """

    settings: Settings
    part: Part
    urls: ServerUrls
    listener: int | None
    place: Place


@dataclass(frozen=True, slots=True)
class RedisMoved:
    """To a process: the embedded Valkey has come back on another port."""

    url: str


@dataclass(frozen=True, slots=True)
class StopMember:
    """To a process: drain and end.

    Not a signal: a service manager signals all processes at once, and a second signal ends a node
    without draining.
    """


@dataclass(frozen=True, slots=True)
class MemberReady:
    """From a process: its node has started."""

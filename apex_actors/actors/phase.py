"""Where an actor is in its life."""

from enum import Enum


class Phase(Enum):
    """The phases of an actor's life; ``lifecycle`` says how one becomes another."""

    NEW = "new"
    """Made by hand and not started."""

    SPAWNED = "spawned"
    """Its first turn is due, and ``on_start`` in it."""

    STARTING = "starting"
    """In ``on_start``."""

    RUNNING = "running"
    """Takes messages."""

    FAILED = "failed"
    """Waits for its supervisor's directive."""

    RESTARTING = "restarting"
    """The old instance is going, or the pause before the new one is not over."""

    STOPPING = "stopping"
    """Takes no messages any more; children and the last hook are still to end."""

    DEAD = "dead"
    """No more."""

"""What an actor may be given at its start besides the arguments of its constructor."""

from dataclasses import dataclass
from typing import Final

from apex_actors.actors.bounds import Bound
from apex_actors.actors.supervision import Supervision


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of one actor; each also has a default for its class.

    ``name`` is unique among the living of its system. ``mailbox`` bounds the mailbox.
    ``supervision`` goes before that of the parent, or of the system where there is no parent.
    ``stash_capacity`` is how many messages it may put off.
    """

    name: str | None = None
    mailbox: Bound | None = None
    supervision: Supervision | None = None
    stash_capacity: int = 10_000


DEFAULTS: Final = Options()

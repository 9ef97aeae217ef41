"""Turns of one message each, taken one by one and written down."""

import asyncio
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from apex_actors.actors import ActorRef, LoopDispatcher
from apex_actors.actors.cell import Cell
from apex_actors.actors.phase import Phase
from apex_actors.actors.testing.labels import message_label

#: What stands in a Turn in the place of a message.
ON_START = "on_start"
RUNTIME = "the runtime's own"


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn: who had it, and the type of the message that was handled in it."""

    actor: str
    """The name of the actor, or its class and how many of that class had turns before it."""

    message: str
    """The type of the message; of a turn without one, what was done instead."""

    def __str__(self) -> str:
        return f"{self.actor} <- {self.message}"


class TurnByTurnDispatcher(LoopDispatcher):
    """Base of dispatchers that choose each turn: a turn is one message, and is remembered.

    In a turn come first what the runtime has posted to the actor (kill, watch, restart) and its
    ``on_start``, then at most one message. ``history`` holds the turns so far, oldest first, as long
    as ``recording`` is set.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, *, clock: Callable[[], float] | None = None
    ) -> None:
        super().__init__(loop, clock=clock)
        self.direct = None  # every cell is to come by schedule()
        self.throughput = 1
        self.history: list[Turn] = []
        self.recording = True
        self._labels: weakref.WeakKeyDictionary[Cell, str] = weakref.WeakKeyDictionary()
        self._seen: Counter[str] = Counter()

    def take_turn_of(self, cell: Cell) -> Any:
        """Give ``cell`` its turn now; returns the message that was handled, or None."""
        starting = cell.phase is Phase.SPAWNED
        mailbox = cell.mailbox
        processed = mailbox.processed
        lane = mailbox.control or mailbox.queue
        first = lane[0] if lane else None
        # A turn may be taken within another one: a handler may use the kit.
        outer, self.now = self.now, self.clock()
        try:
            if self._context.copy().run(cell.take_turn, self.now):
                self.schedule(cell)
        finally:
            self.now = outer
        handled = first is not None and mailbox.processed > processed
        message = first[0] if handled and first is not None else None
        if self.recording:
            started = starting and not mailbox.closed
            done = message_label(message) if handled else ON_START if started else RUNTIME
            self.history.append(Turn(self._label(cell), done))
        return message

    def _label(self, cell: Cell) -> str:
        label = self._labels.get(cell)
        if label is None:
            label = cell.options.name
            if label is None:
                kind = cell.actor_class.__name__
                self._seen[kind] += 1
                label = kind if self._seen[kind] == 1 else f"{kind}#{self._seen[kind]}"
            self._labels[cell] = label
        return label


def has_turn_due(cell: Cell) -> bool:
    """Whether a turn now would do anything."""
    return cell.phase is Phase.SPAWNED or cell.mailbox.has_work()


def refs_with_turns_due(cells: list[Cell]) -> list[ActorRef[Any]]:
    """The refs of those cells that have something to do, in their order."""
    return [cell.ref for cell in cells if has_turn_due(cell)]

"""Turns that are taken only when the test says so, one message at a time."""

import asyncio
from collections.abc import Callable
from typing import Any

from apex_actors.actors import Actor, ActorRef
from apex_actors.actors.cell import Cell
from apex_actors.actors.testing.labels import actor_label
from apex_actors.actors.testing.turns import (
    TurnByTurnDispatcher,
    has_turn_due,
    refs_with_turns_due,
)


class SteppingDispatcher(TurnByTurnDispatcher):
    """Gives an actor of the loop a turn when ``step`` is called, and never by itself.

    What an ``async`` handler does behind its first wait is no turn: it goes on with the loop.
    Actors of the classes in ``automatic`` have their turns as ever; so have all after ``release``.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        clock: Callable[[], float] | None = None,
        automatic: tuple[type[Actor], ...] = (),
    ) -> None:
        super().__init__(loop, clock=clock)
        self._automatic = automatic
        self._released = False
        # A dict is an ordered set: who became ready first is the next one.
        self._waiting: dict[Cell, None] = {}

    def schedule(self, cell: Cell, /) -> None:
        """Note that ``cell`` would like a turn."""
        if self._released or issubclass(cell.actor_class, self._automatic):
            super().schedule(cell)
        else:
            self._waiting[cell] = None

    def ready(self) -> list[ActorRef[Any]]:
        """Who has something to do, longest ready first."""
        return refs_with_turns_due(list(self._waiting))

    def step(self, ref: ActorRef[Any] | None = None) -> Any:
        """Have ``ref``, or the next ready actor, handle one message, and return that message.

        None where only ``on_start`` or something of the runtime's own (a kill, a restart, a watch)
        was due. Raises AssertionError when there is nothing to do.
        """
        cell = self._next() if ref is None else ref.cell
        if cell is None or not has_turn_due(cell):
            nothing = "nothing to do" if ref is None else f"{actor_label(ref)} has nothing to do"
            ready = ", ".join(map(actor_label, self.ready())) or "nobody"
            raise AssertionError(f"{nothing}; ready: {ready}")
        self._waiting.pop(cell, None)
        return self.take_turn_of(cell)

    def release(self) -> None:
        """Give turns as ever from now on: the test is over."""
        self._released = True
        waiting, self._waiting = self._waiting, {}
        for cell in waiting:
            super().schedule(cell)

    def _next(self) -> Cell | None:
        while self._waiting:
            cell = next(iter(self._waiting))
            if has_turn_due(cell):
                return cell
            del self._waiting[cell]
        return None

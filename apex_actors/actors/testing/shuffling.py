"""Turns in an order that a seed decides: the orders that a busy day would bring, and again."""

import asyncio
import random
from collections.abc import Callable
from typing import Final

from apex_actors.actors.cell import Cell
from apex_actors.actors.testing.turns import TurnByTurnDispatcher, has_turn_due

#: Bounds of how likely it is, after a turn, that the loop's other work goes on before the next one.
_PAUSE: Final = (0.1, 0.9)

#: How likely it is, before a turn, that the actor of the highest rank falls to the lowest: rarely,
#: for one that is slow for long, or often.
_FALL: Final = (0.01, 0.05, 0.2)


class ShuffledDispatcher(TurnByTurnDispatcher):
    """Gives turns to actors of the loop in an order drawn with ``seed``.

    Each turn is one message of one of the actors that are ready, so every order is possible that
    leaves the messages of one mailbox in theirs. Between turns the loop goes on as often as the
    seed says, so that handlers which wait are overtaken by others, or not. Half of the seeds draw
    evenly. The other half give each actor a rank, take whoever ranks highest, and change ranks now
    and then: that finds faults which need one actor to be slow for long (the idea is that of
    Burckhardt et al., "A randomized scheduler with probabilistic guarantees of finding bugs", 2010).

    The same program with the same seed has the same history, as long as no thread has a part in it.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        seed: int,
        clock: Callable[[], float] | None = None,
    ) -> None:
        super().__init__(loop, clock=clock)
        self.seed = seed
        self._random = random.Random(seed)  # noqa: S311 - repeatable is what it is to be
        self._pause = self._random.uniform(*_PAUSE)
        self._fall = self._random.choice(_FALL)
        self._by_rank = self._random.choice((True, False))
        self._ranks: dict[Cell, float] = {}
        # A dict is an ordered set: a cell that is scheduled twice is no likelier to be drawn.
        self._waiting: dict[Cell, None] = {}

    def schedule(self, cell: Cell, /) -> None:
        """Have ``cell`` take part in the draw."""
        self._waiting[cell] = None
        if not self._armed:
            self._arm()

    def released(self, cell: Cell, /) -> None:
        """``cell`` is dead: it needs no rank."""
        self._ranks.pop(cell, None)

    def _drain(self) -> None:
        try:
            while self._waiting:
                cell = self._draw()
                if has_turn_due(cell):
                    self.take_turn_of(cell)
                    if self._random.random() < self._pause:
                        return
        finally:
            self._armed = False
            if self._waiting and not self._armed:
                self._arm()

    def _draw(self) -> Cell:
        cells = list(self._waiting)
        if self._by_rank:
            cell = max(cells, key=self._rank)
            if self._random.random() < self._fall:
                self._ranks[cell] = min(self._ranks.values()) - 1
                cell = max(cells, key=self._rank)
        else:
            cell = self._random.choice(cells)
        del self._waiting[cell]
        return cell

    def _rank(self, cell: Cell) -> float:
        rank = self._ranks.get(cell)
        if rank is None:
            rank = self._ranks[cell] = self._random.random()
        return rank

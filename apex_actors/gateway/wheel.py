"""A wheel of slots: recurring work spread evenly over an interval, with one timer for all of it."""

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Generic, TypeVar

T = TypeVar("T")


class Wheel(Generic[T]):
    """Members by their key, each in one slot; a turn hands out the members of the next slot.

    Not an actor and without a clock: whoever owns it turns it.
    """

    def __init__(self, slots: int) -> None:
        if slots < 1:
            raise ValueError(f"a wheel needs at least one slot, not {slots}")
        self._slots: list[dict[str, T]] = [{} for _ in range(slots)]
        self._slot_of: dict[str, int] = {}
        self._hand = 0
        self._next = 0

    def __len__(self) -> int:
        return len(self._slot_of)

    def add(self, key: str, member: T) -> None:
        """Put ``member`` into the slot whose turn it is to be filled: evenly, one after the other.

        Those that come in one moment are handed out spread over a whole interval.
        """
        self.discard(key)
        self._next = (self._next + 1) % len(self._slots)
        self._slots[self._next][key] = member
        self._slot_of[key] = self._next

    def discard(self, key: str) -> None:
        """Forget the member, if there is one of this key."""
        slot = self._slot_of.pop(key, None)
        if slot is not None:
            del self._slots[slot][key]

    def turn(self) -> list[T]:
        """Go on by one slot; its members."""
        self._hand = (self._hand + 1) % len(self._slots)
        return list(self._slots[self._hand].values())


class Agenda(Generic[T]):
    """What is due at a moment, at most one thing for each key; moments are any growing number."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, str]] = []
        self._entries: dict[str, tuple[int, T]] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, key: str, moment: float, thing: T) -> None:
        """``thing`` is due at ``moment``; what was due under this key before is not any more."""
        self._count += 1
        self._entries[key] = (self._count, thing)
        heappush(self._heap, (moment, self._count, key))
        if len(self._heap) > 2 * len(self._entries) + 64:
            # Forgotten entries stay in the heap until their moment: not more of them than others.
            self._heap = sorted(entry for entry in self._heap if self._is_current(entry))

    def discard(self, key: str) -> None:
        """Nothing is due under this key."""
        self._entries.pop(key, None)

    def due(self, now: float) -> Iterator[T]:
        """What is due by ``now``, the earliest first; forgotten with that."""
        while self._heap and self._heap[0][0] <= now:
            entry = heappop(self._heap)
            if self._is_current(entry):
                yield self._entries.pop(entry[2])[1]

    def _is_current(self, entry: tuple[float, int, str]) -> bool:
        current = self._entries.get(entry[2])
        return current is not None and current[0] == entry[1]

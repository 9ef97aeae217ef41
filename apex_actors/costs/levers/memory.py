"""What a pass over the requests remembers, and for how long: bounded by time, never by luck."""

from collections import deque
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

MAX_TURNS = 256
"""Turns of one session that are remembered; the earlier ones are not looked at."""


class Expiring(Generic[K, V]):
    """A dictionary that forgets what was set longer ago than one to two lives, all at once.

    Whoever reads compares the time in the value: what is younger than a life is always there.
    """

    __slots__ = ("_begun_s", "_earlier", "_life_s", "_recent")

    def __init__(self, life_s: int) -> None:
        self._life_s = life_s
        self._recent: dict[K, V] = {}
        self._earlier: dict[K, V] = {}
        self._begun_s = float("-inf")

    def __len__(self) -> int:
        return len(self._recent) + len(self._earlier)

    def get(self, key: K) -> V | None:
        found = self._recent.get(key)
        return self._earlier.get(key) if found is None else found

    def set(self, at_s: float, key: K, value: V) -> None:
        if at_s - self._begun_s >= self._life_s:
            spent = at_s - self._begun_s > 2 * self._life_s
            self._earlier = {} if spent else self._recent
            self._recent = {}
            self._begun_s = at_s
        self._recent[key] = value


class Turns:
    """The latest turns of a conversation while its prompts grow."""

    __slots__ = ("_turns",)

    def __init__(self) -> None:
        self._turns: deque[tuple[float, int]] = deque(maxlen=MAX_TURNS)

    def add(self, at_s: float, input_tokens: int, *, kept_turns: int, window_s: int) -> int:
        """Input of this turn if only the beginning and the last turns were sent again.

        Each prompt repeats the ones before it. What was added between the first prompt of the
        window and the prompt `kept_turns` ago is left out. A prompt that is shorter than the one
        before it begins anew: something else was asked, or the context was trimmed already.
        """
        turns = self._turns
        oldest = at_s - window_s
        while turns and turns[0][0] < oldest:
            turns.popleft()
        if turns and input_tokens < turns[-1][1]:
            turns.clear()
        needed = input_tokens
        if len(turns) >= kept_turns:
            needed -= turns[-kept_turns][1] - turns[0][1]
        turns.append((at_s, input_tokens))
        return needed

"""Misspelt words: the nearest known word within a bounded number of slips."""

from collections import defaultdict
from collections.abc import Iterable

SHORTEST = 3
"""Shorter words are too near to each other to be corrected."""

_LONG = 8
"""From this length on a word may have two slips."""

_FIVE = 5
_MOST_LETTERS = 32
"""Longer words are not typed."""


def distance(left: str, right: str, limit: int) -> int:
    """Optimal string alignment distance, or `limit + 1` where it is larger.

    The least number of inserted, removed, replaced or (adjacent) swapped letters, each letter touched
    once: Damerau 1964, with the recurrence of Wagner and Fischer 1974.
    """
    if abs(len(left) - len(right)) > limit:
        return limit + 1
    before: list[int] = []
    above = list(range(len(right) + 1))
    for row, char in enumerate(left, start=1):
        here = [row]
        for column, other in enumerate(right, start=1):
            cost = min(above[column] + 1, here[column - 1] + 1, above[column - 1] + (char != other))
            swapped = row > 1 and column > 1
            if swapped and char == right[column - 2] and left[row - 2] == other:
                cost = min(cost, before[column - 2] + 1)
            here.append(cost)
        if min(here) > limit:
            return limit + 1
        before, above = above, here
    return above[-1]


class Speller:
    """Corrects single words to those it knows; where two are equally near, to neither."""

    def __init__(self, words: Iterable[str]) -> None:
        self._words = frozenset(words)
        self._by_length: dict[int, list[tuple[str, int]]] = defaultdict(list)
        for word in sorted(self._words):
            if SHORTEST <= len(word) <= _MOST_LETTERS:
                self._by_length[len(word)].append((word, _letters(word)))

    def __contains__(self, word: str) -> bool:
        return word in self._words

    def correct(self, word: str) -> str | None:
        """The one nearest word, or None where none is near enough or two are."""
        if not SHORTEST <= len(word) <= _MOST_LETTERS:
            return None
        limit = 2 if len(word) >= _LONG else 1
        mask = _letters(word)
        nearest = limit + 1
        found: list[str] = []
        for length in range(len(word) - limit, len(word) + limit + 1):
            for candidate, letters in self._by_length.get(length, ()):
                # Each slip changes the set of letters by two at most.
                if (mask ^ letters).bit_count() > 2 * limit or not _is_plausible(word, candidate):
                    continue
                slips = distance(word, candidate, limit)
                if slips < nearest:
                    nearest, found = slips, [candidate]
                elif slips == nearest <= limit:
                    found.append(candidate)
        best = [candidate for candidate in found if candidate[0] == word[0]] or found
        if len(best) > 1:
            # Letters swapped or left out are likelier slips than letters that are other ones.
            best = [one for one in best if sorted(one) == sorted(word)] or best
        return best[0] if len(best) == 1 else None


def _consonants(word: str) -> str:
    return "".join(char for char in word if char not in "aeiouy")


def _letters(word: str) -> int:
    mask = 0
    for char in word:
        mask |= 1 << (ord(char) & 63)
    return mask


def _is_plausible(word: str, candidate: str) -> bool:
    """A short word has letters swapped, or one left out; other slips would make it any word."""
    if sorted(word) == sorted(candidate):
        return True
    if len(word) >= _FIVE:
        return word[0] == candidate[0]
    is_longer = len(candidate) == len(word) + 1 and candidate[0] == word[0]
    if len(word) > SHORTEST:
        return is_longer
    # "usr": of three letters, only a vowel is left out.
    return is_longer and candidate[-1] == word[-1] and _consonants(word) == _consonants(candidate)

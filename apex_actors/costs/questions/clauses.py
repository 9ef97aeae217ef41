"""The clauses of a question: parts that may have a wish of their own."""

from dataclasses import dataclass
from typing import Final

from apex_actors.costs.questions.lexicon import Concept
from apex_actors.costs.questions.reading import Reading
from apex_actors.costs.questions.slots import FACET_WORDS

C = Concept

_ENDS: Final = frozenset(",;?.!&+")
_JOINS: Final = frozenset({"and", "plus", "also", "then", "but"})


@dataclass(frozen=True, slots=True)
class Clause:
    """Tokens from `start` up to `end`."""

    start: int
    end: int

    def holds(self, at: int) -> bool:
        """Whether a place is in it."""
        return self.start <= at < self.end


def clauses(reading: Reading) -> list[Clause]:
    """The clauses from left to right; lists of names, times or dimensions are not cut."""
    starts = [0]
    for at in range(len(reading.tokens)):
        word = reading.word(at)
        is_cut = not reading.taken[at] and (word in _ENDS or word in _JOINS)
        if is_cut and not _joins_like(reading, at):
            starts.append(at)
    ends = [*starts[1:], len(reading.tokens)]
    return [Clause(start, end) for start, end in zip(starts, ends, strict=True) if end > start]


def _joins_like(reading: Reading, at: int) -> bool:
    """Whether both neighbours are of one sort: then it is one list."""
    return bool(_sorts(reading, at - 1, -1) & _sorts(reading, at + 1, 1))


def _sorts(reading: Reading, at: int, step: int) -> set[str]:
    while reading.concept(at) in {C.DETERMINER, C.PREPOSITION, C.EACH} or (
        reading.word(at) in FACET_WORDS and _is_beside_a_name(reading, at)
    ):
        at += step
    sorts: set[str] = set()
    if any(match.start <= at < match.end for match in reading.matches):
        sorts.add("name")
    if any(said.start <= at < said.end for said in reading.times):
        sorts.add("time")
    if any(place == at for place, _ in reading.by):
        sorts.add("by")
    return sorts


def _is_beside_a_name(reading: Reading, at: int) -> bool:
    return any(at in {match.start - 1, match.end} for match in reading.matches)

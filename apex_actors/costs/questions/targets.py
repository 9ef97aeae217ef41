"""What the names of a question are for: filters, sides of a comparison, ends of a switch."""

from collections.abc import Sequence
from dataclasses import dataclass

from apex_actors.costs.questions.lexicon import Concept
from apex_actors.costs.questions.names import Match, Named
from apex_actors.costs.questions.question import Facet, Filter, Switch
from apex_actors.costs.questions.reading import Reading
from apex_actors.costs.questions.slots import FACET_WORDS, resolve

C = Concept

_LINKS = frozenset(
    {"of", "for", "from", "in", "counting", "including", "any", "requests", "to", "by"}
)
_EXCLUDING = frozenset(
    {("other", "than"), ("apart", "from"), ("leave", "out"), ("leaving", "out"), ("left", "out")}
)
_LIST = frozenset({",", "and", "or", "&", "/", "+"})


@dataclass(frozen=True, slots=True)
class Target:
    """A name with its place and whether it is excluded."""

    match: Match
    meanings: tuple[Named, ...]
    negated: bool

    @property
    def facet(self) -> Facet:
        """The facet of all its meanings."""
        return self.meanings[0].facet

    def filter(self) -> Filter:
        """Only, or without, what it stands for."""
        first = self.meanings[0]
        return Filter(
            facet=first.facet,
            names=tuple(sorted({named.name for named in self.meanings})),
            tag_key=first.tag_key,
            negated=self.negated,
        )


def targets(reading: Reading) -> list[Target]:
    """The names from left to right; a list that begins with an exclusion is excluded whole."""
    found: list[Target] = []
    for match in reading.matches:
        joined = bool(found) and _is_listed(reading, found[-1].match.end, match.start)
        negated = found[-1].negated if joined else _is_excluded(reading, match.start)
        found.append(Target(match, resolve(reading, match), negated))
    return found


def _is_listed(reading: Reading, start: int, end: int) -> bool:
    between = [reading.word(at) for at in range(start, end)]
    return bool(between) and all(
        word in _LIST or word in FACET_WORDS or word in {"the", "team's"} for word in between
    )


def _is_excluded(reading: Reading, start: int) -> bool:
    at = start - 1
    while (
        at >= 0
        and not reading.taken[at]
        and (
            reading.concept(at) is C.DETERMINER
            or reading.word(at) in _LINKS
            or reading.word(at) in FACET_WORDS
        )
    ):
        if reading.word(at) in {"everything", "all", "anything"}:
            return False
        at -= 1
    word, before = reading.word(at), reading.word(at - 1)
    if reading.concept(at) is C.NEGATION:
        return True
    if word == "but":
        return before in {"everything", "all", "anything", "everyone"}
    return (before, word) in _EXCLUDING or (word == "apart" and reading.word(at + 1) == "from")


def filters(found: Sequence[Target]) -> tuple[Filter, ...]:
    """One filter for each facet and sign; names of one facet are alternatives."""
    groups: dict[tuple[Facet, str | None, bool], set[str]] = {}
    for target in found:
        one = target.filter()
        groups.setdefault((one.facet, one.tag_key, one.negated), set()).update(one.names)
    return tuple(
        Filter(facet=facet, tag_key=key, negated=negated, names=tuple(sorted(names)))
        for (facet, key, negated), names in groups.items()
    )


def compared(found: Sequence[Target]) -> list[Target]:
    """The names that can be set side by side: two or more of the first facet that has so many."""
    for target in found:
        same = [one for one in found if one.facet is target.facet and not one.negated]
        if len({one.meanings for one in same}) > 1:
            return same
    return []


def switch(reading: Reading, found: Sequence[Target]) -> tuple[Switch, list[Target]] | None:
    """From which models to which one, and the names that say so; None without a model to go to."""
    models = [one for one in found if one.facet is Facet.MODEL and not one.negated]
    origin: list[Target] = []
    aims: list[Target] = []
    for target in models:
        (origin if _is_origin(reading, target, models) else aims).append(target)
    if not aims and len(origin) > 1:
        aims = [origin.pop()]
    if not aims:
        return None
    aim = aims[-1]
    names = sorted(named.name for named in aim.meanings)
    if len(names) > 1:
        reading.assume(f"I took {names[-1]} as the model to switch to.")
    sources = sorted({named.name for one in origin for named in one.meanings})
    return Switch(from_models=tuple(sources), to_model=names[-1]), [*origin, *aims]


def _is_origin(reading: Reading, target: Target, models: Sequence[Target]) -> bool:  # noqa: PLR0911 - a table
    at = target.match.start - 1
    while reading.concept(at) in {C.DETERMINER, C.SUBJECT} or reading.word(at) in FACET_WORDS:
        at -= 1
    word = reading.word(at)
    if word == "of" and reading.word(at - 1) == "instead":
        return True
    if word in {"to", "into", "with", "onto", "by"}:
        return False
    if word == "for":
        swaps = {"swap", "swapped", "swapping", "switch", "replace"}
        return not any(reading.word(near) in swaps for near in range(at))
    if word == "from" or (word == "than" and reading.word(at - 1) == "rather"):
        return True
    if reading.concept(at) is C.SWITCH or word == "change":
        return len(models) > 1
    if word in {"use", "used", "using", "on", "run", "ran", "uses"}:
        return False
    return target is models[0] and len(models) > 1

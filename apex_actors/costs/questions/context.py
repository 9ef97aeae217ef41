"""Questions that go on from the one before: what they take over, and what they replace."""

from collections.abc import Sequence
from typing import Final

from apex_actors.costs.questions.intents import SHAPES, TOPICS
from apex_actors.costs.questions.lexicon import Concept
from apex_actors.costs.questions.question import Facet, Filter, Intent
from apex_actors.costs.questions.reading import Reading
from apex_actors.costs.questions.tokens import word_set

C = Concept

_OPENERS: Final = word_set(
    "and only just same also now then but ok okay so without excluding why in for by per with "
    "on instead except"
)
_ABOUT: Final = frozenset({"what", "how"})
_ONE_OF: Final = frozenset({Facet.MODEL, Facet.PROVIDER})
"""A model has one provider: a filter by one replaces a filter by the other."""


def goes_on(reading: Reading, intents: Sequence[Intent]) -> bool:
    """Whether the question is not whole without the one before it."""
    first = reading.word(0)
    opens = first in _OPENERS and reading.tokens[0].text != ""
    if opens or (first in _ABOUT and reading.word(1) == "about"):
        return not (first in {"in", "for", "on", "so"} and _is_whole(reading))
    if any(concept is C.ANAPHOR for concept in reading.concepts):
        return True
    if any(intent in TOPICS for intent in intents):
        return False
    return not _is_whole(reading)


def _is_whole(reading: Reading) -> bool:
    return reading.has(C.COST, C.SUM, C.REQUESTS, C.LATENCY, C.ERRORS) or (
        reading.has(C.TOKENS) and reading.has(C.QUESTION)
    )


def carry_intents(
    reading: Reading, intents: Sequence[Intent], before: Sequence[Intent]
) -> list[Intent]:
    """The intents of a question that goes on: its own or, where it has none, those before it."""
    own: list[Intent] = [
        intent
        for intent in intents
        if intent is not Intent.OVERVIEW or (reading.has(C.COST) and reading.has(C.QUESTION))
    ]
    if Intent.BREAKDOWN in own and Intent.TOP in before and not reading.has(C.SPLIT):
        own[own.index(Intent.BREAKDOWN)] = Intent.TOP
    if own:
        return own
    kept: list[Intent] = [intent for intent in before if intent not in {Intent.HELP, Intent.PRICES}]
    return kept or [Intent.OVERVIEW]


def carry_filters(new: Sequence[Filter], before: Sequence[Filter]) -> tuple[Filter, ...]:
    """Filters before it, less those that the new ones replace, and the new ones."""

    def is_replaced(old: Filter) -> bool:
        return (
            any(
                (one.facet is old.facet or {one.facet, old.facet} == _ONE_OF)
                and one.tag_key == old.tag_key
                and not (one.negated or old.negated)
                for one in new
            )
            or old in new
        )

    return (*(old for old in before if not is_replaced(old)), *new)


def keeps_dimensions(intents: Sequence[Intent]) -> bool:
    """Whether the dimensions before it still mean something to these intents."""
    return any(intent in SHAPES for intent in intents)

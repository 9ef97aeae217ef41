"""A text as the recognisers have taken it apart: which tokens stand for what, and what is left."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from apex_actors.costs.questions.lexicon import SHORTHANDS, Concept, concept_of
from apex_actors.costs.questions.names import Match, NameIndex
from apex_actors.costs.questions.periods import Calendar
from apex_actors.costs.questions.question import Amount, By, Granularity
from apex_actors.costs.questions.spelling import SHORTEST, Speller
from apex_actors.costs.questions.timelexicon import MONTHS, WEEKDAYS
from apex_actors.costs.questions.timewords import Said
from apex_actors.costs.questions.tokens import Kind, Token

MOST_CORRECTIONS = 40
"""Distinct unknown words that are looked up: a text with more of them is not about costs."""


@dataclass(slots=True)
class Reading:
    """Tokens, their concepts, and the slots that were found so far."""

    tokens: list[Token]
    calendar: Calendar
    index: NameIndex
    concepts: list[Concept | None]
    """None: unknown, or read as something else."""
    taken: list[bool]
    """Which tokens a slot has consumed."""
    matches: list[Match] = field(default_factory=list)
    times: list[Said] = field(default_factory=list)
    by: list[tuple[int, By]] = field(default_factory=list)
    granularity: tuple[int, Granularity] | None = None
    asks_which_step: bool = False
    """Whether one step of time is asked for: `which day was the most expensive`."""
    amount: tuple[int, Amount] | None = None
    budget_name: str | None = None
    limit: int | None = None
    session_id: str | None = None
    request_id: str | None = None
    assumptions: list[str] = field(default_factory=list)

    def take(self, start: int, end: int) -> None:
        """Mark tokens as consumed."""
        for at in range(start, end):
            self.taken[at] = True
            self.concepts[at] = None

    def word(self, at: int) -> str:
        """The word at a place, taken or not; empty outside of the text."""
        return self.tokens[at].word if 0 <= at < len(self.tokens) else ""

    def concept(self, at: int) -> Concept | None:
        """The concept at a place; None where a slot has the token, or outside of the text."""
        return self.concepts[at] if 0 <= at < len(self.concepts) else None

    def has(self, *concepts: Concept) -> bool:
        """Whether any of the concepts occurs."""
        return any(concept in concepts for concept in self.concepts)

    def free_words(self) -> Iterator[int]:
        """Places of words that no slot has taken."""
        return (
            at
            for at, token in enumerate(self.tokens)
            if token.kind is Kind.WORD and not self.taken[at]
        )

    def unknown(self) -> list[int]:
        """Places of words that nothing is known of."""
        return [
            at
            for at in self.free_words()
            if self.concepts[at] is None and len(self.tokens[at].word) > 1
        ]

    def assume(self, sentence: str) -> None:
        """Say something about how the question was read, once."""
        if sentence not in self.assumptions:
            self.assumptions.append(sentence)

    def said(self, start: int, end: int) -> str:
        """Tokens as they were written."""
        parts = [
            ("" if token.is_glued or number == 0 else " ") + token.text
            for number, token in enumerate(self.tokens[start:end])
        ]
        return "".join(parts)


def read(tokens: list[Token], index: NameIndex, speller: Speller, calendar: Calendar) -> Reading:
    """The reading of tokens before any slot is found; misspelt words are put right."""
    corrected, assumptions = _corrected(tokens, speller)
    concepts = [concept_of(token.word) if token.kind is Kind.WORD else None for token in corrected]
    reading = Reading(corrected, calendar, index, concepts, [False] * len(corrected))
    reading.assumptions.extend(assumptions)
    return reading


def _corrected(tokens: list[Token], speller: Speller) -> tuple[list[Token], list[str]]:
    known: dict[str, str] = {}
    out: list[Token] = []
    assumptions: list[str] = []
    for at, token in enumerate(tokens):
        word = token.word
        if token.kind is Kind.WORD and not _is_known(word, speller):
            if word not in known and len(known) < MOST_CORRECTIONS:
                known[word] = _correction(tokens, at, speller)
            meant = known.get(word, word)
            if meant != word and concept_of(meant) is None and meant not in MONTHS | WEEKDAYS:
                assumptions.append(f"I read \u201c{token.text}\u201d as \u201c{meant}\u201d.")
            word = meant
        out.append(token if word == token.word else replace(token, word=word))
    return out, assumptions


def _is_known(word: str, speller: Speller) -> bool:
    return word not in SHORTHANDS and (concept_of(word) is not None or word in speller)


def _correction(tokens: list[Token], at: int, speller: Speller) -> str:
    word = tokens[at].word
    following = tokens[at + 1] if at + 1 < len(tokens) else None
    in_an_id = (tokens[at].is_glued and tokens[at - 1].kind is Kind.NUMBER) or (
        following is not None and following.is_glued and following.word == "_"
    )
    if in_an_id:
        return word
    if word in SHORTHANDS:
        return SHORTHANDS[word]
    if len(word) < SHORTEST:
        return word
    return speller.correct(word) or word

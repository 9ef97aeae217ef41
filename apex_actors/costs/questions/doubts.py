"""When a question is better not answered: it asks for what the data can't tell, or in unknown words."""

from typing import Final

from apex_actors.costs.questions.lexicon import FUNCTION, UNANSWERABLE, Concept
from apex_actors.costs.questions.reading import Reading
from apex_actors.costs.questions.slots import FACET_WORDS
from apex_actors.costs.questions.tokens import Kind, word_set

C = Concept

MOST_UNKNOWN: Final = 2
"""More words that nothing is known of make the rest a guess."""

_CORRECTIONS: Final = frozenset({"sorry", "mean"})
_WRITES: Final = word_set("write create build draw print compose make email send")
_BEFORE_A_THING: Final = frozenset({
    C.PREPOSITION, C.EACH, C.NEGATION, C.ONLY, C.FACET, C.COMPARE, C.SWITCH, C.INSTEAD,
    C.AUXILIARY, C.PAST, C.ANAPHOR, C.COST,
})  # fmt: skip
"""What stands before an unknown word that names a thing: the question is about that thing."""
_AFTER_A_THING: Final = frozenset({C.COST, C.TOKENS, C.REQUESTS, C.PAST, C.FACET, C.PRICE})
_BESIDE_BEST: Final = word_set("way ways practice practices tips idea ideas")


def doubt(reading: Reading) -> str | None:
    """Why it is better not answered, or None."""
    return _unanswerable(reading) or _unknown(reading) or _left_numbers(reading)


def _unanswerable(reading: Reading) -> str | None:
    for at in reading.free_words():
        concept = reading.concept(at)
        if concept is None or concept not in UNANSWERABLE:
            continue
        word, after = reading.word(at), reading.word(at + 1)
        if concept is C.ORDER and not _is_order(reading, at):
            continue
        if word in {"best", "better"} and (after in _BESIDE_BEST or reading.has(C.SAVING)):
            continue
        if word == "ask" and not {reading.word(at - 1), reading.word(at - 2)} & {"users", "user"}:
            continue
        return UNANSWERABLE[concept]
    return None


def _is_order(reading: Reading, at: int) -> bool:
    """An imperative or a plea, unless it is for a report."""
    before = at - 1
    while reading.concept(before) in {C.PLAIN, C.DETERMINER, C.AUXILIARY, C.NEGATION}:
        before -= 1
    if before >= 0 and reading.tokens[before].kind is Kind.WORD:
        return reading.concept(before) in {C.JOIN, C.ELLIPSIS}
    if reading.word(at) in _WRITES:
        return not any(reading.concept(near) in {C.SUM, C.TREND} for near in range(at + 1, at + 5))
    return True


def _unknown(reading: Reading) -> str | None:
    unknown = [at for at in reading.unknown() if not _is_excused(reading, at)]
    if not unknown:
        return None
    things = [at for at in unknown if _is_thing(reading, at)]
    if not things and len(unknown) <= min(MOST_UNKNOWN, _evidence(reading)):
        return None
    at = (things or unknown)[0]
    end = at + 1
    while end < len(reading.tokens) and reading.tokens[end].is_glued and end - at < 12:  # noqa: PLR2004 - a name
        end += 1
    start = at
    while start and reading.tokens[start].is_glued and at - start < 12:  # noqa: PLR2004 - a name
        start -= 1
    written = reading.said(start, end).strip(".,;:!?\"'()")
    shown = written if len(written) <= 80 else f"{written[:80]}\u2026"  # noqa: PLR2004 - a line
    return f"I know nothing called \u201c{shown}\u201d in your records."


def _is_excused(reading: Reading, at: int) -> bool:
    """Words before `sorry` or `I mean` were taken back; a `good morning` is one."""
    if reading.word(at - 1) == "good":
        return True
    return any(
        reading.word(later) in _CORRECTIONS and not reading.taken[later]
        for later in range(at + 1, len(reading.tokens))
    )


def _is_thing(reading: Reading, at: int) -> bool:
    before = at - 1
    while reading.concept(before) in {C.DETERMINER, C.SUBJECT}:
        before -= 1
    if reading.concept(before) in _BEFORE_A_THING or reading.word(before) in FACET_WORDS:
        return True
    if reading.tokens[at].is_glued and at and reading.tokens[at - 1].kind is not Kind.SIGN:
        return True
    after = at + 1
    return reading.concept(after) in _AFTER_A_THING or (
        after < len(reading.tokens)
        and reading.tokens[after].is_glued
        and reading.tokens[after].kind is Kind.NUMBER
    )


def _evidence(reading: Reading) -> int:
    """How much of the text speaks of costs."""
    words = sum(
        concept is not None and concept not in FUNCTION and concept not in UNANSWERABLE
        for concept in reading.concepts
    )
    return words + len(reading.matches)


def _left_numbers(reading: Reading) -> str | None:
    """A number that nothing has understood may be a time of day, a version or a threshold."""
    for at, token in enumerate(reading.tokens):
        if token.kind is not Kind.NUMBER or reading.taken[at]:
            continue
        if _is_of_tokens(reading, at):
            continue
        return f"I don\u2019t know what \u201c{token.text[:20]}\u201d stands for there."
    return None


def _is_of_tokens(reading: Reading, at: int) -> bool:
    """`per 1M tokens`, `per 1,000 tokens`."""
    near = [reading.word(place) for place in range(at + 1, at + 6)]
    return "tokens" in near or "token" in near

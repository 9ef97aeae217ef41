"""When a question is better not answered: it asks for what the data can't tell, or in unknown words."""

from typing import Final

from apex_actors.costs.questions.clauses import Clause, clauses
from apex_actors.costs.questions.lexicon import FUNCTION, UNANSWERABLE, Concept
from apex_actors.costs.questions.reading import Reading
from apex_actors.costs.questions.slots import FACET_WORDS
from apex_actors.costs.questions.timelexicon import UNITS, WEEKDAYS
from apex_actors.costs.questions.tokens import Kind, word_set

C = Concept

_NO_TEACHER: Final = "I answer from your usage records; I don\u2019t explain terms or interfaces."

MOST_UNKNOWN: Final = 2
"""More words that nothing is known of make the rest a guess."""

_CORRECTIONS: Final = frozenset({"sorry", "mean"})
_TIME_NOUNS: Final = frozenset(
    {*UNITS, *WEEKDAYS, *(f"{day}s" for day in WEEKDAYS), "weekend", "weekends", "fortnight", "last", "past", "previous", "next", "ago",
     "before", "after", "since", "until", "till", "during", "earlier", "later", "half", "weekday",
     "weekdays", "tomorrow", "today", "yesterday"}
)  # fmt: skip
"""What belongs to a time: left over, it means that a time was not understood."""
_WRITES: Final = word_set("write create build draw print compose make")
_BEFORE_A_THING: Final = frozenset({
    C.PREPOSITION, C.EACH, C.NEGATION, C.ONLY, C.FACET, C.COMPARE, C.SWITCH, C.INSTEAD,
    C.AUXILIARY, C.PAST, C.ANAPHOR, C.COST,
})  # fmt: skip
"""What stands before an unknown word that names a thing: the question is about that thing."""
_AFTER_A_THING: Final = frozenset({C.COST, C.TOKENS, C.REQUESTS, C.PAST, C.FACET, C.PRICE})
_BESIDE_BEST: Final = word_set("way ways practice practices tips idea ideas")


def doubt(reading: Reading) -> str | None:
    """Why it is better not answered, or None."""
    return (
        _unanswerable(reading)
        or _left_times(reading)
        or _other_way(reading)
        or _unknown(reading)
        or _left_numbers(reading)
    )


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


def _other_way(reading: Reading) -> str | None:
    """Words about costs in questions that are not: what a word means, how to do it, who pays us."""
    for at in reading.free_words():
        words = (reading.word(at), reading.word(at + 1), reading.word(at + 2))
        if words[0] == "when" and not reading.has(C.BUDGET, C.LIMIT, C.CHANGE, C.ANOMALY):
            return "I tell how much, not when."
        if words[0] in {"pay", "paid", "pays", "charge"} and words[1] in {"us", "me"}:
            return UNANSWERABLE[C.BUSINESS]
        if words[:2] == ("you", "cost") or _is_lesson(reading, at, words):
            return _NO_TEACHER
    return None


def _is_lesson(reading: Reading, at: int, words: tuple[str, str, str]) -> bool:
    """`who is ...`, `what is a token`, `how do I call ...`."""
    if words[0] == "who" and words[1] in {"is", "was", "are"} and words[2] != "you":
        return not reading.has(C.COST, C.TOKENS, C.REQUESTS, C.MOST, C.LEAST)
    if words[:2] in {("how", "does"), ("how", "do")} and reading.tokens[-1].word == "work":
        return True
    if words[0] in {"is", "are"} and words[1] in {"a", "an"}:
        return reading.concept(at + 2) in {C.TOKENS, C.REQUESTS, C.CACHE, C.BUDGET}
    verb = at + 2 if words[:2] == ("how", "to") else at + 3
    if verb == at + 3 and words != ("how", "do", "i"):
        return False
    is_ours = reading.has(C.SAVING, C.CHEAPER) or reading.concept(verb) in {C.COMPARE, C.COST}
    return not is_ours


def _is_order(reading: Reading, at: int) -> bool:
    """An imperative or a plea, unless it is for a report."""
    before = at - 1
    while reading.concept(before) in {C.PLAIN, C.DETERMINER, C.AUXILIARY, C.NEGATION}:
        if reading.word(before) in {"we", "i", "they"}:
            return False
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
    if not things and len(unknown) <= MOST_UNKNOWN and _is_beside_the_point(reading, unknown):
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


def _is_beside_the_point(reading: Reading, unknown: list[int]) -> bool:
    """Whether another clause is about costs and wholly understood."""
    clear = [
        clause
        for clause in clauses(reading)
        if not any(clause.holds(at) for at in unknown) and _evidence(reading, clause)
    ]
    if not clear:
        return False
    words = ", ".join(f"\u201c{reading.tokens[at].text}\u201d" for at in unknown)
    reading.assume(f"I made nothing of {words}.")
    return True


def _evidence(reading: Reading, clause: Clause) -> int:
    """How much of a clause speaks of costs."""
    words = sum(
        concept is not None and concept not in FUNCTION and concept not in UNANSWERABLE
        for concept in reading.concepts[clause.start : clause.end]
    )
    return words + sum(clause.holds(match.start) for match in reading.matches)


def _left_times(reading: Reading) -> str | None:
    """Rather no answer than one about another time."""
    for at in reading.free_words():
        word = reading.word(at)
        is_letter = len(word) == 1 or word in {"may", "second", "mar", "sat", "sun", "dec", "wed"}
        if word in _TIME_NOUNS and not is_letter and reading.word(at - 1) != "these":
            written = reading.said(at, min(at + 3, len(reading.tokens)))
            return f"I don\u2019t know which time \u201c{written[:60]}\u201d means."
    return None


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
    after = [reading.word(place) for place in range(at + 1, at + 6)]
    before = {reading.word(place) for place in range(max(0, at - 3), at)}
    return bool({"tokens", "token"} & set(after)) and bool(before & {"per", "a"})

"""The slots of a question: each recogniser consumes the tokens that it understands."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from apex_actors.costs.questions.lexicon import Concept
from apex_actors.costs.questions.names import GENERIC, Match, Named
from apex_actors.costs.questions.question import Amount, By, Facet, Granularity
from apex_actors.costs.questions.reading import Reading
from apex_actors.costs.questions.timelexicon import MONTHS, NUMBERS, WEEKDAYS
from apex_actors.costs.questions.timewords import TimeWords
from apex_actors.costs.questions.tokens import Kind

C = Concept

FACET_WORDS: Final[Mapping[str, Facet]] = {
    word: facet
    for facet, words in {
        Facet.MODEL: "model models",
        Facet.PROVIDER: "provider providers vendor vendors",
        Facet.FEATURE: "feature features product products",
        Facet.TEAM: "team teams department departments",
        Facet.USER: "user users person people spender spenders",
        Facet.ENVIRONMENT: "environment environments env envs",
        Facet.PROCESSING: "processing",
        Facet.STATUS: "status",
        Facet.SESSION: "session sessions conversation conversations",
    }.items()
    for word in words.split()
}
"""What the words for dimensions mean."""

_GRANULARITIES: Final = {
    "hour": Granularity.HOUR, "hourly": Granularity.HOUR, "hours": Granularity.HOUR,
    "day": Granularity.DAY, "daily": Granularity.DAY, "days": Granularity.DAY,
    "week": Granularity.WEEK, "weekly": Granularity.WEEK, "weeks": Granularity.WEEK,
    "month": Granularity.MONTH, "monthly": Granularity.MONTH, "months": Granularity.MONTH,
}  # fmt: skip
_CURRENCIES: Final = {
    "$": "USD", "usd": "USD", "dollar": "USD", "dollars": "USD", "bucks": "USD",
    "\u20ac": "EUR", "eur": "EUR", "euro": "EUR", "euros": "EUR",
    "\u00a3": "GBP", "gbp": "GBP", "pound": "GBP", "pounds": "GBP",
}  # fmt: skip
_SCALES: Final = {"k": 1_000, "thousand": 1_000, "m": 1_000_000, "mio": 1_000_000,
                  "million": 1_000_000}  # fmt: skip
_MOST_LIMIT: Final = 1_000
_PREFERRED: Final = tuple(Facet)
_SETTINGS: Final = frozenset({Facet.PROCESSING, Facet.STATUS})
"""Facets whose names are common words."""


def fill(reading: Reading) -> None:
    """Find all slots; what is exact comes before what is guessed."""
    _ids(reading)
    _exact_names(reading)
    _granularity(reading)
    _times(reading)
    _families(reading)
    _amount(reading)
    _facets(reading)
    _limit(reading)
    reading.matches.sort(key=lambda match: match.start)
    reading.by.sort(key=lambda one: one[0])


def _ids(reading: Reading) -> None:
    at = 0
    while at < len(reading.tokens):
        word = reading.word(at)
        start = at + 1
        if word in {"session", "conversation", "request"}:
            while reading.word(start) in {"id", ":", "#", "number", "no", "with", '"', "'"}:
                start += 1
            end = _run(reading, start)
            if any(char.isdigit() for char in reading.said(start, end)):
                if word == "request":
                    reading.request_id = reading.said(start, end)
                else:
                    reading.session_id = reading.said(start, end)
                reading.take(at, end)
                start = end
        at = start


def _run(reading: Reading, start: int) -> int:
    """The end of what is written without a space from `start` on, less the punctuation behind it."""
    if start >= len(reading.tokens) or reading.tokens[start].kind is Kind.SIGN:
        return start
    end = start + 1
    while end < len(reading.tokens) and reading.tokens[end].is_glued:
        end += 1
    while reading.tokens[end - 1].kind is Kind.SIGN:
        end -= 1
    return end


def _exact_names(reading: Reading) -> None:
    index, tokens = reading.index, reading.tokens
    at = 0
    while at < len(tokens):
        if reading.taken[at]:
            at += 1
            continue
        budget = index.budget(tokens, at)
        if budget is not None:
            reading.budget_name, end = budget
            reading.take(at, end)
            at = end
            continue
        match = index.exact(tokens, at)
        if match is None or not _is_meant(reading, match):
            at += 1
            continue
        if reading.word(match.end) == "/" and match.facets == (Facet.PROVIDER,):
            reading.take(at, match.end + 1)  # the provider in front of a model
            at = match.end + 1
            continue
        reading.matches.append(match)
        reading.take(match.start, match.end)
        at = match.end


def _is_meant(reading: Reading, match: Match) -> bool:
    """Whether a name that is a common word too is used as a name here."""
    if match.end - match.start > 1:
        return True
    word = reading.word(match.start)
    common = reading.concept(match.start) is not None or word in MONTHS or word in WEEKDAYS
    if set(match.facets) <= _SETTINGS:
        return _is_setting_meant(reading, match)
    if match.facets == (Facet.MODEL,) and word in GENERIC:
        return False
    return not common or _qualifier(reading, match) is not None


def _is_setting_meant(reading: Reading, match: Match) -> bool:
    before, after = reading.word(match.start - 1), reading.word(match.end)
    if reading.concept(match.start - 1) is C.NEGATION or before in {"only", "counting"}:
        return True
    if match.facets == (Facet.STATUS,):
        return False
    near = {"vs", "versus", "and", "or", "compared"}
    return after in near | {"processing", "requests", "calls", "tier"} or before in near | {"in"}


def _qualifier(reading: Reading, match: Match) -> Facet | None:
    """The word for a dimension that stands beside a name: `team search`, `the search feature`."""
    for at in (match.start - 1, match.end):
        facet = FACET_WORDS.get(reading.word(at))
        if facet in match.facets and not reading.taken[at]:
            return facet
    for at in (match.start - 1, match.end):
        key = reading.word(at)
        for named in match.meanings:
            if named.tag_key is not None and named.tag_key.casefold() == key:
                return Facet.TAG
    return None


def _granularity(reading: Reading) -> None:
    for at in reading.free_words():
        found = _GRANULARITIES.get(reading.word(at))
        if found is None:
            continue
        if reading.word(at - 1) in {"which", "what"} and reading.has(C.MOST, C.LEAST, C.COST):
            reading.granularity = (at, found)
            reading.asks_which_step = reading.has(C.MOST, C.LEAST)
            reading.take(at, at + 1)
            return
        if (reading.word(at + 1), reading.word(at + 2)) == ("by", reading.word(at)):
            reading.granularity = (at, found)  # day by day
            reading.take(at, at + 3)
            return
        is_adverb = reading.word(at).endswith("ly")
        if is_adverb or reading.concept(at - 1) is C.EACH or reading.word(at - 1) == "a":
            if reading.word(at - 1) == "a" and reading.word(at + 1) in {"ago", "back"}:
                continue
            reading.granularity = (at, found)
            reading.take(at - (0 if is_adverb else 1), at + 1)
            return


def _times(reading: Reading) -> None:
    words = TimeWords(reading.tokens, reading.calendar, reading.taken)
    for said in words.find():
        reading.times.append(said)
        reading.take(said.start, said.end)
        if said.assumption is not None:
            reading.assume(said.assumption)


def _families(reading: Reading) -> None:
    for used in (True, False):
        at = 0
        while at < len(reading.tokens):
            match = None
            if not reading.taken[at]:
                match = reading.index.family(reading.tokens, at, used=used)
            if match is None or any(reading.taken[match.start : match.end]):
                at += 1
                continue
            reading.matches.append(match)
            reading.take(match.start, match.end)
            at = match.end


def resolve(reading: Reading, match: Match) -> tuple[Named, ...]:
    """What a match stands for: of one facet, and said where it was not clear."""
    written = reading.said(match.start, match.end)
    facets = match.facets
    facet = facets[0]
    if len(facets) > 1:
        facet = _qualifier(reading, match) or min(facets, key=_PREFERRED.index)
        if _qualifier(reading, match) is None:
            others = " and a ".join(one for one in facets if one is not facet)
            reading.assume(
                f"\u201c{written}\u201d is a {facet} and a {others}; I took the {facet}."
            )
    meanings = tuple(named for named in match.meanings if named.facet is facet)
    if facet is Facet.TAG:
        meanings = tuple(named for named in meanings if named.tag_key == meanings[0].tag_key)
    if not match.is_exact or len(meanings) > 1:
        names = ", ".join(sorted(named.name for named in meanings))
        reading.assume(f"I took \u201c{written}\u201d for {names}.")
    for named in meanings:
        if not named.is_used:
            reading.assume(f"Your records have no use of {named.name}.")
    return meanings


def _amount(reading: Reading) -> None:
    for at, token in enumerate(reading.tokens):
        if token.kind is not Kind.NUMBER or reading.taken[at]:
            continue
        value, end = _decimal(reading, at)
        if reading.word(end) == "%" and reading.has(C.BUDGET):
            reading.take(at, end + 1)  # how much of a budget is used is computed, not believed
            continue
        if value is None:
            continue
        start = at
        is_scaled = reading.word(end) in _SCALES and not reading.taken[end]
        if is_scaled:
            value *= _SCALES[reading.word(end)]
            end += 1
        currency = _CURRENCIES.get(reading.word(at - 1))
        if currency is not None:
            start -= 1
        elif reading.word(end) in _CURRENCIES:
            currency = _CURRENCIES[reading.word(end)]
            end += 1
        is_meant = currency is not None or (
            reading.has(C.BUDGET, C.LIMIT)
            and (is_scaled or value >= 100 or reading.word(end) == "budget")  # noqa: PLR2004
            and FACET_WORDS.get(reading.word(end)) is None
            and reading.word(end) != "tokens"
        )
        if is_meant:
            reading.amount = (start, Amount(value=value, currency=currency or "USD"))
            reading.take(start, end)
            return


def _decimal(reading: Reading, at: int) -> tuple[Decimal | None, int]:
    """A number with marks: `5,000`, `1.500`, `1.500,50`, `12.5`; three digits behind one are thousands."""
    groups = [reading.tokens[at].text]
    marks: list[str] = []
    end = at + 1
    while (
        reading.word(end) in {".", ","}
        and end + 1 < len(reading.tokens)
        and reading.tokens[end].is_glued
        and reading.tokens[end + 1].is_glued
        and reading.tokens[end + 1].kind is Kind.NUMBER
        and len(groups) < 6  # noqa: PLR2004 - no budget is longer
    ):
        marks.append(reading.word(end))
        groups.append(reading.tokens[end + 1].text)
        end += 2
    if any(len(group) > 15 for group in groups):  # noqa: PLR2004 - no money is longer
        return None, end
    fraction = ""
    if marks and (len(groups[-1]) != 3 or marks.count(marks[-1]) < len(marks)):  # noqa: PLR2004
        fraction = groups.pop()
    whole = "".join(
        str(int(group)) if number == 0 else group for number, group in enumerate(groups)
    )
    digits = "".join(str(int(char)) for char in whole)
    decimals = "".join(str(int(char)) for char in fraction)
    return Decimal(f"{digits}.{decimals or '0'}"), end


def _facets(reading: Reading) -> None:
    for at in range(len(reading.tokens)):
        if reading.taken[at]:
            continue
        spelt = reading.index.key(reading.tokens, at)
        if spelt is not None:
            key, end = spelt
            if not _beside_a_match(reading, at, end, Facet.TAG) and (
                reading.concept(at) is None or end > at + 1 or reading.concept(at - 1) is C.EACH
            ):
                reading.by.append((at, By(facet=Facet.TAG, tag_key=key)))
            tagged = reading.word(end) in {"tag", "tags"}
            reading.take(at, end + tagged)
            continue
        word = reading.word(at)
        if word.endswith("wise") and word[:-4] in FACET_WORDS:
            reading.by.append((at, By(facet=FACET_WORDS[word[:-4]])))
            reading.take(at, at + 1)
            continue
        facet = FACET_WORDS.get(word)
        if facet is None:
            continue
        if _is_wanted(reading, at, facet) and not any(one.facet is facet for _, one in reading.by):
            reading.by.append((at, By(facet=facet)))
    asks_who = any(reading.word(at) == "who" for at in reading.free_words())
    if asks_who and not reading.by and reading.has(C.MOST, C.LEAST, C.COST, C.TOKENS, C.REQUESTS):
        at = next(at for at in reading.free_words() if reading.word(at) == "who")
        reading.by.append((at, By(facet=Facet.USER)))


def _beside_a_match(reading: Reading, start: int, end: int, facet: Facet) -> bool:
    return any(
        facet in match.facets and (match.end == start or match.start == end)
        for match in reading.matches
    )


def _is_wanted(reading: Reading, at: int, facet: Facet) -> bool:  # noqa: PLR0911 - a table
    """Whether a word for a dimension asks to be broken down by it."""
    is_plural = reading.word(at).endswith("s") and facet is not Facet.STATUS
    is_plural = is_plural or reading.word(at) == "people"
    before = at - 1
    while reading.concept(before) in {C.DETERMINER, C.NUMBER, C.SUBJECT} or (
        reading.word(before).isdigit()
    ):
        before -= 1
    asks = {C.EACH, C.MOST, C.LEAST}
    if _beside_a_match(reading, at, at + 1, facet) and not (
        reading.concept(before) is C.EACH and reading.word(before) != "by"
    ):
        return False
    if facet is Facet.MODEL and any(
        match.end == at and match.facets == (Facet.PROVIDER,) for match in reading.matches
    ):
        return False  # "openai models" are those of the provider
    if reading.concept(before) in asks or reading.word(before) in {"which", "what"}:
        return True
    if any(reading.concept(near) in asks for near in range(max(0, at - 3), at)):
        return True
    if reading.concept(at + 1) is C.SPLIT or reading.word(at + 1) in {"wise", "level"}:
        return True
    if any(place in {before - 1, before - 2} for place, _ in reading.by) and (
        reading.word(before) in {"and", ",", "&", "+", "/", "then"}
    ):
        return True
    if reading.word(at) in {"spender", "spenders"}:
        return True
    if reading.word(before) in {"over", "between", "among"}:
        return reading.has(C.SPLIT)
    is_of_all = reading.word(at - 1) == "all"
    return is_plural and (is_of_all or reading.concept(before) is not C.PREPOSITION)


def _limit(reading: Reading) -> None:
    if not reading.has(C.MOST, C.LEAST):
        return
    for at, token in enumerate(reading.tokens):
        if reading.taken[at]:
            continue
        number = token.number if token.kind is Kind.NUMBER else NUMBERS.get(token.word)
        if number is None or not 0 < number <= _MOST_LIMIT or token.word == "one":
            continue
        after = at + 1
        while reading.concept(after) in {C.PLAIN, C.SUBJECT}:
            after += 1
        beside = (reading.concept(at - 1), reading.concept(after))
        if C.MOST in beside or C.LEAST in beside or FACET_WORDS.get(reading.word(after)):
            reading.limit = number
            reading.take(at, at + 1)
            return

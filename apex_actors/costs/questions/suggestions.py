"""Questions that can be answered, near to one that can't, in words of the user's own data."""

from collections.abc import Sequence

from apex_actors.costs.questions.lexicon import Concept
from apex_actors.costs.questions.names import NameIndex
from apex_actors.costs.questions.question import Facet
from apex_actors.costs.questions.reading import Reading
from apex_actors.costs.questions.slots import FACET_WORDS
from apex_actors.costs.questions.tokens import tokenize

C = Concept


def suggestions(reading: Reading) -> tuple[str, str, str]:
    """The three nearest questions: most words and names in common, and then the most usual ones."""
    mentioned = {concept for concept in reading.concepts if concept is not None}
    facets = {facet for facet, _ in _named(reading)}
    facets |= {FACET_WORDS[token.word] for token in reading.tokens if token.word in FACET_WORDS}
    scored = [
        (-len(mentioned & concepts) - 2 * (facet in facets), number, text)
        for number, (text, facet, concepts) in enumerate(_candidates(reading))
    ]
    scored.sort()
    first, second, third, *_ = (text for _, _, text in scored)
    return first, second, third


def _candidates(reading: Reading) -> list[tuple[str, Facet | None, set[Concept]]]:
    names = dict(_named(reading))
    vocabulary = reading.index.vocabulary
    lists: tuple[tuple[Facet, Sequence[str]], ...] = (
        (Facet.MODEL, vocabulary.models),
        (Facet.TEAM, vocabulary.teams),
        (Facet.FEATURE, vocabulary.features),
        (Facet.PROVIDER, vocabulary.providers),
        (Facet.USER, vocabulary.users),
        (Facet.ENVIRONMENT, vocabulary.environments),
    )
    for facet, known in lists:
        name = next((one for one in known if _is_readable(reading.index, one)), None)
        if name is not None:
            names.setdefault(facet, name)
    found: list[tuple[str, Facet | None, set[Concept]]] = []
    if Facet.MODEL in names:
        found.append((f"What did {names[Facet.MODEL]} cost last week?", Facet.MODEL, {C.COST}))
    found.append(("How much did we spend last month?", None, {C.COST, C.SUM}))
    found.append(("How can we save money?", None, {C.SAVING, C.CHEAPER, C.SWITCH}))
    for facet in (Facet.TEAM, Facet.FEATURE, Facet.PROVIDER, Facet.USER, Facet.ENVIRONMENT):
        if facet in names:
            text = f"What did the {facet} {names[facet]} cost last month?"
            found.append((text, facet, {C.COST}))
    found += [
        ("Which models cost the most this month?", Facet.MODEL, {C.MOST, C.QUALITY, C.COST}),
        ("Cost by model last month", Facet.MODEL, {C.SPLIT, C.EACH}),
        ("Cost by team last month", Facet.TEAM, {C.SPLIT, C.EACH}),
        ("Which users cost the most this month?", Facet.USER, {C.MOST, C.COST}),
        ("Why did our costs change last week?", None, {C.WHY, C.CHANGE}),
        ("What will we spend next month?", None, {C.FORECAST, C.WILL}),
        ("Are we on budget this month?", None, {C.BUDGET, C.LIMIT}),
        ("Is our prompt caching working?", None, {C.CACHE, C.HIT}),
        ("How much do we waste on failed requests?", None, {C.WASTE, C.ERRORS}),
        ("Were there unusual costs this month?", None, {C.ANOMALY}),
        ("How did our costs develop since last month?", None, {C.TREND}),
        ("Compare this month with last month", None, {C.COMPARE}),
        ("What has no price?", None, {C.UNPRICED, C.PRICE}),
    ]
    return found


def _named(reading: Reading) -> list[tuple[Facet, str]]:
    """Names in the question, less those that the records don't have."""
    return [
        (named.facet, named.name)
        for match in reversed(reading.matches)
        for named in match.meanings[:1]
        if named.is_used and _is_readable(reading.index, named.name)
    ]


def _is_readable(index: NameIndex, name: str) -> bool:
    tokens = tokenize(name)
    match = index.exact(tokens, 0) if tokens else None
    return match is not None and match.end == len(tokens) and len(name) <= 80  # noqa: PLR2004

"""The understood question, put together from a reading, its intents and the thread."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from apex_actors.costs.questions.context import carry_filters, carry_intents, goes_on
from apex_actors.costs.questions.intents import SHAPES, Evidence, Judge, metric_of
from apex_actors.costs.questions.lexicon import Concept
from apex_actors.costs.questions.question import (
    By,
    CostUnit,
    Facet,
    Filter,
    Granularity,
    Intent,
    Metric,
    Question,
    Switch,
)
from apex_actors.costs.questions.ranges import are_apart, ranges
from apex_actors.costs.questions.reading import Reading
from apex_actors.costs.questions.slots import FACET_WORDS
from apex_actors.costs.questions.targets import Target, compared, filters, switch
from apex_actors.costs.questions.tokens import word_set

C = Concept

_SIDE_WORDS: Final = word_set("versus vs against compare compared comparison")


@dataclass(frozen=True, slots=True)
class _Wishes:
    intents: list[Intent]
    evidence: list[Evidence]
    base: Question | None
    """The question that this one goes on from."""


@dataclass(slots=True)
class _Roles:
    """What the names are for."""

    filtering: list[Target]
    sides: list[Target] = field(default_factory=list)
    switch: Switch | None = None


def put_together(
    text: str, reading: Reading, found: list[Target], previous: Question | None
) -> Question | None:
    """The question, or None where the words and slots don't make one."""
    judge = Judge(reading, found, has_context=previous is not None)
    wishes = _wishes(reading, judge, previous)
    if wishes is None or _is_beyond(reading, found, wishes.intents):
        return None
    intents, base = wishes.intents, wishes.base
    if Intent.OVERVIEW in intents and are_apart(reading):
        intents[intents.index(Intent.OVERVIEW)] = Intent.COMPARE
    roles = _roles(reading, found, intents)
    if Intent.WHAT_IF_SWITCH in intents and roles.switch is None and len(intents) == 1:
        return None
    if reading.has(C.CURRENCY) and reading.amount is None:
        reading.assume("Costs are in US dollars.")
    by, own_filters = _dimensions(reading, roles, wishes)
    models: tuple[str, ...] = ()
    if intents == [Intent.PRICES]:
        asked = [one for one in own_filters if one.facet is Facet.MODEL]
        models = tuple(name for one in asked for name in one.names)
        own_filters = tuple(one for one in own_filters if one not in asked)
    metric = metric_of(reading, judge, intents) or (Metric.COST if base is None else base.metric)
    time = ranges(reading, intents, base, has_sides=bool(roles.sides))
    return Question(
        text=text,
        intents=tuple(intents),
        time_range=time.main,
        is_time_named=time.is_named,
        compare_to=time.compare_to,
        horizon=time.horizon,
        by=by,
        filters=own_filters,
        compared=tuple(side.filter() for side in roles.sides),
        switch=roles.switch,
        models=models,
        metric=metric,
        limit=_limit(reading, intents, base),
        is_least_first=Intent.TOP in intents and reading.has(C.LEAST),
        granularity=_granularity(reading, intents, base),
        unit=_unit(reading),
        budget=reading.amount[1] if reading.amount and Intent.BUDGET in intents else None,
        budget_name=reading.budget_name,
        session_id=reading.session_id,
        request_id=reading.request_id,
        assumptions=tuple(reading.assumptions),
        evidence=tuple(f"{one.intent}: {one.because}" for one in wishes.evidence),
    )


def _wishes(reading: Reading, judge: Judge, previous: Question | None) -> _Wishes | None:
    intents, evidence = judge.intents()
    if reading.request_id is not None or reading.session_id is not None:
        intents = [Intent.SESSION if reading.request_id is None else Intent.REQUEST]
    base = previous if previous is not None and goes_on(reading, intents) else None
    if base is not None:
        if not (intents or _has_slots(reading)):
            return None
        intents = carry_intents(reading, intents, base.intents)
    elif not intents and _is_fragment(reading):
        intents = [Intent.OVERVIEW]
        reading.assume("I took it as a question for the cost.")
    if not intents or (base is None and _needs_a_thread(reading, intents)):
        return None
    return _Wishes(intents, evidence, base)


def _is_beyond(reading: Reading, found: Sequence[Target], intents: Sequence[Intent]) -> bool:
    """Whether it asks for what no intent can answer."""
    is_threshold = Intent.BUDGET not in intents or reading.by or _unit(reading) is not None
    if reading.amount is not None and is_threshold:
        return True  # nothing is filtered by what it costs
    # A team and a feature, say, can't be set side by side.
    says_sides = any(reading.word(at) in _SIDE_WORDS for at in reading.free_words())
    return says_sides and Intent.COMPARE not in intents and len(found) > 1


def _dimensions(
    reading: Reading, roles: _Roles, wishes: _Wishes
) -> tuple[tuple[By, ...], tuple[Filter, ...]]:
    intents, base = wishes.intents, wishes.base
    by = tuple(one for _, one in reading.by)
    own = filters(roles.filtering)
    if roles.sides and not _asks_by(reading):
        by = tuple(one for one in by if one.facet is not roles.sides[0].facet)
    if base is not None:
        own = carry_filters(own, base.filters)
        keeps = bool(SHAPES & set(intents)) or tuple(intents) == base.intents
        by = by or (base.by if keeps else ())
    elif Intent.BREAKDOWN in intents and not by and roles.filtering:
        # "what share is anthropic": all providers, not that one alone
        first = roles.filtering[0].filter()
        by = (By(facet=first.facet, tag_key=first.tag_key),)
        own = tuple(one for one in own if one.facet is not first.facet or one.negated)
    by = by or _default_by(reading, intents)
    if intents == [Intent.COVERAGE]:
        by = tuple(one for one in by if one.facet is not Facet.MODEL)  # it is by model anyway
    return by, own


def _limit(reading: Reading, intents: Sequence[Intent], base: Question | None) -> int | None:
    if Intent.TOP not in intents:
        return None
    own = reading.limit or _limit_of_one(reading)
    return own if own is not None or base is None else base.limit


def _granularity(
    reading: Reading, intents: Sequence[Intent], base: Question | None
) -> Granularity | None:
    if reading.granularity is not None:
        return reading.granularity[1]
    return base.granularity if base is not None and Intent.TREND in intents else None


def _has_slots(reading: Reading) -> bool:
    return bool(reading.times or reading.matches or reading.by or reading.limit)


def _is_fragment(reading: Reading) -> bool:
    """`last week`, `gpt-4o in October`: slots, and no question for something else."""
    return _has_slots(reading) and not reading.has(C.QUESTION, C.AUXILIARY, C.PAST, C.WILL, C.TREND)


def _unit(reading: Reading) -> CostUnit | None:
    """`per request`, `per 1,000 output tokens`."""
    for at in reading.free_words():
        if reading.word(at - 1) == "per" and reading.word(at) in {"request", "call", "query"}:
            return CostUnit.REQUEST
        is_output = reading.concept(at) is C.TOKENS and reading.word(at - 1) == "output"
        before = {reading.word(near) for near in range(max(0, at - 5), at)}
        if is_output and before & {"per", "a"}:
            return CostUnit.THOUSAND_OUTPUT_TOKENS
    return None


def _needs_a_thread(reading: Reading, intents: Sequence[Intent]) -> bool:
    """`why?` alone: what changed was never said."""
    if list(intents) != [Intent.EXPLAIN_CHANGE]:
        return False
    return not (_has_slots(reading) or reading.has(C.COST, C.SUM, C.CHANGE, C.TOKENS, C.REQUESTS))


def _roles(reading: Reading, found: list[Target], intents: Sequence[Intent]) -> _Roles:
    """What filters, what is compared, and what is switched."""
    if Intent.WHAT_IF_SWITCH in intents:
        moved = switch(reading, found)
        if moved is not None:
            aim, used = moved
            return _Roles([one for one in found if one not in used], switch=aim)
    if Intent.COMPARE in intents:
        sides = compared(found)
        return _Roles([one for one in found if one not in sides], sides)
    return _Roles(found)


def _asks_by(reading: Reading) -> bool:
    return any(reading.word(at - 1) in {"by", "per"} for at, _ in reading.by)


def _limit_of_one(reading: Reading) -> int | None:
    """`which model`, `the biggest spender`, `who`: one is asked for."""
    if reading.asks_which_step:
        return 1
    if not reading.by:
        return None
    word = reading.word(reading.by[-1][0])
    is_one = word == "who" or (word in FACET_WORDS and not word.endswith("s") and word != "people")
    return 1 if is_one and not _asks_by(reading) else None


def _default_by(reading: Reading, intents: Sequence[Intent]) -> tuple[By, ...]:
    if Intent.TOP in intents and reading.asks_which_step:
        return ()
    if Intent.BREAKDOWN in intents and reading.has(C.BATCH):
        return (By(facet=Facet.PROCESSING),)
    if {Intent.TOP, Intent.BREAKDOWN} & set(intents):
        reading.assume("I took models, because you named nothing to break the figures down by.")
        return (By(facet=Facet.MODEL),)
    return ()

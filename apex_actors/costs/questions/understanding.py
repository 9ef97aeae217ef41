"""From the text of a question to what it asks, without a language model."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from apex_actors.costs.questions.context import carry_filters, carry_intents, goes_on
from apex_actors.costs.questions.doubts import doubt
from apex_actors.costs.questions.intents import Judge, metric_of
from apex_actors.costs.questions.lexicon import WORDS, Concept
from apex_actors.costs.questions.names import NameIndex
from apex_actors.costs.questions.periods import Calendar
from apex_actors.costs.questions.question import (
    By,
    Facet,
    Intent,
    Metric,
    NotUnderstood,
    Question,
    Switch,
)
from apex_actors.costs.questions.ranges import are_apart, ranges
from apex_actors.costs.questions.reading import Reading, read
from apex_actors.costs.questions.slots import FACET_WORDS, fill
from apex_actors.costs.questions.spelling import Speller
from apex_actors.costs.questions.suggestions import suggestions
from apex_actors.costs.questions.targets import Target, compared, filters, switch, targets
from apex_actors.costs.questions.timelexicon import MONTHS, NUMBERS, UNITS, WEEKDAYS
from apex_actors.costs.questions.tokens import MAX_TOKENS, tokenize
from apex_actors.costs.questions.vocabulary import Vocabulary
from apex_actors.costs.summary import Extent

C = Concept

_SINGLE: Final = {Intent.SESSION: "session_id", Intent.REQUEST: "request_id"}


class QuestionReader:
    """Understands questions about the data of one tenant.

    Making one looks at every name once; it is then read-only and may be shared by threads.
    """

    def __init__(self, vocabulary: Vocabulary, extent: Extent | None = None) -> None:
        self._index = NameIndex(vocabulary)
        self._extent = extent
        known = {*WORDS, *MONTHS, *WEEKDAYS, *UNITS, *NUMBERS, *self._index.words()}
        self._speller = Speller(known)

    def read(
        self,
        text: str,
        *,
        now: datetime,
        time_zone: str = "UTC",
        previous: Question | None = None,
    ) -> Question | NotUnderstood:
        """What a text asks; whatever the text, nothing is raised.

        Args:
            text: as the user wrote it.
            now: the moment of asking, aware.
            time_zone: an IANA name; days begin at its midnights.
            previous: the last question of the thread that was understood.

        Raises:
            ValueError: the time zone is unknown.
        """
        calendar = self._calendar(now, time_zone)
        tokens = tokenize(text)
        reading = read(tokens[:MAX_TOKENS], self._index, self._speller, calendar)
        if len(tokens) > MAX_TOKENS:
            return self._refuse(
                text, reading, "That is too long for a question; ask in a sentence."
            )
        fill(reading)
        found = targets(reading)
        why = doubt(reading)
        if why is not None:
            return self._refuse(text, reading, why)
        return _answer(text, reading, found, previous) or self._refuse(
            text, reading, "I see no question about your AI costs in that."
        )

    def _refuse(self, text: str, reading: Reading, why: str) -> NotUnderstood:
        return NotUnderstood(text=text, reason=why, suggestions=suggestions(reading))

    def _calendar(self, now: datetime, time_zone: str) -> Calendar:
        if self._extent is None:
            return Calendar(now, time_zone)
        days = [
            Calendar(moment, time_zone).today for moment in (self._extent.first, self._extent.last)
        ]
        return Calendar(now, time_zone, days[0], days[1])


def understand(
    text: str,
    *,
    now: datetime,
    time_zone: str,
    vocabulary: Vocabulary,
    extent: Extent | None = None,
    previous: Question | None = None,
) -> Question | NotUnderstood:
    """What one text asks; whoever reads several for a tenant keeps a `QuestionReader`."""
    reader = QuestionReader(vocabulary, extent)
    return reader.read(text, now=now, time_zone=time_zone, previous=previous)


def _answer(
    text: str, reading: Reading, found: list[Target], previous: Question | None
) -> Question | None:
    judge = Judge(reading, found, has_context=previous is not None)
    intents, evidence = judge.intents()
    single = _single(reading)
    if single is not None:
        intents = [single]
    base = previous if previous is not None and goes_on(reading, intents) else None
    if base is not None:
        if not (intents or _has_slots(reading)):
            return None
        intents = carry_intents(reading, intents, base.intents)
    elif not intents and _has_slots(reading):
        intents = [Intent.OVERVIEW]
        reading.assume("I took it as a question for the cost.")
    if not intents or (base is None and _needs_a_thread(reading, intents)):
        return None
    if Intent.OVERVIEW in intents and are_apart(reading):
        intents[intents.index(Intent.OVERVIEW)] = Intent.COMPARE
    chosen, sides, moved = _roles(reading, found, intents)
    by = tuple(one for _, one in reading.by)
    if Intent.COMPARE in intents and sides:
        by = (
            tuple(one for one in by if one.facet is not sides[0].facet)
            if not _asks_by(reading)
            else by
        )
    time = ranges(reading, intents, base, has_sides=bool(sides))
    metric = metric_of(reading, judge, intents)
    limit = reading.limit or _limit_of_one(reading, intents)
    own_filters = filters(chosen)
    if base is not None:
        own_filters = carry_filters(own_filters, base.filters)
        by = by or (base.by if _keeps(base, intents) else ())
        metric = metric or base.metric
        if Intent.TOP in intents:
            limit = limit or base.limit
    by = by or _default_by(reading, intents)
    if intents == [Intent.COVERAGE]:
        by = tuple(one for one in by if one.facet is not Facet.MODEL)  # it is by model anyway
    granularity = None if reading.granularity is None else reading.granularity[1]
    if granularity is None and base is not None and Intent.TREND in intents:
        granularity = base.granularity
    models: tuple[str, ...] = ()
    if intents == [Intent.PRICES]:
        models = tuple(
            name for one in own_filters if one.facet is Facet.MODEL for name in one.names
        )
        own_filters = tuple(one for one in own_filters if one.facet is not Facet.MODEL)
    amount = None if reading.amount is None else reading.amount[1]
    return Question(
        text=text,
        intents=tuple(intents),
        time_range=time.main,
        is_time_named=time.is_named,
        compare_to=time.compare_to,
        horizon=time.horizon,
        by=by,
        filters=own_filters,
        compared=tuple(side.filter() for side in sides),
        switch=moved,
        models=models,
        metric=metric or Metric.COST,
        limit=limit if Intent.TOP in intents else None,
        is_least_first=Intent.TOP in intents and reading.has(C.LEAST),
        granularity=granularity,
        budget=amount if Intent.BUDGET in intents else None,
        budget_name=reading.budget_name,
        session_id=reading.session_id,
        request_id=reading.request_id,
        assumptions=tuple(reading.assumptions),
        evidence=tuple(f"{one.intent}: {one.because}" for one in evidence),
    )


def _single(reading: Reading) -> Intent | None:
    if reading.request_id is not None:
        return Intent.REQUEST
    return None if reading.session_id is None else Intent.SESSION


def _has_slots(reading: Reading) -> bool:
    return bool(reading.times or reading.matches or reading.by or reading.limit)


def _needs_a_thread(reading: Reading, intents: Sequence[Intent]) -> bool:
    """`why?` alone: what changed was never said."""
    if list(intents) != [Intent.EXPLAIN_CHANGE]:
        return False
    return not (_has_slots(reading) or reading.has(C.COST, C.SUM, C.CHANGE, C.TOKENS, C.REQUESTS))


def _roles(
    reading: Reading, found: list[Target], intents: Sequence[Intent]
) -> tuple[list[Target], list[Target], Switch | None]:
    """What filters, what is compared, and what is switched."""
    if Intent.WHAT_IF_SWITCH in intents:
        moved = switch(reading, found)
        if moved is not None:
            used = moved[1]
            return [one for one in found if one not in used], [], moved[0]
    if Intent.COMPARE in intents:
        sides = compared(found)
        return [one for one in found if one not in sides], sides, None
    return found, [], None


def _asks_by(reading: Reading) -> bool:
    return any(reading.word(at - 1) in {"by", "per"} for at, _ in reading.by)


def _keeps(base: Question, intents: Sequence[Intent]) -> bool:
    shapes = {Intent.BREAKDOWN, Intent.TOP, Intent.TREND, Intent.COMPARE}
    return bool(shapes & set(intents)) or tuple(intents) == base.intents


def _limit_of_one(reading: Reading, intents: Sequence[Intent]) -> int | None:
    """`which model`, `the biggest spender`, `who`: one is asked for."""
    if Intent.TOP not in intents or not reading.by:
        return None
    word = reading.word(reading.by[-1][0])
    is_one = word == "who" or (word in FACET_WORDS and not word.endswith("s") and word != "people")
    return 1 if is_one and not _asks_by(reading) else None


def _default_by(reading: Reading, intents: Sequence[Intent]) -> tuple[By, ...]:
    if {Intent.TOP, Intent.BREAKDOWN} & set(intents):
        reading.assume("I took models, because you named nothing to break the figures down by.")
        return (By(facet=Facet.MODEL),)
    return ()

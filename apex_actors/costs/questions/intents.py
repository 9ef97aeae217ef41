"""What a question wants, scored from evidence: its words and the slots that were found in it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from apex_actors.costs.questions.clauses import Clause, clauses
from apex_actors.costs.questions.lexicon import Concept
from apex_actors.costs.questions.question import Facet, Intent, Metric
from apex_actors.costs.questions.reading import Reading
from apex_actors.costs.questions.targets import Target, compared
from apex_actors.costs.questions.tokens import Kind

C = Concept

TOPICS: Final = frozenset({
    Intent.ANOMALY, Intent.FORECAST, Intent.BUDGET, Intent.CACHE, Intent.WASTE, Intent.SAVINGS,
    Intent.WHAT_IF_SWITCH, Intent.COVERAGE, Intent.PRICES, Intent.SESSION, Intent.REQUEST,
    Intent.HELP, Intent.EXPLAIN_CHANGE,
})  # fmt: skip
"""Intents with analyses of their own; the others are shapes of the same sums."""

SHAPES: Final = frozenset({Intent.BREAKDOWN, Intent.TOP, Intent.TREND, Intent.COMPARE})

_SURE: Final = 5
"""Evidence that makes a topic be answered beside another one of its clause."""

_WHY: Final = 7
"""The weight of a question for reasons."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One reason for an intent."""

    intent: Intent
    weight: int
    at: int
    because: str


class Judge:
    """Weighs the evidence of a reading."""

    def __init__(self, reading: Reading, found: Sequence[Target], *, has_context: bool) -> None:
        self._reading = reading
        self._targets = found
        self._has_context = has_context
        self._has_cost = reading.has(C.COST)

    def intents(self) -> tuple[list[Intent], list[Evidence]]:
        """The wishes in their order, and what spoke for each; none where nothing speaks."""
        evidence: list[Evidence] = []
        order: list[Intent] = []
        asked: set[Intent] = set()
        for clause in clauses(self._reading):
            found = self._clause_evidence(clause)
            for intent in _best(found):
                if intent not in order:
                    order.append(intent)
                if self._asks(clause):
                    asked.add(intent)
            evidence.extend(found)
        return _kept(order, asked), [one for one in evidence if one.intent in order]

    def _asks(self, clause: Clause) -> bool:
        """Whether the clause asks for the sums themselves."""
        return any(
            self._reading.concept(at) in {C.QUESTION, C.SUM} or self._reading.word(at) == "show"
            for at in range(clause.start, clause.end)
        )

    # Evidence

    def _clause_evidence(self, clause: Clause) -> list[Evidence]:
        rules: tuple[Callable[[int], Evidence | None], ...] = (
            self._topic, self._forecast, self._limit, self._saving, self._change, self._price,
            self._switch, self._help, self._shape, self._plain,
        )  # fmt: skip
        found = [
            one
            for at in range(clause.start, clause.end)
            if not self._reading.taken[at]
            for rule in rules
            if (one := rule(at)) is not None
        ]
        found.extend(one for one in self._slots() if clause.holds(one.at))
        return found

    def _say(self, intent: Intent, weight: int, at: int) -> Evidence:
        return Evidence(intent, weight, at, f"the word \u201c{self._reading.tokens[at].text}\u201d")

    def _topic(self, at: int) -> Evidence | None:
        reading = self._reading
        topics = {
            C.ANOMALY: Intent.ANOMALY, C.CACHE: Intent.CACHE, C.WASTE: Intent.WASTE,
            C.BUDGET: Intent.BUDGET, C.UNPRICED: Intent.COVERAGE, C.HIT: Intent.CACHE,
        }  # fmt: skip
        concept = reading.concept(at)
        if concept is C.HIT and not reading.has(C.CACHE):
            return None
        intent = None if concept is None else topics.get(concept)
        return None if intent is None else self._say(intent, 6, at)

    def _forecast(self, at: int) -> Evidence | None:
        reading = self._reading
        concept, word = reading.concept(at), reading.word(at)
        if concept is C.FORECAST or (word == "run" and reading.word(at + 1) == "rate"):
            return self._say(Intent.FORECAST, 6, at)
        is_going = word == "going" and reading.word(at + 1) == "to"
        if (concept is C.WILL or is_going) and reading.has(C.COST, C.TOKENS, C.REQUESTS, C.ANAPHOR):
            return self._say(Intent.FORECAST, 5, at)
        return None

    def _limit(self, at: int) -> Evidence | None:
        reading = self._reading
        if reading.concept(at) is not C.LIMIT:
            return None
        word = reading.word(at)
        if reading.amount is not None or reading.budget_name is not None:
            return self._say(Intent.BUDGET, 6, at)
        if word.startswith(("overspen", "exceed", "overrun")):
            return self._say(Intent.BUDGET, 5, at)
        return None

    def _saving(self, at: int) -> Evidence | None:  # noqa: PLR0911 - a table
        reading = self._reading
        concept, word = reading.concept(at), reading.word(at)
        if concept is C.SAVING:
            return self._say(Intent.SAVINGS, 6, at)
        if concept is C.BATCH and not reading.has(C.SPLIT):
            return self._say(Intent.SAVINGS, 5, at)
        if concept is C.CHEAPER and reading.word(at + 1) != "than":
            return self._say(Intent.SAVINGS, 5, at)
        if word in {"lower", "down"} and self._is_wished(at):
            return self._say(Intent.SAVINGS, 7, at)
        if (word, reading.word(at + 1)) == ("too", "much"):
            return self._say(Intent.SAVINGS, 5, at)
        if (
            word == "do"
            and {"we", "i"} & {reading.word(at - 1), reading.word(at - 2)}
            and any(reading.word(near) in {"can", "could", "should"} for near in range(at - 4, at))
        ):
            return self._say(Intent.SAVINGS, 5, at)
        return None

    def _is_wished(self, at: int) -> bool:
        """`to lower`, `how can we lower`, `bring ... down`: nobody says that it has happened."""
        reading = self._reading
        if reading.word(at) == "down":
            return any(reading.word(near) in {"bring", "get", "keep"} for near in range(at))
        before = {reading.word(near) for near in range(max(0, at - 3), at)}
        return bool(before & {"to", "can", "could", "should"}) and not reading.has(C.WHY)

    def _change(self, at: int) -> Evidence | None:  # noqa: PLR0911 - a table
        reading = self._reading
        concept, word = reading.concept(at), reading.word(at)
        if (word, reading.word(at + 1)) == ("how", "come"):
            return self._say(Intent.EXPLAIN_CHANGE, 7, at)
        if concept is C.WHY:
            if word.startswith("dr") and reading.by:
                return self._say(Intent.TOP, 7, at)
            if word.startswith("driver"):
                return None if reading.has(C.MOST) else self._say(Intent.EXPLAIN_CHANGE, 5, at)
            return self._say(Intent.EXPLAIN_CHANGE, 7, at)
        if concept is not C.CHANGE or word in {"high", "low"}:
            return None
        if word in {"up", "down"} and not self._has_gone(at):
            return None
        if word in {"lower", "down"} and self._is_wished(at):
            return None
        return self._say(Intent.EXPLAIN_CHANGE, 5, at)

    def _has_gone(self, at: int) -> bool:
        """`went up`, `is down`; not `break it down`, `add it up`."""
        reading = self._reading
        if any(reading.concept(near) is C.SPLIT for near in range(at - 3, at)):
            return False
        return reading.concept(at - 1) in {C.CHANGE, C.AUXILIARY, C.COST} or (
            reading.word(at - 1) in {"go", "goes", "going", "gone"}
        )

    def _price(self, at: int) -> Evidence | None:
        reading = self._reading
        has_models = any(one.facet is Facet.MODEL for one in self._targets)
        if reading.concept(at) is C.PRICE:
            before = {reading.word(near) for near in range(max(0, at - 3), at)}
            if before & {"no", "without", "missing", "lack", "any"} and not has_models:
                return self._say(Intent.COVERAGE, 7, at)
            if has_models and not self._has_cost and not reading.times:
                return self._say(Intent.PRICES, 6, at)
            return self._say(Intent.OVERVIEW, 1, at)
        if has_models and self.is_per_tokens(at) and not reading.times:
            return self._say(Intent.PRICES, 7, at)
        return None

    def is_per_tokens(self, at: int) -> bool:
        """Whether `per million tokens`, `per 1M tokens`, `per 1,000 tokens` ends here."""
        reading = self._reading
        if reading.concept(at) is not C.TOKENS:
            return False
        between = list(range(max(0, at - 6), at))
        pers = [near for near in between if reading.word(near) in {"per", "a"}]
        if not pers:
            return False
        return all(
            reading.tokens[near].kind is not Kind.WORD
            or reading.word(near) in {"m", "k", "million", "thousand", "input", "output"}
            for near in range(pers[-1] + 1, at)
        )

    def _switch(self, at: int) -> Evidence | None:
        reading = self._reading
        models = [one for one in self._targets if one.facet is Facet.MODEL and not one.negated]
        if not models:
            return None
        word = reading.word(at)
        is_verb = reading.concept(at) in {C.SWITCH, C.INSTEAD}
        is_if = word == "if" and reading.word(at - 1) == "what"
        is_change = word.startswith("chang") and any(
            reading.word(one.match.start - 1) in {"to", "into"} for one in models
        )
        is_for_all = word in {"everything", "all"} and any(
            reading.word(one.match.start - 1) in {"on", "with", "to"} for one in models
        )
        is_switch = is_verb or is_if or is_change or is_for_all
        return self._say(Intent.WHAT_IF_SWITCH, 9, at) if is_switch else None

    def _help(self, at: int) -> Evidence | None:
        reading = self._reading
        word = reading.word(at)
        words = (reading.word(at - 1), reading.word(at - 2))
        if reading.concept(at) is C.HELP and not reading.has(C.COST, C.SAVING):
            return self._say(Intent.HELP, 5, at)
        if word == "do" and words[0] == "you" and words[1] in {"can", "could"}:
            return self._say(Intent.HELP, 6, at)
        if word == "ask" and {"i", "we", "you"} & set(words) and "can" in words:
            return self._say(Intent.HELP, 6, at)
        return None

    def _shape(self, at: int) -> Evidence | None:
        reading = self._reading
        concept = reading.concept(at)
        if concept is C.TREND and (
            reading.word(at).startswith("trend")
            or self._has_context
            or reading.has(C.COST, C.SUM, C.TOKENS, C.REQUESTS, C.LATENCY, C.ERRORS)
        ):
            return self._say(Intent.TREND, 4, at)
        if reading.word(at) == "time" and reading.word(at - 1) == "over":
            return self._say(Intent.TREND, 4, at)
        if concept is C.SPLIT:
            return self._say(Intent.BREAKDOWN, 3, at)
        if concept in {C.COMPARE, C.CHEAPER} and self._is_comparable():
            return self._say(Intent.COMPARE, 6, at)
        if concept in {C.MOST, C.LEAST} and self._is_ranking(at):
            return self._say(Intent.TOP, 5, at)
        return None

    def _is_comparable(self) -> bool:
        times = self._reading.times
        relative = any(said.is_relative for said in times)
        return bool(compared(self._targets)) or len(times) > 1 or relative or self._has_context

    def _is_ranking(self, at: int) -> bool:
        reading = self._reading
        if reading.by or reading.word(at) in {"top", "rank", "ranking", "ranked"}:
            return True
        return any(reading.word(near).startswith("driver") for near in range(at, at + 4))

    def _plain(self, at: int) -> Evidence | None:
        weights = {
            C.COST: 2,
            C.SUM: 2,
            C.TOKENS: 2,
            C.REQUESTS: 2,
            C.LATENCY: 2,
            C.ERRORS: 2,
            C.CURRENCY: 1,
        }
        concept = self._reading.concept(at)
        weight = 0 if concept is None else weights.get(concept, 0)
        if self._reading.word(at) in {"much", "bad"} and self._reading.word(at - 1) == "how":
            weight = 1
        return self._say(Intent.OVERVIEW, weight, at) if weight else None

    def _slots(self) -> list[Evidence]:
        reading = self._reading
        found = [Evidence(Intent.BREAKDOWN, 3, at, f"by {by.facet}") for at, by in reading.by]
        if reading.granularity is not None:
            at, step = reading.granularity
            if reading.asks_which_step:
                found.append(Evidence(Intent.TOP, 7, at, f"which {step}"))
            found.append(Evidence(Intent.TREND, 6, at, f"steps of a {step}"))
        if reading.amount is not None:
            found.append(Evidence(Intent.BUDGET, 3, reading.amount[0], "an amount of money"))
        found.extend(
            Evidence(Intent.COMPARE, 6, said.start, "a period over the one before")
            for said in reading.times
            if said.is_over
        )
        found.extend(
            Evidence(Intent.FORECAST, 5, said.start, "a time that is to come")
            for said in reading.times
            if said.is_future
        )
        return found


def _best(found: Sequence[Evidence]) -> list[Intent]:
    """The intents of one clause: every topic that is sure, or else the likeliest shape."""
    score: dict[Intent, int] = {}
    first: dict[Intent, int] = {}
    for one in found:
        score[one.intent] = max(score.get(one.intent, 0), one.weight)
        first[one.intent] = min(first.get(one.intent, one.at), one.at)
    asks_why = score.get(Intent.EXPLAIN_CHANGE, 0) >= _WHY
    for stronger, weaker in _OVERRULES:
        if stronger is Intent.COMPARE and asks_why:
            continue
        if score.get(stronger, 0) >= _SURE:
            score.pop(weaker, None)
    topics: list[Intent] = [
        intent for intent in score if intent in TOPICS and score[intent] >= _SURE
    ]
    if topics:
        return sorted(topics, key=lambda intent: first[intent])
    if not score:
        return []
    best = max(score, key=lambda intent: (score[intent], -first[intent]))
    return [best]


_OVERRULES: Final = (
    (Intent.WHAT_IF_SWITCH, Intent.SAVINGS),
    (Intent.WHAT_IF_SWITCH, Intent.EXPLAIN_CHANGE),
    (Intent.WHAT_IF_SWITCH, Intent.FORECAST),
    (Intent.WHAT_IF_SWITCH, Intent.PRICES),
    (Intent.BUDGET, Intent.FORECAST),
    (Intent.CACHE, Intent.EXPLAIN_CHANGE),
    (Intent.COMPARE, Intent.EXPLAIN_CHANGE),
    (Intent.TOP, Intent.EXPLAIN_CHANGE),
    (Intent.ANOMALY, Intent.EXPLAIN_CHANGE),
    (Intent.FORECAST, Intent.EXPLAIN_CHANGE),
)
"""Where both are found in one clause, the words for the second belong to the first."""


def _kept(order: list[Intent], asked: set[Intent]) -> list[Intent]:
    """Without sums that were only mentioned on the way to another wish."""
    others: list[Intent] = [intent for intent in order if intent is not Intent.OVERVIEW]
    if not others:
        return order
    mentioned = Intent.OVERVIEW not in asked or any(intent in SHAPES for intent in others)
    if Intent.HELP in others and len(order) > 1:
        return [intent for intent in order if intent != Intent.HELP]
    return others if mentioned else order


def metric_of(reading: Reading, judge: Judge, intents: Sequence[Intent]) -> Metric | None:
    """What is counted, where the question says so."""
    words = [reading.word(at) for at in range(len(reading.tokens))]
    is_rate = "hit" in words and ("rate" in words or "ratio" in words)
    if is_rate or "hitrate" in words or ("hits" in words and reading.has(C.CACHE)):
        return Metric.CACHE_HIT_RATE
    if {Intent.WASTE, Intent.PRICES, Intent.COVERAGE} & set(intents):
        return None
    metrics = {
        C.TOKENS: Metric.TOKENS, C.REQUESTS: Metric.REQUESTS, C.LATENCY: Metric.LATENCY,
        C.ERRORS: Metric.ERRORS,
    }  # fmt: skip
    named = [
        (metrics[concept], at)
        for at, concept in enumerate(reading.concepts)
        if concept in metrics
        and not judge.is_per_tokens(at)
        and reading.concept(at - 1) is not C.CACHE
        and reading.word(at - 1) != "per"
    ]
    if "slowest" in words or "fastest" in words:
        return Metric.LATENCY
    for metric, at in named:
        is_counted = {"by", "many", "number", "in", "rate"} & {
            reading.word(at - 1), reading.word(at - 2), reading.word(at + 1),
        }  # fmt: skip
        if is_counted or not reading.has(C.COST):
            return metric
    return Metric.COST if reading.has(C.COST) else None

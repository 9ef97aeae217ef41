"""Asks the example questions and writes what was understood as the examples do."""

from datetime import UTC, datetime
from types import MappingProxyType

from question_kit.rows import Refusal, Row

from apex_actors.costs.questions import (
    Filter,
    NotUnderstood,
    Question,
    QuestionReader,
    Vocabulary,
)
from apex_actors.costs.summary import Extent
from apex_actors.costs.timerange import TimeRange

ZONE = "Europe/Berlin"
NOW = datetime(2026, 11, 25, 13, 20, tzinfo=UTC)
"""A Wednesday, 14:20 in Berlin."""

DEFAULT = "2026-08-28/2026-11-25"

VOCABULARY = Vocabulary(
    models=(
        "gpt-4o", "gpt-4o-mini", "gpt-4.1-mini", "gpt-5.1", "gpt-5-mini", "claude-sonnet-4-5",
        "claude-sonnet-4-6", "claude-opus-4-5", "claude-haiku-4-5", "gemini-2.5-flash",
        "gemini-2.5-pro", "orion-7b",
    ),
    providers=("openai", "anthropic", "google", "in-house"),
    features=("search", "support-chat", "code-review", "document-qa", "nightly-summaries"),
    teams=("search", "support", "sales", "marketing", "platform", "legal"),
    users=("amara", "benedikt", "chiara", "dmitri", "priya", "summary-service"),
    environments=("production", "staging", "development"),
    tags=MappingProxyType({"customer": ("acme", "globex"), "cost-center": ("4711",)}),
    budgets=("Q4 growth", "platform monthly"),
    catalogue=(
        "gpt-4o", "gpt-4o-mini", "gpt-4", "gpt-5", "gpt-5-nano", "claude-haiku-4-5",
        "gemini-2.5-flash-lite", "mistral-large-2411",
    ),
)  # fmt: skip

EXTENT = Extent(
    first=datetime(2026, 2, 10, 9, 1, tzinfo=UTC),
    last=datetime(2026, 11, 25, 9, 54, tzinfo=UTC),
    requests=12_031,
    sample_only=False,
)

READER = QuestionReader(VOCABULARY, EXTENT)


def ask(text: str, previous: Question | None = None) -> Question | NotUnderstood:
    """The answer of the reader on the day of the examples."""
    return READER.read(text, now=NOW, time_zone=ZONE, previous=previous)


def difference(example: Row | Refusal, got: Question | NotUnderstood) -> str | None:
    """What was understood otherwise than the example says; None: nothing."""
    if isinstance(example, Refusal):
        return None if isinstance(got, NotUnderstood) else f"understood as {shown(got)}"
    if isinstance(got, NotUnderstood):
        return f"not understood: {got.reason}"
    expected = {"intents": " ".join(example.intents), "time": DEFAULT, **example.slots}
    understood = shown(got)
    wrong = {
        name: (expected.get(name), understood.get(name))
        for name in sorted({*expected, *understood})
        if expected.get(name) != understood.get(name)
    }
    return ", ".join(f"{name}: {want!r} but {is_!r}" for name, (want, is_) in wrong.items()) or None


def shown(question: Question) -> dict[str, str]:
    """The slots that are not empty, as the examples write them."""
    switch = question.switch
    slots = {
        "intents": " ".join(question.intents),
        "time": days(question.time_range),
        "versus": days(question.compare_to) if question.compare_to else "",
        "horizon": days(question.horizon) if question.horizon else "",
        "by": " ".join(by.facet + (f":{by.tag_key}" if by.tag_key else "") for by in question.by),
        "filters": " ".join(_filter(one) for one in question.filters),
        "compared": "|".join(_filter(one) for one in question.compared),
        "switch": f"{','.join(switch.from_models)}>{switch.to_model}" if switch else "",
        "models": ",".join(question.models),
        "metric": "" if question.metric == "cost" else question.metric,
        "limit": str(question.limit or ""),
        "per": question.granularity or "",
        "budget": f"{question.budget.value.normalize():f}" if question.budget else "",
        "budget_name": question.budget_name or "",
        "session": question.session_id or "",
        "request": question.request_id or "",
    }
    return {name: str(value) for name, value in slots.items() if value}


def days(time_range: TimeRange) -> str:
    """Whole days from the first to the last; otherwise the local times."""
    whole = TimeRange.days(time_range.first_day, time_range.last_day, time_range.time_zone)
    if (whole.start, whole.end) == (time_range.start, time_range.end):
        return f"{time_range.first_day}/{time_range.last_day}"
    return f"{time_range.start:%Y-%m-%dT%H:%M}/{time_range.end:%Y-%m-%dT%H:%M}"


def _filter(one: Filter) -> str:
    facet = f"tag:{one.tag_key}" if one.tag_key else one.facet
    return f"{'!' if one.negated else ''}{facet}={','.join(one.names)}"

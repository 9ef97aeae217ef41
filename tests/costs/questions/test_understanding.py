"""What a question carries beside its slots: assumptions, evidence, defaults, context."""

import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from apex_actors.costs.questions import (
    CostUnit,
    Intent,
    NotUnderstood,
    Question,
    Vocabulary,
    understand,
)

sys.path.insert(0, str(Path(__file__).parent))

from question_kit.asking import NOW, ask


def test_a_question_that_names_no_time_says_which_was_taken():
    asked = ask("cost by team")

    assert not asked.is_time_named
    assert asked.assumptions == (
        "I took the last 90 days that have records, because you named no time.",
    )
    assert ask("cost by team last week").assumptions == ()


def test_every_intent_has_its_evidence():
    asked = ask("why did the costs rise in October and what can we do about it?")

    assert "explain_change: the word \u201cwhy\u201d" in asked.evidence
    assert any(said.startswith("savings: ") for said in asked.evidence)


def test_a_forecast_of_a_month_without_a_year_is_of_the_next_one():
    asked = ask("forecast for october")

    assert (asked.horizon.first_day.year, asked.horizon.first_day.month) == (2027, 10)


def test_amounts_are_exact_and_keep_their_currency():
    for text, value, currency in (
        ("are we over $5,000.50 this month", "5000.5", "USD"),
        ("are we over 1.234,56 EUR this month", "1234.56", "EUR"),
        ("are we over 2.5k dollars this month", "2500", "USD"),
        ("are we over 12.345 euro this month", "12345", "EUR"),
    ):
        budget = ask(text).budget
        assert (budget.value, budget.currency) == (Decimal(value), currency), text


def test_a_unit_of_the_cost_is_kept():
    assert ask("cost per request by model").unit is CostUnit.REQUEST
    assert ask("cost per 1,000 output tokens").unit is CostUnit.THOUSAND_OUTPUT_TOKENS


def test_which_day_was_the_dearest_ranks_days():
    asked = ask("which day was the most expensive last month")

    assert asked.intents == (Intent.TOP,)
    assert (asked.granularity, asked.limit, asked.by) == ("day", 1, ())


def test_the_smallest_come_first_where_they_are_asked_for():
    assert ask("which model costs the least").is_least_first
    assert not ask("which model costs the most").is_least_first


def test_a_part_that_is_not_understood_is_left_out_and_said():
    asked = ask("my cousin grumbles a lot, what did we spend in october?")

    assert isinstance(asked, Question)
    assert any("grumbles" in said for said in asked.assumptions)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("which model is the smartest?", "not how good"),
        ("what did users ask last week", "no text of prompts"),
        ("delete all records", "don't change anything"),
        ("cost yesterday between 9 and 11", "know what \u201c9\u201d stands for"),
        ("spend on mondays", "which time \u201cmondays\u201d"),
        ("x " * 400, "too long"),
    ],
)
def test_the_reason_says_what_stood_in_the_way(text, reason):
    asked = ask(text)

    assert isinstance(asked, NotUnderstood)
    assert reason in asked.reason


def test_a_whole_question_in_a_thread_starts_anew():
    first = ask("what did gpt-4o cost last week")

    again = ask("how much did we spend in total yesterday?", first)

    assert again.filters == ()


def test_a_question_that_goes_on_needs_one_before_it():
    assert isinstance(ask("why?"), NotUnderstood)
    assert ask("why?", ask("how much did we spend in october")).intents == (Intent.EXPLAIN_CHANGE,)


def test_a_filter_by_provider_replaces_one_by_model_of_the_question_before():
    first = ask("cost of gpt-4o in production last week")

    then = ask("and for anthropic?", first)

    assert [(one.facet.value, one.names) for one in then.filters] == [
        ("environment", ("production",)),
        ("provider", ("anthropic",)),
    ]


def test_an_unknown_time_zone_is_an_error_of_the_caller():
    with pytest.raises(ValueError, match="IANA"):
        understand("cost", now=NOW, time_zone="Mars/Olympus", vocabulary=Vocabulary())


def test_without_records_the_last_days_are_taken():
    asked = understand("cost", now=datetime(2026, 11, 25, tzinfo=UTC), time_zone="UTC",
                       vocabulary=Vocabulary())  # fmt: skip

    assert str(asked.time_range) == "2026-08-28 to 2026-11-25 (UTC)"

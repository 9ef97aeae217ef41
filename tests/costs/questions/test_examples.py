"""Example questions in many people's words: intents and slots, alone and in threads."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from apex_actors.costs.questions import NotUnderstood, Question

sys.path.insert(0, str(Path(__file__).parent))

from question_kit.asking import ask, difference
from question_kit.examples import EXAMPLES
from question_kit.fourth_look import FOURTH_LOOK
from question_kit.held_back import HELD_BACK
from question_kit.rows import Example, Refusal, Row, Talk
from question_kit.second_look import SECOND_LOOK
from question_kit.third_look import THIRD_LOOK

ALL = (*EXAMPLES, *HELD_BACK, *SECOND_LOOK, *THIRD_LOOK, *FOURTH_LOOK)


def rows(examples: tuple[Example, ...]) -> Iterator[Row | Refusal]:
    for example in examples:
        yield from example.rows if isinstance(example, Talk) else (example,)


@pytest.mark.parametrize(
    "example", [one for one in ALL if not isinstance(one, Talk)], ids=lambda one: one.text[:60]
)
def test_a_question_is_understood_as_it_was_meant_or_not_at_all(example):
    assert difference(example, ask(example.text)) is None


@pytest.mark.parametrize(
    "talk", [one for one in ALL if isinstance(one, Talk)], ids=lambda one: one.rows[0].text[:60]
)
def test_a_question_in_a_thread_takes_over_what_it_leaves_out(talk):
    previous = None
    for row in talk.rows:
        got = ask(row.text, previous)
        assert difference(row, got) is None, row.text
        if isinstance(got, Question):
            previous = got


def test_there_are_enough_examples():
    texts = [row.text for row in rows(ALL)]
    refusals = [row for row in rows(ALL) if isinstance(row, Refusal)]

    assert len(texts) >= 180
    assert len(list(rows((*HELD_BACK, *SECOND_LOOK, *THIRD_LOOK, *FOURTH_LOOK)))) * 2 >= len(texts)
    assert len(refusals) >= 25


def test_no_example_stands_in_the_code():
    package = Path(sys.modules["apex_actors.costs.questions"].__file__).parent
    reading = [path for path in package.glob("*.py") if path.name != "suggestions.py"]
    code = "".join(path.read_text().casefold() for path in reading)
    whole = [row.text for row in rows(ALL) if len(row.text.split()) > 4]

    assert [text for text in whole if text.casefold() in code] == []


@pytest.mark.parametrize(
    "refusal", [row for row in rows(ALL) if isinstance(row, Refusal)], ids=lambda one: one.text[:60]
)
def test_what_is_not_understood_gets_three_questions_that_are(refusal):
    got = ask(refusal.text)

    assert isinstance(got, NotUnderstood)
    assert got.reason
    assert len(set(got.suggestions)) == 3
    for suggestion in got.suggestions:
        assert isinstance(ask(suggestion), Question), suggestion

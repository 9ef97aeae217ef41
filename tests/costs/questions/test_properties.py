"""What holds for every text."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_actors.costs.questions import NotUnderstood, Question, QuestionReader, Vocabulary
from apex_actors.costs.questions.lexicon import WORDS

sys.path.insert(0, str(Path(__file__).parent))

from question_kit.asking import EXTENT, NOW, READER, VOCABULARY, ZONE, ask, shown
from question_kit.examples import EXAMPLES
from question_kit.fourth_look import FOURTH_LOOK
from question_kit.held_back import HELD_BACK
from question_kit.rows import Row
from question_kit.second_look import SECOND_LOOK
from question_kit.third_look import THIRD_LOOK

ROWS = [
    row
    for row in (*EXAMPLES, *HELD_BACK, *SECOND_LOOK, *THIRD_LOOK, *FOURTH_LOOK)
    if isinstance(row, Row)
]

NAMES = [name for _, _, name in VOCABULARY.names()]
PIECES = st.one_of(
    st.sampled_from(sorted(WORDS)),
    st.sampled_from(NAMES),
    st.sampled_from(["3.11.", "2026-11-03", "11/3", "Q3", "5k", "$1,000", "3rd", "?", ",", "-"]),
    st.integers(0, 10**30).map(str),
    st.sampled_from(["october", "monday", "last", "week", "since", "between", "from", "to", "may"]),
)
SENTENCES = st.lists(PIECES, max_size=25).map(" ".join)
MOMENTS = st.datetimes(datetime(2005, 1, 1), datetime(2095, 12, 31)).map(  # noqa: DTZ001 - UTC is put on
    lambda moment: moment.replace(tzinfo=UTC)
)
ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "America/Santiago"]
)


@settings(max_examples=400, deadline=None)
@given(st.text(max_size=4000), MOMENTS, ZONES)
def test_no_text_raises(text, now, time_zone):
    got = READER.read(text, now=now, time_zone=time_zone)

    assert got.text == text


@settings(max_examples=1500, deadline=None)
@given(SENTENCES, SENTENCES, MOMENTS, ZONES)
def test_ranges_are_never_empty_and_the_past_never_begins_after_now(first, text, now, time_zone):
    context = READER.read(first, now=now, time_zone=time_zone)
    previous = context if isinstance(context, Question) else None

    got = READER.read(text, now=now, time_zone=time_zone, previous=previous)

    if isinstance(got, Question):
        end_of_today = now + timedelta(days=1, hours=2)
        assert got.time_range.start <= now
        assert got.time_range.end <= end_of_today
        if got.compare_to is not None:
            assert got.compare_to.start < got.time_range.start
    else:
        assert len(set(got.suggestions)) == 3


@settings(max_examples=200, deadline=None)
@given(SENTENCES)
def test_reading_is_deterministic_and_survives_json(text):
    first, second = (
        ask(text),
        QuestionReader(VOCABULARY, EXTENT).read(text, now=NOW, time_zone=ZONE),
    )

    assert first == second
    assert type(first).model_validate_json(first.model_dump_json()) == first


@settings(max_examples=200, deadline=None)
@given(SENTENCES)
def test_a_tenant_without_data_gets_no_error(text):
    got = QuestionReader(Vocabulary()).read(text, now=NOW, time_zone=ZONE)

    assert isinstance(got, Question | NotUnderstood)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.text[:60])
def test_courtesy_and_case_change_nothing(row):
    plain = shown(ask(row.text))

    for text in (row.text.upper(), row.text.lower(), f"please {row.text}", f"{row.text} please"):
        got = ask(text)
        assert isinstance(got, Question), text
        ids = {"session", "request"}
        assert {k: v for k, v in shown(got).items() if k not in ids} == {
            k: v for k, v in plain.items() if k not in ids
        }, text


def test_a_question_is_read_in_little_time_among_two_thousand_names():
    names = [f"maker-{letter}{number}-mini" for letter in "abcd" for number in range(250)]
    vocabulary = Vocabulary(
        models=tuple(names),
        users=tuple(f"user{number}@acme.example" for number in range(1000)),
    )
    reader = QuestionReader(vocabulary, EXTENT)
    texts = [row.text for row in ROWS]

    began = perf_counter()
    for text in texts:
        reader.read(text, now=NOW, time_zone=ZONE)
    taken = (perf_counter() - began) / len(texts)

    # About 0.4 ms on two shared cores; the bound leaves room for a busy machine.
    assert taken < 0.005


@pytest.mark.parametrize(
    "text", ["a" * 4000, "gpt " * 1000, "last " * 800, "12 " * 1300, "1.1." * 1000, "(" * 4000]
)
def test_a_text_that_means_harm_takes_little_time(text):
    began = perf_counter()
    ask(text)

    assert perf_counter() - began < 0.25

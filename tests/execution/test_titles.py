"""Titles: one readable line out of whatever was written first."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_actors.execution.titles import (
    ELLIPSIS,
    PREVIEW_LENGTH,
    TITLE_LENGTH,
    clean_line,
    cut,
    preview_of,
    title_of,
)

FAMILY = "👩‍👩‍👧"
FLAG = "🇩🇪"


def test_a_title_is_the_first_line_cut_at_a_word():
    assert title_of("  Analyze\tmy costs \nand more") == "Analyze my costs"
    long = title_of("word " * 40)
    assert len(long) <= TITLE_LENGTH + 1
    assert long.endswith("word…")


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("# Costs of **March**", "Costs of March"),
        ("> quoted", "quoted"),
        ("- [x] `gpt` and _others_", "gpt and others"),
        ("1. First\n2. Second", "First"),
        ("```python\nprint(1)\n```", "print(1)"),
        ("---\n\nWhat did we spend?", "What did we spend?"),
        ("See [the report](https://example.org/a)", "See the report"),
        ("![chart](a.png) why?", "chart why?"),
    ],
)
def test_marks_of_markdown_do_not_show(text, title):
    assert title_of(text) == title


@pytest.mark.parametrize(
    "text",
    ["2**3 and 4**5", "#123 is too dear", "snake_case_name and __init__x", "-5 %", "a * b * c"],
)
def test_what_only_looks_like_markdown_stays(text):
    assert title_of(text) == text


@pytest.mark.parametrize("text", ["???", "!", "***", "…"])
def test_a_text_of_punctuation_alone_is_its_own_title(text):
    assert title_of(text) == text


def test_a_first_line_that_says_nothing_is_passed_over():
    assert title_of("\n\n...\nHow much?") == "How much?"


def test_what_cannot_be_seen_is_left_out():
    assert title_of("pay\x07\x1b[31m \u202eevil\u2066 \ufeffnow") == "pay[31m evil now"
    assert clean_line("a\u00a0\u2003\r\nb\u2028c") == "a b c"
    for invisible in ("\u200d", "\u200b\u2060", "\x01"):
        assert clean_line(invisible) == ""
        assert title_of(invisible) == ELLIPSIS


def test_an_emoji_alone_is_a_title():
    assert title_of(FAMILY) == FAMILY


@pytest.mark.parametrize("whole", [FAMILY, FLAG, "👍🏽", "e\u0323\u0302", "❤️", "नि"])
def test_a_cut_never_goes_through_what_is_one_character(whole):
    line = whole * 60
    for length in range(len(whole), 40):
        kept = cut(line, length).removesuffix(ELLIPSIS)
        assert kept == whole * (length // len(whole))


def test_a_long_word_is_cut_inside_and_a_character_without_end_too():
    assert cut("x" * 100, 80) == "x" * 80 + ELLIPSIS
    assert cut("a " + "x" * 100, 80) == "a " + "x" * 78 + ELLIPSIS
    endless = "e" + "\u0301" * 500
    assert len(cut(endless, 80)) == 81


def test_titles_of_scripts_without_blanks_are_cut_by_character():
    assert title_of("费用" * 60) == "费用" * 40 + ELLIPSIS


def test_a_preview_is_the_beginning_of_a_message_in_one_line():
    assert preview_of("# Costs\n\n- **a**\n- b\n```\ncode\n```") == "Costs a b code"
    assert preview_of("\u200b") == ""
    assert len(preview_of("word " * 1000)) <= PREVIEW_LENGTH + 1


def test_the_cost_of_a_title_does_not_grow_with_what_is_not_in_it():
    # Every opening mark looks for its partner: of all of them that would be minutes.
    assert title_of("**a " * 500_000).startswith("**a **a")


@given(st.text(min_size=1))
def test_a_title_is_one_short_line_that_can_be_stored_and_seen(text):
    title = title_of(text)
    assert 0 < len(title) <= TITLE_LENGTH + 1
    assert title == title.strip()
    assert len(title.splitlines()) == 1
    assert not any(unicodedata.category(char) in {"Cc", "Cs"} for char in title)
    assert any(unicodedata.category(char)[0] not in "CZM" for char in title)

"""Names in texts: exact, loose, in part, misspelt, ambiguous, unknown."""

import sys
from pathlib import Path

import pytest

from apex_actors.costs.questions import Facet, NotUnderstood, QuestionReader, Vocabulary
from apex_actors.costs.questions.names import NameIndex, short_name
from apex_actors.costs.questions.spelling import Speller, distance
from apex_actors.costs.questions.tokens import tokenize

sys.path.insert(0, str(Path(__file__).parent))

from question_kit.asking import NOW, ask


def found(text, **names):
    index = NameIndex(Vocabulary(**names))
    tokens = tokenize(text)
    match = index.exact(tokens, 0) or index.family(tokens, 0, used=True)
    return None if match is None else tuple(named.name for named in match.meanings)


@pytest.mark.parametrize(
    "text", ["gpt-4o", "GPT 4o", "gpt4o", "gpt-4o?", "Gpt_4O", "gpt-4o's", "gpt-4o, please"]
)
def test_a_name_is_found_however_it_is_cut_into_words(text):
    assert found(text, models=("gpt-4o", "gpt-4o-mini")) == ("gpt-4o",)


@pytest.mark.parametrize("text", ["gpt-4o-ultra", "gpt-4.5", "gpt-4x", "claude 3", "gpt5"])
def test_another_version_is_another_model(text):
    assert found(text, models=("gpt-4o", "claude-opus-4-5")) is None


def test_a_release_or_a_provider_in_a_name_can_be_left_out():
    assert short_name("claude-sonnet-4-5-20250929") == "claude-sonnet-4-5"
    assert short_name("gpt-4o-2024-08-06") == "gpt-4o"
    assert short_name("eu.anthropic.claude-opus-4-5-20251101-v1:0") == "claude-opus-4-5"
    assert short_name("openai/gpt-4o") == "gpt-4o"
    assert found("sonnet 4.5", models=("eu.anthropic.claude-sonnet-4-5-20250929-v1:0",))


def test_a_family_is_all_its_models_and_a_longer_name_leaves_out_the_variants():
    models = ("gemini-2.5-flash", "gemini-2.5-flash-lite", "gemini-2.5-pro")

    assert set(found("gemini", models=models)) == set(models)
    assert found("gemini flash", models=models) == ("gemini-2.5-flash",)
    assert found("flash", models=models) is None


def test_the_slips_between_two_words_are_counted_up_to_a_limit():
    # gtp -> gpt: one swap; sonet -> sonnet: one letter; kitten -> sitting: three.
    assert distance("gtp", "gpt", 2) == 1
    assert distance("sonet", "sonnet", 2) == 1
    assert distance("kitten", "sitting", 3) == 3
    assert distance("kitten", "sitting", 2) == 3


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("gtp", "gpt"), ("sonet", "sonnet"), ("antropic", "anthropic"), ("brakdown", "breakdown"),
        ("usr", "user"), ("csot", "cost"), ("fat", None), ("rent", None), ("easter", None),
        ("ab", None), ("x" * 100, None),
    ],
)  # fmt: skip
def test_only_likely_slips_are_put_right(word, meant):
    known = ["gpt", "sonnet", "anthropic", "breakdown", "user", "cost", "fast", "sent", "faster"]

    assert Speller(known).correct(word) == meant


def test_two_words_that_are_equally_near_are_not_chosen_from():
    assert Speller(["marta", "marla"]).correct("marka") is None


def test_a_name_of_two_dimensions_is_told_by_the_word_beside_it_or_said():
    team, feature, unsaid = (
        ask(f"cost of {text} last week") for text in ("team search", "the search feature", "search")
    )

    assert team.filters[0].facet is Facet.TEAM
    assert feature.filters[0].facet is Facet.FEATURE
    assert any("is a feature and a team" in said for said in unsaid.assumptions)


def test_what_was_taken_for_what_is_said():
    asked = ask("cost of claude sonet yesterday")

    assert "I read \u201csonet\u201d as \u201csonnet\u201d." in asked.assumptions
    assert any("claude-sonnet-4-5, claude-sonnet-4-6" in said for said in asked.assumptions)


def test_a_model_that_has_a_price_but_no_use_is_said_to_have_none():
    asked = ask("what did gpt-5 cost last week")

    assert asked.filters[0].names == ("gpt-5",)
    assert "Your records have no use of gpt-5." in asked.assumptions


def test_a_name_that_is_a_common_word_needs_its_dimension():
    reader = QuestionReader(Vocabulary(users=("may", "total"), teams=("cost",)))
    read = lambda text: reader.read(text, now=NOW)  # noqa: E731 - three times

    assert read("total cost in may").filters == ()
    assert read("cost of user may").filters[0].names == ("may",)
    assert read("spend of team cost").filters[0].facet is Facet.TEAM


def test_an_unknown_name_is_named_in_the_reason():
    asked = ask("what did llama-3-70b cost last week")

    assert isinstance(asked, NotUnderstood)
    assert asked.reason == "I know nothing called \u201cllama-3-70b\u201d in your records."
    assert asked.suggestions[0] == "What did gpt-4o cost last week?"

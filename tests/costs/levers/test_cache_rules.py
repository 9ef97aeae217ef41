"""Shortest cacheable prefixes."""

import pytest

from apex_actors.costs.levers.cache_rules import ASSUMED_MINIMUM_TOKENS, minimum_prefix


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("claude-sonnet-4-5-20250929", 1024),
        ("anthropic/claude-sonnet-4.5", 1024),
        ("claude-opus-4-5", 4096),
        ("claude-opus-4-1", 1024),
        ("Claude-Haiku-4-5", 4096),
        ("gpt-5.1", 1024),
        ("gemini-2.5-pro", 2048),
    ],
)
def test_a_published_minimum_is_known(model, expected):
    assert minimum_prefix(model) == (expected, False)


def test_an_unpublished_minimum_is_assumed_long_and_says_so():
    assert minimum_prefix("orion-7b") == (ASSUMED_MINIMUM_TOKENS, True)
